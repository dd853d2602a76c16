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
  /** One of its kind that was not long ago, with its explanation if any has one. */
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
/** Another packet of the same sender is searched for an explanation this long after the last. */
const SEARCH_EVERY_MS = 30_000;
/** One peer has two addresses; a flood has as many as it likes, and is not worth any memory. */
const SENDERS = 8;
const SLICE_MS = 1;
const REST_MS = 20;

interface Sender {
  at: Instant;
  searchedAt: Instant;
  theory: Theory | undefined;
}

interface Search {
  readonly steps: Generator<undefined, Theory | undefined>;
  readonly sender: Sender;
}

export function createRecentDrops({ groups, now, onNews }: RecentDropsOptions): RecentDrops {
  /** By group and kind, and then by the sender's address. */
  const drops = new Map<string, Map<string, Sender>>();
  let search: Search | undefined;
  let timer: NodeJS.Timeout | undefined;
  const keyOf = ({ interface: name, vhid }: GroupConfig, drop: Drop) => `${vhid} on ${name}: ${drop}`;

  const isRecent = ({ at }: Sender, { advbase }: GroupConfig): boolean =>
    now() - at <= Math.max(RECENT_MS, 4_000 * (advbase + 1));

  const senderOf = (senders: Map<string, Sender>, from: string): Sender => {
    const known = senders.get(from);
    if (known) return known;
    const oldest = [...senders].toSorted(([, a], [, b]) => a.at - b.at)[0];
    if (senders.size >= SENDERS && oldest) senders.delete(oldest[0]);
    const sender = { at: now(), searchedAt: Number.NEGATIVE_INFINITY, theory: undefined };
    senders.set(from, sender);
    return sender;
  };

  const explain = (group: GroupConfig, packet: Packet, sender: Sender): void => {
    if (search || now() - sender.searchedAt < SEARCH_EVERY_MS) return;
    const misfit = misfitOf(packet);
    if (!misfit) return;
    sender.searchedAt = now();
    search = { sender, steps: searchTheory(misfit, [group], groups(), sender.theory) };
    timer = setTimeout(slice, REST_MS);
  };

  const slice = (): void => {
    if (!search) return;
    for (const untilAt = performance.now() + SLICE_MS; performance.now() < untilAt; ) {
      const { done, value } = search.steps.next();
      if (!done) continue;
      const isNews = search.sender.theory?.hint !== value?.hint;
      search.sender.theory = value ?? undefined;
      search = undefined;
      if (isNews) onNews();
      return;
    }
    timer = setTimeout(slice, REST_MS);
  };

  const self: RecentDrops = {
    note(group, drop, packet) {
      const isNews = self.last(group, drop) === undefined;
      const key = keyOf(group, drop);
      const senders = drops.get(key) ?? new Map<string, Sender>();
      drops.set(key, senders);
      const sender = senderOf(senders, formatAddress(packet.source));
      sender.at = now();
      if (drop === "badauth") explain(group, packet, sender);
      if (isNews) onNews();
    },
    last(group, drop) {
      const recent = [...(drops.get(keyOf(group, drop)) ?? [])].filter(([, sender]) =>
        isRecent(sender, group),
      );
      // The families of one peer take turns: what is told must not.
      const [from, sender] = recent.find(([, { theory }]) => theory) ?? recent[0] ?? [];
      return sender && from !== undefined ? { at: sender.at, from, hint: sender.theory?.hint } : undefined;
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
