/**
 * The command line: which command, with which options, and what its exit
 * status means: 0 done, 1 failed, 64 usage, 78 configuration.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setPriority } from "node:os";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type ParseArgsConfig, parseArgs } from "node:util";
import {
  type Config,
  defaultConfigPath,
  describeProblem,
  emptyConfig,
  type Parsed,
  readConfig,
} from "./config.js";
import { type Daemon, startDaemon } from "./daemon.js";
import { runDecode } from "./decode.js";
import { findCard } from "./firmware/card.js";
import { problemsOfCard, problemsOfStart, setUp } from "./firmware/setup.js";
import { orderSlot, readSlotOrder, runUpdate } from "./firmware/slot-commands.js";
import { beat } from "./heartbeat.js";
import { JSON_VARIABLE, TRY_AGAIN, URL_VARIABLE } from "./hooks.js";
import { openIp } from "./linux/ip.js";
import { listenTo } from "./linux/listen.js";
import { runShell } from "./linux/power.js";
import { createLog, TOPICS, type Topic } from "./log.js";
import { tidyMemory } from "./memory.js";
import {
  askIdentify,
  askMaintenance,
  type BoardUrl,
  boardUrl,
  findToken,
  type Outcome,
  readDuration,
  type Shown,
  showStatus,
} from "./operate.js";
import { rehearse } from "./rehearsal.js";
import { releaseLeftovers } from "./release.js";
import type { Snapshot } from "./status/snapshot.js";
import { NO_SLOTS } from "./status/update.js";
import { postMessage } from "./status/webhook.js";
import { version } from "./version.js";
import { watchStatus } from "./watch.js";

const DONE = 0;
const FAILED = 1;
const USAGE = 64;
const BAD_CONFIG = 78;
/** Whoever is asked to end while it starts may finish its start for so long. */
const START_MS = 1_500;
const LOOK_MS = 20;
/** More than a board's start takes, with a card that has to be asked again and again. */
const PATIENCE_MS = 120_000;
/** The nicest a process can be to itself: advertisements are worth more than anything else on the board. */
const FIRST_IN_LINE = -20;

/** What `status --exit-code` ends with: success is to be master, as a script's `if` has it. */
const EXIT_CODES: ReadonlyMap<Snapshot["role"], number> = new Map([
  ["master", DONE],
  ["backup", 10],
  ["mixed", 11],
  ["init", 12],
]);

const usage = `usage: carpio COMMAND [OPTIONS]

  run [--config FILE] [--debug TOPIC,...] [--tolerant] [--after FILE]
                                            the daemon, in the foreground; SIGTERM hands over and
                                            leaves, SIGHUP reads the configuration again. Tolerant, it
                                            runs without groups when the file is bad, and its status says why.
                                            It gets ready, and touches nothing until --after's FILE is there
  check [--config FILE]                     everything that is wrong with a configuration
  status [HOST[:PORT]] [--json|--watch] [--exit-code]
                                            how a board stands: this one, or another
  maintenance on|off [HOST[:PORT]] [--for 2h] [--token-file FILE]
                                            hand over, and stand aside until it is off again
  identify [HOST[:PORT]] [--for 1m] [--token-file FILE]
                                            blink, so that the board is found
  release [--config FILE]                   clean up after a daemon that died
  decode FILE.pcap|HEX|-i INTERFACE [--json] [--config FILE]
                                            what advertisements say, and why they are refused
  update FILE|- [--json]                    on a board: FILE, or standard input, into the slot that
                                            does not run; it is started next
  slot [a|b|good|bad|silent|unready]        how both slots stand; which one to start next; that the
                                            running one has proven itself, or is given up, and why
  setup [--dry-run] [--config FILE]         at a board's start, as root: network, router and services
  --version, --help

FILE is /boot/carpio.toml if that exists, else /etc/carpio.toml. TOPIC is ${TOPICS.join(", ")}.
A token file's first line is what the other board's status.token_file has.
Exit status: 0 done, 1 failed, 64 usage, 78 configuration. With --exit-code, status says the role:
${[...EXIT_CODES].map(([role, code]) => `${code} ${role}`).join(", ")}; 1 when the board does not answer.
`;

