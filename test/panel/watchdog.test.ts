/**
 * The watchdog as it is: a shell, and files that it writes when the program
 * that it watches dies, hangs or takes its leave.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { until } from "./until.js";

const watchdog = new URL("../../src/panel/watchdog.js", import.meta.url).href;

/** A program that arms a watchdog, with a shell of our choice, and says so. */
async function watched(t: TestContext, shell: string, then = "") {
  const folder = mkdtempSync(join(tmpdir(), "carpio-watchdog-"));
  const [role, fault] = ["role", "fault"].map((name) => join(folder, name)) as [string, string];
  for (const file of [role, fault]) writeFileSync(file, "as it was");
  symlinkSync(spawnSync("which", [shell], { encoding: "utf8" }).stdout.trim(), join(folder, "sh"));
  const writes = JSON.stringify([
    { path: role, text: "0" },
    { path: fault, text: "255 50 255 0 0 50 0 0" },
  ]);
  const program = `
    import { openWatchdog } from "${watchdog}";
    const watchdog = openWatchdog(() => console.log("lost"));
    watchdog.arm([{ path: "${role}", text: "an earlier wish" }]);
    watchdog.arm(${writes});
    ${then}
    console.log("armed");`;
  const env = { PATH: `${folder}:${process.env["PATH"]}` };
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { env });
  const lines: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => lines.push(...text.trim().split("\n")));
  child.stderr.setEncoding("utf8").on("data", (text: string) => lines.push(text));
  t.after(async () => {
    const shells = childrenOf(child);
    child.kill("SIGKILL");
    // Their last words are files in the folder that is to go.
    await until(() => shells.every((pid) => !existsSync(`/proc/${pid}`)), "the end of its shells");
    rmSync(folder, { recursive: true });
  });
  await until(() => lines.includes("armed"), `armed: ${lines}`);
  const seen = () => [readFileSync(role, "utf8"), readFileSync(fault, "utf8")];
  return { child, lines, seen };
}

const parting = ["0", "255 50 255 0 0 50 0 0"];
const untouched = ["as it was", "as it was"];
const sameAs = (wanted: readonly string[], seen: () => readonly string[]) => () =>
  seen().join() === wanted.join();

/** None once it has gone. */
function childrenOf(child: ChildProcess): readonly number[] {
  const file = `/proc/${child.pid}/task/${child.pid}/children`;
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number);
}

for (const shell of ["dash", "bash", "busybox"]) {
  const missing = spawnSync("which", [shell]).status !== 0 && `there is no ${shell}`;

  test(`${shell}: a program that is killed leaves the fault face`, { skip: missing }, async (t) => {
    const { child, seen } = await watched(t, shell);
    assert.deepEqual(seen(), untouched);
    child.kill("SIGKILL");
    await until(sameAs(parting, seen), "the lamps");
  });

  test(`${shell}: one that leaves in order decides itself`, { skip: missing }, async (t) => {
    const { child, seen } = await watched(t, shell, "watchdog.dismiss().then(() => console.log('gone'));");
    await once(child, "exit");
    assert.equal(child.exitCode, 0);
    assert.deepEqual(seen(), untouched);
  });
}

/** Debian's dash cannot wait for a limited time. */
const patient = ["busybox", "bash"].find((shell) => spawnSync("which", [shell]).status === 0);

test("a program that hangs shows it, and knows when it is back", { skip: !patient }, async (t) => {
  const { child, lines, seen } = await watched(t, patient ?? "");
  child.kill("SIGSTOP");
  await until(sameAs(parting, seen), "the lamps");
  child.kill("SIGCONT");
  await until(() => lines.includes("lost"), "that the lamps are to be set again");
});

test("a watchdog that is lost is replaced, and armed alike", async (t) => {
  const { child, lines, seen } = await watched(t, "dash");
  const [first] = childrenOf(child);
  assert.ok(first);
  process.kill(first, "SIGKILL");
  await until(() => lines.includes("lost"), "another");
  child.kill("SIGKILL");
  await until(sameAs(parting, seen), "the lamps");
});
