/**
 * What was dropped of late in a group's name, and for a wrong digest what
 * explains it. Counters say how often, for ever; whoever asks what is wrong now
 * wants to know what still happens.
 *
 * The explanation is searched for in slices of a millisecond: hundreds of
 * digests are tried, and no advertisement may wait for that.
 */
import type { Drop } from "./carp/advertisement.js";
import { inspectHeader } from "./carp/inspect.js";
import type { Instant } from "./carp/vhost.js";
import type { GroupConfig } from "./config.js";
import { type Misfit, searchTheory, type Theory } from "./diagnose.js";
import { formatAddress } from "./wire/address.js";
import type { Packet } from "./wire/packet.js";

export interface RecentDrop {
  readonly at: Instant;
  readonly from: string;
  /** What is different there, and what to do about it, where that was found out. */
  readonly hint: string | undefined;
}

export interface RecentDrops {
  note(group: GroupConfig, drop: Drop, packet: Packet): void;
  /** The last of its kind, if it is not long ago. */
  last(group: GroupConfig, drop: Drop): RecentDrop | undefined;
  close(): void;
}

export interface RecentDropsOptions {
  readonly groups: () => readonly GroupConfig[];
  readonly now: () => Instant;
  /** There is one where there was none, or its explanation was found. */
  readonly onNews: () => void;
}

/** So long, and three advertisements of the peer, a mistake is taken to go on. */
const RECENT_MS = 10_000;
/** Another packet is searched for an explanation this long after the last. */
const SEARCH_EVERY_MS = 30_000;
const SLICE_MS = 1;
const REST_MS = 20;

interface Search {
  readonly steps: Generator<undefined, Theory | undefined>;
  readonly key: string;
}

export function createRecentDrops({ groups, now, onNews }: RecentDropsOptions): RecentDrops {
  const drops = new Map<string, { at: Instant; from: string }>();
  /** By group: what the last search came to, for packets from there. */
  const found = new Map<
    string,
    { readonly from: string; readonly at: Instant; theory: Theory | undefined }
  >();
  let search: Search | undefined;
  let timer: NodeJS.Timeout | undefined;
  const keyOf = ({ interface: name, vhid }: GroupConfig) => `${vhid} on ${name}`;
  const recentMs = ({ advbase }: GroupConfig) => Math.max(RECENT_MS, 4_000 * (advbase + 1));

  const explain = (group: GroupConfig, packet: Packet, from: string): void => {
    const key = keyOf(group);
    const known = found.get(key);
    if (search || (known && known.from === from && now() - known.at < SEARCH_EVERY_MS)) return;
    const misfit = misfitOf(packet);
    if (!misfit) return;
    found.set(key, { from, at: now(), theory: undefined });
    search = { key, steps: searchTheory(misfit, [group], groups(), known?.theory) };
    timer = setTimeout(slice, REST_MS);
  };

  const slice = (): void => {
    if (!search) return;
    for (const untilAt = performance.now() + SLICE_MS; performance.now() < untilAt; ) {
      const { done, value } = search.steps.next();
      if (!done) continue;
      const entry = found.get(search.key);
      search = undefined;
      if (entry && value) {
        entry.theory = value;
        onNews();
      }
      return;
    }
    timer = setTimeout(slice, REST_MS);
  };

  const self: RecentDrops = {
    note(group, drop, packet) {
      const isNews = self.last(group, drop) === undefined;
      const from = formatAddress(packet.source);
      drops.set(`${keyOf(group)}: ${drop}`, { at: now(), from });
      if (drop === "badauth") explain(group, packet, from);
      if (isNews) onNews();
    },
    last(group, drop) {
      const entry = drops.get(`${keyOf(group)}: ${drop}`);
      if (!entry || now() - entry.at > recentMs(group)) return undefined;
      const explained = drop === "badauth" ? found.get(keyOf(group)) : undefined;
      return { ...entry, hint: explained?.from === entry.from ? explained.theory?.hint : undefined };
    },
    close() {
      clearTimeout(timer);
      search = undefined;
    },
  };
  return self;
}

/** The packet's bytes are somebody else's in a moment. */
function misfitOf(packet: Packet): Misfit | undefined {
  const read = inspectHeader({ ...packet, payload: Uint8Array.from(packet.payload) });
  return read.ok
    ? { advertisement: read.advertisement, source: packet.source, sourceMac: undefined }
    : undefined;
}
