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
export function encodeAdvertisement(ad: Advertisement, pseudo = new Uint8Array()): Uint8Array {
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
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
  if (checksum(header) !== 0 && !(pseudo && checksum(pseudo, header) === 0)) {
    return { ok: false, drop: "badsum" };
  }
  if (view.getUint8(0) >> 4 !== VERSION_AND_TYPE >> 4) return { ok: false, drop: "badver" };

  return { ok: true, advertisement: readFields(view) };
}

/**
 * VRRP shares CARP's protocol number, group and, in version 2, its first byte.
 * Byte 3 is CARP's authlen and VRRP's number of addresses, and with it VRRP's
 * length follows: 8 bytes, the addresses, and in version 2 another 8. A VRRPv2
 * packet with five addresses is as long as ours; its digest gives it away later.
 * A VRRPv3 packet with seven cannot be told from CARP of another version.
 */
export function isVrrp(bytes: Uint8Array): boolean {
  const [first = 0, , , count = 0] = bytes;
  if (bytes.length < 8 || (first & 0x0f) !== 1) return false;
  if (first >> 4 === 2) return count !== AUTH_LENGTH_WORDS && count !== 5 && bytes.length === 16 + 4 * count;
  if (first >> 4 !== 3 || count === AUTH_LENGTH_WORDS) return false;
  return bytes.length === 8 + 4 * count || bytes.length === 8 + 16 * count;
}

function readFields(view: DataView): Advertisement {
  return {
    vhid: view.getUint8(1),
    advskew: view.getUint8(2),
    demote: view.getUint8(4),
    advbase: view.getUint8(5),
    counter: view.getBigUint64(8),
    digest: new Uint8Array(view.buffer.slice(view.byteOffset + 16, view.byteOffset + HEADER_BYTES)),
  };
}
