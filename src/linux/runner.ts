/**
 * Runs programs, one after the other, by a shell that is at hand: starting a
 * process from this program takes its loop ten milliseconds, which are three
 * advertisements of the fastest setting; a line to the shell takes none.
 *
 * Each program has a session of its own, and what it started ends with it. The
 * shell lives at the usual priority, and so do its programs. When this program
 * dies, its end of the pipe closes, and the shell ends what it has started.
 */
import { setPriority } from "node:os";
import type { Readable, Writable } from "node:stream";
import { startBeside } from "./beside.js";

/** `itself`: it ended by itself. `deadline`, `flood`: we ended it. `shell`: that is dead, or there is none. */
export type EndedBy = "itself" | "deadline" | "flood" | "shell";

export interface Ended {
  readonly by: EndedBy;
  /** Exit status; that of a signal is 128 and more, as shells count. */
  readonly status: number;
  /** What it said last, on either output; of the shell, what is wrong with it. */
  readonly said: string;
}

export interface Runner {
  /** Resolves when it has ended. Not to be called before. */
  run(argv: readonly string[], environment: Environment, deadlineMs: number): Promise<Ended>;
  /** Ends what runs, and the shell. */
  close(): void;
}

export type Environment = { readonly [name: string]: string };

/**
 * A line is what a subshell is to evaluate before it starts the program, or
 * `end`. Descriptor 3 says how a program ended. One that has just been started
 * may not have its session yet.
 */
const SCRIPT = `
end_program() {
  kill -KILL "-$program" || kill -KILL "$program"
} 2>/dev/null
while IFS= read -r line; do
  if [ "$line" = end ]; then
    kill -TERM "$turn"
    continue
  fi
  wait
  (
    eval "$line"
    trap 'ending=yes; [ -z "$program" ] || end_program' TERM
    setsid "$@" </dev/null 2>&1 3>&- &
    program=$!
    [ -z "$ending" ] || end_program
    wait "$program"
    status=$?
    trap '' TERM
    kill -KILL "-$program"
    echo "$status" >&3
  ) </dev/null &
  turn=$!
done
[ -z "$turn" ] || kill -TERM "$turn"
`;
const SAID_CHARACTERS = 2_000;
/** What it says goes through our loop, which has more to do. */
const MOST_CHARACTERS = 1 << 20;
const LINE_CHARACTERS = 200;
const USUAL_PRIORITY = 0;
/** A shell that does not say by then how a program ended will never say it. */
const SAYS_WITHIN_MS = 5_000;

interface Shell {
  readonly lost: boolean;
  run(line: string, deadlineMs: number): Promise<Ended>;
  close(): void;
}

export function openRunner(): Runner {
  let shell = openShell();
  return {
    async run(argv, environment, deadlineMs) {
      if (shell.lost) shell = openShell();
      return shell.run(lineOf(argv, environment), deadlineMs);
    },
    close: () => shell.close(),
  };
}

function openShell(): Shell {
  const argv = ["sh", "-c", SCRIPT, "carpio-hook"];
  const { child, ended: gone } = startBeside(argv, ["pipe", "pipe", "ignore", "pipe"]);
  if (!child) return noShell(gone);
  const [stdin, stdout, , statuses] = child.stdio as unknown as [Writable, Readable, null, Readable];
  let said = "";
  let characters = 0;
  let lost = false;
  let onEnded: (status: number | undefined) => void = () => {};
  try {
    if (child.pid !== undefined) setPriority(child.pid, USUAL_PRIORITY);
  } catch {
    // A kernel that does not let us be kinder to others than we are.
  }
  /** Whoever killed the shell alone has left its program behind. */
  const lose = (): void => {
    lost = true;
    if (child.pid !== undefined) signalGroup(child.pid);
    onEnded(undefined);
  };
  child.once("error", lose);
  child.once("exit", lose);
  stdout.setEncoding("utf8").on("data", (text: string) => {
    characters += text.length;
    said = (said + text).slice(-SAID_CHARACTERS);
    if (characters <= MOST_CHARACTERS) return;
    // Nobody reads the rest, so the next program needs another pipe, and another shell.
    stdout.destroy();
    lose();
  });
  statuses.setEncoding("utf8").on("data", (text: string) => onEnded(Number(text)));

  return {
    get lost() {
      return lost;
    },
    async run(line: string, deadlineMs: number): Promise<Ended> {
      said = "";
      characters = 0;
      let by = "itself" as EndedBy;
      const ended = new Promise<number | undefined>((resolve) => {
        onEnded = resolve;
      });
      stdin.write(`${line}\n`);
      const deadline = setTimeout(() => {
        by = "deadline";
        stdin.write("end\n");
      }, deadlineMs);
      // Both lines may have been read together, and the end have met a shell that was not prepared for it.
      const mute = setTimeout(lose, deadlineMs + SAYS_WITHIN_MS);
      const status = await ended;
      clearTimeout(deadline);
      clearTimeout(mute);
      // What it said came before its end, by another pipe.
      await new Promise((resolve) => setImmediate(resolve));
      if (characters > MOST_CHARACTERS) by = "flood";
      else if (status === undefined && by === "itself") by = "shell";
      const last = by === "shell" ? "the shell that ran it was killed" : lastLine(said);
      return { by, status: status ?? 1, said: last };
    },
    close: () => void stdin.end(),
  };
}

/** A system that is short of processes or files may have some again later. */
function noShell(why: Promise<string | undefined>): Shell {
  return {
    lost: true,
    run: async () => ({ by: "shell", status: 1, said: `cannot start a shell: ${await why}` }),
    close() {},
  };
}

function signalGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {
    // Nobody is left.
  }
}

function lineOf(argv: readonly string[], environment: Environment): string {
  const exported = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value)}`);
  return [...exported, `set -- ${argv.map(quoted).join(" ")}`].join("; ");
}

/** In single quotes a shell takes every character for itself but the quote; a line's end would end ours. */
function quoted(text: string): string {
  return `'${text.replace(/\p{Cc}+/gu, " ").replaceAll("'", "'\\''")}'`;
}

function lastLine(text: string): string {
  const lines = text.split("\n").map((line) => line.replace(/\p{Cc}+/gu, " ").trim());
  return lines.findLast((line) => line !== "")?.slice(0, LINE_CHARACTERS) ?? "";
}
