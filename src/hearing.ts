/**
 * In which families a group hears the others. Who serves in both speaks in both
 * at once, so that one of them alone falls silent only where its packets are
 * lost. Counts advertisements and not time: a board that stalls misses both.
 */
import type { Instant } from "./carp/vhost.js";
import type { Family } from "./wire/address.js";

export interface Hearing {
  /** An advertisement was accepted. */
  hear(family: Family, at: Instant): void;
  /** Of which nothing comes, while the other was heard within this time. */
  silentFamily(withinMs: number, at: Instant): Family | undefined;
}

/** So many in a row of the other family are no accident. */
const MISSED = 5;
/** A status comes every two seconds. */
const STATUS_MS = 3_000;

export function createHearing(): Hearing {
  /** How many of the other family have come since the last of this one. */
  const missed = { 4: 0, 6: 0 };
  let heardAt = Number.NEGATIVE_INFINITY;
  return {
    hear(family, at) {
      missed[family] = 0;
      missed[family === 4 ? 6 : 4]++;
      heardAt = at;
    },
    silentFamily(withinMs, at) {
      if (at - heardAt > withinMs) return undefined;
      return ([4, 6] as const).find((family) => missed[family] >= MISSED);
    },
  };
}

/** Whoever heard nothing for so long hears nobody: two advertisements in a row may be lost. */
export function patienceMs({ advbase }: { readonly advbase: number }): number {
  return 3_000 * (advbase + 1) + STATUS_MS;
}
