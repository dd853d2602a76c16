/**
 * The 36-byte CARP header, both ways (specification, section 1).
 *
 * Knows fields and checksum; the digest is bytes to it, and the IP header
 * around it somebody else's.
 */
import { checksum } from "../wire/checksum.js";

export const HEADER_BYTES = 36;
/** Version 2, type 1: the first byte of everything we send. */
const VERSION_AND_TYPE = 0x21;
/** Length of counter and digest in 32-bit words. Sent by all, checked by none. */
const AUTH_LENGTH_WORDS = 7;
export const CHECKSUM_OFFSET = 6;
/** First bytes of VRRP's advertisements; version 2 looks like ours. */
const VRRP2 = 0x21;
const VRRP3 = 0x31;

export interface Advertisement {
  readonly vhid: number;
  /** Seconds. */
  readonly advbase: number;
  /** 1/256 s. */
  readonly advskew: number;
  /** OpenBSD's demotion count; 0 from everybody else. */
  readonly demote: number;
  /** 64 bits, covered by the digest. Nobody's counter can be relied on to grow. */
  readonly counter: bigint;
  /** 20 bytes. */
  readonly digest: Uint8Array;
}

/** Why a packet was ignored. Each is a counter; `looped` and `foreign` are ours, the others carp(4)'s. */
export type Drop = "badttl" | "badlen" | "badver" | "badsum" | "badauth" | "badvhid" | "looped" | "foreign";

export type Decoded =
  | { readonly ok: true; readonly advertisement: Advertisement }
  | { readonly ok: false; readonly drop: Drop };

/**
 * Writes one CARP header. `pseudo` is summed in front of it, which NetBSD 8 and
 * later want on IPv6; everybody else sums the 36 bytes alone.
 */
export function encodeAdvertisement(ad: Advertisement, pseudo: Uint8Array = new Uint8Array()): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, VERSION_AND_TYPE);
  view.setUint8(1, ad.vhid);
  view.setUint8(2, ad.advskew);
  view.setUint8(3, AUTH_LENGTH_WORDS);
  view.setUint8(4, ad.demote);
  view.setUint8(5, ad.advbase);
  view.setBigUint64(8, ad.counter);
  header.set(ad.digest, 16);
  view.setUint16(CHECKSUM_OFFSET, checksum(pseudo, header));
  return header;
}

/**
 * Reads one CARP header. The bytes come from the network, so nothing is
 * trusted and nothing throws: a bad header is an answer, with its reason.
 * Bytes after the 36 are ignored, as are type and authlen: nobody checks them.
 * Either sum is right, with the pseudo header in front or without.
 */
export function decodeAdvertisement(bytes: Uint8Array, pseudo?: Uint8Array): Decoded {
  if (isVrrp(bytes)) return { ok: false, drop: "foreign" };
  if (bytes.length < HEADER_BYTES) return { ok: false, drop: "badlen" };

  const header = bytes.subarray(0, HEADER_BYTES);
  if (checksum(header) !== 0 && !(pseudo && checksum(pseudo, header) === 0)) {
    return { ok: false, drop: "badsum" };
  }
  if ((bytes[0] ?? 0) >> 4 !== VERSION_AND_TYPE >> 4) return { ok: false, drop: "badver" };

  return { ok: true, advertisement: readFields(bytes) };
}

/** The fields of a header that may be wrong, to show them. At least 36 bytes, of which copies are kept. */
export function readFields(bytes: Uint8Array): Advertisement {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  return {
    vhid: view.getUint8(1),
    advskew: view.getUint8(2),
    demote: view.getUint8(4),
    advbase: view.getUint8(5),
    counter: view.getBigUint64(8),
    digest: new Uint8Array(bytes.subarray(16, HEADER_BYTES)),
  };
}

/**
 * True for what can only be VRRP. It shares CARP's protocol number, its group
 * and, in version 2, its first byte. CARP's authlen, always 7, stands where
 * VRRP counts its addresses, and VRRPv2's length follows from that count: 8
 * bytes, the addresses, 8 bytes. FreeBSD's VRRPv3 counts wrongly in dual-stack
 * groups, so there the length says little (specification, section 7.3). One
 * VRRPv3 packet cannot be told from CARP of another version: that with seven
 * IPv4 addresses, 36 bytes long.
 */
export function isVrrp(bytes: Uint8Array): boolean {
  const count = bytes[3] ?? 0;
  const { length } = bytes;
  if (bytes[0] === VRRP2) return length === vrrp2Bytes(count) && count !== 5 && count !== 7;
  if (bytes[0] === VRRP3) return length >= 12 && length % 4 === 0 && (length !== HEADER_BYTES || count !== 7);
  return false;
}

/**
 * True for what is VRRPv2 if it is not CARP. With five addresses it is 36 bytes
 * long, with seven its count equals our authlen: only a digest that does not
 * fit gives these away.
 */
export function mayBeVrrp(bytes: Uint8Array): boolean {
  return bytes[0] === VRRP2 && bytes.length === vrrp2Bytes(bytes[3] ?? 0) && checksum(bytes) === 0;
}

function vrrp2Bytes(count: number): number {
  return 16 + 4 * count;
}
