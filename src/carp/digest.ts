/**
 * HMAC-SHA1 over an advertisement: what is signed, and in which order
 * (specification, section 2). The counter comes last, so everything before it
 * is computed once for a group and kept as a *form*.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { type Address, compareBytes, isLinkLocal } from "../wire/address.js";
import type { Advertisement } from "./advertisement.js";

export const KEY_BYTES = 20;
export const DIGEST_BYTES = 20;
/** Every configuration program keeps room for a NUL: only 19 bytes of a passphrase count. */
export const PASSPHRASE_BYTES = 19;
/** Version 2, type 1, as two bytes and not as the header's 0x21. */
const SIGNED_PREAMBLE = [0x02, 0x01];

/** What the digest of a group depends on besides vhid and counter. */
export interface Signature {
  /** 20 bytes, see `keyOfPassphrase`. */
  readonly key: Uint8Array;
  /** In configured order. */
  readonly addresses: readonly Address[];
  /** `interface`: as FreeBSD before 7.1, in configured order and with duplicates. */
  readonly order: "sorted" | "interface";
  /** `auto` sends without link-local addresses and accepts both. */
  readonly linkLocal: "auto" | "with" | "without";
  /** OpenBSD with a hand-set link-layer address; `undefined` everywhere else. */
  readonly lladdr: Uint8Array | undefined;
}

/** One way to sign: its name, and every byte that is hashed before the counter. */
export interface Form {
  readonly name: string;
  readonly message: Uint8Array;
}

/** A group's key with the forms it accepts. The first is the one that it sends. */
export interface Signer {
  readonly key: KeyObject;
  readonly forms: readonly [Form, ...Form[]];
}

/** The 20 key bytes of a passphrase: its first 19 bytes, then zeros. */
export function keyOfPassphrase(passphrase: string): Uint8Array {
  const key = new Uint8Array(KEY_BYTES);
  key.set(new TextEncoder().encode(passphrase).subarray(0, PASSPHRASE_BYTES));
  return key;
}

export function createSigner(vhid: number, signature: Signature): Signer {
  const send = form(vhid, signature, signature.linkLocal === "with");
  const other = form(vhid, signature, signature.linkLocal !== "with");
  const both = signature.linkLocal === "auto" && signature.addresses.some(isLinkLocal);
  return { key: createSecretKey(signature.key), forms: both ? [send, other] : [send] };
}

/** The digest we send, 20 bytes. */
export function sign({ key, forms: [form] }: Signer, counter: bigint): Uint8Array {
  return hmac(key, form, counter);
}

/**
 * The name of the form that an advertisement was signed in, or `undefined` when
 * none fits. Compares in constant time, so that nobody can guess byte by byte.
 */
export function verifyDigest({ key, forms }: Signer, ad: Advertisement): string | undefined {
  if (ad.digest.length !== DIGEST_BYTES) return undefined;
  return forms.find((form) => timingSafeEqual(hmac(key, form, ad.counter), ad.digest))?.name;
}

function form(vhid: number, signature: Signature, withLinkLocal: boolean): Form {
  const { addresses, order, lladdr } = signature;
  const counted = addresses.filter((address) => withLinkLocal || !isLinkLocal(address)).map(withoutScope);
  const listed = order === "sorted" ? sortUnique(counted) : familyOrder(counted);
  const message = [...SIGNED_PREAMBLE, ...(lladdr ?? []), vhid, ...listed.flatMap(({ bytes }) => [...bytes])];

  const names = [
    withLinkLocal && addresses.some(isLinkLocal) && "link-local",
    order === "interface" && "interface-order",
    lladdr && "lladdr",
  ].filter((name) => typeof name === "string");
  return { name: names.join(" ") || "plain", message: Uint8Array.from(message) };
}

/** Ascending, once each, and nothing but zeros or ones: the walk of the sorted kernels never meets those. */
function sortUnique(addresses: readonly Address[]): Address[] {
  return familyOrder(addresses.toSorted((a, b) => compareBytes(a.bytes, b.bytes)))
    .filter(({ bytes }) => !bytes.every((byte) => byte === 0) && !bytes.every((byte) => byte === 0xff))
    .filter(({ bytes }, i, all) => i === 0 || compareBytes(bytes, all[i - 1]?.bytes ?? bytes) !== 0);
}

function familyOrder(addresses: readonly Address[]): Address[] {
  return [4, 6].flatMap((family) => addresses.filter((address) => address.family === family));
}

/** Kernels keep the interface index in bytes 2 and 3 of a link-local address, and clear it to sign. */
function withoutScope(address: Address): Address {
  if (!isLinkLocal(address)) return address;
  const bytes = Uint8Array.from(address.bytes);
  bytes.fill(0, 2, 4);
  return { family: 6, bytes };
}

function hmac(key: KeyObject, { message }: Form, counter: bigint): Uint8Array {
  const tail = Buffer.alloc(8);
  tail.writeBigUInt64BE(counter);
  return createHmac("sha1", key).update(message).update(tail).digest();
}
