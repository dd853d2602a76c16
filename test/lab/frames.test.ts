/**
 * What carpio puts on the wire, byte by byte, as a capture at the switch shows
 * it: the advertisement of the specification (sections 1 to 3), the
 * announcements of section 5.3, and whom the virtual MAC belongs to while the
 * address moves. Everything is read here anew, without our own code.
 */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import {
  addressesOf,
  BOTH_FAMILIES,
  type Group,
  groupsOf,
  ROLE_DEADLINE_MS,
  type Sides,
  startBoard,
  startPair,
} from "./boards.js";
import type { Capture } from "./capture.js";
import { type Moment, now } from "./child.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6 } from "./peers.js";

await becomeLabRoot();

/** What a busy machine takes to hear of another board. */
const CROSSING_MS = 20;
interface Frame {
  readonly at: Moment;
  readonly bytes: Buffer;
}

const VIRTUAL_MAC = "00005e000107";
const LEFT_MAC = "020000000002";
const RIGHT_MAC = "020000000003";
const BROADCAST = "ffffffffffff";
const IPV4 = 0x0800;
const ARP = 0x0806;
const IPV6 = 0x86dd;
const ETHERNET_BYTES = 14;
const FROM_VIRTUAL_MAC = "ether src 00:00:5e:00:01:07";
const ADVERTISEMENT = "proto 112";

