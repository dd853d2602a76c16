/**
 * `carpio setup`: carries out the plan for a board's own system, at its start
 * and as root. It never stops a start: what is wrong is left as text for people,
 * on the card and in the run-time directory, and a file that cannot be used
 * gives what an empty one does.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { appendFile, chmod, copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemReason } from "../config/text-file.js";
import { type Config, describeProblem, emptyConfig, readConfig } from "../config.js";
import { runProgram } from "../linux/program.js";
import { systemDirectory } from "../runtime.js";
import { readSlotBytes } from "../slot-files.js";
import { type Card, RECORDS } from "./card.js";
import { type Asked, type Found, nameByMac } from "./naming.js";
import { describePlan, type Machine, planSystem, RUN, type Service, type Stage, type Step } from "./plan.js";
import { readRules } from "./rules.js";

export interface SetupOrder {
  readonly config: string;
  readonly card: Card;
  /** `/`, or where a test looks. */
  readonly root: string;
  readonly dryRun: boolean;
}

/** What setup needs of the board. */
export interface Setting {
  readonly machine: (
    wanted: readonly Asked[],
    root: string,
  ) => Promise<Pick<Machine, "interfaces" | "macs" | "suffix">>;
  readonly run: typeof runProgram;
  readonly say: (text: string) => void;
}

export const ERRORS = "carpio-errors.txt";
/** Of that file on the card; in the run-time directory there are the lines alone. */
const HEADING = "carpio found this when the board started:";
/** What is wrong with the card, a sentence on each line; the base begins it. */
const CARD_PROBLEMS = "card-problems";
/** There when groups can begin. */
const NETWORK = "network";
/** There when the board is set up, and its services are known. */
const SET_UP = "set-up";
/** For each service a file, with a line for a shell. */
export const SERVICES = `${RUN}/services`;
/** USB adapters take a second or two. */
const INTERFACES_MS = 10_000;
const LOOK_MS = 100;
const CARD_MS = 10_000;
const NET = "sys/class/net";
const ETHERNET = "1";

/** Answers with everything that went wrong, each in a sentence. */
export async function setUp(order: SetupOrder, setting: Setting = here): Promise<readonly string[]> {
  const { config: path, card, root, dryRun } = order;
  const { config, problems } = readOrUsual(path);
  const { system, groups } = config;
  const carried = groups.map((group) => group.interface);
  const found = await setting.machine(physicalOf(config), root);
  const { nftables } = system.router;
  const rules = nftables === undefined ? undefined : readRules(resolve(dirname(path), nftables));
  const plan = planSystem(system, carried, {
    ...found,
    rules,
    port: config.status.listen?.port,
    updates: card.running && { config: path },
  });
  if (rules && "found" in rules) {
    problems.push(
      `router.nftables: found ${rules.found}, wanted a file with rules for nft: nothing is forwarded`,
    );
  }
  problems.push(...plan.problems);
  if (dryRun) {
    setting.say(
      inLines(problems.map((problem) => `problem: ${problem}`)) + describePlan({ ...plan, problems: [] }),
    );
    return problems;
  }
  problems.push(...(await carryOut(plan.network, order, setting)));
  setting.say(inLines(problems));
  await leaveWord(problems, root, setting);
  await write(join(root, RUN, NETWORK), "");
  const later = await carryOut(plan.others, order, setting);
  later.push(...(await leaveServices(plan.services, root)));
  problems.push(...later);
  if (later.length > 0) {
    setting.say(inLines(later));
    await leaveWord(problems, root, setting);
  }
  // Services begin, whatever the card does with the rest.
  await write(join(root, RUN, SET_UP), "");
  await blameRecords(root, setting);
  await leaveErrors(problems, order).catch((error: unknown) =>
    blameCard(`${ERRORS} cannot be written to it`, error, root, setting),
  );
  return problems;
}

/** A stage ends with the first step that fails; the others go on. */
async function carryOut(stages: readonly Stage[], order: SetupOrder, setting: Setting): Promise<string[]> {
  const problems: string[] = [];
  for (const { about, steps } of stages) {
    for (const step of steps) {
      const problem = await take(step, order, setting).catch((error: Error) => error.message);
      if (problem !== undefined) {
        problems.push(`${about}: ${problem}`);
        break;
      }
    }
  }
  return problems;
}

