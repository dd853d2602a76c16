/**
 * The lab's programs that are not TypeScript, compiled where it runs: C, where
 * the pace or a kind of socket asks for it.
 */
import { join } from "node:path";
import type { Namespace } from "./namespace.js";

export type Program = "probe" | "capture" | "flood";

/**
 * Compiles `scripts/NAME.c` into `directory` and returns the path. Takes a quarter of a second.
 * The compiler runs in a namespace and keeps its files in `directory`, so that it goes with the lab.
 */
export async function compile(name: Program, directory: string, where: Namespace): Promise<string> {
  const program = join(directory, name);
  const source = join(import.meta.dirname, `../../../scripts/${name}.c`);
  await where.run(["gcc", "-O2", "-o", program, source], { TMPDIR: directory });
  return program;
}
