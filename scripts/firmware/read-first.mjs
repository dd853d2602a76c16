/**
 * What a start needs of a slot before all else. The base unpacks it while it still
 * computes the slot's sum; board/base/init reads this list:
 *
 *   FILE              all of it
 *   FILE SKIP COUNT   blocks of 64 KiB
 */
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { run } from "./inputs.mjs";
import { libraries, neededBy } from "./programs.mjs";

const BLOCK = 64 << 10;
const bundle = "usr/bin/carpio";

/** `programs` in the order of their start, and the largest one last. */
export function readFirst(folder, programs) {
  const large = programs.at(-1);
  const files = [large, ...programs].flatMap((program) => [...librariesOf(folder, program), program]);
  const whole = new Set([bundle, ...files.filter((file) => file !== large)]);
  const { first, blocks } = codeOf(join(folder, large));
  return [...whole, `${large} ${first} ${blocks}`].map((line) => `${line}\n`).join("");
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

/** Where a program's own code lies in its file. */
function codeOf(program) {
  const said = run("aarch64-linux-gnu-readelf", ["--section-headers", "--wide", program]);
  const [, offset, size] = /\.text +PROGBITS +[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+) /.exec(said) ?? [];
  if (offset === undefined)
    throw new Error(`${basename(dirname(program))}/${basename(program)}: found no .text`);
  const first = Math.floor(Number.parseInt(offset, 16) / BLOCK);
  const end = Math.ceil((Number.parseInt(offset, 16) + Number.parseInt(size, 16)) / BLOCK);
  return { first, blocks: end - first };
}
