/**
 * carpio beside Debian's ucarp and keepalived, in one run. Called by
 * `scripts/bench`, which says how; the parts are in `scripts/benchmark`.
 */
import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { parseArgs } from "node:util";
import { becomeLabRoot, labPower } from "../test/lab/namespace.js";
import { type Case, cases, type Measured, play } from "./benchmark/cases.js";
import { type Contender, contenders, isRanked } from "./benchmark/contenders.js";
import { type Asked, measureHttp } from "./benchmark/http.js";
import {
  type CaseRecord,
  type CostRecord,
  caseRecord,
  caseTable,
  costRecord,
  costTable,
  type HttpRecord,
  httpRecord,
  httpTable,
  startupTable,
} from "./benchmark/report.js";
import { type AtRest, measureAtRest, measureStartup, type Startup } from "./benchmark/resources.js";

const OUTPUT = "dist/bench.json";
const GROUPS = [1, 100];
const COST = "cost";
const HTTP = "http";
/** Nobody else has such a server. */
const ASKED = "carpio 1 s";
/** One setting of each family is enough to know what it costs; and a faster one, what speed costs. */
const COSTED = ["ucarp 1 s", "keepalived 1 s", "keepalived 10 ms", "carpio 1 s", "carpio 0/1 and 0/2"];

interface Choice {
  readonly runs: number;
  readonly contenders: readonly Contender[];
  readonly cases: readonly Case[];
  readonly cost: boolean;
  readonly http: boolean;
}

await becomeLabRoot();
process.exitCode = await bench(choose(process.argv.slice(2)));

/** Exit status 0: everything was measured and carpio kept every promise. */
async function bench(choice: Choice): Promise<number> {
  console.log(`Namespaces with the power of: ${labPower()}. ${choice.runs} runs each; times are medians.\n`);
  const machine = describeMachine();
  if (machine.load > machine.cpus / 2) {
    console.log(
      `This machine is busy (load ${machine.load} on ${machine.cpus} cores). Short times will show it.\n`,
    );
  }
  // Better to fail now than after three quarters of an hour.
  mkdirSync("dist", { recursive: true });
  closeSync(openSync(OUTPUT, "a"));
  const played: CaseRecord[] = [];
  for (const each of choice.cases) {
    const able = choice.contenders
      .filter(({ beside }) => each.beside === beside)
      .filter(({ family }) => each.only === undefined || each.only === family)
      .filter((contender) => each.to === "right" || isRanked(contender));
    for (const contender of able) played.push(await playRuns(each, contender, choice.runs));
  }
  const costs: CostRecord[] = [];
  for (const contender of choice.cost ? choice.contenders : []) {
    if (COSTED.includes(contender.name)) costs.push(await measureCost(contender, choice.runs));
  }
  const https: HttpRecord[] = [];
  for (const contender of choice.http ? choice.contenders : []) {
    if (contender.name === ASKED) https.push(await askRuns(contender, choice.runs));
  }

  if (played.length > 0) console.log(`\n${caseTable(played)}`);
  if (costs.length > 0) console.log(`\n${costTable(costs)}\n\n${startupTable(costs)}`);
  if (https.length > 0) console.log(`\n${httpTable(https)}`);
  console.log(
    "\nlost: probes without an answer. taken, let go: from the deed until the new host holds the address and the" +
      "\nold one does not. two, none: time with more than one reachable holder, and without any, until things were" +
      "\ncalm. handover, press: the slowest by the board's own log, and from the finger to the raised advskew on the wire." +
      "\nmoves: how often somebody took the address; 1 is enough. noise: lost by the same client on a path that" +
      `\nnobody touched. Everything else is in ${OUTPUT}.`,
  );
  const record = {
    at: new Date().toISOString(),
    machine,
    runs: choice.runs,
    cases: played,
    costs,
    http: https,
  };
  writeFileSync(OUTPUT, `${JSON.stringify(record, null, 1)}\n`);
  return verdict([...played, ...costs, ...https]);
}

function describeMachine() {
  const load = Math.round((loadavg()[0] ?? 0) * 10) / 10;
  return { kernel: release(), node: process.version, cpus: cpus().length, load, power: labPower() };
}

