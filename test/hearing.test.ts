/**
 * One address family that falls silent alone: told from what is lost by
 * accident, from a master that goes, and from a group that serves only one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createHearing } from "../src/hearing.js";
import type { Family } from "../src/wire/address.js";
import { createFakeHolder, createFakeSender, fakeGroup, groupConfig } from "./fakes.js";
import { addressOf } from "./spec.js";

const WITHIN_MS = 9_000;

// biome-ignore format: one row a line
const rows: { heard: string; afterMs?: number; silent: Family | undefined; why: string }[] = [
  { heard: "", silent: undefined, why: "nothing was heard yet" },
  { heard: "46464646464646", silent: undefined, why: "both come" },
  { heard: "44444", silent: 6, why: "IPv6 has never come" },
  { heard: "4646464444466666", silent: 4, why: "the last of IPv4 is five ago" },
  { heard: "4644446", silent: undefined, why: "it is back" },
  { heard: "464444", silent: undefined, why: "four may be lost by accident" },
  { heard: "4666666666", silent: 4, why: "IPv4 as well" },
  { heard: "44444", afterMs: WITHIN_MS, silent: 6, why: "it was so a moment ago" },
  { heard: "44444", afterMs: WITHIN_MS + 1, silent: undefined, why: "nothing at all comes any more" },
];
for (const { heard, afterMs = 0, silent, why } of rows) {
  test(`heard ${heard || "nothing"}, ${afterMs} ms ago: ${silent ? `IPv${silent} is silent` : "no family is silent alone"}, ${why}`, () => {
    const hearing = createHearing();
    for (const family of heard) hearing.hear(family === "4" ? 4 : 6, 0);
    assert.equal(hearing.silentFamily(WITHIN_MS, afterMs), silent);
  });
}

test("a group of one family misses no other, and a family that is new is waited for", () => {
  const both = ["192.0.2.1", "2001:db8::1"].map((text) => ({ address: addressOf(text), length: 24 }));
  const ipv4 = groupConfig({ addresses: both.slice(0, 1) });
  const holder = createFakeHolder({ name: "carp7", parent: "eth0", mac: undefined, addresses: [] });
  const group = fakeGroup(ipv4, holder, createFakeSender(), () => 0);
  const hear = (times: number) => {
    const ad = { advbase: 1, advskew: 0, demote: 0 };
    for (let i = 0; i < times; i++) group.handle({ kind: "heard", ad, from: addressOf("192.0.2.2") });
  };
  hear(10);
  assert.equal(group.silentFamily, undefined);
  group.reconfigure({ ...ipv4, addresses: both });
  hear(4);
  assert.equal(group.silentFamily, undefined);
  hear(1);
  assert.equal(group.silentFamily, 6);
});
