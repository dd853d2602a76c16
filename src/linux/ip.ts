/**
 * One warm `ip` that carries out commands as they come: no fork stands between
 * a decision and the address that moves.
 *
 * Errors and answers come on one stream, in order. After each batch we ask for
 * `lo`, whose answer tells where the batch's own output ends. `ip` remembers
 * the numbers of devices, so it is replaced whenever one may have changed; and it
 * loses memory, so it is replaced from time to time.
 */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { startBeside } from "./beside.js";

/** A command that the kernel or `ip` refused, and what it said. */
export interface Refusal {
  readonly command: string;
  readonly said: string;
}

export interface Outcome {
  /** False when `ip` ended before it could: then nothing is known, and nothing may be concluded. */
  readonly answered: boolean;
  readonly refusals: readonly Refusal[];
  /** One element for each command that prints something, in order. */
  readonly answers: readonly unknown[];
}

export interface Ip {
  /** Carries out commands in order, all of them, whether or not one is refused. Never throws. */
  run(commands: readonly string[]): Promise<Outcome>;
  /** Starts anew before the next batch: a device went away, and its number with it. */
  forget(): void;
  close(): Promise<void>;
}

/** Not `link show`: `ip` would then print links without addresses for the rest of its life. */
const PROMPT = "address show dev lo";
const PROMPT_ANSWER = '[{"ifindex":1,"ifname":"lo"';
/** Far longer than the kernel takes. */
const DEADLINE_MS = 2_000;
/** So often one that is at work is given as long again: it waits for the processor, and another would as well. */
const MORE_TIMES = 14;
const SHOWN_CHARACTERS = 80;
/** Said of a name that is unknown to `ip` and to the kernel: then it remembers no wrong number for it. */
const UNKNOWN = /^(Device "[^"]+" does not exist\.|Cannot find device "[^"]+")$/;
/**
 * With each address that it sets, iproute2 loses 4 kB (seen with 6.1): a day of one group would
 * be 350 MB. One that has carried out so many lines makes room for another.
 */
const MOST_LINES = 2_000;

interface Batch {
  readonly commands: readonly string[];
  readonly resolve: (outcome: Outcome) => void;
  readonly firstLine: number;
  readonly refusals: Refusal[];
  readonly answers: unknown[];
  readonly said: string[];
}

interface Child {
  /** `undefined` when it could not be started. */
  readonly process: ChildProcess | undefined;
  readonly batches: Batch[];
  readonly moreTimes: number;
  /** For the first of them; those behind it have not begun. */
  timer: NodeJS.Timeout | undefined;
  lines: number;
  rest: string;
  /** Why we ended it, if we did. */
  killedFor: string | undefined;
  exited: Promise<void>;
}

export function openIp({ moreTimes = MORE_TIMES } = {}): Ip {
  let current: Child | undefined;
  let retired = Promise.resolve();
  let closed = false;

  const child = (): Child => {
    if (current) return current;
    const started = startChild(moreTimes);
    current = started;
    started.exited.then(() => {
      if (current === started) current = undefined;
    });
    return started;
  };
  const forget = () => {
    if (!current) return;
    const last = current;
    current = undefined;
    last.process?.stdin?.end();
    retired = Promise.all([retired, last.exited]).then(() => {});
  };

  /** The next one is there before it is needed. */
  const replace = () => {
    forget();
    retired.then(() => {
      if (!closed) child();
    });
  };

  return {
    async run(commands) {
      if (commands.length === 0) return { answered: true, refusals: [], answers: [] };
      // What the one before still has to do comes first: order is all that keeps an address off.
      for (let last: Promise<void> | undefined; last !== retired; ) {
        last = retired;
        await last;
      }
      if (closed) return unanswered(commands, "too late");
      const outcome = await enqueue(child(), commands);
      if (outcome.refusals.some(({ said }) => !UNKNOWN.test(said))) forget();
      else if (current && current.batches.length === 0 && current.lines > MOST_LINES) replace();
      return outcome;
    },
    forget,
    async close() {
      closed = true;
      forget();
      await retired;
    },
  };
}

