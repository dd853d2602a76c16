/**
 * The digests that we made ourselves, of late. Whoever sends one of them back
 * is a loop in the network, or replays us (specification, section 3).
 */
import type { Family } from "../wire/address.js";

export interface OwnDigests {
  add(digest: Uint8Array, family: Family): void;
  has(digest: Uint8Array, family: Family): boolean;
}

/** Some seconds of 255 groups, or hours of one. */
const KEPT = 4_096;

export function createOwnDigests(): OwnDigests {
  const kept = new Set<string>();
  return {
    add(digest, family) {
      kept.add(keyOf(digest, family));
      const [oldest] = kept;
      if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
    },
    has: (digest, family) => kept.has(keyOf(digest, family)),
  };
}

function keyOf(digest: Uint8Array, family: Family): string {
  return `${family}${Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString("latin1")}`;
}
