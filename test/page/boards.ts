/**
 * Snapshots as the page is given them: of a pair, whichever board serves.
 */
import type { PeerSnapshot, Snapshot } from "../../src/status/snapshot.js";
import { snapshotOf } from "../status/board.js";

type Group = Snapshot["carp"][number];

const GROUP = {
  vhid: 7,
  interface: "eth0",
  role: "backup",
  addresses: ["192.0.2.1/24", "2001:db8::1/64"],
  advbase: 1,
  advskew: 50,
  advertisedAdvskew: 50,
  preempt: true,
  master: null,
  silentFamily: null,
  counters: { received: 3, badauth: 0 },
} as const;
const ADDRESSES = GROUP.addresses;

export const serving: Partial<Group> = {
  role: "master",
  why: "master timed out",
  addresses: ADDRESSES,
  holding: true,
};
export const standingBy: Partial<Group> = {
  role: "backup",
  why: "handed over",
  addresses: ADDRESSES,
  undecided: false,
  master: { address: "192.0.2.3", advbase: 1, advskew: 50, heardSecondsAgo: 0.3 },
};

/** Left, with right beside it where `peers` says so. */
export function left(group: Partial<Group>, changes: Partial<Snapshot> = {}): Snapshot {
  return { ...snapshotOf([group]), ...changes };
}

export function right(changes: Partial<PeerSnapshot> = {}): PeerSnapshot {
  return {
    url: "http://192.0.2.3:8080",
    name: "right",
    reachable: true,
    problem: null,
    askedSecondsAgo: 0.8,
    role: "backup",
    maintenance: false,
    face: "backup",
    lamps: { role: { pattern: "blink", stepsMs: [50, 1950] } },
    willing: true,
    faults: [],
    carp: [GROUP],
    ...changes,
  };
}

export const rightServes = right({
  role: "master",
  face: "master",
  carp: [{ ...GROUP, role: "master" }],
});
export const rightIsSilent = right({
  name: null,
  reachable: false,
  problem: "nobody listens there",
  role: null,
  face: null,
  lamps: null,
  willing: null,
  carp: [],
});
