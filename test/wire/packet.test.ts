import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress } from "../../src/wire/address.js";
import { checksum } from "../../src/wire/checksum.js";
import { decodePacket, encodeIpv4, encodeIpv6, GROUP, pseudoHeader } from "../../src/wire/packet.js";
import { addressOf, bytesOf, hexOf } from "../spec.js";

const payload = new Uint8Array(36).fill(0xcc);
const source4 = addressOf("192.0.2.11");
const source6 = addressOf("fe80::1");

test("the groups are 224.0.0.18 and ff02::12", () => {
  assert.equal(formatAddress(GROUP[4]), "224.0.0.18");
  assert.equal(formatAddress(GROUP[6]), "ff02::12");
});

test("an IPv4 advertisement is 56 bytes: TOS 0x10, DF, TTL 255, protocol 112", () => {
  const packet = encodeIpv4(source4, GROUP[4], payload);
  assert.equal(hexOf(packet), `4510003800004000ff70d927c000020be0000012${"cc".repeat(36)}`);
  assert.equal(checksum(packet.subarray(0, 20)), 0);
});

test("an IPv6 advertisement is 76 bytes: no class, no flow, hop limit 255, next header 112", () => {
  const addresses = "fe800000000000000000000000000001ff020000000000000000000000000012";
  assert.equal(
    hexOf(encodeIpv6(source6, GROUP[6], payload)),
    `60000000002470ff${addresses}${"cc".repeat(36)}`,
  );
});

test("what is wrapped is unwrapped", () => {
  assert.deepEqual(decodePacket(encodeIpv4(source4, GROUP[4], payload)), {
    source: source4,
    destination: GROUP[4],
    ttl: 255,
    payload,
  });
  assert.deepEqual(decodePacket(encodeIpv6(source6, GROUP[6], payload)), {
    source: source6,
    destination: GROUP[6],
    ttl: 255,
    payload,
  });
});

test("what was unwrapped from a socket's buffer survives the next packet in it", () => {
  for (const sent of [encodeIpv4(source4, GROUP[4], payload), encodeIpv6(source6, GROUP[6], payload)]) {
    const buffer = Buffer.from(sent);
    const packet = decodePacket(buffer);
    const before = structuredClone(packet);
    buffer.fill(0xff);
    assert.deepEqual(packet, before);
  }
});

test("the IP length ends the packet, not the padding of a short frame", () => {
  const padded = Uint8Array.of(...encodeIpv4(source4, GROUP[4], payload), 0, 0, 0, 0);
  assert.deepEqual(decodePacket(padded)?.payload, payload);
  const padded6 = Uint8Array.of(...encodeIpv6(source6, GROUP[6], payload), 0, 0, 0, 0);
  assert.deepEqual(decodePacket(padded6)?.payload, payload);
});

test("a packet that was cut by the capture holds what is there", () => {
  const cut = encodeIpv4(source4, GROUP[4], payload).subarray(0, 30);
  assert.equal(decodePacket(cut)?.payload.length, 10);
});

test("IPv4 options are stepped over", () => {
  const plain = encodeIpv4(source4, GROUP[4], payload);
  const options = Uint8Array.of(...plain.subarray(0, 20), 0x94, 4, 0, 0, ...plain.subarray(20));
  options.set([0x46, 0x10, 0, 60]);
  assert.deepEqual(decodePacket(options)?.payload, payload);
});

const others = [
  { hex: "", why: "nothing" },
  { hex: "45", why: "half a header" },
  { hex: "4510003800004000ff11d927c000020be0000012", why: "UDP" },
  { hex: "4410003800004000ff70d927c000020be0000012", why: "a header of 16 bytes" },
  { hex: "4510001300004000ff70d927c000020be0000012", why: "shorter than its header" },
  { hex: "4510003800000001ff70d927c000020be0000012", why: "a later fragment: there is no CARP header in it" },
  { hex: `60000000002411ff${"00".repeat(68)}`, why: "UDP in IPv6" },
  { hex: `60000000002470ff${"00".repeat(31)}`, why: "39 bytes of IPv6" },
  { hex: `5${"0".repeat(119)}`, why: "IP version 5" },
];

for (const { hex, why } of others) {
  test(`not a CARP packet: ${why}`, () => assert.equal(decodePacket(bytesOf(hex)), undefined));
}

test("the pseudo header is source, destination, length, protocol", () => {
  const expected = `${hexOf(source6.bytes)}${hexOf(GROUP[6].bytes)}0000002400000070`;
  assert.equal(hexOf(pseudoHeader(source6, GROUP[6], 36)), expected);
});

test("arbitrary bytes are a packet or not, and never an exception", () => {
  const start = fc.constantFrom([], [0x45, 0, 0, 40, 0, 0, 0, 0, 255, 112], [0x60, 0, 0, 0, 0, 36, 112, 255]);
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 100 }), (front, back) => {
      const bytes = Uint8Array.of(...front, ...back);
      const packet = decodePacket(bytes);
      if (packet) assert.ok(packet.payload.length <= bytes.length - 20);
    }),
  );
});
