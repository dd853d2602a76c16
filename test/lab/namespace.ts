/**
 * One machine of the lab: network, mount, process and host-name namespaces of
 * its own, held open by a process and entered with nsenter. It knows nothing
 * of cables or CARP.
 *
 * `ip netns` would need the real root and leaves names behind in /run. Here
 * the holder is process 1 of its own process namespace and reads a pipe from
 * us: when we close it, or die in whatever way, the holder ends, the kernel
 * kills everything that runs in there, and the network goes with the last of
 * them. There is nothing to sweep.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { Child, childrenOf } from "./child.js";

export interface Output {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * What a machine finds when it boots. /sys must be mounted again to show this
 * namespace's devices; /run is fresh and, as on many systems, not for programs.
 * Nobody waits for orphans, so they must not become zombies: an ignored SIGCHLD
 * is how one says that. `env` does it, because dash takes no `trap '' CHLD`.
 */
const HOLDER = `
  mount -t proc -o nosuid,nodev,noexec proc /proc &&
  mount -t sysfs -o nosuid,nodev,noexec sysfs /sys &&
  mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs /run &&
  hostname "$0" &&
  echo ready && exec env --ignore-signal=CHLD cat`;

const CLOSING_MS = 5000;
/** Users other than root often do without the directories in which the network's tools live. */
const PATH = `${process.env["PATH"]}:/usr/local/sbin:/usr/sbin:/sbin`;
const NAMESPACES = ["--net", "--mount", "--pid", "--uts"];

export class Namespace implements AsyncDisposable {
  readonly name: string;
  /** The holder, as this computer counts it. */
  readonly pid: number;
  /** The kernel's name of the network, such as `net:[4026532281]`. */
  readonly network: string;
  readonly #holder: ChildProcess;

  private constructor(name: string, holder: ChildProcess, pid: number) {
    this.name = name;
    this.pid = pid;
    this.network = readlinkSync(`/proc/${pid}/ns/net`);
    this.#holder = holder;
  }

  static async open(name: string): Promise<Namespace> {
    const argv = [...NAMESPACES, "--fork", "--kill-child", "sh", "-c", HOLDER, name];
    const holder = spawn("unshare", argv, { stdio: ["pipe", "pipe", "pipe"] });
    const complaints: string[] = [];
    createInterface({ input: holder.stderr }).on("line", (text) => complaints.push(text));
    const ready = once(createInterface({ input: holder.stdout }), "line");
    const failed = once(holder, "close").then(() => {
      throw new Error(`cannot open the namespace ${name}: ${complaints.join("; ")}`);
    });
    await Promise.race([ready, failed]);
    failed.catch(() => undefined);
    const [pid] = childrenOf(holder.pid ?? 0);
    if (pid === undefined) throw new Error(`the holder of the namespace ${name} is gone already`);
    return new Namespace(name, holder, pid);
  }

  /** Words that, put before a command, run it in here; for those who give it a terminal of its own. */
  door(namespaces: readonly string[] = NAMESPACES): readonly string[] {
    const directory = namespaces.includes("--mount") ? [`--wdns=${process.cwd()}`] : [];
    return ["nsenter", `--target=${this.pid}`, ...namespaces, ...directory, "--"];
  }

  /** Starts a command in here. Its working directory is ours; so is its environment, with `env` on top. */
  spawn(command: readonly string[], env: Readonly<Record<string, string>> = {}, input = ""): Child {
    return this.#enter(NAMESPACES, command, env, input);
  }

  /** Runs a command to its end; anything but exit status 0 is an error that says what it printed. */
  async run(
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
    input = "",
  ): Promise<string> {
    const child = this.spawn(command, env, input);
    return succeeded(this.name, command, await outputOf(child));
  }

  /** Runs a command that may fail. */
  async attempt(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Output> {
    return outputOf(this.spawn(command, env));
  }

  /** Gives several lines to one `ip`. It counts processes as we do, so that `netns PID` may name another holder. */
  async ip(...lines: readonly string[]): Promise<void> {
    const command = ["ip", "-batch", "-"];
    const child = this.#enter(["--net"], command, {}, lines.map((line) => `${line}\n`).join(""));
    succeeded(this.name, [...command, ...lines], await outputOf(child));
  }

  /** Ends every process in here and the network with them. */
  async close(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const ended = once(this.#holder, "exit");
    this.#holder.stdin?.end();
    const timer = setTimeout(() => this.#holder.kill("SIGKILL"), CLOSING_MS);
    await ended;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #enter(
    namespaces: readonly string[],
    command: readonly string[],
    env: NodeJS.ProcessEnv,
    input: string,
  ): Child {
    return new Child(this.door(namespaces), command, { ...process.env, PATH, ...env }, input);
  }
}

/** With which power the lab works here; `none` cannot make namespaces. */
export function labPower(): "root" | "user namespace" | "none" {
  if (process.getuid?.() !== 0) return "none";
  const wholeRange = /^\s*0\s+0\s+4294967295\s*$/;
  return wholeRange.test(readFileSync("/proc/self/uid_map", "utf8")) ? "root" : "user namespace";
}

/**
 * Without root, runs this same program again as the root of an unprivileged
 * user namespace, and ends with its exit status. With root it does nothing.
 */
export async function becomeLabRoot(): Promise<void> {
  if (labPower() !== "none") return;
  const argv = ["--user", "--map-root-user", "--net", "--mount", process.execPath];
  const again = spawn("unshare", [...argv, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
  });
  // A terminal interrupts both of us, and the other one decides when to go.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => void again.kill("SIGTERM"));
  const [status] = await once(again, "exit");
  process.exit(typeof status === "number" ? status : 1);
}

async function outputOf(child: Child): Promise<Output> {
  const { status } = await child.silent;
  return { status, stdout: child.text("stdout"), stderr: child.text("stderr") };
}

function succeeded(where: string, command: readonly string[], output: Output): string {
  if (output.status === 0) return output.stdout;
  const said = (output.stderr + output.stdout).trim();
  throw new Error(`on ${where}: ${command.join(" ")}: exit status ${output.status}: ${said}`);
}
