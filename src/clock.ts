/**
 * What time it is, and when to wake. The only timer of the protocol.
 *
 * Moments are milliseconds that only ever grow, whatever happens to the wall
 * clock; time spent suspended counts, so that a board that was asleep knows it.
 */
import { uptime } from "node:os";
import type { Instant } from "./carp/vhost.js";

export interface Clock {
  now(): Instant;
  /** Calls `wake` at that moment, or soon after; the last call counts. Infinity: not at all. */
  wakeAt(at: Instant, wake: () => void): void;
  stop(): void;
}

/** Above what two readings can differ by rounding: some systems give the uptime in whole seconds. */
const SUSPENDED_MS = 2_000;
/** Longer sleeps overflow the timer's 32 bits. */
const LONGEST_MS = 2 ** 31 - 1;

export function createClock(): Clock {
  let timer: NodeJS.Timeout | undefined;
  let suspendedMs = 0;
  // The monotonic clock stands still while a machine is suspended, its uptime does not.
  const ahead = () => uptime() * 1000 - performance.now();
  const start = ahead();

  const now = () => performance.now() + suspendedMs;
  return {
    now,
    wakeAt(at, wake) {
      clearTimeout(timer);
      if (at === Number.POSITIVE_INFINITY) return;
      timer = setTimeout(
        () => {
          const slept = ahead() - start;
          if (slept - suspendedMs > SUSPENDED_MS) suspendedMs = slept;
          wake();
        },
        Math.min(Math.max(0, Math.ceil(at - now())), LONGEST_MS),
      );
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
