import assert from "node:assert/strict";
import { test } from "node:test";
import { moment, span } from "../../src/page/moments.js";
import { counterWords, faceWords, lampWords, programOf, roleWords } from "../../src/page/words.js";
import { label } from "../../src/panel/lamp.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import { drops, faces, overallRoles } from "../../src/status/vocabulary.js";
import { snapshotOf } from "../status/board.js";

test("every counter of a group, and of the kernel, has its sentence", () => {
  const [group] = snapshotOf().carp;
  const counted = [...Object.keys(group?.counters ?? {}), ...Object.keys(snapshotOf().prefilter ?? {})];
  assert.deepEqual(Object.keys(counterWords).toSorted(), [...new Set(counted)].toSorted());
  assert.deepEqual(
    Object.keys(drops).filter((reason) => !Object.hasOwn(counterWords, reason)),
    [],
  );
  for (const { says } of Object.values(counterWords)) assert.match(says, /^[a-z].*\.$/);
});

test("every face and every role has its words", () => {
  assert.deepEqual(Object.keys(faceWords).toSorted(), Object.keys(faces).toSorted());
  assert.deepEqual(Object.keys(faceWords).toSorted(), Object.keys(label).toSorted());
  assert.deepEqual(Object.keys(roleWords).toSorted(), Object.keys(overallRoles).toSorted());
});

// biome-ignore format: one a line
const programs: [Partial<Snapshot>, string][] = [
  [{ slot: null }, "carpio 0.1.0 on none"],
  [{ slot: { name: "a", onTrial: false } }, "carpio 0.1.0 on none, slot a"],
  [{ slot: { name: "b", onTrial: true } }, "carpio 0.1.0 on none, slot b on trial"],
];
for (const [changes, words] of programs) {
  test(`what runs: ${words}`, () => assert.equal(programOf(snapshotOf([], changes)), words));
}

test("a board that is older than slots says nothing of one", () => {
  const { slot: _, ...older } = snapshotOf();
  assert.equal(programOf(older as Snapshot), "carpio 0.1.0 on none");
});

const lamps: [Parameters<typeof lampWords>[0], string][] = [
  [{ pattern: "on" }, "on"],
  [{ pattern: "off" }, "off"],
  [{ pattern: "blink", stepsMs: [50, 1950] }, "winks"],
  [{ pattern: "blink", stepsMs: [50, 150, 50, 1750] }, "winks twice"],
  [{ pattern: "blink", stepsMs: [50, 50] }, "blinks 50/50 ms"],
  [{ pattern: "blink", stepsMs: [100, 900] }, "blinks 100/900 ms"],
  [undefined, "none"],
];
for (const [lamp, says] of lamps) {
  test(`a lamp that ${says}`, () => assert.equal(lampWords(lamp), says));
}

const spans: [number, string][] = [
  [-1, "0 s"],
  [0.31, "0.3 s"],
  [42.4, "42 s"],
  [119, "119 s"],
  [120, "2 min"],
  [3600, "1 h"],
  [7512, "2 h 5 min"],
  [90_000, "1 d 1 h"],
];
for (const [seconds, says] of spans) {
  test(`${seconds} seconds are ${says}`, () => assert.equal(span(seconds), says));
}

const NOW = "2026-11-22T08:13:32.400Z";
test("a moment has its day only where it is another one", () => {
  assert.equal(moment("2026-11-22T08:00:05.000Z", NOW, "utc"), "08:00:05 UTC");
  assert.equal(moment("2026-11-21T23:59:59.000Z", NOW, "utc"), "21 Nov 23:59:59 UTC");
  assert.equal(moment("soon", NOW, "utc"), "soon");
});
