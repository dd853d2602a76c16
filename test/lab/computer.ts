/**
 * A computer of its own for a program with a terminal: a namespace of the lab
 * where nothing else runs, with a memory file system for temporary files.
 * Whatever is there afterwards, the program has left; and it goes with us,
 * however we end.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Child, childrenOf } from "./child.js";
import { Namespace } from "./namespace.js";

/** Where no clone and no Node is hidden by it. */
export const TEMPORARY = "/dev/shm";

export interface TestTerminal {
  press(keys: string): void;
  /** Waits until the screen shows it; a line of the screen is a line of the text. */
  shows(pattern: RegExp): Promise<void>;
  /** Waits until it has been written, however short it was to be seen. */
  writes(pattern: RegExp): Promise<void>;
  /** All that was written, with ␛ for an escape. */
  raw(): string;
  /** Waits for the end of the command and compares its exit status. Its terminal's settings stand at the end of `raw` then. */
  ends(wanted: number): Promise<void>;
  close(): void;
}

interface WhatIsThere {
  readonly processes: readonly string[];
  readonly interfaces: readonly string[];
  readonly mounts: string;
  readonly files: readonly string[];
}

export class Computer implements AsyncDisposable {
  readonly namespace: Namespace;
  readonly #waitMs: number;
  readonly #untouched: WhatIsThere;

  private constructor(namespace: Namespace, waitMs: number) {
    this.namespace = namespace;
    this.#waitMs = waitMs;
    this.#untouched = this.#whatIsThere();
  }

  /** `waitMs` is how long it is waited for what a terminal shows, and for the end of processes. */
  static async open(waitMs: number): Promise<Computer> {
    const namespace = await Namespace.open("computer");
    await namespace.run(["mount", "-t", "tmpfs", "tmpfs", TEMPORARY]);
    await namespace.ip("link set lo up");
    return new Computer(namespace, waitMs);
  }

  async nothingStays(): Promise<void> {
    await this.until(
      () => this.processes().size === 1,
      () => `still running:\n${[...this.processes().values()].join("\n")}`,
    );
    assert.deepEqual(this.#whatIsThere(), this.#untouched);
  }

  /** Commands by their process, as the computer counts them: the first holds the namespace. */
  processes(): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const pid of readdirSync(this.#path("/proc")).filter((name) => /^\d+$/.test(name))) {
      try {
        found.set(pid, readFileSync(this.#path(`/proc/${pid}/cmdline`), "utf8").replaceAll("\0", " "));
      } catch {
        // gone since
      }
    }
    return found;
  }

  start(command: readonly string[]): Child {
    return this.namespace.spawn(command, { TMPDIR: TEMPORARY });
  }

  /** A command on a terminal of 80 x 24. `script` makes the terminal, and passes on what we type. */
  openTerminal(command: readonly string[], more: NodeJS.ProcessEnv = {}): TestTerminal {
    const quoted = command.map((word) => `'${word}'`).join(" ");
    // From when it has said so, a Ctrl-C meets the command and not the shell between two commands.
    const begin = `sh -c 'echo begins; exec "$@"' sh ${quoted}`;
    const line = `stty rows 24 cols 80; trap : INT; ${begin}; status=$?; stty -a; exit $status`;
    const [nsenter = "", ...door] = this.namespace.door();
    // A person's terminal: where CI is set, Node takes it for one that only keeps a log, and uses no colours.
    const person = { TERM: "xterm-256color", NO_COLOR: undefined, CI: undefined };
    const env = { ...process.env, TMPDIR: TEMPORARY, ...person, ...more };
    const script = spawn(nsenter, [...door, "script", "-qec", line, "/dev/null"], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const closed = once(script, "close");
    let text = "";
    script.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part.replaceAll("\x1b", "␛");
    });
    return {
      press: (keys) => void script.stdin.write(keys),
      shows: (pattern) =>
        this.until(
          () => pattern.test(screen(text)),
          () => `wanted ${pattern} on:\n${screen(text)}`,
        ),
      writes: (pattern) =>
        this.until(
          () => pattern.test(text),
          () => `wanted ${pattern}, and last of all came:\n${text.slice(-2000)}`,
        ),
      raw: () => text,
      async ends(wanted) {
        const [status] = await closed;
        assert.equal(status, wanted, text.slice(-2000));
      },
      close() {
        for (const pid of childrenOf(script.pid ?? 0)) process.kill(pid, "SIGKILL");
      },
    };
  }

  async until(condition: () => boolean, complaint: () => string): Promise<void> {
    for (const deadline = performance.now() + this.#waitMs; !condition(); await sleep(50)) {
      assert.ok(performance.now() < deadline, complaint());
    }
  }

  async close(): Promise<void> {
    await this.namespace.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A network namespace lives as long as a process or a mount keeps it. */
  #whatIsThere(): WhatIsThere {
    return {
      processes: [...this.processes().values()],
      interfaces: readdirSync(this.#path("/sys/class/net")),
      mounts: readFileSync(`/proc/${this.namespace.pid}/mountinfo`, "utf8"),
      files: [TEMPORARY, "/run"].flatMap((folder) =>
        readdirSync(this.#path(folder), { recursive: true, encoding: "utf8" }).map((file) =>
          join(folder, file),
        ),
      ),
    };
  }

  /** How we reach a file of the computer. */
  #path(file: string): string {
    return `/proc/${this.namespace.pid}/root${file}`;
  }
}

/** What is on the screen after all of that: text, `CSI row;column H` and `CSI 2J` are all that our programs write. */
function screen(raw: string): string {
  if (!raw.includes("␛")) return raw;
  const lines: string[] = [];
  let row = 0;
  for (const [, parameters = "", final, text] of raw.matchAll(/␛\[([?\d;]*)([A-Za-z])|([^␛]+)/g)) {
    if (final === "J") lines.length = 0;
    if (final === "H") {
      row = Number(parameters.split(";")[0]);
      lines[row] = "";
    }
    if (text !== undefined) lines[row] = (lines[row] ?? "") + text;
  }
  return lines.join("\n");
}