describe("frames", { concurrency: true }, () => {
  describe("an advertisement", () => {
    let lab: Lab;
    let capture: Capture;
    let frames: readonly Frame[];
    before(async () => {
      lab = await Lab.open();
      await startPair(lab);
      capture = await lab.left.capture({ at: "port", direction: "in", filter: ADVERTISEMENT });
      // IPv4 and IPv6, three times; an even number, because a pair may be on its way.
      frames = (await framesUntil(capture, (all) => all.length >= 7)).slice(0, 6);
      await capture.stop();
    });
    after(() => lab.close());

    test("of IPv4 is 56 bytes with TTL 255, TOS 0x10 and DF, from the virtual MAC and our address", () => {
      const ofFamily = frames.filter(({ bytes }) => typeOf(bytes) === IPV4);
      assert.ok(ofFamily.length >= 3);
      for (const { bytes } of ofFamily) {
        assert.deepEqual([destinationOf(bytes), sourceOf(bytes)], ["01005e000012", VIRTUAL_MAC]);
        const ip = bytes.subarray(ETHERNET_BYTES);
        assert.equal(ip.length, 56);
        assert.equal(ip[0], 0x45);
        assert.equal(ip[1], 0x10, "TOS");
        assert.equal(ip.readUInt16BE(2), 56, "total length");
        assert.equal(ip.readUInt16BE(6), 0x4000, "DF, and no fragment");
        assert.equal(ip[8], 255, "TTL");
        assert.equal(ip[9], 112, "protocol");
        assert.equal(sumOf(ip.subarray(0, 20)), 0xffff, "header checksum");
        assert.deepEqual([...ip.subarray(12, 16)], [192, 0, 2, 2], "source");
        assert.deepEqual([...ip.subarray(16, 20)], [224, 0, 0, 18], "destination");
        checkCarp(ip.subarray(20));
      }
    });

    test("of IPv6 has 36 bytes of payload, hop limit 255 and traffic class 0, from a link-local address", () => {
      const ofFamily = frames.filter(({ bytes }) => typeOf(bytes) === IPV6);
      assert.ok(ofFamily.length >= 3);
      for (const { bytes } of ofFamily) {
        assert.deepEqual([destinationOf(bytes), sourceOf(bytes)], ["333300000012", VIRTUAL_MAC]);
        const ip = bytes.subarray(ETHERNET_BYTES);
        assert.equal(ip.length, 40 + 36);
        assert.equal(ip.readUInt32BE(0), 0x60000000, "traffic class and flow label 0");
        assert.equal(ip.readUInt16BE(4), 36, "payload length");
        assert.equal(ip[6], 112, "next header");
        assert.equal(ip[7], 255, "hop limit");
        assert.equal(ip.toString("hex", 8, 24), "fe80000000000000000000fffe000002", "source");
        assert.equal(ip.toString("hex", 24, 40), "ff020000000000000000000000000012", "destination");
        checkCarp(ip.subarray(40));
      }
    });

    test("goes out as IPv4, then as IPv6, and the counter grows from each to the next", () => {
      assert.deepEqual(
        frames.map(({ bytes }) => typeOf(bytes)),
        [IPV4, IPV6, IPV4, IPV6, IPV4, IPV6],
      );
      const counters = frames.map(({ bytes }) => carpOf(bytes).readBigUInt64BE(8));
      for (const [index, counter] of counters.slice(1).entries()) {
        const growth = BigInt.asUintN(64, counter - (counters[index] ?? 0n));
        assert.ok(growth > 0n && growth < 1n << 32n, `${counters[index]} is followed by ${counter}`);
      }
    });

    test("is decoded by tcpdump, which finds no fault in its checksums", async () => {
      const lines = await capture.print("", "-T", "carp", "-vv");
      const text = lines.join("\n");
      assert.equal(
        text.match(/CARPv2-advertise 36: vhid=7 advbase=1 advskew=0 authlen=7/g)?.length,
        lines.filter((line) => /^\d+\.\d+ /.test(line)).length,
      );
      assert.doesNotMatch(text, /bad|wrong|truncated/i);
    });
  });

  test("a takeover is announced in both families from the virtual MAC, again after 100 ms and after two advertisements", async () => {
    await using lab = await Lab.open();
    const capture = await lab.left.capture({
      at: "port",
      direction: "in",
      filter: `${FROM_VIRTUAL_MAC} and not proto 112`,
    });
    startBoard(lab.left);
    const rounds = (frames: readonly Frame[]) => [
      frames.filter(isGratuitousArp),
      frames.filter(isUnsolicitedAdvertisement),
    ];
    const late = (each: readonly Frame[]) => each.map(({ at }) => at - (each[0]?.at ?? 0));
    const frames = await framesUntil(capture, (all) =>
      rounds(all).every((each) => late(each).some((ms) => ms >= 1500)),
    );
    await capture.stop();
    for (const each of rounds(frames).map(late)) {
      // On a busy machine the kernel's own announcement and ours are apart by a moment.
      assert.ok(each.length <= 5, `${each.length} times`);
      assert.ok(
        each.some((ms) => ms >= 50 && ms < 900),
        `again after ${each.join(", ")} ms`,
      );
      assert.ok((each.at(-1) ?? 0) < 5000, `and after ${each.join(", ")} ms`);
    }
  });

  for (const addresses of [BOTH_FAMILIES, BOTH_FAMILIES.slice(0, 1), BOTH_FAMILIES.slice(1)]) {
    test(`with ${addresses.join(" and ")} a master says nothing else from the virtual MAC`, async () => {
      await using lab = await Lab.open();
      const capture = await lab.left.capture({ at: "port", direction: "in", filter: FROM_VIRTUAL_MAC });
      const board = startBoard(lab.left, [{ addresses }]);
      await board.enters("master", ROLE_DEADLINE_MS);
      for (const address of addressesOf({ addresses })) await lab.client.run(["ping", "-c1", "-w5", address]);
      // The kernel would speak up on its own within a second of the first lease, and of each that is renewed.
      await framesUntil(
        capture,
        (all) => all.filter(({ bytes }) => isAdvertisement(bytes)).length >= 4 * addresses.length,
      );
      assert.equal((await board.child.stop()).status, 0);
      await capture.stop();
      const others = framesOf(capture).filter(
        (frame) =>
          !isAdvertisement(frame.bytes) &&
          !isGratuitousArp(frame) &&
          !isUnsolicitedAdvertisement(frame) &&
          !isArpAnswer(frame) &&
          !isNeighbourAnswer(frame),
      );
      assert.deepEqual(
        others.map(({ bytes }) => bytes.toString("hex")),
        [],
      );
    });
  }

  test("by the time an IPv6 address is announced, packets for it are received", async () => {
    await using lab = await Lab.open({ boards: ["left"] });
    const entry = [
      "replace",
      VIRTUAL_ADDRESS6,
      "lladdr",
      "00:00:5e:00:01:07",
      "dev",
      "eth0",
      "nud",
      "permanent",
    ];
    await lab.client.run(["ip", "neighbour", ...entry]);
    startBoard(lab.left, [{ addresses: [`${VIRTUAL_ADDRESS6}/64`], advbase: 0, advskew: 1 }]);
    const probe = await lab.client.probe({ target: VIRTUAL_ADDRESS6, intervalMs: 0.1 });
    await probe.answered(ROLE_DEADLINE_MS);
    for (let round = 1; round <= 20; round++) {
      await lab.left.cutCable();
      await lab.holders.wait(VIRTUAL_ADDRESS6, [], ROLE_DEADLINE_MS);
      const capture = await lab.left.capture({ at: "port", filter: `ip6 and (icmp6 or ${ADVERTISEMENT})` });
      await lab.left.plugIn();
      const isAnnounced = ({ bytes }: Frame): boolean => sourceOf(bytes) === VIRTUAL_MAC;
      const frames = await framesUntil(
        capture,
        (all) => all.slice(all.findIndex(isAnnounced)).some(isEchoReply) && all.some(isAnnounced),
      );
      await capture.stop();
      const since = frames.slice(frames.findIndex(isAnnounced), frames.findLastIndex(isEchoReply));
      const answered = new Set(frames.filter(isEchoReply).map(echoNumber));
      const lost = since.filter((frame) => isEchoRequest(frame) && !answered.has(echoNumber(frame)));
      assert.equal(
        lost.length,
        0,
        `round ${round}: ${lost.length} requests after the announcement got no reply`,
      );
    }
    await probe.stop();
  });

  test("after its successor has advertised, no frame with the virtual MAC leaves the old master", async () => {
    await using lab = await Lab.open();
    const group = { advbase: 0 };
    const ranks = { left: { advskew: 40 }, right: { advskew: 80 } };
    const pair = await startPair(lab, [group], ranks);
    const probes = await Promise.all(addressesOf(group).map((target) => lab.client.probe({ target })));
    await Promise.all(probes.map((probe) => probe.answered(ROLE_DEADLINE_MS)));
    let { left } = pair;
    for (let round = 1; round <= 3; round++) {
      await handOver(`SIGTERM ${round}`, lab.left, lab.right, () => left.child.stop());
      await handOver(`preemption ${round}`, lab.right, lab.left, () => {
        left = startBoard(lab.left, groupsOf("left", [group], ranks));
      });
    }
    await Promise.all(probes.map((probe) => probe.stop()));
  });

  test("with the interface's own MAC no frame has a virtual one", async () => {
    await using lab = await Lab.open();
    for (const { bytes } of await storyOf(lab, { mac: "interface" })) {
      assert.doesNotMatch(sourceOf(bytes), /^00005e/, `${bytes.toString("hex")}`);
    }
  });

  test("with unicast peers every advertisement goes from one board to the other, and none to the group", async () => {
    await using lab = await Lab.open();
    const frames = await storyOf(
      lab,
      {},
      { left: { peers: ["192.0.2.3", "2001:db8::3"] }, right: { peers: ["192.0.2.2", "2001:db8::2"] } },
    );
    const sent = frames.filter(({ bytes }) => isAdvertisement(bytes));
    assert.ok(sent.length >= 10, `${sent.length} advertisements`);
    for (const { bytes } of sent) {
      const left = sourceOf(bytes) === LEFT_MAC;
      const ip = bytes.subarray(ETHERNET_BYTES);
      const from4 = typeOf(bytes) === IPV4;
      assert.deepEqual(
        [sourceOf(bytes), destinationOf(bytes)],
        left ? [LEFT_MAC, RIGHT_MAC] : [RIGHT_MAC, LEFT_MAC],
      );
      const to = from4 ? ip.toString("hex", 16, 20) : ip.toString("hex", 24, 40);
      // A loser tells the winner's link-local address, which it has heard from.
      const peer = left ? "3" : "2";
      const known = [
        `c000020${peer}`,
        `20010db800000000000000000000000${peer}`,
        `fe80000000000000000000fffe00000${peer}`,
      ];
      assert.ok(known.includes(to), `to ${to}`);
      assert.equal(ip[from4 ? 8 : 7], 255, "TTL or hop limit");
    }
  });

  test("a master that leaves answers for its addresses until somebody takes over", async () => {
    await using lab = await Lab.open({ boards: ["left"] });
    const left = startBoard(lab.left);
    await lab.holders.wait(VIRTUAL_ADDRESS, ["left"], ROLE_DEADLINE_MS);
    const bowOuts = await lab.client.capture({ filter: "ip[22] = 255 and ip proto 112", direction: "in" });
    const answers = await lab.client.capture({ filter: "arp[6:2] = 2", direction: "in" });
    const asks = `while sleep 0.02; do ip neighbour flush dev eth0; ping -c1 -W0.2 ${VIRTUAL_ADDRESS}; done`;
    const client = lab.client.spawn(["sh", "-c", asks]);
    await answers.frame(ROLE_DEADLINE_MS);
    assert.equal((await left.child.stop()).status, 0);
    await Promise.all([client.stop(), bowOuts.stop(), answers.stop()]);
    const [first] = framesOf(bowOuts);
    assert.ok(first);
    // Nobody comes, so it serves on for a second and a half.
    assert.ok(framesOf(answers).some(({ at }) => at > first.at));
  });

  test("only the master answers for an address, and only with the virtual MAC", async () => {
    await using lab = await Lab.open();
    await startPair(lab);
    const filter = "arp or icmp6";
    const fromMaster = await lab.left.capture({ at: "port", direction: "in", filter });
    const fromBackup = await lab.right.capture({ at: "port", direction: "in", filter });
    for (const address of [VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6]) {
      for (let attempt = 1; attempt <= 3; attempt++) {
        await lab.client.run(["ip", "neighbour", "flush", "dev", "eth0"]);
        await lab.client.run(["ping", "-c1", "-w5", address]);
      }
    }
    const answers = await framesUntil(
      fromMaster,
      (all) => all.filter(isArpAnswer).length >= 3 && all.filter(isNeighbourAnswer).length >= 3,
    );
    await Promise.all([fromMaster.stop(), fromBackup.stop()]);
    for (const { bytes } of answers.filter(isArpAnswer))
      assert.equal(bytes.toString("hex", 22, 28), VIRTUAL_MAC);
    for (const { bytes } of answers.filter(isNeighbourAnswer))
      assert.equal(linkLayerOption(bytes), VIRTUAL_MAC);
    const others = framesOf(fromBackup).filter((frame) => isArpAnswer(frame) || isNeighbourAnswer(frame));
    assert.deepEqual(others, []);
  });
});

