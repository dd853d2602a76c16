import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CHECKSUM_OFFSET, encodeAdvertisement, HEADER_BYTES } from "../../src/carp/advertisement.js";
import { createSigner, keyOfPassphrase, type Signer, sign } from "../../src/carp/digest.js";
import { inspect, type Receiver, type Verdict } from "../../src/carp/inspect.js";
import type { Family } from "../../src/wire/address.js";
import { checksum } from "../../src/wire/checksum.js";
import { decodePacket, type Packet, pseudoHeader } from "../../src/wire/packet.js";
import { addressOf, bytesOf, readJson, readVectors, signatureOf } from "../spec.js";

/** The receiver of `reject.json`. */
const rejects = readJson("vectors/reject.json");
const signer = createSigner(rejects.receiver.vhid, {
  key: keyOfPassphrase(rejects.receiver.passphrase),
  addresses: rejects.receiver.addresses4.map(addressOf),
  order: "sorted",
  linkLocal: "auto",
  lladdr: undefined,
});
const receiver = receiverOf(rejects.receiver.vhid, signer, [4]);
const good = packetOf(rejects.vectors[0].ipv4_hex);

/** Where OpenBSD does otherwise than we, and who does as we do. */
const chosen: { readonly [name: string]: "freebsd" } = {
  // We do not compare the destination: a peer may have been told to speak to us alone.
  "unicast-destination": "freebsd",
};

for (const { name, description, ipv4_hex, expect } of rejects.vectors) {
  const implementation = chosen[name] ?? "openbsd";
  const wanted = expect[implementation].replace(/^carps_/, "");
  test(`reject.json ${name}: ${wanted}, as ${implementation}. ${description}`, () => {
    assert.equal(outcome(inspect(packetOf(ipv4_hex), receiver)), wanted === "accept" ? "ok" : wanted);
  });
}

test("NetBSD names every drop of reject.json as we do, but that of unicast", () => {
  for (const { name, ipv4_hex, expect } of rejects.vectors) {
    const wanted = expect.netbsd.replace(/^CARP_STAT_/, "").toLowerCase();
    const got = outcome(inspect(packetOf(ipv4_hex), receiver));
    if (name !== "unicast-destination") assert.equal(got, wanted === "accept" ? "ok" : wanted, name);
  }
});

const vrrp3 = readJson("vectors/freebsd-vrrp3.json").vectors;
for (const vector of vrrp3) {
  for (const packet of [vector.ipv4, vector.ipv6].filter(Boolean)) {
    test(`VRRPv3 ${vector.name} in ${packet === vector.ipv4 ? "IPv4" : "IPv6"} is foreign`, () => {
      const verdict = inspect(packetOf(packet.hex), receiver);
      assert.deepEqual(verdict, { ok: false, drop: "foreign", vhid: vector.vrid });
    });
  }
}

test("VRRPv2 is foreign with any number of addresses, password or none, whether its number is ours or not", () => {
  for (const vrid of [1, rejects.receiver.vhid]) {
    for (let count = 1; count <= 32; count++) {
      for (const password of ["\0\0\0\0\0\0\0\0", "letmein!"]) {
        const packet = { ...good, payload: vrrp2(vrid, count, password) };
        const verdict = inspect(packet, receiver);
        assert.deepEqual(verdict, { ok: false, drop: "foreign", vhid: vrid }, `${count} addresses`);
      }
    }
  }
});

test("VRRPv3 is foreign with any number of addresses, but seven in IPv4 look like CARP of version 3", () => {
  for (const bytes of [4, 16]) {
    for (let count = 1; count <= 16; count++) {
      const payload = Uint8Array.of(
        0x31,
        42,
        100,
        count,
        0,
        100,
        0,
        0,
        ...new Uint8Array(count * bytes).fill(1),
      );
      repairChecksum(payload);
      const wanted = bytes === 4 && count === 7 ? "badver" : "foreign";
      assert.equal(outcome(inspect({ ...good, payload }, receiver)), wanted, `${count} of ${bytes} bytes`);
    }
  }
});

