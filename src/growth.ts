/**
 * Whether a counter still grows, for somebody who looks at it now and then.
 */
import type { Instant } from "./carp/vhost.js";

export interface Growth {
  /** What it is at this moment. */
  see(count: number, at: Instant): void;
  /** `null` where it has not been watched for so long. */
  grows(withinMs: number, at: Instant): boolean | null;
}

export function createGrowth(): Growth {
  let last: number | undefined;
  let watchedSince = 0;
  let grewAt = Number.NEGATIVE_INFINITY;
  return {
    see(count, at) {
      // One that begins again at 0 belongs to a program that has begun again.
      if (last === undefined || count < last) {
        watchedSince = at;
        grewAt = Number.NEGATIVE_INFINITY;
      } else if (count > last) grewAt = at;
      last = count;
    },
    grows(withinMs, at) {
      if (last === undefined) return null;
      if (at - grewAt <= withinMs) return true;
      return at - watchedSince > withinMs ? false : null;
    },
  };
}
