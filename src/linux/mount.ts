/**
 * A file system for as long as something is done with it.
 */
import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { execute, problemOf } from "./program.js";

/** A file that a power cut has spoiled can be removed; otherwise the first look at it forbids all writing. */
const OPTIONS = "rw,noatime,errors=continue";

/**
 * Mounts it in a folder of its own, so that others may do the same meanwhile
 * and the last one who leaves it unmounts it for real. What was written is on
 * the device when this resolves.
 */
export async function withMounted<T>(
  device: string,
  prefix: string,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  await mkdir(dirname(prefix), { recursive: true });
  const folder = await mkdtemp(prefix);
  try {
    await run("mount", "-t", "vfat", "-o", OPTIONS, device, folder);
    try {
      return await work(folder);
    } finally {
      await run("umount", folder);
    }
  } finally {
    await rmdir(folder);
  }
}

/** Rejects with what the program said, on one line. */
async function run(...argv: readonly string[]): Promise<void> {
  const problem = problemOf(await execute(argv));
  if (problem !== undefined) throw new Error(problem);
}