/** Everything that both boards send while they elect, and the address goes to right and back. */
async function storyOf(lab: Lab, group: Group, differing?: Sides<Group>): Promise<readonly Frame[]> {
  const captures = await Promise.all(
    [lab.left, lab.right].map((board) => board.capture({ at: "port", direction: "in" })),
  );
  const { left } = await startPair(lab, [group], differing);
  assert.equal((await left.child.stop()).status, 0);
  for (const address of addressesOf(group)) await lab.holders.wait(address, ["right"], ROLE_DEADLINE_MS);
  startBoard(lab.left, groupsOf("left", [group], differing));
  for (const address of addressesOf(group)) await lab.holders.wait(address, ["left"], ROLE_DEADLINE_MS);
  await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
  await Promise.all(captures.map((capture) => capture.stop()));
  const frames = captures.flatMap(framesOf);
  assert.ok(frames.filter(({ bytes }) => isAdvertisement(bytes)).length >= 10);
  return frames;
}

async function handOver(name: string, from: Host, to: Host, deed: () => unknown): Promise<void> {
  const old = await from.capture({ at: "port", direction: "in", filter: FROM_VIRTUAL_MAC });
  const successor = await to.capture({
    at: "port",
    direction: "in",
    filter: `${FROM_VIRTUAL_MAC} and ${ADVERTISEMENT}`,
  });
  await deed();
  const [first] = await framesUntil(successor, (all) => all.length >= 4);
  await Promise.all([old.stop(), successor.stop()]);
  assert.ok(first);
  // An advertisement that was due at the same moment crosses it on the wire.
  const crosses = ({ at, bytes }: Frame) => isAdvertisement(bytes) && at < first.at + CROSSING_MS;
  const late = framesOf(old).filter((frame) => frame.at > first.at && !crosses(frame));
  assert.deepEqual(
    late.map(({ at, bytes }) => `${(at - first.at).toFixed(1)} ms: ${bytes.toString("hex")}`),
    [],
    name,
  );
}

