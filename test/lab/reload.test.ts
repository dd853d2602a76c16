/**
 * SIGHUP: what did not change in the configuration notices nothing, what did
 * change is taken over, and a bad file changes nothing at all.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  assertNothingLost,
  boardConfig,
  CONTROL,
  type Group,
  groupsOf,
  lossesDuring,
  ROLE_DEADLINE_MS,
  startPair,
} from "./boards.js";
import { now } from "./child.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { configFile, type Daemon, statusOf, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

const OTHER = "192.0.2.201";
const steady: Group = {};
const other: Group = { vhid: 9, addresses: [`${OTHER}/24`] };

/** Puts another configuration in place, and waits until the daemon has taken it over, or refused it. */
async function reload(daemon: Daemon, text: string, answer = /configuration read again/): Promise<void> {
  const askedAt = now();
  writeFileSync(configFile(daemon.host), text);
  await daemon.child.kill("SIGHUP");
  await daemon.child.waitForLine(answer, ROLE_DEADLINE_MS, askedAt);
}

function configOf(daemon: Daemon, groups: readonly Group[]): string {
  return boardConfig(daemon.host.name, groupsOf("left", groups));
}

test("a group that did not change misses no advertisement while others come, change and go", async () => {
  await using lab = await Lab.open({ boards: ["left", "right", CONTROL] });
  const { left, right } = await startPair(lab, [steady]);
  const from = now();
  const sent = async (): Promise<number> => {
    const status = (await statusOf(lab.left)) as { carp: { vhid: number; counters: { sent: number } }[] };
    return status.carp.find(({ vhid }) => vhid === 7)?.counters.sent ?? 0;
  };
  const before = await sent();
  const losses = await lossesDuring(lab, [VIRTUAL_ADDRESS], async () => {
    await reload(left, configOf(left, [steady, other]));
    await lab.holders.wait(OTHER, ["left"], ROLE_DEADLINE_MS);
    await reload(left, configOf(left, [steady, { ...other, advskew: 3, addresses: ["192.0.2.202/24"] }]));
    await lab.holders.wait("192.0.2.202", ["left"], ROLE_DEADLINE_MS);
    await lab.holders.wait(OTHER, [], ROLE_DEADLINE_MS);
    await reload(left, configOf(left, [steady]));
    await lab.holders.wait("192.0.2.202", [], ROLE_DEADLINE_MS);
  });
  assertNothingLost(losses);
  assert.deepEqual(
    lab.holders
      .history(VIRTUAL_ADDRESS)
      .filter(({ at }) => at > from && at < now())
      .filter(({ holds }) => !holds),
    [],
  );
  assert.ok((await sent()) > before, "it has gone on advertising");
  assert.ok(right.child.running);
  assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["left"]);
});

test("an advskew that rises hands mastership over, one that falls takes it back, and nothing is lost", async () => {
  await using lab = await Lab.open({ boards: ["left", "right", CONTROL] });
  const { left, right } = await startPair(lab);
  const losses = await lossesDuring(lab, [VIRTUAL_ADDRESS], async () => {
    const askedAt = now();
    await reload(left, configOf(left, [{ advskew: 200 }]));
    await right.enters("master", ROLE_DEADLINE_MS, askedAt);
    await lab.holders.wait(VIRTUAL_ADDRESS, ["right"], ROLE_DEADLINE_MS);
    const backAt = now();
    await reload(left, configOf(left, [{ advskew: 0 }]));
    await left.enters("master", ROLE_DEADLINE_MS, backAt);
    await lab.holders.wait(VIRTUAL_ADDRESS, ["left"], ROLE_DEADLINE_MS);
  });
  assertNothingLost(losses);
});

test("a new password is a polite stop and a fresh start", async () => {
  await using lab = await Lab.open();
  const { left, right } = await startPair(lab);
  const askedAt = now();
  await reload(left, configOf(left, [{ password: "another" }]));
  await right.enters("master", ROLE_DEADLINE_MS, askedAt);
  await left.enters("backup", ROLE_DEADLINE_MS, askedAt);
  const { text } = await left.enters("init", ROLE_DEADLINE_MS, askedAt);
  assert.match(text, /configuration changed/);
});

test("a bad file is answered in full, and what was in force stays", async () => {
  await using lab = await Lab.open();
  const { left } = await startPair(lab);
  const text = configOf(left, [{ vhid: 300, advbase: -1 }]).replace("mekmitasdigoat", "secretword");
  await reload(left, text, /the configuration in force stays/);
  const said = left.child.text("stderr");
  assert.match(said, /carpio\.toml:\d+: carp\[0\]\.vhid: found 300, wanted a whole number from 1 to 255/);
  assert.match(said, /carpio\.toml:\d+: carp\[0\]\.advbase: found -1/);
  assert.doesNotMatch(said, /secretword/);
  assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["left"]);
});
