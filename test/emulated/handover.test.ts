/**
 * Two arm64 boards on one network: mastership goes to and fro by their
 * buttons, and their lamps say so.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Machine } from "./machine.js";

const [ROLE, MAINTENANCE] = [1, 2] as const;

function config(advskew: number): readonly string[] {
  const group = [
    "[[carp]]",
    "vhid = 7",
    'interface = "eth0"',
    'password = "x"',
    'addresses = ["192.0.2.1/24"]',
  ];
  return ['board = "auto"', "[status]", 'listen = "127.0.0.1:8080"', ...group, `advskew = ${advskew}`];
}

async function waitForFace(machine: Machine, face: string): Promise<void> {
  const ask = async () => {
    const { panel, faults } = await machine.status().catch(() => ({ panel: undefined, faults: undefined }));
    return { face: (panel as { face: string } | undefined)?.face, faults };
  };
  await machine.until(ask, { holds: (seen) => seen.face === face, what: `the face ${face}` });
}

/** Lit for most of two seconds, which no wink is. */
async function isLit(machine: Machine, bit: number): Promise<boolean> {
  const readings = await machine.watchLamps(2_000);
  const ends = [...readings.slice(1).map(({ atMs }) => atMs), 2_000];
  const litMs = readings.reduce(
    (sum, { atMs, bits }, i) => sum + (bits & bit ? (ends[i] ?? 0) - atMs : 0),
    0,
  );
  return litMs > 1_000;
}

describe("two boards", () => {
  let left: Machine;
  let right: Machine;
  before(async () => {
    left = await Machine.boot({ name: "left", number: 2, config: config(0) });
    right = await Machine.boot({ name: "right", number: 3, config: config(100) });
    await left.start();
    await waitForFace(left, "master");
    await right.start();
    await waitForFace(right, "backup");
  });
  after(async () => {
    await left?.close();
    await right?.close();
  });

  test("one serves, the other stands by", async () => {
    assert.deepEqual([await isLit(left, ROLE), await isLit(right, ROLE)], [true, false]);
  });

  test("a press hands over: safe to unplug", async () => {
    await left.press(200);
    await waitForFace(left, "safe");
    await waitForFace(right, "master");
    assert.deepEqual([await isLit(left, ROLE), await isLit(left, MAINTENANCE)], [false, true]);
    assert.equal(await isLit(right, ROLE), true);
  });

  test("another press takes it back", async () => {
    await left.press(200);
    await waitForFace(left, "master");
    await waitForFace(right, "backup");
    assert.deepEqual([await isLit(left, ROLE), await isLit(left, MAINTENANCE)], [true, false]);
  });

  test("the plug is pulled after a handover, and nobody notices", async () => {
    await left.press(200);
    await waitForFace(left, "safe");
    await left.close();
    await waitForFace(right, "master");
    assert.equal(await isLit(right, ROLE), true);
  });
});