function startChild(moreTimes: number): Child {
  const argv = ["sh", "-c", "exec ip -json -force -batch - 2>&1"];
  const { child: process, ended } = startBeside(argv, ["pipe", "pipe", "ignore"]);
  const child: Child = {
    process,
    batches: [],
    moreTimes,
    timer: undefined,
    lines: 0,
    rest: "",
    killedFor: undefined,
    exited: ended.then((said) => {
      clearTimeout(child.timer);
      const why = child.killedFor ?? said ?? lastWords(child);
      for (const batch of child.batches.splice(0)) batch.resolve(unanswered(batch.commands, why));
    }),
  };
  process?.stdout?.setEncoding("utf8").on("data", (text: string) => read(child, text));
  return child;
}

/** Of an `ip` that ended by itself; where there is none, it is the shell that says so. */
function lastWords({ batches, rest }: Child): string {
  const said = [...(batches[0]?.said ?? []), rest].filter((line) => line !== "").join(" ");
  if (/exec:.*\bip: not found$/.test(said)) return "ip is not installed (Debian's package iproute2)";
  return said === "" ? "ip has ended" : `ip has ended: ${said}`;
}

function kill(child: Child, why: string): void {
  child.killedFor ??= why;
  child.process?.kill("SIGKILL");
}

function enqueue(child: Child, commands: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const firstLine = child.lines + 1;
    child.batches.push({ commands, resolve, firstLine, refusals: [], answers: [], said: [] });
    if (child.batches.length === 1) startTimer(child);
    child.lines += commands.length + 1;
    child.process?.stdin?.write([...commands, PROMPT, ""].join("\n"));
  });
}

/**
 * Whoever was stopped itself finds an answer waiting, and reads it before it
 * judges. An `ip` that is at work has not had its turn yet on a board that is
 * busy, and another in its place would have to begin anew.
 */
function startTimer(child: Child, times = 1): void {
  clearTimeout(child.timer);
  const [first] = child.batches;
  if (!first) return;
  const judge = () => {
    if (child.batches[0] !== first) return;
    if (times <= child.moreTimes && isAtWork(child.process?.pid)) startTimer(child, times + 1);
    else kill(child, `ip did not answer within ${(times * DEADLINE_MS) / 1000} s`);
  };
  child.timer = setTimeout(() => setImmediate(judge), DEADLINE_MS);
}

/** True for one that runs, waits for the processor, or is held up in the kernel, where no signal reaches it. */
function isAtWork(pid: number | undefined): boolean {
  try {
    // The state stands behind the name, which is in brackets and may hold anything.
    return /^.*\) [RD] /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

function read(child: Child, text: string): void {
  const lines = (child.rest + text).split("\n");
  child.rest = lines.pop() ?? "";
  for (const line of lines) readLine(child, line);
}

function readLine(child: Child, line: string): void {
  const [batch] = child.batches;
  if (!batch) return;
  const failed = /^Command failed .*:(\d+)$/.exec(line);
  if (line.startsWith(PROMPT_ANSWER)) {
    child.batches.shift();
    startTimer(child);
    batch.resolve({ answered: true, refusals: batch.refusals, answers: batch.answers });
  } else if (failed) {
    const command = batch.commands[Number(failed[1]) - batch.firstLine] ?? "";
    batch.refusals.push({ command, said: batch.said.splice(0).join(" ") });
  } else if (line.startsWith("[")) {
    const answers = parse(line);
    // An answer that is missing would say that something is not there.
    if (answers) batch.answers.push(...answers);
    else kill(child, `ip said what is no JSON: ${line.slice(0, SHOWN_CHARACTERS)}`);
  } else {
    batch.said.push(line);
  }
}

function parse(line: string): readonly unknown[] | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function unanswered(commands: readonly string[], said: string): Outcome {
  return { answered: false, refusals: commands.map((command) => ({ command, said })), answers: [] };
}
