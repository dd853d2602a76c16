/**
 * What to tell the operator about packets that are dropped. Counters count them
 * all; a line is written now and then, or a flood would drown the log.
 *
 * Names the kind of mistake only. Searching for its cause can take longer than
 * a peer's patience lasts, so that is left to `carpio decode`.
 */
import type { Drop } from "./carp/advertisement.js";
import type { Instant } from "./carp/vhost.js";
import type { GroupConfig } from "./config.js";
import { formatAddress } from "./wire/address.js";
import type { Packet } from "./wire/packet.js";

export interface Complaints {
  /** A line worth writing now, or `undefined` when enough was said of late. */
  about(packet: Packet, drop: Drop, group: GroupConfig, now: Instant): string | undefined;
}

/** The same sender with the same mistake is worth a line this often. */
const SAME_EVERY_MS = 60_000;
/** And all of them together one this often. */
const ANY_EVERY_MS = 1_000;
/** A flood from many sources is not worth any memory. */
const REMEMBERED = 1_000;

const sentences: { readonly [D in Drop]: string } = {
  badttl: "an advertisement was not sent with TTL 255, or a router has forwarded it",
  badlen: "an advertisement is shorter than 36 bytes",
  badver: "an advertisement is not of CARP version 2",
  badsum: "an advertisement has a wrong checksum",
  badauth:
    "an advertisement has a wrong digest: password or addresses differ. `carpio decode -i` finds out which",
  badvhid: "an advertisement came in a family in which this vhid has no address here",
  looped: "an advertisement of our own came back: a loop in the network, or somebody replays it",
  foreign: "VRRP uses the number of our vhid: give one of them another",
};

export function createComplaints(): Complaints {
  const saidAt = new Map<string, Instant>();
  let lastAt = Number.NEGATIVE_INFINITY;
  return {
    about({ source }, drop, { interface: parent, vhid }, now) {
      if (now - lastAt < ANY_EVERY_MS) return undefined;
      const key = `${parent} ${vhid} ${formatAddress(source)} ${drop}`;
      if (now - (saidAt.get(key) ?? Number.NEGATIVE_INFINITY) < SAME_EVERY_MS) return undefined;
      if (saidAt.size >= REMEMBERED) saidAt.clear();
      saidAt.set(key, now);
      lastAt = now;
      return `carp ${vhid} on ${parent}: ${formatAddress(source)}: ${sentences[drop]}`;
    },
  };
}
