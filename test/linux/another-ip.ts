/**
 * A computer whose `ip`, or another program, is missing or broken, for those who start it by its name.
 */
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** From now on `ip` is this script, or not to be found; until it is mended. */
export function replaceIp(t: TestContext, script: string | undefined): () => void {
  return replaceProgram(t, "ip", script);
}

/** The same of another program; of all others only a shell and `sleep` are there. */
export function replaceProgram(t: TestContext, name: string, script: string | undefined): () => void {
  const before = process.env["PATH"];
  const directory = mkdtempSync(join(tmpdir(), "carpio-test-"));
  for (const program of ["sh", "sleep"]) symlinkSync(`/bin/${program}`, join(directory, program));
  if (script !== undefined) {
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(directory, name), 0o755);
  }
  process.env["PATH"] = directory;
  const mend = () => {
    process.env["PATH"] = before;
  };
  t.after(() => {
    mend();
    rmSync(directory, { recursive: true });
  });
  return mend;
}