async function leaveServices(services: readonly Service[], root: string): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const service of services) {
    await write(join(root, SERVICES, service.name), `${lineOf(service)}\n`).catch((error: Error) =>
      problems.push(`${service.name}: ${error.message}`),
    );
  }
  return problems;
}

async function take(
  step: Step,
  { card, root, config }: SetupOrder,
  setting: Setting,
): Promise<string | undefined> {
  if ("write" in step) {
    const at = join(root, step.write);
    if ("text" in step) await write(at, step.text, step.mode);
    else await write(at, readFileSync(join(root, step.source), "utf8"));
    return undefined;
  }
  if ("run" in step) return setting.run(step.run, step.input);
  const at = join(root, step.at);
  await mkdir(dirname(at), { recursive: true });
  // The card's files are there as well, beside the configuration.
  const kept = join(dirname(config), step.keep);
  if (existsSync(kept)) {
    await copyFile(kept, at);
    await chmod(at, 0o600);
    return undefined;
  }
  const problem = await setting.run(step.make);
  if (problem !== undefined) return problem;
  await inTime(card.use((folder) => keepFor(join(folder, step.keep), at))).catch((error: unknown) =>
    blameCard(`${step.keep} cannot be kept on it, so the next start makes another`, error, root, setting),
  );
  return undefined;
}

/** A card that is worn out may hang instead of failing, and the network is not to wait for it. */
function inTime<T>(work: Promise<T>): Promise<T> {
  const late = sleep(CARD_MS, undefined, { ref: false }).then(() => {
    throw new Error(`it took longer than ${CARD_MS / 1000} s`);
  });
  return Promise.race([work, late]);
}

/** The next start takes what it finds: after a power cut that is all of it, or nothing. */
async function keepFor(path: string, from: string): Promise<void> {
  const half = `${path}.new`;
  await writeWhole(half, async () => writeFile(half, await readFile(from), { flush: true }));
  await rename(half, path);
}

/** In memory: to have a thread do it takes a small board longer than doing it. */
async function write(path: string, text: string, mode = 0o644): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode });
}

/** A file that is wrong, or not there, stands for an empty one. */
function readOrUsual(path: string): { readonly config: Config; readonly problems: string[] } {
  const parsed = readConfig(path);
  if (parsed.ok) return { config: parsed.config, problems: [] };
  const problems = parsed.problems.map((problem) => describeProblem(basename(path), problem));
  const until = "until that is put right, this board has DHCP on its first Ethernet interface, and no more";
  return { config: emptyConfig(), problems: [...problems, until] };
}

/** Those that a cable goes into: VLANs are made. */
function physicalOf({ system, groups }: Config): readonly Asked[] {
  const made = system.interfaces.filter(({ vlan }) => vlan).map(({ name }) => name);
  const configured = system.interfaces.map(({ name, mac, vlan }) => ({ name: vlan?.parent ?? name, mac }));
  const carried = groups.map((group) => ({ name: group.interface, mac: undefined }));
  return [...configured, ...carried].filter(({ name }) => !made.includes(name));
}

/** For the daemon, which makes lamps and status of it. */
async function leaveWord(problems: readonly string[], root: string, { say }: Setting): Promise<void> {
  const path = join(root, RUN, ERRORS);
  if (problems.length === 0) return rm(path, { force: true });
  await write(path, inLines(problems)).catch((error: Error) => say(`${ERRORS}: ${error.message}\n`));
}

/** The board does without: what is wrong with its card is no fault of what was written for it. */
async function blameCard(what: string, why: unknown, root: string, { say }: Setting): Promise<void> {
  const problem = `the card: ${what}: ${systemReason(why)}\n`;
  say(problem);
  const told = appendFile(join(root, RUN, CARD_PROBLEMS), problem);
  await told.catch((error: Error) => say(`${CARD_PROBLEMS}: ${error.message}\n`));
}

/**
 * Of two records the other one is read instead. But the next one may have to go here, and then it is
 * late to say so. A card that hangs at one is not asked for the others.
 */
async function blameRecords(root: string, setting: Setting): Promise<void> {
  const folder = join(root, RECORDS);
  for (const name of filesIn(folder).toSorted()) {
    const error = await inTime(readSlotBytes(join(folder, name))).then(
      () => undefined,
      (why: NodeJS.ErrnoException) => why,
    );
    if (!error) continue;
    await blameCard(`its record ${name} cannot be read, so replace the card`, error, root, setting);
    // No word of the kernel's: it took too long.
    if (error.code === undefined) return;
  }
}