interface Options {
  readonly config: string;
  /** Runs also without a good configuration, so that the board's own lamps and page say what is wrong. */
  readonly tolerant: boolean;
  /** Says by being there that the daemon may begin: on a board, that its network is set up. */
  readonly after: string | undefined;
  readonly topics: ReadonlySet<Topic>;
}

type Values = { readonly [name: string]: string | boolean | undefined };

const commands: { readonly [name: string]: (options: Options) => Promise<number> } = {
  run,
  check,
  release,
};

/** Runs one command and answers with the exit status. */
export async function runCommand(args: readonly string[]): Promise<number> {
  const [name = "", ...rest] = args;
  if (name === "--version") return say(`carpio ${version}\n`);
  if (name === "--help" || name === "help") return say(usage);
  if (rest.includes("--help") && usage.includes(`\n  ${name} `)) return say(usage);
  if (name === "decode") return decode(rest);
  if (name === "status") return status(rest);
  if (name === "maintenance") return maintain(rest);
  if (name === "identify") return identify(rest);
  if (name === "update") return updateSlot(rest);
  if (name === "slot") return slot(rest);
  if (name === "setup") return setup(rest);
  if (name === "post") return post();

  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) return refuse(name === "" ? "a command is wanted" : `there is no command ${name}`);
  const options = readOptions(rest);
  return typeof options === "string" ? refuse(`${name}: ${options}`) : command(options);
}

async function run({ config: path, topics, tolerant, after }: Options): Promise<number> {
  // What a reload would read is read later all the same; until then it must not end us.
  process.on("SIGHUP", () => {});
  const log = createLog((text) => process.stderr.write(text), topics);
  try {
    // Before its `ip` starts, which is to have the same.
    setPriority(FIRST_IN_LINE);
  } catch {
    log.debug("linux", () => "cannot raise the priority of this process");
  }
  const ip = openIp();
  if (after !== undefined && !existsSync(after)) {
    await rehearse(path, ip);
    // While nobody waits for us.
    if (!existsSync(after)) tidyMemory();
    await untilThere(after);
  }
  const { config, wrong } = tolerant ? loadWhatThereIs(path) : { config: load(path), wrong: undefined };
  if (!config) {
    await ip.close();
    return BAD_CONFIG;
  }

  const signals = signalQueue();
  let current = config;
  const onPowerOff = () => {
    if (current.panel.powerOff) signals.add("power-off");
    else log.warn("the button was held, and panel.power_off is empty: the board stays on");
  };
  const card = tolerant ? problemsOfCard() : undefined;
  const started = startDaemon(config, log, { ip, onPowerOff, wrong, card }).catch((error: unknown) => {
    process.stderr.write(`carpio: ${error instanceof Error ? error.message : error}\n`);
    return undefined;
  });
  // A start that a kernel holds up is left to the guard.
  const late = signals.end.then(
    () => new Promise<"late">((resolve) => setTimeout(resolve, START_MS, "late")),
  );
  const daemon = await Promise.race([started, late]);
  if (daemon === "late") {
    process.stderr.write(
      "carpio: ended in the middle of its start: `carpio release` puts the settings back\n",
    );
    return FAILED;
  }
  if (!daemon) {
    await ip.close();
    return FAILED;
  }

  for (;;) {
    const wish = await signals.next();
    if (wish === "power-off") return turnOff(daemon, current);
    if (wish !== "SIGHUP") break;
    if (tolerant) daemon.tellCard(problemsOfCard());
    const next = load(path);
    if (next && isCutShort(next, current)) log.warn(`${path}: found no [[carp]], wanted one: cut short?`);
    else if (next) {
      current = next;
      await Promise.race([daemon.reload(next, tolerant ? problemsOfStart() : undefined), signals.end]);
      continue;
    }
    log.warn("the configuration in force stays");
  }
  await daemon.stop("shutting down");
  return DONE;
}

/**
 * Nobody says when: whoever makes the file is a shell. Until then SIGTERM ends us at once.
 * Whoever keeps this program hears that it lives, but not for ever: what is waited for may never come.
 */