test("what begins like VRRPv3 and is of no length of its is judged as CARP", () => {
  for (const length of [1, 8, 13, 35]) {
    const payload = Uint8Array.of(0x31, ...new Uint8Array(length - 1));
    assert.equal(outcome(inspect({ ...good, payload }, receiver)), "badlen", `${length} bytes`);
  }
});

test("a CARP packet with authlen 5 is 36 bytes like VRRPv2, and its digest tells it apart", () => {
  const payload = Uint8Array.from(good.payload);
  payload[3] = 5;
  repairChecksum(payload);
  assert.equal(outcome(inspect({ ...good, payload }, receiver)), "ok");
  payload[35] = (payload[35] ?? 0) ^ 1;
  repairChecksum(payload);
  assert.equal(outcome(inspect({ ...good, payload }, receiver)), "foreign");
});

test("a packet that fails several checks is counted under the first: length, TTL, checksum, version, vhid", () => {
  const payload = new Uint8Array(35);
  const packet = { ...good, ttl: 1, payload };
  assert.equal(outcome(inspect(packet, receiver)), "badlen");
  assert.equal(outcome(inspect({ ...packet, payload: new Uint8Array(36) }, receiver)), "badttl");
  assert.equal(outcome(inspect({ ...packet, ttl: 255, payload: new Uint8Array(36) }, receiver)), "badsum");
  const version4 = Uint8Array.of(0x41, ...new Uint8Array(35));
  repairChecksum(version4);
  assert.equal(outcome(inspect({ ...good, payload: version4 }, receiver)), "badver");
  const vhid0 = Uint8Array.of(0x21, ...new Uint8Array(35));
  repairChecksum(vhid0);
  assert.equal(outcome(inspect({ ...good, payload: vhid0 }, receiver)), "badvhid");
});

test("a drop tells the vhid when the packet is long enough to have one", () => {
  const vhidOf = (payload: Uint8Array) => {
    const verdict = inspect({ ...good, payload }, receiver);
    return verdict.ok ? assert.fail() : verdict.vhid;
  };
  assert.equal(vhidOf(Uint8Array.of()), undefined);
  assert.equal(vhidOf(Uint8Array.of(0x21)), undefined);
  assert.equal(vhidOf(Uint8Array.of(0x21, 7)), 7);
  assert.equal(vhidOf(good.payload.subarray(0, 35)), 42);
});

test("an unknown TTL was judged by the prefilter; any known one but 255 is dropped, also from a unicast peer", () => {
  assert.equal(outcome(inspect({ ...good, ttl: undefined }, receiver)), "ok");
  const destination = addressOf(rejects.receiver.own_address);
  for (let ttl = 0; ttl < 256; ttl++) {
    assert.equal(outcome(inspect({ ...good, destination, ttl }, receiver)), ttl === 255 ? "ok" : "badttl");
  }
});

test("a vhid without an address in the packet's family is badvhid", () => {
  const packet = { ...good, source: addressOf("fe80::1"), destination: addressOf("ff02::12") };
  assert.equal(outcome(inspect(packet, receiver)), "badvhid");
  assert.equal(outcome(inspect(packet, receiverOf(42, signer, [4, 6]))), "ok");
});

test("a digest of our own making is looped, in its family only, before and whatever the digest says", () => {
  const ours = Buffer.from(good.payload.subarray(16, 36)).toString("hex");
  const isOurs = (digest: Uint8Array, family: Family) =>
    family === 4 && Buffer.from(digest).toString("hex") === ours;
  assert.equal(outcome(inspect(good, { ...receiver, isOurs })), "looped");
  assert.equal(outcome(inspect(good, { signerOf: () => otherSigner(), isOurs })), "looped");
  const in6 = { ...good, source: addressOf("fe80::1"), destination: undefined };
  assert.equal(outcome(inspect(in6, { ...receiverOf(42, signer, [6]), isOurs })), "ok");
});

