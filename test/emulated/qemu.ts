/**
 * A board in QEMU as somebody stands before it: what its serial line says, its
 * lamps, a finger for its button, its plug, and port 8080 at the other end of
 * the cable. What is booted, and how, is for whoever makes one.
 *
 *   lines         ◀─ the serial line
 *   lamps         ◀─ a trace of every edge ── lines 0 to 2 of the PL061
 *   levels()      ◀─ qtest, readl ─────────── the same, or lines of a BCM2835
 *   setButton()   ── qtest, set_irq_in ─────▶ line 3 of the PL061
 *   get()         ◀─ the cable
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { type Moment, now } from "../lab/child.js";
import { FAULT, Lamps, MAINTENANCE, ROLE } from "./lamps.js";
import { type Dialogue, openQmp, openQtest } from "./monitor.js";

/** A tap device. A door is the words before a command that enter a network. */
export interface Cable {
  readonly device: string;
  /** To where the device is. */
  readonly door: readonly string[];
  /** To somebody else at the same switch, who can ask what carpio shows. */
  readonly visitor: readonly string[];
}

/** How its port 8080 is asked from outside. */
export interface Outside {
  readonly door: readonly string[];
  readonly host: string;
}

/** Something to wait for. */
export interface Event<T> {
  readonly holds: (answer: T) => boolean;
  /** In words, for when it does not come. */
  readonly what: string;
  readonly deadlineMs?: number;
}

export interface QemuOptions {
  /** For its sockets and whatever else is its own; goes with it. */
  readonly directory: string;
  readonly outside: Outside;
  /** Words before the command, such as a door. */
  readonly before: readonly string[];
  /** The machine and what is plugged into it. */
  readonly parameters: readonly string[];
  /** What lamps and button are wired to; left out, the PL061 of `virt`. */
  readonly chip?: Chip;
}

/** A GPIO chip of an emulated board. QEMU gives the lines of a BCM2835 no edges, so its button is out of reach. */
export type Chip = "pl061" | "bcm2835";

export const QEMU = "qemu-system-aarch64";
export const STATUS_PORT = 8080;
/** Everything of QEMU's own that we do not use. */
const CONTROL = ["-nodefaults", "-display", "none"];
const TRACE = "trace";
/** For whatever is waited for: a machine that shares its processors with others takes its time. */
const EVENT_MS = 180_000;
const LOOK_EVERY_MS = 30;
const NO_ANSWER_MS = 10_000;
const BUTTON_LINE = 3;
/** Registers of the levels, and the line of each lamp, as the boards' files in board/ have them. */
const REGISTERS: { readonly [C in Chip]: { readonly levels: string; readonly lines: readonly number[] } } = {
  pl061: { levels: "0x90303fc", lines: [0, 1, 2] },
  bcm2835: { levels: "0x3f200034", lines: [17, 27, 22] },
};
/** Long enough for a machine that is busy to see it, and well below a second. */
const FINGER_MS = 400;

/** QEMU's BCM2835 has no resistors: without this, GPIO5 reads as a button that is held. */
const PULL_UP = `writel 0x3f20001c ${1 << 5}`;

export class Qemu implements AsyncDisposable {
  readonly lines: string[] = [];
  /** When each of them came. */
  readonly moments: Moment[] = [];
  /** What was seen of the lamps since the machine has power. */
  readonly lamps: Lamps;
  protected readonly process: ChildProcess;
  readonly #directory: string;
  readonly #outside: Outside;
  readonly #chip: Chip;
  #qtest: Dialogue | undefined;
  #gpio = "";

  /** It goes with us, however we end. */
  constructor({ directory, outside, before, parameters, chip = "pl061" }: QemuOptions) {
    this.#directory = directory;
    this.#outside = outside;
    this.#chip = chip;
    this.lamps = new Lamps(join(directory, TRACE));
    const sockets = [
      ...["-qmp", `unix:${join(directory, "qmp")},server=on,wait=off`],
      ...["-qtest", `unix:${join(directory, "qtest")},server=on,wait=off`, "-qtest-log", "/dev/null"],
      ...["-trace", "pl061_update", "-msg", "timestamp=on", "-D", join(directory, TRACE)],
    ];
    const command = [
      ...before,
      "setpriv",
      "--pdeathsig",
      "KILL",
      QEMU,
      ...CONTROL,
      ...parameters,
      ...sockets,
    ];
    const [file = "", ...rest] = command;
    this.process = spawn(file, rest, { stdio: ["pipe", "pipe", "pipe"] });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#hear(line));
    }
    this.process.on("error", (error) => this.#hear(String(error)));
  }

