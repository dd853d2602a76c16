/**
 * IP addresses as the bytes that go on the wire, and as the text people write.
 * Routing, interfaces and ownership are others' business.
 */
import { isIPv4, isIPv6 } from "node:net";

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  /** 4 or 16 bytes, network byte order. */
  readonly bytes: Uint8Array;
}

/** An address with the length of its network prefix, in bits. */
export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

/** Reads an address; `undefined` when the text is not one. Zones (`%eth0`) are not addresses. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { family: 4, bytes: Uint8Array.from(text.split("."), Number) };
  if (!isIPv6(text) || text.includes("%")) return undefined;

  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const [a = 0, b = 0, c = 0, d = 0] = dotted?.[2]?.split(".").map(Number) ?? [];
  const plain = dotted ? `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}` : text;

  const [head = "", tail] = plain.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => "0");
  const bytes = new Uint8Array(16);
  [...front, ...zeros, ...back].forEach((word, i) => {
    const value = Number.parseInt(word, 16);
    bytes[2 * i] = value >> 8;
    bytes[2 * i + 1] = value & 0xff;
  });
  return { family: 6, bytes };
}

/** The one canonical text of an address: dotted quad, or RFC 5952. */
export function formatAddress({ family, bytes }: Address): string {
  if (family === 4) return bytes.join(".");

  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const { start, length } = longestZeroRun(words);
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(":");
  return length < 2 ? hex(words) : `${hex(words.slice(0, start))}::${hex(words.slice(start + length))}`;
}

/** The canonical text of an address text; text that is no address stays as it is. */
export function canonicalAddress(text: string): string {
  const address = parseAddress(text);
  return address ? formatAddress(address) : text;
}

export function formatPrefix({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`;
}

/** Unsigned, most significant byte first: numeric order for one family. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && compareBytes(a.bytes, b.bytes) === 0;
}

/** fe80::/10: meaningful on one link only. */
export function isLinkLocal({ family, bytes }: Address): boolean {
  return family === 6 && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80;
}

export function isMulticast({ family, bytes }: Address): boolean {
  return family === 6 ? bytes[0] === 0xff : ((bytes[0] ?? 0) & 0xf0) === 0xe0;
}

/** True when both addresses lie in the same network of `length` bits. */
export function inPrefix(address: Address, { address: network, length }: Prefix): boolean {
  if (address.family !== network.family) return false;
  const whole = length >> 3;
  if (compareBytes(address.bytes.subarray(0, whole), network.bytes.subarray(0, whole)) !== 0) return false;
  const mask = (0xff00 >> (length & 7)) & 0xff;
  return (((address.bytes[whole] ?? 0) ^ (network.bytes[whole] ?? 0)) & mask) === 0;
}

function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  words.forEach((word, i) => {
    if (word !== 0) start = i + 1;
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start };
  });
  return best;
}