test("NetBSD's sum over the IPv6 addresses is right for these addresses alone, and only in IPv6", () => {
  const vector = readVectors("netbsd").find(({ name }) => name === "mixed-v4-v6");
  assert.ok(vector?.ipv6);
  const packet = packetOf(vector.ipv6.hex);
  const peer = receiverOf(vector.vhid, createSigner(vector.vhid, signatureOf("netbsd", vector)), [4, 6]);
  assert.equal(outcome(inspect(packet, peer)), "ok");
  assert.equal(outcome(inspect({ ...packet, destination: undefined }, peer)), "ok");
  assert.equal(outcome(inspect({ ...packet, source: addressOf("fe80::1") }, peer)), "badsum");
  assert.equal(outcome(inspect({ ...packet, destination: addressOf("fe80::2") }, peer)), "badsum");
  assert.equal(outcome(inspect({ ...packet, source: addressOf("192.0.2.1") }, peer)), "badsum");
});

test("the IPv6 sum of a unicast peer is over the destination that we were told", () => {
  const source = addressOf("fe80::1");
  const destination = addressOf("fe80::2");
  const fields = { vhid: 42, advbase: 1, advskew: 0, demote: 0, counter: 1n, digest: sign(signer, 1n) };
  const payload = encodeAdvertisement(fields, pseudoHeader(source, destination, HEADER_BYTES));
  const peer = receiverOf(42, signer, [6]);
  assert.equal(outcome(inspect({ source, destination, ttl: 255, payload }, peer)), "ok");
  assert.equal(outcome(inspect({ source, destination: undefined, ttl: 255, payload }, peer)), "badsum");
});

test("a sum with a pseudo header is wrong in IPv4", () => {
  const { source, destination } = good;
  const fields = { vhid: 42, advbase: 1, advskew: 0, demote: 0, counter: 1n, digest: sign(signer, 1n) };
  const payload = encodeAdvertisement(fields, pseudoHeader(source, destination, HEADER_BYTES));
  assert.equal(outcome(inspect({ ...good, payload }, receiver)), "badsum");
});

test("one flipped bit anywhere in a good header is a bad checksum", () => {
  for (const [, payload] of flips(good.payload)) {
    assert.equal(outcome(inspect({ ...good, payload }, receiver)), "badsum");
  }
});

/** What one flipped bit leads to when the checksum is made right again, byte by byte. */
const unsigned = [
  { bytes: [0], bits: 0xf0, gives: "badver", why: "the version is checked" },
  { bytes: [0], bits: 0x0f, gives: "ok", why: "nobody checks the type" },
  { bytes: [1], bits: 0xff, gives: "badvhid", why: "another group" },
  { bytes: [2, 4, 5], bits: 0xff, gives: "ok", why: "advskew, demote and advbase are not signed" },
  { bytes: [3], bits: 0xff, gives: "ok", why: "nobody checks authlen" },
  { bytes: range(8, 36), bits: 0xff, gives: "badauth", why: "counter and digest belong together" },
];

for (const { bytes, bits, gives, why } of unsigned) {
  test(`bits ${bits.toString(16)} of bytes ${bytes[0]} to ${bytes.at(-1)}, checksum repaired: ${gives}, ${why}`, () => {
    for (const [at, payload] of flips(good.payload)) {
      const byte = at >> 3;
      if (!bytes.includes(byte) || !((0x80 >> (at & 7)) & bits)) continue;
      repairChecksum(payload);
      assert.equal(outcome(inspect({ ...good, payload }, receiver)), gives, `byte ${byte}`);
    }
  });
}

/** What one flipped bit of the IPv4 header leads to. Its checksum the kernel has verified before us. */
const header = [
  { bytes: [0], gives: ["not CARP", "badlen"], why: "version and header length" },
  { bytes: [1], gives: ["ok"], why: "TOS is never relied on" },
  {
    bytes: [2, 3],
    gives: ["ok", "badlen"],
    why: "a greater length is cut, a smaller one too short",
  },
  { bytes: [4, 5], gives: ["ok"], why: "identification" },
  { bytes: [6, 7], gives: ["ok", "not CARP"], why: "flags may be any, but a later fragment has no header" },
  { bytes: [8], gives: ["badttl"], why: "TTL" },
  { bytes: [9], gives: ["not CARP"], why: "protocol" },
  { bytes: [10, 11], gives: ["ok"], why: "the kernel's business" },
  { bytes: range(12, 20), gives: ["ok"], why: "addresses are not signed" },
];