async function untilThere(file: string): Promise<void> {
  const heartbeat = beat(() => `alive waiting for ${file}`);
  const silentAt = performance.now() + PATIENCE_MS;
  while (!existsSync(file)) {
    if (performance.now() > silentAt) heartbeat.stop();
    await sleep(LOOK_MS);
  }
  heartbeat.stop();
}

/** The other boards serve before the power goes. */
async function turnOff(daemon: Daemon, { panel }: Config): Promise<number> {
  await daemon.stop("power off, by the button", "powered-off");
  const problem = panel.powerOff && (await runShell(panel.powerOff));
  if (!problem) return DONE;
  process.stderr.write(`carpio: panel.power_off: ${problem}\n`);
  return FAILED;
}

/** A file that an editor has just emptied must not cost every address; who wants that stops the daemon. */
function isCutShort(next: Config, current: Config): boolean {
  return next.groups.length === 0 && current.groups.length > 0;
}

async function check({ config: path }: Options): Promise<number> {
  const config = load(path);
  if (!config) return BAD_CONFIG;
  const groups = config.groups.length;
  const { tables } = config.system;
  const forBoards = tables.map((table) => `[${table}]`).join(", ");
  const idle = tables.length > 0 && findCard().running === undefined;
  return say(
    `${path}: good, ${groups} group${groups === 1 ? "" : "s"}\n` +
      (idle ? `${forBoards}: for a board that carpio's image runs; nothing acts on it here\n` : ""),
  );
}

async function release({ config: path }: Options): Promise<number> {
  const config = load(path);
  // What a crash left behind is cleared away also when the file is bad; only the farewell needs its keys.
  const problem = await releaseLeftovers(config?.groups ?? [], (line) => process.stderr.write(`${line}\n`));
  if (problem === undefined) return config ? DONE : BAD_CONFIG;
  process.stderr.write(`carpio: ${problem}\n`);
  return FAILED;
}

async function status(args: readonly string[]): Promise<number> {
  const flag = { type: "boolean", default: false } as const;
  const read = readArguments(args, { json: flag, watch: flag, "exit-code": flag });
  if (typeof read === "string") return refuse(`status: ${read}`);
  const { json, watch, "exit-code": exitCode } = read.values;
  if (watch && (json || exitCode))
    return refuse(`status: --watch goes without --${json ? "json" : "exit-code"}`);
  const [host, extra] = read.positionals;
  if (extra !== undefined) return refuse(`status: found ${extra} after the host, wanted nothing`);
  const url = boardUrl(host, configThere(read.values["config"]));
  if (typeof url === "string") return refuse(`status: ${url}`);
  if (watch) return watchBoard(url);
  const outcome = await showStatus(url, json === true);
  const told = tell(outcome);
  return exitCode && outcome.role !== undefined ? (EXIT_CODES.get(outcome.role) ?? FAILED) : told;
}

/** Until somebody ends it, or reads no more. */
async function watchBoard(board: BoardUrl): Promise<number> {
  const { stdout } = process;
  const ended = new AbortController();
  const end = () => ended.abort();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
  stdout.on("error", end);
  const screen = {
    write: (text: string) => void stdout.write(text),
    // A serial line does not know how large its terminal is.
    size: () => (stdout.isTTY ? { columns: stdout.columns || 80, rows: stdout.rows || 24 } : undefined),
  };
  await watchStatus(board, { screen, signal: ended.signal });
  return DONE;
}

async function maintain(args: readonly string[]): Promise<number> {
  const read = readArguments(args, { for: { type: "string" }, "token-file": { type: "string" } });
  if (typeof read === "string") return refuse(`maintenance: ${read}`);
  const [wish, host, extra] = read.positionals;
  if (wish !== "on" && wish !== "off")
    return refuse(`maintenance: found ${wish ?? "nothing"}, wanted on or off`);
  if (extra !== undefined) return refuse(`maintenance: found ${extra} after the host, wanted nothing`);
  const forText = read.values["for"];
  const forSeconds = typeof forText === "string" ? readDuration(forText) : undefined;
  if (forText !== undefined && (forSeconds === undefined || wish === "off")) {
    const wanted = wish === "off" ? "it with on alone" : "a time such as 90s, 30m, 2h or 1d, a week at most";
    return refuse(`maintenance: --for: found ${forText}, wanted ${wanted}`);
  }
  return askWithToken("maintenance", host, read.values, (board, shown) =>
    askMaintenance(board, wish === "on", forSeconds, shown),
  );
}

