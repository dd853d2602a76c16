/**
 * 50,000 bad packets a second, of every kind, from a third host to the master
 * and to the backup: nobody's role changes, the master keeps its pace, and the
 * counters say what it was. Once with the kernel's prefilter and once without.
 *
 * All of them claim to come from a better master, so that one that is believed
 * shows.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, type TestContext, test } from "node:test";
import { CHECKSUM_OFFSET, encodeAdvertisement } from "../../src/carp/advertisement.js";
import { createSigner, keyOfPassphrase, sign } from "../../src/carp/digest.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import type { Address } from "../../src/wire/address.js";
import { checksum } from "../../src/wire/checksum.js";
import { virtualMac } from "../../src/wire/mac.js";
import { decodePacket, encodeIpv4, encodeIpv6, GROUP } from "../../src/wire/packet.js";
import { readPcap } from "../../src/wire/pcap.js";
import { addressOf } from "../spec.js";
import { addressesOf, type Sides, startPair } from "./boards.js";
import { now } from "./child.js";
import { calm, DEADLINE_MS, FLOATING, longestSilenceMs, roleChanges } from "./evidence.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { type Daemon, statusOf, VIRTUAL_ADDRESS } from "./peers.js";
import { uninstall } from "./sabotage.js";

await becomeLabRoot();

const PACKETS_PER_SECOND = 50_000;
/** What one core judges without help, while sender and boards share this machine. */
const UNFILTERED_PACKETS_PER_SECOND = 20_000;
/** A backup bears a silence of 3.2 s, so that less would show little. */
const SECONDS_OF_ONE_KIND = 4;
const SECONDS_OF_ALL_KINDS = 10;
/** A busy machine may be slow to send; below this it is no flood. */
const LEAST_PACKETS_PER_SECOND = 10_000;
/** Each kind is seen at least as often. */
const LEAST_COUNTED = 100;
/** Half an interval late is late, but a backup bears three whole ones. */
const LONGEST_SILENCE_MS = 1500;
/** Of each kind there are as many different packets. */
const VARIANTS = 64;
const VHID = 7;
const PASSWORD = "mekmitasdigoat";
/** By its MAC, which the flood has not: the capture must not drown in it. */
const FROM_MASTER = `ip proto 112 and ether src ${virtualMac(VHID)}`;
/** Frames to the group reach every board. */
const TO_ALL = { 4: "01:00:5e:00:00:12", 6: "33:33:00:00:00:12" } as const;
/** Grows in peace too; what exceeds the share of one source is `flooded` before anybody looks at it. */
const ORDINARY = ["sent", "received", "prefilter flooded"];

type Side = keyof Sides<unknown>;

interface Flood {
  readonly kind: string;
  readonly packets: (cast: Cast) => readonly Uint8Array[];
  /** The counter that grows. */
  readonly counter: string | ((filtered: boolean, side: Side) => string);
  /** The kernel does not tell the hop limit of IPv6, so that nobody else can judge it. */
  readonly prefilterOnly?: true;
}

/** Who speaks, by each family, and what the master has said. */
interface Cast {
  readonly stranger: readonly Address[];
  readonly master: readonly Address[];
  /** A CARP header of the master's own, by each family. */
  readonly said: readonly Uint8Array[];
}

const floods: readonly Flood[] = [
  {
    kind: "badttl: right in all else",
    packets: ({ stranger }) => stranger.slice(0, 1).map((from) => routed(ipPacket(from, advertisement()))),
    counter: "badttl",
  },
  {
    kind: "badttl by IPv6: right in all else",
    packets: ({ stranger }) => stranger.slice(1).map((from) => routed(ipPacket(from, advertisement()))),
    counter: "prefilter badttl",
    prefilterOnly: true,
  },
  {
    kind: "badlen: 35 bytes",
    packets: ({ stranger }) => stranger.map((from) => ipPacket(from, advertisement().subarray(0, 35))),
    counter: "badlen",
  },
  {
    kind: "badver: version 1",
    packets: ({ stranger }) => stranger.map((from) => ipPacket(from, ofVersion1(advertisement()))),
    counter: "badver",
  },
  {
    kind: "badsum: one bit flipped",
    packets: ({ stranger }) => stranger.map((from) => ipPacket(from, flipped(advertisement()))),
    counter: "badsum",
  },
  {
    kind: "badauth: another password",
    packets: ({ stranger }) => stranger.map((from) => ipPacket(from, advertisement({ password: "another" }))),
    counter: "badauth",
  },
  {
    kind: "badauth in the master's name",
    packets: ({ master }) => master.map((from) => ipPacket(from, advertisement({ password: "another" }))),
    counter: "badauth",
  },
  {
    kind: "badvhid: nobody's vhid",
    packets: ({ stranger }) => stranger.map((from) => ipPacket(from, advertisement({ vhid: 9 }))),
    counter: (filtered) => (filtered ? "prefilter badvhid" : "dropped badvhid"),
  },
  {
    kind: "foreign: VRRP with our vhid",
    packets: ({ stranger }) => stranger.map((from) => ipPacket(from, vrrp())),
    counter: "foreign",
  },
  {
    kind: "looped: the master's own words",
    packets: ({ stranger, said }) => stranger.map((from, i) => ipPacket(from, said[i] ?? new Uint8Array())),
    // A backup cannot tell a copy from the original.
    counter: (_filtered, side) => (side === "left" ? "looped" : "received"),
  },
];