  get hasPower(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Comes within reach of the panel. */
  async reachPanel(): Promise<void> {
    if (this.#chip === "pl061") {
      const qmp = await openQmp(join(this.#directory, "qmp"));
      this.#gpio = await findGpio(qmp);
      qmp.close();
    }
    this.#qtest = await openQtest(join(this.#directory, "qtest"));
    if (this.#chip === "bcm2835") await this.#ask(PULL_UP);
  }

  /** Has QEMU do something to the machine. */
  protected async command(execute: string, parameters: object): Promise<void> {
    const qmp = await openQmp(join(this.#directory, "qmp"));
    const answer = await qmp
      .ask(JSON.stringify({ execute, arguments: parameters }))
      .finally(() => qmp.close());
    if (!answer.startsWith('{"return"')) throw new Error(`${execute}: ${answer}`);
  }

  /** Where its status is to be had, for somebody who has come in by the door. */
  get host(): string {
    return this.#outside.host;
  }

  /** As somebody at the other end of its serial line. */
  type(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  /** What it said, for when something went wrong. */
  async log(): Promise<string> {
    return this.lines.join("\n");
  }

  /** Waits for a line that fits, from the first on; gives it. */
  async untilLine(pattern: RegExp, deadlineMs = EVENT_MS): Promise<string> {
    const find = () => this.lines.find((line) => pattern.test(line));
    const line = await this.until(find, {
      holds: (it) => it !== undefined,
      what: `a line like ${pattern}`,
      deadlineMs,
    });
    return line ?? "";
  }

  /**
   * What carpio answers over HTTP to somebody outside. A command in the guest
   * would take some tenths of a second of the processors that carpio needs.
   */
  async get(path: string): Promise<string> {
    const { door, host } = this.#outside;
    const wget = ["busybox", "wget", "-q", "-O", "-", `http://${host}${path}`];
    const [file = "", ...parameters] = [...door, ...wget];
    return (await promisify(execFile)(file, parameters, { timeout: NO_ANSWER_MS })).stdout;
  }

  /** Asks again and again until the answer is as wanted. */
  async until<T>(ask: () => T | Promise<T>, { holds, what, deadlineMs = EVENT_MS }: Event<T>): Promise<T> {
    const deadlineAt = performance.now() + deadlineMs;
    for (;;) {
      const answer = await ask();
      if (holds(answer)) return answer;
      if (!this.hasPower || performance.now() > deadlineAt) {
        const last = this.lines.slice(-10).join("\n");
        throw new Error(`waited in vain for ${what}; last seen: ${JSON.stringify(answer)}\n${last}`);
      }
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Which lamps are lit now, as bits of a reading. */
  async levels(): Promise<number> {
    const { levels, lines } = REGISTERS[this.#chip];
    const value = Number((await this.#ask(`readl ${levels}`)).split(" ")[1]);
    const lamps = [ROLE, MAINTENANCE, FAULT];
    return lamps.reduce((lit, lamp, index) => lit | ((value >>> (lines[index] ?? 0)) & 1 ? lamp : 0), 0);
  }

  /** The level at the button's line; on this board high is pressed. */
  async setButton(pressed: boolean): Promise<void> {
    await this.#ask(`set_irq_in ${this.#gpio} unnamed-gpio-in ${BUTTON_LINE} ${pressed ? 1 : 0}`);
  }

  async press(forMs = FINGER_MS): Promise<void> {
    await this.setButton(true);
    await delay(forMs);
    await this.setButton(false);
  }

  /** The plug is pulled. */
  async close(): Promise<void> {
    this.#qtest?.close();
    if (this.hasPower) {
      const gone = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await gone;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A question to qtest. */
  async #ask(command: string): Promise<string> {
    const answer = await this.#qtest?.ask(command);
    if (!answer?.startsWith("OK")) throw new Error(`${command}: found ${answer}, wanted OK`);
    return answer;
  }

  #hear(line: string): void {
    this.lines.push(line.trimEnd());
    this.moments.push(now());
  }
}

/**
 * A port of this computer that nobody has, and throws when it is a wanted one that somebody has. QEMU
 * forwards it where nothing but QEMU is at a cable's other end.
 */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer().listen(wanted, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Its place among QEMU's objects differs with the machine's other parts. */
async function findGpio(qmp: Dialogue): Promise<string> {
  const parts = JSON.parse(
    await qmp.ask(JSON.stringify({ execute: "qom-list", arguments: { path: "/machine/unattached" } })),
  ) as { return: readonly { name: string; type: string }[] };
  const gpio = parts.return.find(({ type }) => type === "child<pl061>");
  if (!gpio) throw new Error("found no PL061 among the parts of the machine");
  return `/machine/unattached/${gpio.name}`;
}