for (const { bytes, gives, why } of header) {
  test(`a flipped bit in bytes ${bytes[0]} to ${bytes.at(-1)} of the IPv4 header: ${gives.join(" or ")}, ${why}`, () => {
    const seen = new Set<string>();
    for (const [at, flipped] of flips(bytesOf(rejects.vectors[0].ipv4_hex))) {
      if (!bytes.includes(at >> 3)) continue;
      const packet = decodePacket(flipped);
      seen.add(packet ? outcome(inspect(packet, receiver)) : "not CARP");
    }
    assert.deepEqual([...seen].sort(), [...gives].sort());
  });
}

test("arbitrary bytes are an answer, never an exception", () => {
  const anything = { signerOf: () => signer, isOurs: () => false };
  const start = fc.constantFrom([], [0x21], [0x31], [0x21, 42, 0, 5], [0x21, 42, 0, 7]);
  const bytes = fc.tuple(start, fc.uint8Array({ maxLength: 64 })).map(([a, b]) => Uint8Array.of(...a, ...b));
  const source = fc.constantFrom(addressOf("192.0.2.1"), addressOf("fe80::1"));
  fc.assert(
    fc.property(bytes, source, fc.option(fc.nat(255), { nil: undefined }), (payload, from, ttl) => {
      for (const repaired of [false, true]) {
        if (repaired && payload.length >= HEADER_BYTES) repairChecksum(payload);
        const packet = { source: from, destination: undefined, ttl, payload };
        assert.equal(typeof inspect(packet, anything).ok, "boolean");
      }
    }),
  );
});

function receiverOf(vhid: number, of: Signer, families: readonly Family[]): Receiver {
  return {
    signerOf: (asked, family) => (asked === vhid && families.includes(family) ? of : undefined),
    isOurs: () => false,
  };
}

function otherSigner(): Signer {
  const key = keyOfPassphrase("another");
  return createSigner(42, { key, addresses: [], order: "sorted", linkLocal: "auto", lladdr: undefined });
}

function outcome(verdict: Verdict): string {
  return verdict.ok ? "ok" : verdict.drop;
}

function packetOf(hex: string): Packet {
  return decodePacket(bytesOf(hex)) ?? assert.fail("not a packet of protocol 112");
}

/** A VRRPv2 advertisement (RFC 3768, section 5.1). */
function vrrp2(vrid: number, count: number, password: string): Uint8Array {
  const addresses = Array.from({ length: count }, (_, i) => [192, 0, 2, i + 1]).flat();
  const authType = password.startsWith("\0") ? 0 : 1;
  const packet = Uint8Array.of(
    0x21,
    vrid,
    100,
    count,
    authType,
    1,
    0,
    0,
    ...addresses,
    ...Buffer.from(password),
  );
  new DataView(packet.buffer).setUint16(6, checksum(packet));
  return packet;
}

/** Every packet that differs in one bit, with the number of the bit. */
function flips(bytes: Uint8Array): [number, Uint8Array][] {
  return Array.from({ length: bytes.length * 8 }, (_, at) => {
    const flipped = Uint8Array.from(bytes);
    flipped[at >> 3] = (flipped[at >> 3] ?? 0) ^ (0x80 >> (at & 7));
    return [at, flipped];
  });
}

function repairChecksum(payload: Uint8Array): void {
  const view = new DataView(payload.buffer, payload.byteOffset);
  view.setUint16(CHECKSUM_OFFSET, 0);
  view.setUint16(CHECKSUM_OFFSET, checksum(payload.subarray(0, HEADER_BYTES)));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
