import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeAdvertisement, encodeAdvertisement, HEADER_BYTES } from "../../src/carp/advertisement.js";
import {
  createSigner,
  keyOfPassphrase,
  PASSPHRASE_BYTES,
  type Signer,
  sign,
  verifyDigest,
} from "../../src/carp/digest.js";
import { inspect } from "../../src/carp/inspect.js";
import { formatAddress, isLinkLocal } from "../../src/wire/address.js";
import { decodePacket, encodeIpv4, encodeIpv6, type Packet, pseudoHeader } from "../../src/wire/packet.js";
import { ethernet } from "../../src/wire/pcap.js";
import {
  addressesOf,
  addressOf,
  bytesOf,
  hexOf,
  type Implementation,
  type Ipv4Packet,
  type Ipv6Packet,
  implementations,
  readVectors,
  signatureOf,
  type Vector,
} from "../spec.js";

for (const implementation of implementations) {
  for (const vector of readVectors(implementation)) {
    const name = `${implementation} ${vector.name}: ${vector.description}`;
    if (vector.rejected !== undefined) test(name, () => isCut(vector));
    else test(name, () => agrees(implementation, vector));
  }
}

/** UCARP refuses what the BSDs cut: our configuration refuses it too, and the key is the cut one. */
function isCut({ passphrase = "" }: Vector): void {
  assert.ok(passphrase.length > PASSPHRASE_BYTES);
  assert.deepEqual(keyOfPassphrase(passphrase), keyOfPassphrase(passphrase.slice(0, PASSPHRASE_BYTES)));
}

function agrees(implementation: Implementation, vector: Vector): void {
  if (vector.passphrase !== undefined) {
    assert.equal(hexOf(keyOfPassphrase(vector.passphrase)), vector.key_hex);
  }
  const signature = signatureOf(implementation, vector);
  const withLinkLocal = implementation !== "openbsd" || vector.hmac_variant === "orig";
  const sender = createSigner(vector.vhid, { ...signature, linkLocal: withLinkLocal ? "with" : "without" });
  const counter = BigInt(`0x${vector.counter}`);

  assert.equal(hexOf(sender.forms[0].message) + vector.counter, vector.hashed_message);
  assert.equal(hexOf(sign(sender, counter)), vector.digest);
  headerAgrees(vector, counter);

  const form = formOf(implementation, vector, withLinkLocal);
  const receiver = createSigner(vector.vhid, signature);
  if (vector.ipv4) ipv4Agrees(vector, vector.ipv4, receiver, form);
  if (vector.ipv6) ipv6Agrees(vector, vector.ipv6, receiver, form);
  if (vector.ethernet) {
    const frame = ethernet(bytesOf(vector.ethernet.hex));
    assert.equal(frame?.sourceMac, vector.ethernet.src);
    assert.equal(hexOf(frame.ip), vector.ipv4?.hex);
  }
}

/** What `verifyDigest` calls the way a vector was signed, and `carpio decode` prints. */
function formOf(implementation: Implementation, vector: Vector, withLinkLocal: boolean): string {
  const { lladdr, leader = true, lladdr_is_parent_mac = false } = vector;
  const parts = [
    withLinkLocal && addressesOf(vector).some(isLinkLocal) && "link-local",
    implementation === "freebsd-legacy" && "interface-order",
    lladdr !== undefined && leader && !lladdr_is_parent_mac && "lladdr",
  ];
  return parts.filter((part) => part !== false).join(" ") || "plain";
}

function headerAgrees(vector: Vector, counter: bigint): void {
  const { vhid, advbase, advskew, demote } = vector;
  const advertisement = { vhid, advbase, advskew, demote, counter, digest: bytesOf(vector.digest) };
  assert.equal(hexOf(encodeAdvertisement(advertisement)), vector.carp_payload);
  assert.deepEqual(decodeAdvertisement(bytesOf(vector.carp_payload)), { ok: true, advertisement });
}

function ipv4Agrees(vector: Vector, ipv4: Ipv4Packet, receiver: Signer, form: string): void {
  const packet = unwrapped(ipv4.hex);
  assert.equal(formatAddress(packet.source), ipv4.src);
  assert.equal(formatAddress(packet.destination), ipv4.dst);
  assert.equal(packet.ttl, ipv4.ttl);
  assert.equal(hexOf(packet.payload), vector.carp_payload);
  isAccepted(packet, receiver, form);

  const ours = encodeIpv4(addressOf(ipv4.src), addressOf(ipv4.dst), packet.payload);
  assert.equal(withoutIdentity(ours, 0x10), withoutIdentity(bytesOf(ipv4.hex), ipv4.tos));
}

function ipv6Agrees(vector: Vector, ipv6: Ipv6Packet, receiver: Signer, form: string): void {
  const packet = unwrapped(ipv6.hex);
  assert.equal(formatAddress(packet.source), ipv6.src);
  assert.equal(formatAddress(packet.destination), ipv6.dst);
  assert.equal(packet.ttl, ipv6.hop_limit);
  assert.equal(hexOf(packet.payload), ipv6.carp_payload_v6 ?? vector.carp_payload);
  isAccepted(packet, receiver, form);

  const decoded = decodeAdvertisement(packet.payload, pseudoHeader(packet.source, packet.destination, 36));
  assert.ok(decoded.ok);
  const summed = ipv6.carp_payload_v6 !== undefined;
  const pseudo = summed ? pseudoHeader(packet.source, packet.destination, HEADER_BYTES) : undefined;
  const ours = encodeIpv6(
    packet.source,
    packet.destination,
    encodeAdvertisement(decoded.advertisement, pseudo),
  );
  if (ipv6.traffic_class === 0) assert.equal(hexOf(ours), ipv6.hex);
  else assert.equal(hexOf(ours.subarray(2)), ipv6.hex.slice(4));
}

function unwrapped(hex: string): Packet {
  const packet = decodePacket(bytesOf(hex));
  assert.ok(packet);
  return packet;
}

function isAccepted(packet: Packet, receiver: Signer, form: string): void {
  const verdict = inspect(packet, { signerOf: () => receiver, isOurs: () => false });
  assert.ok(verdict.ok);
  assert.equal(verdict.form, form);
  assert.equal(verifyDigest(receiver, verdict.advertisement), form);
}

/** Identification and header checksum are the sender's choice, and TOS its habit. */
function withoutIdentity(packet: Uint8Array, tos: number): string {
  assert.equal(packet[1], tos);
  const bytes = Uint8Array.from(packet);
  for (const at of [1, 4, 5, 10, 11]) bytes[at] = 0;
  return hexOf(bytes);
}
