/**
 * scripts/emulate as somebody uses it: on a terminal, with keys, boards in QEMU
 * and a page that this computer reaches; and nothing stays behind. The picture
 * is drawn in test/emulate.test.ts.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Snapshot } from "../../src/status/snapshot.js";
import { Computer, type TestTerminal } from "../lab/computer.js";
import { becomeLabRoot } from "../lab/namespace.js";

await becomeLabRoot();

const EMULATE = join(import.meta.dirname, "../../scripts/emulate.js");
const WAIT_MS = 180_000;
const TEST_MS = 600_000;

let computer: Computer;
beforeEach(async () => {
  computer = await Computer.open(WAIT_MS);
});
afterEach(() => computer.close());

test("one board: its console, its page, and a key for everything that hands do", {
  timeout: TEST_MS,
}, async () => {
  const terminal = emulate("virt");
  await terminal.shows(/ 1 left {3}virt {2}http:\/\/localhost:8081\//);
  await terminal.writes(/carpio: the base begins/);
  await terminal.shows(/serial console of left/);
  await terminal.shows(/● green {2}○ amber {2}○ red .* MASTER: serving /);
  assert.match(await get("http://localhost:8081/status"), /"name": ?"left"/);
  assert.match(await get("http://localhost:8080/status"), /"name": ?"left"/);
  assert.match(await get("http://localhost:8081/log", "emulated"), /carpio: the base begins/);

  terminal.press(" ");
  await terminal.writes(/button \S*\[▼\]/);
  await terminal.shows(/MASTER: nobody took over/);
  terminal.press(" ");
  await terminal.shows(/MASTER: serving/);

  terminal.press("h");
  await terminal.shows(/held for 5 s: let go to power off/);
  await terminal.shows(/○ green {2}○ amber {2}○ red .* no power /);
  await terminal.shows(/Power down/);
  terminal.press("p");
  await terminal.shows(/● green .* MASTER: serving/);
  terminal.press("p");
  await terminal.shows(/no power/);
  terminal.press("q");
  await terminal.ends(0);
  await computer.nothingStays();
});

test("two boards: a key chooses one of them, and Ctrl-C ends both", { timeout: TEST_MS }, async () => {
  const terminal = emulate();
  await terminal.shows(/192\.0\.2\.1 is http:\/\/localhost:8080\//);
  await terminal.shows(/MASTER: serving[\s\S]*BACKUP: alive, standing by/);
  terminal.press("2");
  await terminal.shows(/serial console of right/);
  terminal.press("1 ");
  await terminal.shows(/BACKUP: somebody else serves: safe to unplug[\s\S]*MASTER: serving/);
  assert.match(await get("http://localhost:8080/status"), /"name": ?"right"/);
  for (const port of [8081, 8082]) await findsNothingWrong(`http://localhost:${port}/status`);
  terminal.press("\x03");
  await terminal.ends(130);
  await computer.nothingStays();
});

test("Ctrl-C while the boards get their power: nothing stays", { timeout: TEST_MS }, async () => {
  const terminal = emulate();
  await terminal.shows(/^begins/);
  await computer.until(
    () => [...computer.processes().values()].some((command) => command.includes("virtio-blk")),
    () => "no board has power",
  );
  terminal.press("\x03");
  await terminal.ends(130);
  await computer.nothingStays();
});

function emulate(...parameters: readonly string[]): TestTerminal {
  return computer.openTerminal([process.execPath, EMULATE, ...parameters]);
}

/** Each asks the other one every two seconds, and judges what it hears. */
async function findsNothingWrong(url: string): Promise<void> {
  for (const deadlineAt = performance.now() + WAIT_MS; ; await sleep(500)) {
    const { diagnosis } = JSON.parse(await get(url)) as Snapshot;
    if (diagnosis.broken === null) return;
    assert.ok(performance.now() < deadlineAt, diagnosis.broken.says);
  }
}

function get(url: string, token?: string): Promise<string> {
  const authorized = token === undefined ? [] : ["--header", `Authorization: Bearer ${token}`];
  return computer.namespace.run(["busybox", "wget", "-q", ...authorized, "-O", "-", url]);
}
