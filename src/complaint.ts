/**
 * What to tell the operator about packets that are dropped: once in a while,
 * with the likeliest cause.
 */
import { type Drop, decodeAdvertisement } from "./carp/advertisement.js";
import type { Instant } from "./carp/vhost.js";
import type { GroupConfig } from "./config.js";
import { diagnose } from "./diagnose.js";
import { formatAddress } from "./wire/address.js";
import type { Packet } from "./wire/packet.js";

export interface Complaints {
  /** A line worth writing now, or `undefined` when the same was said not long ago. */
  about(packet: Packet, drop: Drop, group: GroupConfig, now: Instant): string | undefined;
}

/** The same sender with the same mistake is worth a line this often. */
const EVERY_MS = 60_000;
/** A flood from many sources is not worth any memory. */
const REMEMBERED = 1_000;

const sentences: { readonly [D in Drop]: string } = {
  badttl: "an advertisement was not sent with TTL 255, or a router has forwarded it",
  badlen: "an advertisement is shorter than 36 bytes",
  badver: "an advertisement is not of CARP version 2",
  badsum: "an advertisement has a wrong checksum",
  badauth: "an advertisement has a wrong digest: password or addresses differ",
  badvhid: "an advertisement came in a family in which this vhid has no address here",
  looped: "an advertisement of our own came back: a loop in the network, or somebody replays it",
  foreign: "VRRP uses the number of our vhid: give one of them another",
};

export function createComplaints(allGroups: () => readonly GroupConfig[]): Complaints {
  const saidAt = new Map<string, Instant>();
  return {
    about(packet, drop, group, now) {
      const source = formatAddress(packet.source);
      const key = `${group.interface} ${group.vhid} ${source} ${drop}`;
      if (now - (saidAt.get(key) ?? Number.NEGATIVE_INFINITY) < EVERY_MS) return undefined;
      if (saidAt.size >= REMEMBERED) saidAt.clear();
      saidAt.set(key, now);
      const why = (drop === "badauth" && likeliestCause(packet, group, allGroups())) || sentences[drop];
      return `carp ${group.vhid} on ${group.interface}: ${source}: ${why}`;
    },
  };
}

function likeliestCause(packet: Packet, group: GroupConfig, all: readonly GroupConfig[]): string | undefined {
  const read = decodeAdvertisement(packet.payload);
  if (!read.ok) return undefined;
  const misfit = { advertisement: read.advertisement, source: packet.source, sourceMac: undefined };
  return diagnose(misfit, [group], all)?.hint;
}
