/**
 * Two boards share an address: they elect the better one, fail over when its
 * power is cut, and give the address back when it returns. A planned handover
 * and a return lose nothing, whatever the pair is configured like.
 *
 * Where nothing is counted exactly, all kinds of pairs go through it at once.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addressesOf,
  assertNothingLost,
  CONTROL,
  type Group,
  groupsOf,
  lossesDuring,
  ROLE_DEADLINE_MS,
  type Sides,
  startBoard,
  startPair,
  waitUntilHeard,
} from "./boards.js";
import { now } from "./child.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { type Daemon, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

interface Kind {
  readonly name: string;
  readonly group: Group;
  readonly differing?: Sides<Group>;
  /** The protocol's own time from the last advertisement of a silent master to its successor's first. */
  readonly masterDownMs: number;
  /** What to do to a board before carpio starts there. */
  readonly prepare?: (board: Host) => Promise<unknown>;
}

const V4 = ["192.0.2.1/24"];
const V6 = ["2001:db8::1/64"];
/** 3 x 1 s + 50/256 s. */
const CLASSIC_MS = 3195;

const kinds: readonly Kind[] = [
  { name: "dual stack", group: {}, masterDownMs: CLASSIC_MS },
  { name: "IPv4 only", group: { addresses: V4 }, masterDownMs: CLASSIC_MS },
  { name: "IPv6 only", group: { addresses: V6 }, masterDownMs: CLASSIC_MS },
  { name: "the interface's own MAC", group: { mac: "interface" }, masterDownMs: CLASSIC_MS },
  {
    name: "unicast peers, IPv4",
    group: { addresses: V4 },
    differing: {
      left: { peers: ["192.0.2.3"] },
      right: { peers: ["192.0.2.2"] },
    },
    masterDownMs: CLASSIC_MS,
  },
  {
    name: "unicast peers, both families",
    group: {},
    differing: {
      left: { peers: ["192.0.2.3", "2001:db8::3"] },
      right: { peers: ["192.0.2.2", "2001:db8::2"] },
    },
    masterDownMs: CLASSIC_MS,
  },
  {
    name: "unicast peers, IPv6, the interface's own MAC",
    group: { addresses: V6, mac: "interface" },
    differing: {
      left: { peers: ["2001:db8::3"] },
      right: { peers: ["2001:db8::2"] },
    },
    masterDownMs: CLASSIC_MS,
  },
  {
    name: "advbase 0",
    group: { advbase: 0 },
    differing: { left: { advskew: 1 }, right: { advskew: 2 } },
    masterDownMs: (3 * 2 * 1000) / 256,
  },
  {
    name: "parents in another network",
    group: {},
    masterDownMs: CLASSIC_MS,
    prepare: async (board) => {
      await board.run(["ip", "address", "flush", "dev", "eth0", "scope", "global"]);
      await board.run([
        "ip",
        "address",
        "add",
        board.name === "left" ? "10.9.8.2/24" : "10.9.8.3/24",
        "dev",
        "eth0",
      ]);
    },
  },
  {
    name: "parents without an address",
    group: {},
    masterDownMs: CLASSIC_MS,
    prepare: (board) => board.run(["ip", "address", "flush", "dev", "eth0", "scope", "global"]),
  },
];

test("the better board is elected, fails over, and gets the address back", {
  concurrency: true,
}, async (t) => {
  await Promise.all(
    kinds.map((kind) => t.test(kind.name, (t) => failOverAndBack(kind, (said) => t.diagnostic(said)))),
  );
});

/** A busy machine stalls for longer than the others' 23 ms of patience: what they lose then is the bench's to say. */
const patientKinds = kinds.filter(({ masterDownMs }) => masterDownMs >= 1000);

for (const kind of patientKinds) {
  test(`${kind.name}: a polite leave and the return of the better board lose nothing`, async () => {
    await using lab = await openLab(kind);
    const { left } = await startPair(lab, [kind.group], kind.differing);
    await leaveAndReturn(lab, left, [kind.group], kind.differing);
  });
}

test("without preempt the better board stays backup when it returns, until it is needed", async () => {
  await using lab = await openLab();
  const groups = [{ preempt: false }];
  const { left, right } = await startPair(lab, groups);
  await losesNothing(lab, [VIRTUAL_ADDRESS], async () => {
    assert.equal((await left.child.stop()).status, 0);
    await lab.holders.wait(VIRTUAL_ADDRESS, ["right"], ROLE_DEADLINE_MS);
  });
  const returned = startBoard(lab.left, groupsOf("left", groups));
  await returned.enters("backup", ROLE_DEADLINE_MS);
  await waitUntilHeard(returned, 3);
  assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["right"]);
  await losesNothing(lab, [VIRTUAL_ADDRESS], async () => {
    assert.equal((await right.child.stop()).status, 0);
    await returned.enters("master", ROLE_DEADLINE_MS);
  });
  assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["left"]);
});