async function identify(args: readonly string[]): Promise<number> {
  const read = readArguments(args, { for: { type: "string" }, "token-file": { type: "string" } });
  if (typeof read === "string") return refuse(`identify: ${read}`);
  const [host, extra] = read.positionals;
  if (extra !== undefined) return refuse(`identify: found ${extra} after the host, wanted nothing`);
  const forText = read.values["for"];
  const forSeconds = typeof forText === "string" ? readDuration(forText) : undefined;
  if (forText !== undefined && forSeconds === undefined)
    return refuse(`identify: --for: found ${forText}, wanted a time such as 30s or 5m`);
  return askWithToken("identify", host, read.values, (board, shown) => askIdentify(board, forSeconds, shown));
}

async function askWithToken(
  command: string,
  host: string | undefined,
  values: Values,
  ask: (board: BoardUrl, shown: Shown) => Promise<Outcome>,
): Promise<number> {
  const config = configThere(values["config"]);
  const board = boardUrl(host, config);
  if (typeof board === "string") return refuse(`${command}: ${board}`);
  const tokenFile = values["token-file"];
  const found = findToken(typeof tokenFile === "string" ? tokenFile : undefined, board, config);
  return tell(found.ok ? await ask(board, found) : found);
}

async function updateSlot(args: readonly string[]): Promise<number> {
  const read = readArguments(args, { card: { type: "string" }, json: { type: "boolean", default: false } });
  if (typeof read === "string") return refuse(`update: ${read}`);
  const [file, extra] = read.positionals;
  if (file === undefined) return refuse("update: found no FILE, wanted one, or - for standard input");
  if (extra !== undefined) return refuse(`update: found ${extra} after FILE, wanted nothing`);
  const { json, card, config } = read.values;
  const unsigned = configThere(config)?.system.unsignedUpdates ?? false;
  const done = await runUpdate(
    { file, card: findCard(textOf(card)), unsigned, json: json === true },
    {
      write: (text) => void process.stdout.write(text),
      writeError: (text) => void process.stderr.write(text),
      isTerminal: process.stderr.isTTY === true,
    },
  );
  return done ? DONE : FAILED;
}

async function slot(args: readonly string[]): Promise<number> {
  const read = readArguments(args, { card: { type: "string" } });
  if (typeof read === "string") return refuse(`slot: ${read}`);
  const [wish, extra] = read.positionals;
  const order = wish === undefined ? undefined : readSlotOrder(wish);
  if (order !== wish || extra !== undefined) {
    return refuse(`slot: found ${extra ?? wish}, wanted a, b, good, bad, silent, unready or nothing`);
  }
  const folder = textOf(read.values["card"]);
  const card = findCard(folder);
  if (folder === undefined && !card.running) return tell({ ok: false, why: NO_SLOTS });
  try {
    return say(await orderSlot(order, card));
  } catch (error) {
    return tell({ ok: false, why: error instanceof Error ? error.message : String(error) });
  }
}

/** A start goes on, whatever is wrong: it says so, and its exit status does not. */
async function setup(args: readonly string[]): Promise<number> {
  const text = { type: "string" } as const;
  const read = readArguments(args, {
    "dry-run": { type: "boolean", default: false },
    root: text,
    card: text,
  });
  if (typeof read === "string") return refuse(`setup: ${read}`);
  const [extra] = read.positionals;
  if (extra !== undefined) return refuse(`setup: found ${extra}, wanted nothing`);
  const { config, root, card, "dry-run": dryRun } = read.values;
  await setUp({
    config: textOf(config) ?? defaultConfigPath(),
    card: findCard(textOf(card)),
    root: textOf(root) ?? "/",
    dryRun: dryRun === true,
  });
  return DONE;
}

/** Carries a message to a webhook. The daemon runs it; nobody else has to know. */
async function post(): Promise<number> {
  const { [URL_VARIABLE]: url, [JSON_VARIABLE]: json } = process.env;
  if (url === undefined || json === undefined)
    return refuse(`post: wanted ${URL_VARIABLE} and ${JSON_VARIABLE}`);
  const posted = await postMessage(url, json);
  if (posted.ok) return DONE;
  process.stderr.write(`${posted.why}\n`);
  return posted.again ? TRY_AGAIN : FAILED;
}

