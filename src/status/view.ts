/**
 * Views of the board that many share: one snapshot, and each text that is made
 * of it made once.
 *
 * However many ask, a view is made only when somebody asks for one, and all of
 * them together take a bounded share of the time, which is the protocol's:
 * hundreds of groups take milliseconds. Whoever comes too soon after the last
 * view waits for the next, with all others who do, so that no answer is older
 * than its question.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Board } from "./board-asked.js";
import type { Snapshot } from "./snapshot.js";

export interface View {
  readonly snapshot: Snapshot;
  /** What `make` writes of the snapshot; the same bytes for all who ask. */
  text(make: (snapshot: Snapshot) => string): Buffer;
}

export interface Views {
  /** A view that is taken after this call. */
  next(): Promise<View>;
}

/** A view that took 1 ms to make is followed by a pause of 4 ms. */
const SHARE = 0.2;

export function createViews({ ready, snapshot }: Pick<Board, "ready" | "snapshot">): Views {
  let next: Promise<View> | undefined;
  let restUntil = Number.NEGATIVE_INFINITY;

  const spend = <T>(work: () => T): T => {
    const from = performance.now();
    try {
      return work();
    } finally {
      const now = performance.now();
      restUntil = Math.max(restUntil, now) + (now - from) * (1 / SHARE - 1);
    }
  };

  const take = async (): Promise<View> => {
    const restMs = restUntil - performance.now();
    if (restMs > 0) await sleep(restMs);
    try {
      await ready();
    } finally {
      next = undefined;
    }
    return createView(spend(snapshot), spend);
  };

  return {
    next() {
      next ??= take();
      return next;
    },
  };
}

function createView(snapshot: Snapshot, spend: <T>(work: () => T) => T): View {
  const texts = new Map<unknown, Buffer>();
  return {
    snapshot,
    text(make) {
      const known = texts.get(make);
      if (known) return known;
      const made = spend(() => Buffer.from(make(snapshot)));
      texts.set(make, made);
      return made;
    },
  };
}