/** What a bad start said lies there until a good one. */
async function leaveErrors(problems: readonly string[], { config, card, root }: SetupOrder): Promise<void> {
  const all = [...linesOf(join(root, RUN, CARD_PROBLEMS)), ...problems];
  const before = readOr(join(dirname(config), ERRORS), undefined);
  const text = all.length === 0 ? undefined : `${HEADING}\n\n${inLines(all)}`;
  // A card has only so many writes, and a board so many starts.
  if (before === text) return;
  await card.use((folder) =>
    text === undefined
      ? rm(join(folder, ERRORS), { force: true })
      : writeWhole(join(folder, ERRORS), (path) => writeFile(path, text)),
  );
}

/** Where a card has no room for all of a file, nothing is better than its beginning. */
async function writeWhole(path: string, work: (path: string) => Promise<void>): Promise<void> {
  try {
    await work(path);
  } catch (error) {
    // Why it failed is what the operator has to know, and not that this fails as well.
    await rm(path, { force: true }).catch(() => {});
    throw error;
  }
}

/** What the start of this board found, in a sentence; `undefined` where it found nothing, or there was none. */
export function problemsOfStart(runtime = systemDirectory()): string | undefined {
  const problems = linesOf(join(runtime, ERRORS));
  return problems.length === 0 ? undefined : `the board's start found: ${problems.join("; ")}`;
}

/** The same of its card. */
export function problemsOfCard(runtime = systemDirectory()): string | undefined {
  return linesOf(join(runtime, CARD_PROBLEMS)).join("; ") || undefined;
}

function inLines(problems: readonly string[]): string {
  return problems.map((line) => `${line}\n`).join("");
}

function linesOf(path: string): readonly string[] {
  return readOr(path, "").split("\n").filter(Boolean);
}

function lineOf({ argv, quiet }: Service): string {
  const words = argv.map((word) =>
    /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  );
  return [...words, ...(quiet ? ["2>/dev/null"] : [])].join(" ");
}

/** Waits for those that are wanted, or for any. */
async function machineHere(wanted: readonly Asked[], root: string) {
  const until = performance.now() + INTERFACES_MS;
  const byMac = wanted.some(({ mac }) => mac !== undefined);
  const look = (): Found => {
    const interfaces = ethernets(root);
    return { interfaces, macs: byMac ? macsOf(interfaces, root) : new Map() };
  };
  const complete = (found: Found) => {
    const { interfaces } = nameByMac(wanted, found);
    return wanted.length > 0 ? wanted.every(({ name }) => interfaces.includes(name)) : interfaces.length > 0;
  };
  let found = look();
  while (!complete(found) && performance.now() < until) {
    await sleep(LOOK_MS);
    found = look();
  }
  const [first = ""] = found.interfaces;
  const mac = macOf(first, root).replaceAll(":", "");
  return { ...found, suffix: (mac || serialOf(root)).slice(-4) || "0000" };
}

/** For a board without an interface so far. With one, the same board may have another name. */
function serialOf(root: string): string {
  return readOr(join(root, "proc/device-tree/serial-number"), "").replaceAll("\0", "");
}

/** Those with hardware behind them come first; elsewhere, in a namespace, there may be none of these. */
function ethernets(root: string): readonly string[] {
  const folder = join(root, NET);
  const wired = filesIn(folder).filter(
    (name) =>
      readOr(join(folder, name, "type"), "").trim() === ETHERNET &&
      !existsSync(join(folder, name, "wireless")) &&
      name !== "lo",
  );
  const real = wired.filter((name) => existsSync(join(folder, name, "device")));
  return (real.length > 0 ? real : wired).toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/** A VLAN and the device of a group stand on others, and may have their MAC. */
function macsOf(interfaces: readonly string[], root: string): ReadonlyMap<string, string> {
  const lowest = interfaces.filter(
    (name) => !filesIn(join(root, NET, name)).some((file) => file.startsWith("lower_")),
  );
  return new Map(lowest.map((name) => [name, macOf(name, root)]));
}

function macOf(name: string, root: string): string {
  return readOr(join(root, NET, name, "address"), "").trim();
}

/** It may be gone by now. */
function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readOr<T>(path: string, otherwise: T): string | T {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

const here: Setting = {
  machine: machineHere,
  run: runProgram,
  say: (text) => void process.stderr.write(text),
};