async function playRuns(thisCase: Case, contender: Contender, runs: number): Promise<CaseRecord> {
  const measured: Measured[] = [];
  const errors: string[] = [];
  for (let run = 1; run <= runs; run++) {
    const said = `${thisCase.what}, ${contender.name}, run ${run}: `;
    await attempt(said, errors, async () => {
      const result = await play(thisCase, contender);
      measured.push(result);
      return `${result.lost} lost, ${result.outageMs.toFixed(1)} ms`;
    });
  }
  return caseRecord(thisCase.name, thisCase.what, contender.name, measured, errors);
}

async function measureCost(contender: Contender, runs: number): Promise<CostRecord> {
  const atRest: AtRest[] = [];
  const startups: Startup[] = [];
  const errors: string[] = [];
  for (const groups of GROUPS) {
    await attempt(`at rest with ${groups} groups, ${contender.name}: `, errors, async () => {
      const cost = await measureAtRest(contender, groups);
      atRest.push(cost);
      return `${cost.masterMiB.toFixed(1)} MiB, ${cost.masterCpuPercent.toFixed(2)} %`;
    });
  }
  for (let run = 1; run <= runs; run++) {
    await attempt(`start, ${contender.name}, run ${run}: `, errors, async () => {
      const startup = await measureStartup(contender);
      startups.push(startup);
      return `${startup.firstDecisionMs.toFixed(0)} ms`;
    });
  }
  return costRecord(contender.name, atRest, startups, errors);
}

async function askRuns(contender: Contender, runs: number): Promise<HttpRecord> {
  const asked: Asked[] = [];
  const errors: string[] = [];
  for (let run = 1; run <= runs; run++) {
    await attempt(`asked for its status, ${contender.name}, run ${run}: `, errors, async () => {
      const result = await measureHttp(contender);
      asked.push(result);
      const { perSecond, medianMs, latestMs } = result;
      return `${Math.round(perSecond)} a second, median ${medianMs.toFixed(1)} ms, ${latestMs.toFixed(1)} ms late`;
    });
  }
  return httpRecord(contender.name, asked, errors);
}

/** A failure is said at once, in full, and counts; the rest is still worth measuring. */
async function attempt(what: string, errors: string[], measure: () => Promise<string>): Promise<void> {
  process.stdout.write(what);
  try {
    console.log(await measure());
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    errors.push(message);
    console.log(`FAILED\n${message}`);
  }
}

function verdict(records: readonly (CaseRecord | CostRecord | HttpRecord)[]): number {
  const failed = records.filter(({ errors }) => errors.length > 0);
  const missed = records.filter(({ wanted }) => wanted.some(({ met }) => !met));
  if (failed.length > 0) console.log(`\n${failed.length} rows have runs that FAILED.`);
  if (missed.length > 0) console.log(`\n${missed.length} rows missed what was wanted.`);
  return failed.length + missed.length > 0 ? 1 : 0;
}

function choose(argv: readonly string[]): Choice {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        runs: { type: "string", default: "5" },
        only: { type: "string" },
        case: { type: "string" },
      },
    });
    return {
      runs: wholeNumber("--runs", values.runs),
      contenders: pick("--only", values.only, contenders, ({ family }) => family),
      cases:
        values.case === COST || values.case === HTTP
          ? []
          : pick("--case", values.case, cases, ({ name }) => name, COST, HTTP),
      cost: values.case === undefined || values.case === COST,
      http: values.case === undefined || values.case === HTTP,
    };
  } catch (error) {
    console.error(`scripts/bench: ${error instanceof Error ? error.message : error}`);
    process.exit(64);
  }
}

function pick<T>(
  option: string,
  wanted: string | undefined,
  all: readonly T[],
  key: (each: T) => string,
  ...more: readonly string[]
): readonly T[] {
  const chosen = all.filter((each) => wanted === undefined || key(each) === wanted);
  const known = [...new Set(all.map(key)), ...more].join(", ");
  if (chosen.length === 0) throw new Error(`${option}: ${wanted}; wanted: one of ${known}`);
  return chosen;
}

function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new Error(`${option}: ${text}; wanted: a whole number from 1`);
  return Number(text);
}
