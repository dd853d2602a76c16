/**
 * Whom to tell what happens here: the programs and webhooks of `[[hook]]`.
 *
 * Each hook hears its messages one after the other, in order, within a
 * deadline, and knows by their numbers when some were left out. Nothing waits
 * for a hook, and a hook that fails costs a line and a fault.
 */
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { HookConfig } from "./config.js";
import type { Faults } from "./faults.js";
import { type Ended, type Environment, openRunner } from "./linux/runner.js";
import type { Log } from "./log.js";
import { environmentOf, type Message, type Notice } from "./notice.js";

export interface Hooks {
  tell(notice: Notice): void;
  /** Hooks that stay lose nothing of what waits. */
  reconfigure(configs: readonly HookConfig[], name: string): void;
  /** Resolves when nothing waits to be told. */
  settled(): Promise<void>;
  /** The last messages may still arrive, within two seconds; then whatever runs is ended. */
  close(): Promise<void>;
}

export interface HooksOptions {
  readonly configs: readonly HookConfig[];
  /** What the board is called. */
  readonly name: string;
  readonly log: Log;
  readonly faults: Faults;
  /** How this program is started, for what it does in a process of its own. */
  readonly program: readonly string[];
  /** Before a webhook is tried once more. */
  readonly pausesMs?: readonly number[];
}

/** What a webhook's process needs to know. */
export const URL_VARIABLE = "CARPIO_URL";
export const JSON_VARIABLE = "CARPIO_JSON";
/** Of `sysexits`: another time it may go well. */
export const TRY_AGAIN = 75;

const WAITING_AT_MOST = 64;
const LAST_WORDS_MS = 2_000;
const PAUSES_MS: readonly number[] = [1_000, 4_000, 16_000];

/** A hook at work. */
interface Hook {
  readonly config: HookConfig;
  /** Where it stands in the configuration. */
  place(key: string): void;
  tell(notice: Notice): void;
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** What is wrong with a hook is for the log and the status: two that told each other would never end. */
export function isAboutHooks(about: string): boolean {
  return /^hook\[\d+\]$/.test(about);
}

export function createHooks(options: HooksOptions): Hooks {
  let { name } = options;
  let hooks: readonly Hook[] = [];
  const closing: Promise<void>[] = [];

  const arrange = (configs: readonly HookConfig[]): void => {
    const before = [...hooks];
    hooks = configs.map((config) => {
      const at = before.findIndex((hook) => isDeepStrictEqual(hook.config, config));
      const [known] = at < 0 ? [] : before.splice(at, 1);
      return known ?? createHook(config, () => name, options);
    });
    for (const hook of before) closing.push(hook.close());
    for (const [i, hook] of hooks.entries()) hook.place(`hook[${i}]`);
  };
  arrange(options.configs);

  return {
    tell(notice) {
      for (const hook of hooks) if (hook.config.on.includes(notice.event)) hook.tell(notice);
    },
    reconfigure(configs, nextName) {
      name = nextName;
      arrange(configs);
    },
    async settled() {
      await Promise.all(hooks.map((hook) => hook.settled()));
    },
    async close() {
      await Promise.all([...closing, ...hooks.map((hook) => hook.close())]);
    },
  };
}

function createHook(config: HookConfig, name: () => string, options: HooksOptions): Hook {
  const { log, faults, program, pausesMs = PAUSES_MS } = options;
  const runner = openRunner();
  const closed = new AbortController();
  const waiting: Message[] = [];
  const title = titleOf(config);
  let key = "";
  let sequence = 0;
  let leftOut = 0;
  let closing = false;
  let work = Promise.resolve();
  let working = false;

  const tell = (notice: Notice): void => {
    sequence++;
    waiting.push({ ...notice, name: name(), sequence });
    // What is newest is what is so now.
    if (waiting.length > WAITING_AT_MOST) {
      waiting.shift();
      leftOut++;
    }
    if (!working) work = workOff();
  };

  const workOff = async (): Promise<void> => {
    working = true;
    for (let message = waiting.shift(); message; message = waiting.shift()) {
      if (leftOut > 0) {
        const count = `${leftOut} message${leftOut === 1 ? " is" : "s are"}`;
        log.warn(`${key} (${title}) is slower than there is something to tell: ${count} left out`);
      }
      leftOut = 0;
      await deliver(message);
      if (closed.signal.aborted) return;
    }
    working = false;
  };

  const deliver = async (message: Message): Promise<void> => {
    for (const pauseMs of [...("url" in config.call ? pausesMs : []), undefined]) {
      const [argv, environment] = callOf(config.call, message, program);
      const ended = await runner.run(argv, environment, config.timeoutSeconds * 1000);
      if (closed.signal.aborted && ended.status !== 0) return;
      tellFailure(ended);
      const again = "url" in config.call && (ended.by === "deadline" || ended.status === TRY_AGAIN);
      if (!again || pauseMs === undefined) return;
      await sleep(pauseMs, undefined, { signal: closed.signal }).catch(() => {});
      if (closed.signal.aborted) return;
    }
  };

  /** Everybody may read the status, and nobody knows what a program says: that is for the log. */
  const tellFailure = (ended: Ended): void => {
    const problem = problemWith(ended, config);
    const failed = problem && `${key} (${title}) failed: ${problem}`;
    const said = "run" in config.call && ended.by !== "shell" && ended.said !== "" ? ended.said : undefined;
    if (!closing) faults.set(key, failed, said);
    else if (failed !== undefined) log.warn(said === undefined ? failed : `${failed}: ${said}`);
  };

  return {
    config,
    tell,
    settled: () => work,
    place(next) {
      if (next !== key) faults.set(key, undefined);
      key = next;
    },
    async close() {
      closing = true;
      faults.set(key, undefined);
      await Promise.race([work, sleep(LAST_WORDS_MS, undefined, { ref: false })]);
      closed.abort();
      runner.close();
    },
  };
}

/** A webhook's message is carried by this program itself, in another process. */
function callOf(
  call: HookConfig["call"],
  message: Message,
  program: readonly string[],
): readonly [readonly string[], Environment] {
  if ("run" in call) return [call.run, environmentOf(message)];
  const environment = { [URL_VARIABLE]: call.url, [JSON_VARIABLE]: JSON.stringify(message) };
  return [[...program, "post"], environment];
}

/** Arguments and paths may hold secrets. */
function titleOf({ call }: HookConfig): string {
  return "run" in call ? (call.run[0] ?? "") : new URL(call.url).origin;
}

/** In words of our own. What a webhook's process says are such. */
function problemWith({ by, status, said }: Ended, { call, timeoutSeconds }: HookConfig): string | undefined {
  if (by === "deadline") return `it was not done after ${timeoutSeconds} s, and was ended`;
  if (by === "flood") return "it wrote more than a million characters, and was ended";
  if (by === "shell") return said;
  if (status === 0) return undefined;
  if ("url" in call && said !== "") return said;
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128);
  return signal ? `killed by ${signal[0]}` : `exit status ${status}`;
}
