/**
 * The timeline of a board's start, from the image, beside what is wanted of it.
 * Called by `scripts/bench image`, which says how.
 */
import { cpus, loadavg } from "node:os";
import type { Kind } from "../test/image/card.js";
import { measureBoot, STEPS, type Step, type Timeline } from "./benchmark/boot.js";

const USAGE = 64;
const RUNS = 3;
/** Seconds from the kernel's start to the first decision; to the status one more. */
const WANTED: { readonly [K in Kind]: number } = { virt: 5, raspberrypi: 7 };
const KINDS = Object.keys(WANTED) as Kind[];
const WORDS: { readonly [S in Step]: string } = {
  base: "the base begins",
  slot: "the slot is chosen and checked",
  system: "the system begins",
  daemon: "the daemon begins",
  decision: "the first decision of CARP",
  status: "the status is answered",
};

process.exitCode = await benchImage(process.argv.slice(2));

async function benchImage(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => !KINDS.includes(arg as Kind));
  if (unknown !== undefined) {
    console.error(`scripts/bench image: found ${unknown}, wanted ${KINDS.join(" or ")}`);
    return USAGE;
  }
  const [load = 0] = loadavg();
  if (load > cpus().length / 2)
    console.log(`This machine is busy (load ${load.toFixed(1)}): all takes longer.\n`);
  let missed = 0;
  for (const kind of args.length > 0 ? (args as Kind[]) : KINDS) {
    const timelines: Timeline[] = [];
    for (let run = 0; run < RUNS; run++) timelines.push(await measureBoot(kind));
    missed += report(kind, timelines);
  }
  return missed > 0 ? 1 : 0;
}

/** Prints medians, and what each step took; gives how many wanted numbers were missed. */
function report(kind: Kind, timelines: readonly Timeline[]): number {
  const wanted: { readonly [S in Step]?: number } = { decision: WANTED[kind], status: WANTED[kind] + 1 };
  console.log(`${kind}, ${timelines.length} starts, seconds since the kernel began (median, least, most):`);
  let missed = 0;
  for (const step of STEPS) {
    const seconds = timelines.map((timeline) => timeline[step]).toSorted((a, b) => a - b);
    const median = seconds[seconds.length >> 1] ?? Number.NaN;
    const limit = wanted[step];
    const isMissed = limit !== undefined && median > limit;
    if (isMissed) missed++;
    const cells = [median, seconds[0], seconds.at(-1)].map((it) => (it ?? Number.NaN).toFixed(1).padStart(6));
    const said = limit === undefined ? "" : `  wanted at most ${limit}${isMissed ? ": missed" : ""}`;
    console.log(`  ${WORDS[step].padEnd(32)}${cells.join("")}${said}`);
  }
  return missed;
}
