/**
 * From runs to medians, and from those to a table people read and a record
 * that programs read.
 */
import type { Measured } from "./cases.js";
import type { Asked } from "./http.js";
import type { AtRest, Startup } from "./resources.js";
import { judge, type Verdict } from "./wanted.js";

/** What one case did with one contender; `errors` are runs that came to nothing. */
export interface CaseRecord {
  readonly case: string;
  readonly what: string;
  readonly contender: string;
  readonly runs: readonly Measured[];
  readonly errors: readonly string[];
  readonly median: Summary | null;
  readonly worst: Summary | null;
  readonly wanted: readonly Verdict[];
}

export interface CostRecord {
  readonly contender: string;
  readonly atRest: readonly AtRest[];
  readonly startups: readonly Startup[];
  readonly medianStartup: (Startup & { readonly overBareNodeMs: number }) | null;
  readonly errors: readonly string[];
  readonly wanted: readonly Verdict[];
}

export interface HttpRecord {
  readonly contender: string;
  readonly runs: readonly Asked[];
  readonly median: Asked | null;
  readonly errors: readonly string[];
  readonly wanted: readonly Verdict[];
}

export interface Summary {
  readonly lost: number;
  readonly outageMs: number;
  readonly takenAfterMs: number;
  readonly letGoAfterMs: number | null;
  readonly severalMs: number;
  readonly noneMs: number;
  readonly tookMs: number | null;
  readonly pressToWireMs: number | null;
  readonly moves: number;
  readonly controlLost: number;
}

export function caseRecord(
  name: string,
  what: string,
  contender: string,
  runs: readonly Measured[],
  errors: readonly string[],
): CaseRecord {
  const summaries = runs.map((run) => ({ ...run, controlLost: run.control.lost }));
  const median = summarize(summaries, middle);
  const worst = summarize(summaries, largest);
  const verdicts = judge(contender, name, median ?? {}, worst ?? {});
  return { case: name, what, contender, runs, errors, median, worst, wanted: verdicts };
}

export function costRecord(
  contender: string,
  atRest: readonly AtRest[],
  startups: readonly Startup[],
  errors: readonly string[],
): CostRecord {
  const firstDecisionMs = middle(startups.map((each) => each.firstDecisionMs));
  const bareNodeMs = middle(startups.map((each) => each.bareNodeMs));
  const medianStartup =
    firstDecisionMs === null || bareNodeMs === null
      ? null
      : { firstDecisionMs, bareNodeMs, overBareNodeMs: firstDecisionMs - bareNodeMs };
  const verdicts = [
    ...atRest.flatMap((each) => judge(contender, `groups-${each.groups}`, each, each)),
    ...judge(contender, "startup", medianStartup ?? {}, medianStartup ?? {}),
  ];
  return { contender, atRest, startups, medianStartup, errors, wanted: verdicts };
}

/** The run with the middle median stands for all: its numbers belong together. */
export function httpRecord(contender: string, runs: readonly Asked[], errors: readonly string[]): HttpRecord {
  const median = runs.toSorted((a, b) => a.medianMs - b.medianMs)[Math.floor(runs.length / 2)] ?? null;
  const wanted = judge(contender, "http", { ...median }, { ...median });
  return { contender, runs, median, errors, wanted };
}

export function httpTable(records: readonly HttpRecord[]): string {
  const head = ["asked for its status", "a second", "median", "p99", "late", "late at rest", "wanted"];
  const rows = records.map(({ contender, median, errors, wanted }) => [
    contender,
    ...(median
      ? [
          number(Math.round(median.perSecond)),
          ms(median.medianMs),
          ms(median.p99Ms),
          ms(median.latestMs),
          ms(median.latestAtRestMs),
        ]
      : ["FAILED", "", "", "", ""]),
    [...wanted.map(verdict), ...(errors.length > 0 ? [`${errors.length} runs FAILED`] : [])].join(", "),
  ]);
  return table([head, ...rows]);
}