/** The 36 bytes of section 1.1, with the checksum of 1.2 and the digest of 2. */
function checkCarp(carp: Buffer): void {
  assert.equal(carp.length, 36);
  assert.deepEqual(
    [...carp.subarray(0, 6)],
    [0x21, 7, 0, 7, 0, 1],
    "type, vhid, advskew, authlen, demote, advbase",
  );
  assert.equal(sumOf(carp), 0xffff, "checksum");
  const key = Buffer.concat([Buffer.from("mekmitasdigoat")], 20);
  const digest = createHmac("sha1", key)
    .update(Buffer.from("020107" + "c0000201" + "20010db8000000000000000000000001", "hex"))
    .update(carp.subarray(8, 16))
    .digest("hex");
  assert.equal(carp.toString("hex", 16, 36), digest, "digest");
}

/** A request for one's own address: that is how one's neighbours are told. */
function isGratuitousArp({ bytes }: Frame): boolean {
  if (typeOf(bytes) !== ARP || destinationOf(bytes) !== BROADCAST || sourceOf(bytes) !== VIRTUAL_MAC)
    return false;
  const [operation, sender, from, to] = [
    bytes.readUInt16BE(20),
    bytes.toString("hex", 22, 28),
    bytes.toString("hex", 28, 32),
    bytes.toString("hex", 38, 42),
  ];
  return operation === 1 && sender === VIRTUAL_MAC && from === "c0000201" && to === from;
}

