/**
 * What was dropped of late, and why a digest did not fit: found while the loop
 * goes on turning.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { encodeAdvertisement } from "../src/carp/advertisement.js";
import { createSigner, keyOfPassphrase, sign } from "../src/carp/digest.js";
import { type GroupConfig, signatureOf } from "../src/config.js";
import { createRecentDrops } from "../src/recent-drops.js";
import type { Packet } from "../src/wire/packet.js";
import { groupConfig, until } from "./fakes.js";
import { addressOf } from "./spec.js";

const addresses = ["192.0.2.1", "192.0.2.7"].map((text) => ({ address: addressOf(text), length: 24 }));
const ours = groupConfig({ key: keyOfPassphrase("mekmitasdigoat"), addresses });

function packetOf(sender: GroupConfig): Packet {
  const signer = createSigner(sender.vhid, signatureOf(sender));
  const ad = { vhid: sender.vhid, advbase: 1, advskew: 0, demote: 0, counter: 1n, digest: sign(signer, 1n) };
  const [source, destination] = [addressOf("192.0.2.3"), addressOf("224.0.0.18")];
  return { source, destination, ttl: 255, payload: encodeAdvertisement(ad) };
}

function open(t: TestContext) {
  let now = 0;
  let news = 0;
  const drops = createRecentDrops({ groups: () => [ours], now: () => now, onNews: () => news++ });
  t.after(() => drops.close());
  return {
    drops,
    advance(ms: number) {
      now += ms;
    },
    get news() {
      return news;
    },
  };
}

test("a wrong digest is there at once, and what explains it soon", async (t) => {
  const { drops } = open(t);
  drops.note(ours, "badauth", packetOf({ ...ours, addresses: ours.addresses.slice(0, 1) }));
  assert.deepEqual(drops.last(ours, "badauth"), { at: 0, from: "192.0.2.3", hint: undefined });
  await until("an explanation", () => drops.last(ours, "badauth")?.hint !== undefined);
  assert.match(
    drops.last(ours, "badauth")?.hint ?? "",
    /^password right, but the peer signs 192\.0\.2\.1 alone/,
  );
});

test("the bytes may be another packet's by the time they are looked at", async (t) => {
  const { drops } = open(t);
  const packet = packetOf({ ...ours, key: keyOfPassphrase("MEKMITASDIGOAT") });
  drops.note(ours, "badauth", packet);
  packet.payload.fill(0);
  await until("an explanation", () => drops.last(ours, "badauth")?.hint !== undefined);
  assert.match(drops.last(ours, "badauth")?.hint ?? "", /upper and lower case/);
});

test("a peer speaks from two addresses in turn: what explains one of them is not forgotten", async (t) => {
  const { drops, advance } = open(t);
  const sender = { ...ours, addresses: ours.addresses.slice(0, 1) };
  const other = { ...packetOf(sender), source: addressOf("192.0.2.4") };
  drops.note(ours, "badauth", packetOf(sender));
  await until("an explanation", () => drops.last(ours, "badauth")?.hint !== undefined);
  const told = drops.last(ours, "badauth");
  advance(1);
  drops.note(ours, "badauth", other);
  assert.deepEqual(drops.last(ours, "badauth"), told);
});

test("a flood from a thousand addresses keeps few of them", (t) => {
  const { drops, advance } = open(t);
  for (let i = 0; i < 1_000; i++) {
    const source = addressOf(`198.51.${100 + Math.floor(i / 250)}.${i % 250}`);
    drops.note(ours, "foreign", { ...packetOf(ours), source });
    advance(1);
  }
  assert.equal(drops.last(ours, "foreign")?.from, "198.51.103.242", "the oldest of the last eight");
});

test("it is told when it is new, and not with every packet of a flood", (t) => {
  const board = open(t);
  for (let i = 0; i < 1_000; i++) board.drops.note(ours, "foreign", packetOf(ours));
  assert.equal(board.news, 1);
});

test("what does not happen again is over after ten seconds", (t) => {
  const { drops, advance } = open(t);
  drops.note(ours, "foreign", packetOf(ours));
  advance(10_000);
  assert.equal(drops.last(ours, "foreign")?.from, "192.0.2.3");
  advance(1);
  assert.equal(drops.last(ours, "foreign"), undefined);
});

test("one group's mistake is not another's, and one kind not another", (t) => {
  const { drops } = open(t);
  drops.note(ours, "looped", packetOf(ours));
  assert.equal(drops.last({ ...ours, vhid: 8 }, "looped"), undefined);
  assert.equal(drops.last(ours, "badauth"), undefined);
});
