/**
 * The published schema: that it is one, that it takes snapshots for what they
 * are, and nothing else. That it has every field of the type, the compiler checks.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { schema } from "../../src/status/schema.js";
import { handedOver, snapshotOf } from "./board.js";
import { complaints } from "./validate.js";

const snapshot = snapshotOf();
const [group] = snapshot.carp;
const master = { address: "192.0.2.2", advbase: 1, advskew: 0, heardSecondsAgo: 0.3 };

const good = [
  { is: "as it starts", it: snapshot },
  { is: "without groups", it: snapshotOf([]) },
  { is: "as it stands by", it: snapshotOf([{ role: "backup", master }]) },
  { is: "after a handover", it: snapshotOf([{}], { maintenance: handedOver }) },
  { is: "without a prefilter", it: snapshotOf([{}], { prefilter: null }) },
  { is: "of a board's card", it: snapshotOf([], { slot: { name: "a", onTrial: true } }) },
  { is: "of a later version, with one more field", it: { ...snapshot, moon: "full" } },
];
for (const { is, it } of good) {
  test(`a snapshot ${is} fits`, () => {
    assert.deepEqual(complaints(schema, JSON.parse(JSON.stringify(it))), []);
  });
}

const { name: _, ...nameless } = snapshot;
const bad = [
  { is: "without a name", it: nameless, says: /required property 'name'/ },
  { is: "of a third slot", it: { ...snapshot, slot: { name: "c", onTrial: false } }, says: /\/slot/ },
  { is: "in no role", it: { ...snapshot, role: "boss" }, says: /\/role/ },
  {
    is: "whose group has no holding",
    it: { ...snapshot, carp: [{ ...group, holding: null }] },
    says: /\/carp\/0\/holding/,
  },
  {
    is: "with a lamp that shines",
    it: { ...snapshot, panel: { ...snapshot.panel, lamps: { role: "on" } } },
    says: /\/panel\/lamps\/role/,
  },
  {
    is: "whose since is no moment",
    it: { ...snapshot, carp: [{ ...group, since: "today" }] },
    says: /\/carp\/0\/since/,
  },
  { is: "that counts below zero", it: { ...snapshot, dropped: { badttl: -1 } }, says: /\/dropped\/badttl/ },
];
for (const { is, it, says } of bad) {
  test(`a snapshot ${is} does not fit`, () => {
    assert.match(complaints(schema, it).join("\n"), says);
  });
}
