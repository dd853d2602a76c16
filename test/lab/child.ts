/**
 * A command that runs in the lab: its lines with the moment each was read,
 * its end, and how to signal it. Where it runs is for `namespace.ts` to know.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds since 1970, with fractions: the lab's only clock, shared with tcpdump, `ip -ts` and the prober. */
export type Moment = number;

export function now(): Moment {
  return performance.timeOrigin + performance.now();
}

export interface Line {
  readonly at: Moment;
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

export interface End {
  readonly at: Moment;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

type Watcher = (line: Line | undefined) => void;

export class Child {
  readonly lines: Line[] = [];
  /** Settles when the command itself is gone, though children of its own may still be talking. Never rejects. */
  readonly ended: Promise<End>;
  /** Settles when nobody is left to write a line, and the last one was read. Never rejects. */
  readonly silent: Promise<End>;
  readonly #name: string;
  /** `nsenter`, which stays outside as the parent of the command. */
  readonly #door: ChildProcess;
  readonly #watchers = new Set<Watcher>();
  #end: End | undefined;
  #silent = false;

  /** `door` enters some namespaces and runs `command` there, as its only child. */
  constructor(door: readonly string[], command: readonly string[], env: NodeJS.ProcessEnv, input = "") {
    this.#name = command.join(" ");
    const [file = "", ...rest] = [...door, ...command];
    this.#door = spawn(file, rest, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#door.stdin?.on("error", () => undefined);
    this.#door.stdin?.end(input);
    this.#read("stdout", this.#door.stdout);
    this.#read("stderr", this.#door.stderr);
    this.#door.once("error", (error) => this.#note({ at: now(), stream: "stderr", text: String(error) }));
    this.ended = new Promise((resolve) => {
      const end = (status: number | null, signal: NodeJS.Signals | null): void => {
        this.#end ??= { at: now(), status, signal };
        resolve(this.#end);
      };
      this.#door.once("exit", end);
      this.#door.once("close", end); // a command that cannot be started only closes
    });
    this.silent = once(this.#door, "close").then(() => {
      this.#silent = true;
      for (const watch of [...this.#watchers]) watch(undefined);
      return this.ended;
    });
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  text(stream: Line["stream"]): string {
    return this.lines
      .filter((line) => line.stream === stream)
      .map((line) => `${line.text}\n`)
      .join("");
  }

  /** Calls `listener` for every line to come, until the child ends. */
  onLine(listener: (line: Line) => void): void {
    this.#watchers.add((line) => line && listener(line));
  }

  /** The first line that matches, seen already or yet to come; only lines read at `after` or later count. */
  async waitForLine(pattern: RegExp, deadlineMs: number, after: Moment = 0): Promise<Line> {
    const wanted = (line: Line): boolean => line.at >= after && pattern.test(line.text);
    const seen = this.lines.find(wanted);
    if (seen) return seen;
    if (this.#silent) throw this.#disappointment(`ended without saying ${pattern}`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => settle(`did not say ${pattern} within ${deadlineMs} ms`), deadlineMs);
      const watch: Watcher = (line) => {
        if (line === undefined) settle(`ended without saying ${pattern}`);
        else if (wanted(line)) settle(line);
      };
      const settle = (outcome: Line | string): void => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
        if (typeof outcome === "string") reject(this.#disappointment(outcome));
        else resolve(outcome);
      };
      this.#watchers.add(watch);
    });
  }

  /** The command's process as this computer counts it. Waits until it exists. */
  async pid(): Promise<number> {
    while (this.running) {
      const [pid] = childrenOf(this.#door.pid ?? 0);
      if (pid !== undefined) return pid;
      await sleep(1);
    }
    throw this.#disappointment("ended before its process could be found");
  }

  /** Signals the command itself; nobody in between delays or swallows it. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    process.kill(await this.pid(), signal);
    // nsenter stops itself together with its child, and has to be woken as well, to go on or to see it dead.
    if (signal === "SIGCONT" || signal === "SIGKILL") this.#door.kill("SIGCONT");
  }

  /** SIGTERM, and SIGKILL for one that has not gone in time. Says how it ended; harmless when it is gone already. */
  async stop(deadlineMs = 5000): Promise<End> {
    await this.#signalIfThere("SIGTERM");
    const timer = setTimeout(() => void this.#signalIfThere("SIGKILL"), deadlineMs);
    return this.ended.finally(() => clearTimeout(timer));
  }

  async #signalIfThere(signal: NodeJS.Signals): Promise<void> {
    try {
      await this.kill(signal);
    } catch {
      // It went first, which is what was wanted.
    }
  }

  #read(stream: Line["stream"], from: Readable | null): void {
    if (!from) return;
    createInterface({ input: from }).on("line", (text) => this.#note({ at: now(), stream, text }));
  }

  #note(line: Line): void {
    this.lines.push(line);
    for (const watch of [...this.#watchers]) watch(line);
  }

  #disappointment(what: string): Error {
    const last = this.lines.slice(-30).map((line) => `  ${line.text}`);
    const end = this.#end && !this.#end.signal ? ` (exit status ${this.#end.status})` : "";
    return new Error([`${this.#name} ${what}${end}; its last lines:`, ...last].join("\n"));
  }
}

/** The processes whose parent is `pid`; none when it is gone. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
      .trim()
      .split(" ")
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}
