/**
 * The lab's programs that are not TypeScript, compiled where it runs: C, where
 * the pace or a kind of socket asks for it.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

export type Program = "probe" | "capture" | "flood";

/** Compiles `scripts/NAME.c` into `directory` and returns the path. Takes a quarter of a second. */
export async function compile(name: Program, directory: string): Promise<string> {
  const program = join(directory, name);
  const source = join(import.meta.dirname, `../../../scripts/${name}.c`);
  await promisify(execFile)("gcc", ["-O2", "-o", program, source]);
  return program;
}
