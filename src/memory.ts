/**
 * How much memory the engine takes for itself. Imported first, before there is
 * any to speak of.
 *
 * V8 doubles its nursery under load, up to 16 MB twice, and keeps it; and it lets
 * garbage that grew old lie until the heap is twice what is alive. Ours are many
 * small steps that leave nothing behind, so both can be small: 255 groups take
 * 70 MB instead of 100. It also compiles anew, for speed, what ran a few hundred
 * times. At rest nothing of ours needs that, and the compiler alone takes 3 MB.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How often something has to run before it is worth a compiler: far more often than V8 thinks. */
const WORTH_COMPILING = process.versions.node.startsWith("20.")
  ? ["--interrupt-budget=5000000"]
  : ["--invocation-count-for-maglev=40000", "--invocation-count-for-turbofan=300000"];

for (const flag of ["--semi-space-growth-factor=1", "--heap-growing-percent=20", ...WORTH_COMPILING]) {
  setFlagsFromString(flag);
}

let tidied = false;

/** Takes some 15 ms, once. What only the start needed, some Nodes would keep for hours: 2 to 3 MB. */
export function tidyMemory(): void {
  if (tidied) return;
  tidied = true;
  setFlagsFromString("--expose-gc");
  // A Node that does not know the flag is as good.
  runInNewContext("globalThis.gc?.()");
  setFlagsFromString("--no-expose-gc");
}
