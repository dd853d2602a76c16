/**
 * What a start needs of a slot before all else. The base unpacks it while it still
 * computes the slot's sum; board/base/init reads this list:
 *
 *   FILE              all of it
 *   FILE SKIP COUNT   blocks of 64 KiB
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { libraries, neededBy } from "./programs.mjs";

const node = "usr/bin/node";
const bundle = "usr/bin/carpio";
/**
 * Which blocks of Node a start touches, by mincore(2) after one of 24.22: 33 MB of 98 in these. Another
 * Node has others; then it gains less, and nothing fails.
 */
const touched = [
  { first: 0, blocks: 455 },
  { first: 727, blocks: 246 },
];
/** In the order of their start. */
const programs = ["usr/bin/ip", "usr/bin/setpriv", "usr/sbin/nft"];

export function readFirst(folder) {
  const ofNode = touched.map(({ first, blocks }) => `${node} ${first} ${blocks}`);
  const others = programs.flatMap((program) => [...librariesOf(folder, program), program]);
  const all = new Set([...librariesOf(folder, node), ...ofNode, bundle, ...others]);
  return [...all].map((line) => `${line}\n`).join("");
}

/** With those that they need themselves; the loader is another one than the rest. */
function librariesOf(folder, program, known = new Set()) {
  for (const name of neededBy(join(folder, program))) {
    const file = join(libraries, name);
    if (known.has(file) || !existsSync(join(folder, file))) continue;
    known.add(file);
    librariesOf(folder, file, known);
  }
  return known;
}
