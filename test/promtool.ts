/**
 * Prometheus' own tool, which says whether metrics and rules are what it
 * reads: the one that scripts/test has fetched, or whichever is installed.
 */
import { type SpawnSyncOptionsWithStringEncoding, spawnSync } from "node:child_process";
import { join } from "node:path";

const own = join(import.meta.dirname, "../promtool");
const found = [own, "promtool"].find((program) => spawnSync(program, ["--version"]).status === 0);

/** For `skip`. Where nobody looks at what was skipped, its lack is a failure. */
export const lacksPromtool =
  found === undefined && process.env["CI"] !== "true" && "there is no promtool: scripts/test fetches it";

export function promtool(
  args: readonly string[],
  options: Partial<SpawnSyncOptionsWithStringEncoding> = {},
): { readonly status: number | null; readonly said: string } {
  if (found === undefined) throw new Error("there is no promtool: scripts/test fetches it");
  const { status, stdout, stderr } = spawnSync(found, args, { ...options, encoding: "utf8" });
  return { status, said: `${stdout}${stderr}` };
}
