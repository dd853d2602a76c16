/**
 * `carpio setup`: carries out the plan for a board's own system, at its start
 * and as root. It never stops a start: what is wrong is left as text for people,
 * on the card and in the run-time directory, and a file that cannot be used
 * gives what an empty one does.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readText } from "../config/text-file.js";
import { type Config, describeProblem, emptyConfig, readConfig } from "../config.js";
import { runProgram } from "../linux/program.js";
import { runtimeDirectory } from "../runtime.js";
import type { Card } from "./card.js";
import { describePlan, type Machine, type Plan, planSystem, RUN, type Service, type Step } from "./plan.js";

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
    wanted: readonly string[],
    root: string,
  ) => Promise<Pick<Machine, "interfaces" | "suffix">>;
  readonly run: typeof runProgram;
  readonly say: (text: string) => void;
}

export const ERRORS = "carpio-errors.txt";
/** For each service a file, with a line for a shell. */
export const SERVICES = `${RUN}/services`;
/** USB adapters take a second or two. */
const INTERFACES_MS = 10_000;
const LOOK_MS = 100;
const ETHERNET = "1";

/** Answers with everything that went wrong, each in a sentence. */
export async function setUp(order: SetupOrder, setting: Setting = here): Promise<readonly string[]> {
  const { config: path, card, root, dryRun } = order;
  const { config, problems } = readOrUsual(path);
  const { system, groups } = config;
  const carried = groups.map((group) => group.interface);
  const found = await setting.machine(physicalOf(config), root);
  const rules = rulesOf(system.router.nftables, path);
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
      problems.map((problem) => `problem: ${problem}\n`).join("") + describePlan({ ...plan, problems: [] }),
    );
    return problems;
  }
  problems.push(...(await carryOut(plan, order, setting)));
  for (const problem of problems) setting.say(`${problem}\n`);
  await leaveErrors(problems, path, card, root).catch((error: Error) =>
    setting.say(`${ERRORS}: ${error.message}\n`),
  );
  return problems;
}

/** A stage ends with the first step that fails; the others go on. */
async function carryOut(plan: Plan, order: SetupOrder, setting: Setting): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const { about, steps } of plan.stages) {
    for (const step of steps) {
      const problem = await take(step, order, setting).catch((error: Error) => error.message);
      if (problem !== undefined) {
        problems.push(`${about}: ${problem}`);
        break;
      }
    }
  }
  for (const service of plan.services) {
    await write(join(order.root, SERVICES, service.name), `${lineOf(service)}\n`).catch((error: Error) =>
      problems.push(`${service.name}: ${error.message}`),
    );
  }
  return problems;
}

async function take(
  step: Step,
  { card, root, config }: SetupOrder,
  { run }: Setting,
): Promise<string | undefined> {
  if ("write" in step) {
    await write(join(root, step.write), step.text, step.mode);
    return undefined;
  }
  if ("run" in step) return run(step.run, step.input);
  const at = join(root, step.at);
  await mkdir(dirname(at), { recursive: true });
  // The card's files are there as well, beside the configuration.
  const kept = join(dirname(config), step.keep);
  if (existsSync(kept)) {
    await copyFile(kept, at);
    await chmod(at, 0o600);
    return undefined;
  }
  const problem = await run(step.make);
  if (problem === undefined) await card.use((folder) => copyFile(at, join(folder, step.keep)));
  return problem;
}

async function write(path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text, { mode });
}

/** A file that is wrong, or not there, stands for an empty one. */
function readOrUsual(path: string): { readonly config: Config; readonly problems: string[] } {
  const parsed = readConfig(path);
  if (parsed.ok) return { config: parsed.config, problems: [] };
  const problems = parsed.problems.map((problem) => describeProblem(basename(path), problem));
  const until = "until that is put right, this board has DHCP on its first Ethernet interface, and no more";
  return { config: emptyConfig(), problems: [...problems, until] };
}

/** As people write it on their computers. */
function rulesOf(name: string | undefined, config: string): Machine["rules"] {
  if (name === undefined) return undefined;
  const read = readText(resolve(dirname(config), name));
  return "found" in read ? read : { text: read.text.replace(/^\ufeff/, "").replaceAll("\r\n", "\n") };
}

/** Those that a cable goes into: VLANs are made. */
function physicalOf({ system, groups }: Config): readonly string[] {
  const made = system.interfaces.filter(({ vlan }) => vlan).map(({ name }) => name);
  const named = system.interfaces.map(({ name, vlan }) => vlan?.parent ?? name);
  return [...named, ...groups.map((group) => group.interface)].filter((name) => !made.includes(name));
}

/** What a bad start said lies there until a good one. */
async function leaveErrors(
  problems: readonly string[],
  config: string,
  card: Card,
  root: string,
): Promise<void> {
  const text = `carpio found this when the board started:\n\n${problems.map((line) => `${line}\n`).join("")}`;
  const said = join(root, RUN, ERRORS);
  const before = readOr(join(dirname(config), ERRORS), undefined);
  if (problems.length > 0) {
    await write(said, text);
    // A card has only so many writes, and a board so many starts.
    if (before !== text) await card.use((folder) => writeFile(join(folder, ERRORS), text));
    return;
  }
  await rm(said, { force: true });
  if (before !== undefined) await card.use((folder) => rm(join(folder, ERRORS), { force: true }));
}

/** What the start of this board found, in a sentence; `undefined` where it found nothing, or there was none. */
export function problemsOfStart(runtime = runtimeDirectory()): string | undefined {
  const [, ...problems] = readOr(join(runtime, ERRORS), "").split("\n").filter(Boolean);
  return problems.length === 0 ? undefined : `the board's start found: ${problems.join("; ")}`;
}

function lineOf({ argv, quiet }: Service): string {
  const words = argv.map((word) =>
    /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  );
  return [...words, ...(quiet ? ["2>/dev/null"] : [])].join(" ");
}

/** Waits for those that are wanted, or for any. */
async function machineHere(wanted: readonly string[], root: string) {
  const until = performance.now() + INTERFACES_MS;
  let interfaces = ethernets(root);
  const complete = () =>
    wanted.length > 0 ? wanted.every((name) => interfaces.includes(name)) : interfaces.length > 0;
  while (!complete() && performance.now() < until) {
    await sleep(LOOK_MS);
    interfaces = ethernets(root);
  }
  const [first = ""] = interfaces;
  const mac = readOr(join(root, "sys/class/net", first, "address"), "");
  return { interfaces, suffix: mac.trim().replaceAll(":", "").slice(-4) || "0000" };
}

/** Those with hardware behind them come first; elsewhere, in a namespace, there may be none of these. */
function ethernets(root: string): readonly string[] {
  const folder = join(root, "sys/class/net");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const wired = names.filter(
    (name) =>
      readOr(join(folder, name, "type"), "").trim() === ETHERNET &&
      !existsSync(join(folder, name, "wireless")) &&
      name !== "lo",
  );
  const real = wired.filter((name) => existsSync(join(folder, name, "device")));
  return (real.length > 0 ? real : wired).toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
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
