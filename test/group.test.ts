import assert from "node:assert/strict";
import { test } from "node:test";
import type { VhostEvent } from "../src/carp/vhost.js";
import type { GroupConfig } from "../src/config.js";
import { destinationsOf, familiesOf, type Group, leaseSeconds } from "../src/group.js";
import { formatAddress } from "../src/wire/address.js";
import { createFakeHolder, createFakeSender, fakeGroup, groupConfig, quiet } from "./fakes.js";
import { addressOf } from "./spec.js";

const rows = [
  { configured: "1/0", advertised: "1/0", seconds: 2, why: "gone a second before the peers' three are over" },
  { configured: "1/0", advertised: "1/240", seconds: 3, why: "never between two advertisements" },
  { configured: "0/1", advertised: "0/1", seconds: 1, why: "the kernel counts whole seconds" },
  { configured: "0/1", advertised: "0/240", seconds: 2, why: "a demoted master renews once in 0.94 s" },
  { configured: "10/0", advertised: "10/0", seconds: 29, why: "as patient as the peers, less one" },
];

for (const { configured, advertised, seconds, why } of rows) {
  test(`a lease at ${configured}, advertised as ${advertised}, is ${seconds} s: ${why}`, () => {
    const [own, sent] = [configured, advertised].map((text) => {
      const [advbase = 0, advskew = 0] = text.split("/").map(Number);
      return { advbase, advskew };
    });
    assert.ok(own && sent);
    assert.equal(leaseSeconds(own, sent), seconds);
  });
}

const groups = [
  { addresses: ["192.0.2.1"], peers: [], tells: { 4: ["224.0.0.18"] }, why: "no peers are named" },
  {
    addresses: ["2001:db8::1", "192.0.2.1", "192.0.2.9"],
    peers: [],
    tells: { 4: ["224.0.0.18"], 6: ["ff02::12"] },
    why: "each family once",
  },
  {
    addresses: ["192.0.2.1", "2001:db8::1"],
    peers: ["192.0.2.2", "192.0.2.3"],
    tells: { 4: ["192.0.2.2", "192.0.2.3"], 6: ["ff02::12"] },
    why: "a family without peers goes to all",
  },
  {
    addresses: ["2001:db8::1"],
    peers: ["192.0.2.2"],
    tells: { 6: ["ff02::12"] },
    why: "a peer of no family of ours",
  },
];

for (const { addresses, peers, tells, why } of groups) {
  test(`a group of ${addresses.join(", ")} tells ${Object.values(tells).join(", ")}: ${why}`, () => {
    const config = {
      addresses: addresses.map((text) => ({ address: addressOf(text), length: 24 })),
      peers: peers.map(addressOf),
    } as Pick<GroupConfig, "addresses" | "peers"> as GroupConfig;
    const told = familiesOf(config).map((family) => [
      family,
      destinationsOf(config, family).map(formatAddress),
    ]);
    assert.deepEqual(Object.fromEntries(told), tells);
  });
}

const addresses = [{ address: addressOf("192.0.2.1"), length: 24 }];
const heard = (claim: string): VhostEvent => {
  const [advbase = 0, advskew = 0] = claim.split("/").map(Number);
  return { kind: "heard", ad: { advbase, advskew, demote: 0 }, from: addressOf("192.0.2.3") };
};

const comesTo = (address: string) => (group: Group) =>
  group.reconfigure(groupConfig({ addresses: [{ address: addressOf(address), length: 24 }] }));

/** A group that has become master, and waits for a claim that the kernel takes its time for. */
async function claiming() {
  const world = { now: 0, claims: 0, answer: (_said: string | undefined): void => {} };
  const holder = createFakeHolder({ name: "carp7", parent: "eth0", mac: undefined, addresses });
  holder.claim = () => {
    world.claims++;
    return new Promise((resolve) => {
      world.answer = resolve;
    });
  };
  const sender = createFakeSender();
  const group = fakeGroup(groupConfig({ addresses }), holder, sender, () => world.now);
  group.handle({ kind: "link", up: true, why: "link up", sources: { 4: addressOf("192.0.2.2") } });
  const wakeAt = async (now: number) => {
    world.now = now;
    group.handle({ kind: "wake" });
    await quiet();
  };
  await wakeAt(3_000);
  return { world, holder, sender, group, wakeAt };
}

test("a claim that is asked for again while a slow one is under way is that one", async () => {
  const { world, group } = await claiming();
  group.reclaim();
  world.answer(undefined);
  await quiet();
  assert.deepEqual([world.claims, group.vhost.role], [1, "master"]);
});

test("a claim of other addresses does not follow a slow one that fails", async () => {
  const { world, group } = await claiming();
  comesTo("192.0.2.9")(group);
  world.answer("no");
  await quiet();
  assert.deepEqual([world.claims, group.standsBack], [1, true]);
});

test("a claim that fails when another serves already is no fault of this board", async () => {
  const { world, group } = await claiming();
  group.handle(heard("0/1"));
  assert.equal(group.vhost.role, "backup");
  world.answer("no");
  await quiet();
  assert.deepEqual([group.faults.size, group.standsBack], [0, false]);
});

test("a bow-out waits for no kernel, and nothing that waited is said after it", async () => {
  const { world, holder, sender, group, wakeAt } = await claiming();
  for (const now of [4_000, 5_000, 6_000]) await wakeAt(now);
  group.handle({ kind: "stop", why: "terminated" });
  await quiet();
  assert.deepEqual(sender.said, ["255/255"]);
  world.answer(undefined);
  await quiet();
  assert.deepEqual([sender.said, holder.deeds.includes("announce")], [["255/255"], false]);
});