/** To all nodes, with the override flag, and with the virtual MAC in it. */
function isUnsolicitedAdvertisement(frame: Frame): boolean {
  const { bytes } = frame;
  if (!isNeighbourAnswer(frame) || destinationOf(bytes) !== "333300000001") return false;
  const flags = bytes.readUInt32BE(58);
  return (
    sourceOf(bytes) === VIRTUAL_MAC &&
    bytes[21] === 255 &&
    flags === 0x20000000 &&
    linkLayerOption(bytes) === VIRTUAL_MAC
  );
}

function isArpAnswer({ bytes }: Frame): boolean {
  return (
    typeOf(bytes) === ARP && bytes.readUInt16BE(20) === 2 && bytes.toString("hex", 28, 32) === "c0000201"
  );
}

/** A neighbour advertisement for the floating address. */
function isNeighbourAnswer({ bytes }: Frame): boolean {
  const isAdvertisement = typeOf(bytes) === IPV6 && bytes[20] === 58 && bytes[54] === 136;
  return isAdvertisement && bytes.toString("hex", 62, 78) === "20010db8000000000000000000000001";
}

function isEchoRequest({ bytes }: Frame): boolean {
  return typeOf(bytes) === IPV6 && bytes[20] === 58 && bytes[54] === 128;
}

function isEchoReply({ bytes }: Frame): boolean {
  return typeOf(bytes) === IPV6 && bytes[20] === 58 && bytes[54] === 129;
}

function echoNumber({ bytes }: Frame): number {
  return bytes.readUInt16BE(60);
}

/** The target link-layer address that a neighbour advertisement gives. */
function linkLayerOption(bytes: Buffer): string {
  return bytes[78] === 2 && bytes[79] === 1 ? bytes.toString("hex", 80, 86) : "none";
}

function isAdvertisement(bytes: Buffer): boolean {
  return (typeOf(bytes) === IPV4 && bytes[23] === 112) || (typeOf(bytes) === IPV6 && bytes[20] === 112);
}

function carpOf(bytes: Buffer): Buffer {
  return bytes.subarray(ETHERNET_BYTES + (typeOf(bytes) === IPV4 ? 20 : 40));
}

function destinationOf(bytes: Buffer): string {
  return bytes.toString("hex", 0, 6);
}

function sourceOf(bytes: Buffer): string {
  return bytes.toString("hex", 6, 12);
}

function typeOf(bytes: Buffer): number {
  return bytes.readUInt16BE(12);
}

/** The one's complement sum of 16-bit words: all ones when the checksum among them is right. */
function sumOf(bytes: Buffer): number {
  let sum = 0;
  for (let offset = 0; offset < bytes.length; offset += 2) sum += bytes.readUInt16BE(offset);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

/** Waits until the frames captured so far are enough, and gives them. */
async function framesUntil(
  capture: Capture,
  enough: (frames: readonly Frame[]) => boolean,
): Promise<readonly Frame[]> {
  for (const untilAt = now() + ROLE_DEADLINE_MS; ; ) {
    const askedAt = now();
    const frames = framesOf(capture);
    if (enough(frames)) return frames;
    await capture.frame(Math.max(untilAt - now(), 0), askedAt);
  }
}

/** The file as `scripts/capture.c` writes it on little-endian machines: pcap with microseconds. */
function framesOf(capture: Capture): readonly Frame[] {
  const file = readFileSync(capture.file);
  const frames: Frame[] = [];
  for (let offset = 24; offset + 16 <= file.length; ) {
    const length = file.readUInt32LE(offset + 8);
    const bytes = file.subarray(offset + 16, offset + 16 + length);
    if (bytes.length < length) break;
    frames.push({ at: file.readUInt32LE(offset) * 1000 + file.readUInt32LE(offset + 4) / 1000, bytes });
    offset += 16 + length;
  }
  return frames;
}
