/**
 * The numbers to reach, and whether they were. They are promises about carpio
 * only; the others are measured to know what the promises are worth.
 */
import { DEBOUNCE_MS } from "../../test/lab/button.js";

export type Measure =
  | "lost"
  | "tookMs"
  | "pressToWireMs"
  | "outageMs"
  | "letGoAfterMs"
  | "severalMs"
  | "noneMs"
  | "masterMiB"
  | "masterCpuPercent"
  | "overBareNodeMs"
  | "perSecond"
  | "medianMs"
  | "latestMs";

export interface Wanted {
  readonly contender: RegExp;
  /** A case by its name, or `groups-1`, `groups-100`, `startup`, `http`. */
  readonly case: string;
  readonly measure: Measure;
  readonly atMost?: number;
  readonly atLeast?: number;
  readonly text: string;
}

/** What no run may miss. */
const EACH_COUNTS: readonly Measure[] = ["lost", "tookMs", "pressToWireMs", "noneMs"];
const ONE_SECOND = /^carpio 1 s/;
const PLAIN = /^carpio 1 s$/;

export const wanted: readonly Wanted[] = [
  { contender: /^carpio/, case: "handover", measure: "lost", atMost: 0, text: "0 lost" },
  { contender: /^carpio/, case: "handover-10k", measure: "lost", atMost: 0, text: "0 lost" },
  ...["to-and-fro", "to-and-fro-10k"].flatMap((name): Wanted[] => [
    { contender: ONE_SECOND, case: name, measure: "lost", atMost: 0, text: "0 lost" },
    { contender: ONE_SECOND, case: name, measure: "tookMs", atMost: 100, text: "took ≤ 100 ms" },
    {
      contender: ONE_SECOND,
      case: name,
      measure: "pressToWireMs",
      atMost: DEBOUNCE_MS + 50,
      text: `press to wire ≤ ${DEBOUNCE_MS} + 50 ms`,
    },
  ]),
  { contender: /^carpio/, case: "to-ucarp", measure: "lost", atMost: 0, text: "0 lost" },
  { contender: /^carpio/, case: "to-ucarp", measure: "tookMs", atMost: 1500, text: "took ≤ 1,500 ms" },
  { contender: /^carpio/, case: "to-ucarp", measure: "noneMs", atMost: 0, text: "never none" },
  { contender: /^carpio/, case: "sigterm", measure: "lost", atMost: 0, text: "0 lost" },
  { contender: /^carpio/, case: "sigkill", measure: "letGoAfterMs", atMost: 100, text: "let go ≤ 100 ms" },
  { contender: /^carpio/, case: "sigkill", measure: "severalMs", atMost: 100, text: "two ≤ 100 ms" },
  { contender: ONE_SECOND, case: "sigkill", measure: "outageMs", atMost: 400, text: "outage ≤ 400 ms" },
  { contender: ONE_SECOND, case: "power-cut", measure: "outageMs", atMost: 3250, text: "outage ≤ 3,250 ms" },
  {
    contender: /^carpio 0\/1 and/,
    case: "power-cut",
    measure: "outageMs",
    atMost: 40,
    text: "outage ≤ 40 ms",
  },
  {
    contender: /^carpio 0\/0 and/,
    case: "power-cut",
    measure: "outageMs",
    atMost: 25,
    text: "outage ≤ 25 ms",
  },
  { contender: /^carpio/, case: "return", measure: "lost", atMost: 0, text: "0 lost" },
  { contender: PLAIN, case: "groups-1", measure: "masterMiB", atMost: 55, text: "≤ 55 MiB" },
  { contender: PLAIN, case: "groups-1", measure: "masterCpuPercent", atMost: 1, text: "< 1 % CPU" },
  { contender: PLAIN, case: "http", measure: "perSecond", atLeast: 2000, text: "≥ 2,000 a second" },
  { contender: PLAIN, case: "http", measure: "medianMs", atMost: 5, text: "median < 5 ms" },
  { contender: PLAIN, case: "http", measure: "latestMs", atMost: 20, text: "late ≤ 20 ms" },
  { contender: PLAIN, case: "startup", measure: "overBareNodeMs", atMost: 150, text: "bare Node + ≤ 150 ms" },
];

/** Values by measure. `null` is a wait that never ended, and misses any bound. */
export type Values = Readonly<Partial<Record<Measure, number | null>>>;

/** What was promised here, each with its verdict. Judged by the worst run where each one counts, else by the median. */
export function judge(contender: string, name: string, median: Values, worst: Values): readonly Verdict[] {
  return wanted
    .filter((each) => each.contender.test(contender) && each.case === name)
    .map(({ measure, atMost = Number.POSITIVE_INFINITY, atLeast = 0, text }) => {
      const value = (EACH_COUNTS.includes(measure) ? worst : median)[measure];
      return { text, met: typeof value === "number" && value >= atLeast && value <= atMost };
    });
}

export interface Verdict {
  readonly text: string;
  readonly met: boolean;
}
