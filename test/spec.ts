/**
 * The bytes of the specification, which lies beside the project in
 * `../shared/spec`: vectors made by the implementations, and captures of them.
 */
import { readFileSync } from "node:fs";
import type { Signature } from "../src/carp/digest.js";
import type { Compat } from "../src/config.js";
import { type Address, parseAddress } from "../src/wire/address.js";

const SPEC = new URL("../../../shared/spec/", import.meta.url);

/** `[carp.compat]` where nothing is said. */
export const plainCompat: Compat = {
  order: "sorted",
  linkLocal: "auto",
  lladdr: undefined,
  checksum6: "plain",
  masterDown: "classic",
  demote: "advskew",
};

/** One vector; `vectors/README.md` says what its fields mean. */
export interface Vector {
  readonly name: string;
  readonly description: string;
  readonly passphrase?: string;
  readonly key_hex: string;
  readonly vhid: number;
  readonly advbase: number;
  readonly advskew: number;
  readonly demote: number;
  readonly counter: string;
  readonly addresses4: readonly string[];
  readonly addresses6: readonly string[];
  readonly hmac_variant?: "nov6ll" | "orig";
  readonly lladdr?: string;
  readonly leader?: boolean;
  readonly lladdr_is_parent_mac?: boolean;
  readonly hashed_message: string;
  readonly digest: string;
  readonly carp_payload: string;
  readonly ipv4?: Ipv4Packet;
  readonly ipv6?: Ipv6Packet;
  readonly ethernet?: { readonly src: string; readonly hex: string };
  readonly rejected?: string;
}

export interface Ipv4Packet {
  readonly src: string;
  readonly dst: string;
  readonly ttl: number;
  readonly tos: number;
  readonly hex: string;
}

export interface Ipv6Packet {
  readonly src: string;
  readonly dst: string;
  readonly hop_limit: number;
  readonly traffic_class: number;
  readonly hex: string;
  readonly carp_payload_v6?: string;
}

export const implementations = ["openbsd", "freebsd", "freebsd-legacy", "netbsd", "ucarp"] as const;
export type Implementation = (typeof implementations)[number];

export function readVectors(implementation: Implementation): readonly Vector[] {
  return readJson(`vectors/${implementation}.json`).vectors;
}

// biome-ignore lint/suspicious/noExplicitAny: each file has a shape of its own, and a wrong one fails the test.
export function readJson(path: string): any {
  return JSON.parse(readText(path));
}

export function readText(path: string): string {
  return readFileSync(new URL(path, SPEC), "utf8");
}

export function readBytes(path: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(path, SPEC)));
}

export function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (!address) throw new Error(`${text} is no address`);
  return address;
}

export function addressesOf(vector: Vector): Address[] {
  return [...vector.addresses4, ...vector.addresses6].map(addressOf);
}

/** What a vector was signed with, except for link-local addresses. */
export function signatureOf(implementation: Implementation, vector: Vector): Signature {
  const { lladdr, leader = true, lladdr_is_parent_mac = false } = vector;
  const hashed = lladdr !== undefined && leader && !lladdr_is_parent_mac;
  return {
    key: bytesOf(vector.key_hex),
    addresses: addressesOf(vector),
    order: implementation === "freebsd-legacy" ? "interface" : "sorted",
    linkLocal: "auto",
    lladdr: hashed ? bytesOf(lladdr.replaceAll(":", "")) : undefined,
  };
}
