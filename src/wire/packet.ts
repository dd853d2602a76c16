/**
 * IP packets around a CARP header: what we put in front of it, and how we get
 * at it again. Which values are right is said in the CARP specification,
 * section 1.3; whether they were right is for the reader to judge.
 */
import type { Address, Family } from "./address.js";
import { checksum } from "./checksum.js";

/** IP protocol number of CARP, shared with VRRP. */
export const PROTOCOL_CARP = 112;
/** Routers decrease it, so 255 proves that a packet comes from this link. */
export const LINK_TTL = 255;
/** Where advertisements go unless a peer is named: CARP's groups, shared with VRRP. */
export const GROUP: { readonly [F in Family]: Address } = {
  4: { family: 4, bytes: Uint8Array.of(224, 0, 0, 18) },
  6: { family: 6, bytes: Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12) },
};
/** What OpenBSD, NetBSD and UCARP send: low delay. */
const TOS_LOW_DELAY = 0x10;

export interface Packet {
  readonly source: Address;
  readonly destination: Address;
  /** TTL or hop limit; `undefined` where the kernel does not tell us. */
  readonly ttl: number | undefined;
  readonly payload: Uint8Array;
}

/** Wraps a payload for a socket that sends whole packets: 20 bytes of IPv4, don't-fragment. */
export function encodeIpv4(source: Address, destination: Address, payload: Uint8Array): Uint8Array {
  const packet = new Uint8Array(20 + payload.length);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x45);
  view.setUint8(1, TOS_LOW_DELAY);
  view.setUint16(2, packet.length);
  view.setUint16(6, 0x4000);
  view.setUint8(8, LINK_TTL);
  view.setUint8(9, PROTOCOL_CARP);
  packet.set(source.bytes, 12);
  packet.set(destination.bytes, 16);
  view.setUint16(10, checksum(packet.subarray(0, 20)));
  packet.set(payload, 20);
  return packet;
}

/** Wraps a payload in 40 bytes of IPv6: traffic class and flow label 0, hop limit 255. */
export function encodeIpv6(
  source: Address,
  destination: Address,
  payload: Uint8Array,
  protocol = PROTOCOL_CARP,
): Uint8Array {
  const packet = new Uint8Array(40 + payload.length);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x60);
  view.setUint16(4, payload.length);
  view.setUint8(6, protocol);
  view.setUint8(7, LINK_TTL);
  packet.set(source.bytes, 8);
  packet.set(destination.bytes, 24);
  packet.set(payload, 40);
  return packet;
}

/**
 * Unwraps an IPv4 or IPv6 packet of protocol 112; `undefined` for anything
 * else. The answer holds copies: sockets reuse the buffer they receive into.
 */
export function decodePacket(bytes: Uint8Array): Packet | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4) return decodeIpv4(bytes);
  return version === 6 ? decodeIpv6(bytes) : undefined;
}

/** The pseudo header of RFC 8200, 8.1, which NetBSD sums before its IPv6 advertisements. */
export function pseudoHeader(
  source: Address,
  destination: Address,
  length: number,
  protocol = PROTOCOL_CARP,
): Uint8Array {
  const header = new Uint8Array(40);
  header.set(source.bytes, 0);
  header.set(destination.bytes, 16);
  new DataView(header.buffer).setUint32(32, length);
  header[39] = protocol;
  return header;
}

function decodeIpv4(bytes: Uint8Array): Packet | undefined {
  const headerBytes = ((bytes[0] ?? 0) & 0x0f) * 4;
  if (headerBytes < 20 || bytes.length < headerBytes || bytes[9] !== PROTOCOL_CARP) return undefined;
  const total = uint16(bytes, 2);
  const fragmentOffset = uint16(bytes, 6) & 0x1fff;
  if (total < headerBytes || fragmentOffset !== 0) return undefined;
  return {
    source: { family: 4, bytes: copy(bytes, 12, 16) },
    destination: { family: 4, bytes: copy(bytes, 16, 20) },
    ttl: bytes[8],
    // Ethernet pads short frames: the IP length says where the packet ends.
    payload: copy(bytes, headerBytes, total),
  };
}

function decodeIpv6(bytes: Uint8Array): Packet | undefined {
  if (bytes.length < 40 || bytes[6] !== PROTOCOL_CARP) return undefined;
  return {
    source: { family: 6, bytes: copy(bytes, 8, 24) },
    destination: { family: 6, bytes: copy(bytes, 24, 40) },
    ttl: bytes[7],
    payload: copy(bytes, 40, 40 + uint16(bytes, 4)),
  };
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** Not `slice`: on a Buffer, which is what sockets hand over, it shares the memory. */
function copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}
