/**
 * Wakes each group when something of it is due, and lets whatever waits in the
 * sockets be read first: whoever was late may find the answer there.
 */
import type { Instant } from "./carp/vhost.js";
import type { Clock } from "./clock.js";
import type { Group } from "./group.js";

export interface Alarm {
  /** A deadline may be another than before. */
  rearm(): void;
  /** Does something once the packets that are queued have been read; a flood does not keep it waiting. */
  afterQueue(then: () => void): void;
}

export interface AlarmOptions {
  readonly clock: Clock;
  readonly groups: Iterable<Group>;
  /** How many packets have been read so far. */
  readonly packetsRead: () => number;
}

/** How long packets may keep a deadline waiting; longer when the deadline was missed by longer. */
const LEAST_READ_MS = 2;
const MOST_READ_MS = 250;

export function createAlarm({ clock, groups, packetsRead }: AlarmOptions): Alarm {
  let rearming = false;

  const set = (): void => {
    rearming = false;
    let at: Instant = Number.POSITIVE_INFINITY;
    for (const group of groups) at = Math.min(at, group.deadline());
    clock.wakeAt(at, () => {
      const lateMs = clock.now() - at;
      readUntil(clock.now() + Math.min(Math.max(lateMs, LEAST_READ_MS), MOST_READ_MS), ring);
    });
  };

  const readUntil = (at: Instant, then: () => void): void => {
    const before = packetsRead();
    setImmediate(() => (packetsRead() === before || clock.now() >= at ? then() : readUntil(at, then)));
  };

  const ring = (): void => {
    const now = clock.now();
    for (const group of groups) if (group.deadline() <= now) group.handle({ kind: "wake" });
    rearm();
  };

  /** Many groups may change in one turn of the loop; one look at all of them is enough. */
  const rearm = (): void => {
    if (!rearming) queueMicrotask(set);
    rearming = true;
  };

  return { rearm, afterQueue: (then) => readUntil(clock.now() + LEAST_READ_MS, then) };
}