describe("with the prefilter, to both boards at once", () => {
  const stage = useStage(async () => undefined);
  const ordeal: Omit<Ordeal, "seconds"> = {
    to: ["left", "right"],
    filtered: true,
    perSecond: PACKETS_PER_SECOND,
  };
  for (const flood of floods) {
    test(flood.kind, (t) => endure(t, stage, [flood], { ...ordeal, seconds: SECONDS_OF_ONE_KIND }));
  }
  test("every kind at once", (t) => endure(t, stage, floods, { ...ordeal, seconds: SECONDS_OF_ALL_KINDS }));
  test("a packet without a fault would have cost mastership", () => surrender(stage));
});

describe("without nft, every kind at once", () => {
  const stage = useStage(async ({ left, right }) => {
    await uninstall(left, "nft");
    await uninstall(right, "nft");
  });
  const kinds = floods.filter(({ prefilterOnly }) => !prefilterOnly);
  const ordeal: Omit<Ordeal, "to"> = {
    filtered: false,
    perSecond: UNFILTERED_PACKETS_PER_SECOND,
    seconds: SECONDS_OF_ALL_KINDS,
  };
  test("to the master", (t) => endure(t, stage, kinds, { ...ordeal, to: ["left"] }));
  test("to the backup", (t) => endure(t, stage, kinds, { ...ordeal, to: ["right"] }));
  test("a packet without a fault would have cost mastership", () => surrender(stage));
});

/** A pair at work, for all tests of a suite. */
interface Stage {
  lab: Lab;
  boards: Sides<Daemon>;
  cast: Cast;
}

function useStage(prepare: (lab: Lab) => Promise<void>): () => Stage {
  let stage: Stage | undefined;
  before(async () => {
    const lab = await Lab.open();
    await prepare(lab);
    const boards = await startPair(lab);
    await calm(lab);
    stage = { lab, boards, cast: await meet(lab) };
  });
  after(() => stage?.lab.close());
  return () => {
    assert.ok(stage, "the boards have started");
    return stage;
  };
}

interface Ordeal {
  readonly to: readonly Side[];
  readonly filtered: boolean;
  readonly perSecond: number;
  readonly seconds: number;
}

/** The flood, and what must be true after it. */
async function endure(
  t: TestContext,
  stage: () => Stage,
  kinds: readonly Flood[],
  { to, filtered, perSecond: wantedPerSecond, seconds }: Ordeal,
): Promise<void> {
  const { lab, boards, cast } = stage();
  const before = await Promise.all(to.map((side) => countersOf(lab, side)));
  const calmAt = now();
  const spoken = await lab.left.capture({ at: "port", filter: FROM_MASTER, direction: "in" });
  const perSecond = await pour(lab, framesOf(lab, kinds, cast, to), wantedPerSecond, seconds);
  await spoken.frame(DEADLINE_MS, now());
  await spoken.stop();
  const after = await Promise.all(to.map((side) => countersOf(lab, side)));

  const silenceMs = longestSilenceMs(await spoken.print());
  t.diagnostic(
    `${perSecond.toFixed(0)} packets a second, ${seconds} s; the master's longest silence was ${silenceMs.toFixed(0)} ms`,
  );
  for (const [i, side] of to.entries()) {
    const grown = growth(before[i] ?? {}, after[i] ?? {});
    t.diagnostic(`${side}: ${JSON.stringify(grown)}`);
    const wanted = kinds.map(({ counter }) =>
      typeof counter === "string" ? counter : counter(filtered, side),
    );
    for (const name of wanted)
      assert.ok((grown[name] ?? 0) > LEAST_COUNTED, `${name} grew by ${grown[name]}`);
    const others = Object.keys(grown).filter((name) => !wanted.includes(name) && !ORDINARY.includes(name));
    assert.deepEqual(others, [], "no other counter grew");
  }
  assert.deepEqual(roleChanges([boards.left, boards.right], calmAt), []);
  for (const address of FLOATING) {
    assert.deepEqual(lab.holders.of(address), ["left"]);
    assert.deepEqual(lab.holders.between(address, calmAt, now()), { noneMs: 0, severalMs: 0 });
  }
  assert.ok(silenceMs < LONGEST_SILENCE_MS, `the master was silent for ${silenceMs.toFixed(0)} ms`);
  assert.ok(perSecond > LEAST_PACKETS_PER_SECOND, `only ${perSecond.toFixed(0)} packets a second`);
}

/** Shows that the floods are made of what would be believed, but for their faults. */
async function surrender(stage: () => Stage): Promise<void> {
  const { lab, boards, cast } = stage();
  const calmAt = now();
  const faultless = {
    packets: ({ stranger }: Cast) => stranger.map((from) => ipPacket(from, advertisement())),
  };
  await pour(lab, framesOf(lab, [faultless], cast, ["left"]), 100, 0.2);
  await boards.left.enters("backup", DEADLINE_MS, calmAt);
}