export function caseTable(records: readonly CaseRecord[]): string {
  const head = [
    "case",
    "contender",
    "lost (worst)",
    "outage",
    "taken",
    "let go",
    "two",
    "none",
    "handover",
    "press",
    "moves",
    "noise",
    "wanted",
  ];
  const rows = records.map(({ what, contender, median, worst, errors, wanted }) => [
    what,
    contender,
    ...(median && worst
      ? [
          `${number(median.lost)} (${number(worst.lost)})`,
          ms(median.outageMs),
          ms(median.takenAfterMs),
          ms(median.letGoAfterMs),
          ms(median.severalMs),
          ms(median.noneMs),
          measured(worst.tookMs),
          measured(worst.pressToWireMs),
          `${number(median.moves)} (${number(worst.moves)})`,
          number(worst.controlLost),
        ]
      : ["FAILED", "", "", "", "", "", "", "", "", ""]),
    [...wanted.map(verdict), ...(errors.length > 0 ? [`${errors.length} runs FAILED`] : [])].join(", "),
  ]);
  return table([head, ...rows]);
}

export function costTable(records: readonly CostRecord[]): string {
  const head = ["at rest", "contender", "memory", "backup", "processes", "CPU", "backup", "wanted"];
  const rows = records.flatMap(({ contender, atRest, wanted, errors }) => [
    ...atRest.map((each, index) => [
      `${each.groups} group${each.groups === 1 ? "" : "s"}`,
      contender,
      `${each.masterMiB.toFixed(1)} MiB`,
      `${each.backupMiB.toFixed(1)} MiB`,
      number(each.processes),
      `${each.masterCpuPercent.toFixed(2)} %`,
      `${each.backupCpuPercent.toFixed(2)} %`,
      index === 0 ? wanted.map(verdict).join(", ") : "",
    ]),
    ...(errors.length > 0
      ? [["", contender, "FAILED", "", "", "", "", `${errors.length} measurements FAILED`]]
      : []),
  ]);
  return table([head, ...rows]);
}

export function startupTable(records: readonly CostRecord[]): string {
  const head = ["start", "contender", "to first decision", "bare Node", "difference"];
  const rows = records.flatMap(({ contender, medianStartup: median }) =>
    median
      ? [["", contender, ms(median.firstDecisionMs), ms(median.bareNodeMs), ms(median.overBareNodeMs)]]
      : [],
  );
  return table([head, ...rows]);
}

function summarize(
  runs: readonly Summary[],
  choose: (values: readonly (number | null)[]) => number | null,
): Summary | null {
  if (runs.length === 0) return null;
  const chosen = (measure: keyof Summary): number | null => choose(runs.map((run) => run[measure]));
  return {
    lost: chosen("lost") ?? 0,
    outageMs: chosen("outageMs") ?? 0,
    takenAfterMs: chosen("takenAfterMs") ?? 0,
    letGoAfterMs: chosen("letGoAfterMs"),
    severalMs: chosen("severalMs") ?? 0,
    noneMs: chosen("noneMs") ?? 0,
    tookMs: chosen("tookMs"),
    pressToWireMs: chosen("pressToWireMs"),
    moves: chosen("moves") ?? 0,
    controlLost: chosen("controlLost") ?? 0,
  };
}

/** The middle one; of two, the worse. A wait that never ended is the worst of all. */
function middle(values: readonly (number | null)[]): number | null {
  return ascending(values)[Math.floor(values.length / 2)] ?? null;
}

function largest(values: readonly (number | null)[]): number | null {
  return ascending(values).at(-1) ?? null;
}

function ascending(values: readonly (number | null)[]): readonly (number | null)[] {
  return values.toSorted((a, b) => (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY));
}

function verdict({ text, met }: Verdict): string {
  return met ? `${text}: yes` : `${text}: NO`;
}

function number(value: number): string {
  return value.toLocaleString("en-GB");
}

function ms(value: number | null): string {
  if (value === null) return "never";
  return `${value < 100 ? value.toFixed(1) : number(Math.round(value))} ms`;
}

/** Not everybody is asked everything. */
function measured(value: number | null): string {
  return value === null ? "" : ms(value);
}

/** Columns as wide as their widest cell; numbers stand to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => [...(row[column] ?? "")].length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        const space = " ".repeat((widths[column] ?? 0) - [...cell].length);
        return /^-?\d[\d,.]*( \(| ms$| MiB$| %$|$)/.test(cell) ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd();
  const [head = [], ...rest] = rows;
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...rest.map(line)].join("\n");
}