test("whoever was stopped in the middle says nothing more as a master", async () => {
  const { world, holder, sender, group, wakeAt } = await claiming();
  world.answer(undefined);
  await quiet();
  let answer = () => {};
  holder.announce = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  await wakeAt(3_200);
  await wakeAt(4_000);
  assert.deepEqual(sender.said, ["1/0"]);
  world.now = 10_000;
  answer();
  await quiet();
  assert.deepEqual([sender.said, group.vhost.role], [["1/0"], "backup"]);
});

test("a bow-out waits for no announcement either", async () => {
  const { world, holder, sender, group, wakeAt } = await claiming();
  world.answer(undefined);
  await quiet();
  holder.announce = () => new Promise(() => {});
  await wakeAt(3_200);
  group.handle({ kind: "stop", why: "terminated" });
  await quiet();
  assert.deepEqual(sender.said, ["1/0", "255/255"]);
});

test("nobody knows what a group will be before it is told of its link", async () => {
  const holder = createFakeHolder({ name: "carp7", parent: "eth0", mac: undefined, addresses });
  const group = fakeGroup(groupConfig({ addresses }), holder, createFakeSender(), () => 0);
  const link = (up: boolean) => group.handle({ kind: "link", up, why: "link", sources: {} });
  assert.equal(group.undecided, true);
  link(false);
  assert.equal(group.undecided, false);
  group.lost();
  assert.equal(group.undecided, true);
  link(true);
  assert.equal(group.undecided, true);
  group.handle(heard("0/1"));
  assert.equal(group.undecided, false);
  group.fault("addresses", "there is no place for them");
  link(false);
  assert.equal(group.undecided, false);
});

test("whoever left without its addresses comes back: nothing is decided", async () => {
  const { world, group } = await refused();
  world.now += 2_000;
  group.handle({ kind: "wake" });
  assert.deepEqual([group.vhost.role, group.undecided], ["init", true]);
});

test("a master whose addresses were not renewed within their lifetime says nothing but its bow-out, and lets go", async () => {
  const { world, holder, sender, group, wakeAt } = await claiming();
  world.answer(undefined);
  await quiet();
  assert.deepEqual(sender.said, ["1/0"]);
  holder.leaseOver = true;
  await wakeAt(4_000);
  assert.deepEqual(sender.said, ["1/0", "255/255"]);
  assert.equal(holder.deeds.at(-1), "release");
  assert.match(group.faults.get("addresses") ?? "", /^ip has not renewed the addresses on carp7/);
});

test("a renewal whose answer waits to be read is none that hangs", async () => {
  const { world, holder, sender, group, wakeAt } = await claiming();
  world.answer(undefined);
  await quiet();
  holder.leaseOver = true;
  setImmediate(() => {
    holder.leaseOver = false;
  });
  await wakeAt(4_000);
  assert.deepEqual([sender.said, group.standsBack], [["1/0", "1/0"], false]);
});

/** A group on a device that refuses, and a better master that it is to be. */
async function refused() {
  const world = { now: 0 };
  const device = { name: "carp7", parent: "eth0", mac: "00:00:5e:00:01:07", addresses };
  const holder = createFakeHolder(device);
  const sender = createFakeSender();
  const group = fakeGroup(groupConfig({ addresses }), holder, sender, () => world.now);
  const link = () => group.handle({ kind: "link", up: true, why: "link up", sources: {} });
  const hears = async (claim: string) => {
    group.handle(heard(claim));
    await quiet();
  };
  holder.refusal = "ip link set dev carp7 up: refused";
  link();
  await hears("1/100");
  return { world, holder, sender, group, link, hears };
}

test("who cannot hold the addresses says nothing but its bow-out: whoever serves goes on", async () => {
  const { world, sender, group } = await refused();
  world.now = 50;
  group.handle({ kind: "wake" });
  await quiet();
  assert.deepEqual([...new Set(sender.said)], ["255/255"]);
  assert.equal(group.faults.get("addresses"), "ip link set dev carp7 up: refused");
});

test("who could not hold the addresses stays behind for ten seconds, then for twenty, and comes back", async () => {
  const { world, holder, group, link, hears } = await refused();
  for (const behindSeconds of [10, 20]) {
    const failedAt = world.now;
    world.now += 2_000;
    group.handle({ kind: "wake" });
    assert.equal(group.vhost.role, "init");
    group.fault("addresses", undefined);
    link();
    world.now = failedAt + behindSeconds * 1000 - 1;
    group.review();
    await hears("1/100");
    assert.equal(group.vhost.role, "backup");
    world.now += 1;
    group.review();
    assert.deepEqual([group.vhost.demotions, group.standsBack], [[], true]);
    if (behindSeconds === 20) holder.refusal = undefined;
    await hears("1/100");
    assert.equal(group.vhost.role, "master");
  }
  assert.deepEqual([group.holder.holding, group.faults.size, group.standsBack], [true, 0, false]);
});

const freshStarts: { readonly after: string; readonly comes: (group: Group) => void }[] = [
  { after: "its interface was replaced", comes: (group) => group.lost() },
  { after: "it was given other addresses", comes: comesTo("192.0.2.9") },
];
for (const { after, comes } of freshStarts) {
  test(`who could not hold the addresses stays behind no more after ${after}`, async () => {
    const { group } = await refused();
    comes(group);
    assert.deepEqual([group.standsBack, group.vhost.demotions], [false, []]);
  });
}
