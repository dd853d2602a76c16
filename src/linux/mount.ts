/**
 * A file system for as long as something is done with it.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rmdir } from "node:fs/promises";
import { dirname } from "node:path";

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
    await run("mount", ["-t", "vfat", "-o", "rw,noatime", device, folder]);
    try {
      return await work(folder);
    } finally {
      await run("umount", [folder]);
    }
  } finally {
    await rmdir(folder);
  }
}

/** Rejects with what the program said, on one line. */
function run(program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, _output, said) => {
      const [line = ""] = said.trim().split("\n", 1);
      if (error) reject(new Error(line || error.message));
      else resolve();
    });
  });
}