test("two groups with crossed ranks share the load, and one board serves both when it is alone", async () => {
  await using lab = await openLab();
  const first = { vhid: 7, addresses: ["192.0.2.1/24", "2001:db8::1/64"] };
  const second = { vhid: 8, addresses: ["192.0.2.8/24", "2001:db8::8/64"] };
  const addresses = [first, second].flatMap(addressesOf);
  const onLeft = [
    { ...first, advskew: 0 },
    { ...second, advskew: 50 },
  ];
  const left = startBoard(lab.left, onLeft);
  startBoard(lab.right, [
    { ...first, advskew: 50 },
    { ...second, advskew: 0 },
  ]);
  const shared = async (): Promise<void> => {
    for (const address of addressesOf(first)) await lab.holders.wait(address, ["left"], ROLE_DEADLINE_MS);
    for (const address of addressesOf(second)) await lab.holders.wait(address, ["right"], ROLE_DEADLINE_MS);
  };
  await shared();
  await losesNothing(lab, addresses, async () => {
    assert.equal((await left.child.stop()).status, 0);
    for (const address of addresses) await lab.holders.wait(address, ["right"], ROLE_DEADLINE_MS);
  });
  await losesNothing(lab, addresses, async () => {
    startBoard(lab.left, onLeft);
    await shared();
  });
});

test("a router whose one leg loses its link gives both away, and takes both back", async () => {
  await using lab = await openLab({ lans: 2 });
  const outside = { vhid: 7, interface: "eth0", addresses: ["192.0.2.1/24", "2001:db8::1/64"] };
  const inside = { vhid: 7, interface: "eth1", addresses: ["198.51.100.1/24", "2001:db8:1::1/64"] };
  await startPair(lab, [outside, inside]);
  const allOn = async (name: string): Promise<void> => {
    for (const address of [outside, inside].flatMap(addressesOf))
      await lab.holders.wait(address, [name], ROLE_DEADLINE_MS);
  };
  await losesNothing(lab, addressesOf(outside), async () => {
    await lab.left.cutCable({ interface: "eth1" });
    await allOn("right");
  });
  await losesNothing(lab, [outside, inside].flatMap(addressesOf), async () => {
    await lab.left.plugIn({ interface: "eth1" });
    await allOn("left");
  });
});

async function openLab({
  prepare,
  lans = 1,
}: {
  prepare?: Kind["prepare"];
  lans?: 1 | 2;
} = {}): Promise<Lab> {
  const lab = await Lab.open({ boards: ["left", "right", CONTROL], lans });
  await Promise.all([lab.left, lab.right].map((board) => prepare?.(board)));
  return lab;
}

/** Both kinds of cut: the carrier goes and the master notices, or it stays and the master serves on unheard. */
async function failOverAndBack(kind: Kind, say: (text: string) => void): Promise<void> {
  await using lab = await openLab(kind);
  const { right } = await startPair(lab, [kind.group], kind.differing);
  const addresses = addressesOf(kind.group);
  const interval = kind.masterDownMs / 3;
  for (const what of ["both", "silently"] as const) {
    const probes = await Promise.all(addresses.map((target) => lab.client.probe({ target, intervalMs: 10 })));
    const answering = () => Promise.all(probes.map((probe) => probe.answering(ROLE_DEADLINE_MS)));
    await answering();
    const cutAt = now();
    await lab.left.cutCable({ what });
    await right.enters("master", ROLE_DEADLINE_MS, cutAt);
    await answering();
    await lab.left.plugIn();
    for (const address of addresses) await lab.holders.wait(address, ["left"], ROLE_DEADLINE_MS);
    await answering();
    for (const probe of probes) {
      const { longestOutageMs } = await probe.stop();
      say(`cut ${what}: served again after ${longestOutageMs.toFixed(0)} ms`);
      assert.ok(
        longestOutageMs > kind.masterDownMs - interval - 50,
        `${what}: out for ${longestOutageMs} ms only`,
      );
      assert.ok(longestOutageMs < kind.masterDownMs + 3000, `${what}: out for ${longestOutageMs} ms`);
    }
  }
}

async function leaveAndReturn(
  lab: Lab,
  left: Daemon,
  groups: readonly Group[],
  differing?: Sides<Group>,
): Promise<void> {
  const addresses = groups.flatMap(addressesOf);
  const allOn = async (name: string): Promise<void> => {
    for (const address of addresses) await lab.holders.wait(address, [name], ROLE_DEADLINE_MS);
  };
  await losesNothing(lab, addresses, async () => {
    assert.equal((await left.child.stop()).status, 0);
    await allOn("right");
  });
  await losesNothing(lab, addresses, async () => {
    startBoard(lab.left, groupsOf("left", groups, differing));
    await allOn("left");
  });
}

async function losesNothing(
  lab: Lab,
  targets: readonly string[],
  deed: () => Promise<unknown>,
): Promise<void> {
  assertNothingLost(await lossesDuring(lab, targets, deed));
}