/** Learns the master's sources and words from what it sends. */
async function meet(lab: Lab): Promise<Cast> {
  const capture = await lab.left.capture({ at: "port", filter: "proto 112", direction: "in" });
  // It speaks by IPv4 and then by IPv6.
  await capture.frame(DEADLINE_MS);
  await capture.frame(DEADLINE_MS, now());
  const heard = readPcap(readFileSync(await capture.stop())).packets.map(({ ip }) => decodePacket(ip));
  const spoken = ([4, 6] as const).map((family) => heard.find((packet) => packet?.source.family === family));
  const packets = spoken.filter((packet) => packet !== undefined);
  assert.equal(packets.length, 2);
  return {
    stranger: [lab.client.address, lab.client.address6].map(addressOf),
    master: packets.map(({ source }) => source),
    said: packets.map(({ payload }) => payload),
  };
}

/** Sends frames at a pace, and answers with the pace that was kept. */
async function pour(lab: Lab, frames: string, perSecond: number, seconds: number): Promise<number> {
  const argv = [await lab.program("flood"), "eth0", String(perSecond), String(seconds)];
  const [, report = ""] = (await lab.client.namespace.run(argv, {}, frames)).split("\n");
  const { sent, seconds: took } = JSON.parse(report);
  return sent / took;
}

/** Frames from the client, in hex, a line each. To a single board they go by its own MAC. */
function framesOf(
  lab: Lab,
  kinds: readonly Pick<Flood, "packets">[],
  cast: Cast,
  [only, ...more]: readonly Side[],
): string {
  const variants = Array.from({ length: VARIANTS }, () =>
    kinds.flatMap(({ packets }) => packets(cast)),
  ).flat();
  const frames = variants.map((packet) => {
    const family = (packet[0] ?? 0) >> 4 === 4 ? 4 : 6;
    const to = only && more.length === 0 ? lab.host(only).socket("eth0").mac : TO_ALL[family];
    const addresses = `${to}${lab.client.socket("eth0").mac}`.replaceAll(":", "");
    return `${addresses}${family === 4 ? "0800" : "86dd"}${Buffer.from(packet).toString("hex")}\n`;
  });
  return frames.join("");
}

/** 36 bytes of a master that everybody would give way to. */
function advertisement({ vhid = VHID, password = PASSWORD } = {}): Uint8Array {
  const addresses = addressesOf({}).map(addressOf);
  const signature = { key: keyOfPassphrase(password), addresses, lladdr: undefined } as const;
  const signer = createSigner(vhid, { ...signature, order: "sorted", linkLocal: "auto" });
  const counter = randomBytes(8).readBigUInt64BE();
  return encodeAdvertisement({
    vhid,
    advbase: 0,
    advskew: 1,
    demote: 0,
    counter,
    digest: sign(signer, counter),
  });
}

function ofVersion1(header: Uint8Array): Uint8Array {
  const other = Uint8Array.from(header);
  other[0] = 0x11;
  other.fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + 2);
  new DataView(other.buffer).setUint16(CHECKSUM_OFFSET, checksum(other));
  return other;
}

function flipped(header: Uint8Array): Uint8Array {
  const other = Uint8Array.from(header);
  other[30] = (other[30] ?? 0) ^ 0x10;
  return other;
}

/** VRRPv2 of priority 255 with one address, as keepalived sends it. */
function vrrp(): Uint8Array {
  const packet = new Uint8Array(20);
  packet.set([0x21, VHID, 255, 1, 0, 1, 0, 0, ...addressOf(VIRTUAL_ADDRESS).bytes]);
  new DataView(packet.buffer).setUint16(6, checksum(packet));
  return packet;
}

function ipPacket(from: Address, payload: Uint8Array): Uint8Array {
  return from.family === 4 ? encodeIpv4(from, GROUP[4], payload) : encodeIpv6(from, GROUP[6], payload);
}

/** As a router forwards it. */
function routed(packet: Uint8Array): Uint8Array {
  const isIpv4 = (packet[0] ?? 0) >> 4 === 4;
  packet[isIpv4 ? 8 : 7] = 254;
  if (!isIpv4) return packet;
  packet.fill(0, 10, 12);
  new DataView(packet.buffer).setUint16(10, checksum(packet.subarray(0, 20)));
  return packet;
}

type Counters = { readonly [name: string]: number };

/** Every counter of a board: of its group by name alone, the others with the name of their table. */
async function countersOf(lab: Lab, side: Side): Promise<Counters> {
  const { carp, dropped, prefilter } = (await statusOf(lab.host(side))) as Snapshot;
  const named = (table: string, counters: object) =>
    Object.entries(counters).map(([name, count]) => [`${table} ${name}`, count]);
  return Object.fromEntries([
    ...Object.entries(carp[0]?.counters ?? {}),
    ...named("dropped", dropped),
    ...named("prefilter", prefilter ?? {}),
  ]);
}

function growth(before: Counters, after: Counters): Counters {
  const grown = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, count]) => count > 0));
}
