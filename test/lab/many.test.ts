/**
 * 255 groups on one interface: all that CARP has numbers for.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Group, startBoard } from "./boards.js";
import { now } from "./child.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { type Daemon, statusOf } from "./peers.js";

await becomeLabRoot();

const COUNT = 255;
const DEADLINE_MS = 120_000;
/** Wanted are 75; the engine's mood and the machine's are not to fail a test. */
const RESIDENT_MB = 110;

const groups: readonly Group[] = Array.from({ length: COUNT }, (_, i) => ({
  vhid: i + 1,
  addresses: [`10.1.0.${i + 1}/32`, ...(i % 16 === 0 ? [`2001:db8:7::${i + 1}/128`] : [])],
}));

async function allAre(daemon: Daemon, role: string): Promise<void> {
  await daemon.child.waitForLine(/ as \w+: 255 groups/, DEADLINE_MS);
  for (const untilAt = now() + DEADLINE_MS; now() < untilAt; ) {
    const status = (await statusOf(daemon.host)) as { carp: { role: string; holding: boolean }[] };
    const there = status.carp.filter((group) => group.role === role && group.holding === (role === "master"));
    if (there.length === COUNT) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.fail(`not all of ${daemon.host.name}'s groups are ${role}`);
}

test("255 groups: one board is master of all, the other takes over all, and both stay small", async (t) => {
  await using lab = await Lab.open();
  const left = startBoard(lab.left, groups);
  await allAre(left, "master");
  const right = startBoard(
    lab.right,
    groups.map((group) => ({ ...group, advskew: 100 })),
  );
  await allAre(right, "backup");

  const status = readFileSync(`/proc/${await left.child.pid()}/status`, "utf8");
  const residentMb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  t.diagnostic(`resident with ${COUNT} groups: ${residentMb.toFixed(0)} MB`);
  assert.ok(residentMb < RESIDENT_MB, `${residentMb} MB`);

  await left.child.kill("SIGTERM");
  assert.equal((await left.child.ended).status, 0);
  await allAre(right, "master");
  for (const group of [groups[0], groups[COUNT - 1]]) {
    const [address = ""] = (group?.addresses?.[0] ?? "").split("/");
    assert.deepEqual(lab.holders.of(address), ["right"]);
  }
  const warnings = right.child
    .text("stderr")
    .split("\n")
    .filter((line) => line.startsWith("warning: "));
  t.diagnostic(`warnings: ${warnings.length}`);
});