/** A computer that is no board itself has none, and may ask all the same. */
function configThere(path: string | boolean | undefined): Config | undefined {
  const parsed = readConfig(typeof path === "string" ? path : defaultConfigPath());
  return parsed.ok ? parsed.config : undefined;
}

function tell(outcome: Outcome): number {
  if (outcome.ok) return say(outcome.text);
  process.stderr.write(`carpio: ${outcome.why}\n`);
  return FAILED;
}

function decode(args: readonly string[]): Promise<number> {
  const defaultConfig = defaultConfigPath();
  return runDecode(args, {
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    readFile: async (path) => (existsSync(path) ? readFile(path) : undefined),
    defaultConfig: existsSync(defaultConfig) ? defaultConfig : undefined,
    listen: listenTo,
  });
}

/** Reads a configuration, or says on standard error everything that is wrong with it. */
function load(path: string): Config | undefined {
  const parsed = readAloud(path);
  return parsed.ok ? parsed.config : undefined;
}

/** No groups instead of bad ones, and what is wrong in a sentence. */
function loadWhatThereIs(path: string): { readonly config: Config; readonly wrong: string | undefined } {
  const parsed = readAloud(path);
  if (parsed.ok) return { config: parsed.config, wrong: problemsOfStart() };
  const problems = parsed.problems.map((problem) => describeProblem(basename(path), problem));
  return { config: emptyConfig(), wrong: `the configuration is not in force: ${problems.join("; ")}` };
}

function readAloud(path: string): Parsed {
  const parsed = readConfig(path);
  for (const warning of parsed.warnings) process.stderr.write(`warning: ${describeProblem(path, warning)}\n`);
  const problems = parsed.ok ? [] : parsed.problems;
  for (const problem of problems) process.stderr.write(`${describeProblem(path, problem)}\n`);
  return parsed;
}

function readArguments(
  args: readonly string[],
  options: NonNullable<ParseArgsConfig["options"]>,
): { readonly values: Values; readonly positionals: readonly string[] } | string {
  try {
    const all = { config: { type: "string" }, ...options } as const;
    return parseArgs({ args: [...args], allowPositionals: true, options: all }) as {
      values: Values;
      positionals: string[];
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        debug: { type: "string", default: "" },
        tolerant: { type: "boolean", default: false },
        after: { type: "string" },
      },
    });
    const topics = values.debug.split(",").filter((topic) => topic !== "");
    const unknown = topics.find((topic) => !TOPICS.some((known) => known === topic));
    if (unknown) return `--debug: found ${unknown}, wanted some of ${TOPICS.join(", ")}`;
    const { config = defaultConfigPath(), tolerant, after } = values;
    return { config, tolerant, after, topics: new Set(topics as Topic[]) };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What the daemon is asked for from outside. */
type Wish = NodeJS.Signals | "power-off";

interface Signals {
  next(): Promise<Wish>;
  add(wish: Wish): void;
  /** Resolves when somebody wants an end, whatever is still being done. */
  readonly end: Promise<void>;
}

/** Signals one after the other: a reload is finished before the next begins. */
function signalQueue(): Signals {
  const queued: Wish[] = [];
  let waiter: (() => void) | undefined;
  let onEnd: () => void;
  const end = new Promise<void>((resolve) => {
    onEnd = resolve;
  });
  const add = (wish: Wish): void => {
    queued.push(wish);
    if (wish !== "SIGHUP") onEnd();
    waiter?.();
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, add);
  return {
    end,
    add,
    async next() {
      if (queued.length === 0) {
        await new Promise<void>((resolve) => {
          waiter = resolve;
        });
      }
      // Whoever wants it to end does not care for what was asked before.
      const all = queued.splice(0);
      return all.find((wish) => wish !== "SIGHUP") ?? "SIGHUP";
    },
  };
}

function textOf(value: string | boolean | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function say(text: string): number {
  process.stdout.write(text);
  return DONE;
}

function refuse(said: string): number {
  process.stderr.write(`carpio: ${said}\n${usage}`);
  return USAGE;
}
