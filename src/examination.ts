/**
 * Puts together what the board knows of itself and of the others, for
 * `diagnosis` to judge, and keeps the judgement until something is news.
 */
import type { Instant, Role } from "./carp/vhost.js";
import {
  type Diagnosis,
  type Evidence,
  examine,
  type GroupEvidence,
  type PeerEvidence,
} from "./diagnosis.js";
import type { Group } from "./group.js";
import { createGrowth, type Growth } from "./growth.js";
import { patienceMs } from "./hearing.js";
import type { Peer } from "./peers.js";
import type { RecentDrops } from "./recent-drops.js";
import { formatAddress } from "./wire/address.js";

export interface Examination {
  readonly diagnosis: Diagnosis;
  /** Somebody took a group's addresses off while it served, or their lifetime ended. */
  lost(group: Group): void;
  /** Something is not as it was when it was judged last. */
  news(): void;
}

export interface ExaminationOptions {
  readonly name: () => string;
  readonly groups: Iterable<Group>;
  readonly faults: ReadonlyMap<string, string>;
  readonly peers: () => readonly Peer[];
  readonly drops: RecentDrops;
  readonly now: () => Instant;
}

export function createExamination(options: ExaminationOptions): Examination {
  const { groups, faults, drops, now } = options;
  const growths = new WeakMap<Group, Growth>();
  /** By a clock that never jumps. */
  const entered = new WeakMap<Group, { readonly role: Role; readonly at: Instant }>();
  const lostAt = new WeakMap<Group, Instant>();
  let known: Diagnosis | undefined;

  const hears = (group: Group): boolean | null => {
    const growth = growths.get(group) ?? createGrowth();
    growths.set(group, growth);
    growth.see(group.counters.received, now());
    return growth.grows(patienceMs(group.config), now());
  };

  const roleForMs = (group: Group): number => {
    const { role } = group.vhost;
    const known = entered.get(group);
    if (known?.role === role) return now() - known.at;
    entered.set(group, { role, at: now() });
    return 0;
  };

  const evidenceOf = (group: Group): GroupEvidence => {
    const { config, vhost, holder, silentFamily } = group;
    const badDigest = drops.last(config, "badauth");
    return {
      vhid: config.vhid,
      interface: config.interface,
      role: vhost.role,
      why: vhost.why,
      roleForMs: roleForMs(group),
      addresses: config.addresses.map(({ address }) => formatAddress(address)),
      advbase: config.advbase,
      advskew: config.advskew,
      hears: hears(group),
      silentFamily: silentFamily ? `IPv${silentFamily}` : null,
      holding: holder.holding,
      standsBack: group.standsBack,
      device: holder.device.name,
      lostForMs: now() - (lostAt.get(group) ?? Number.NEGATIVE_INFINITY),
      faults: group.faults,
      badDigest,
      vrrpFrom: drops.last(config, "foreign")?.from,
      loops: drops.last(config, "looped") !== undefined,
    };
  };

  const evidence = (): Evidence => ({
    name: options.name(),
    groups: [...groups].map(evidenceOf),
    faults,
    peers: options.peers().map((peer) => peerEvidence(peer, now())),
    at: new Date(),
  });

  const self: Examination = {
    get diagnosis() {
      known ??= examine(evidence());
      return known;
    },
    lost(group) {
      lostAt.set(group, now());
      self.news();
    },
    news() {
      known = undefined;
      // Whoever is asked once an hour has watched all the same.
      for (const group of groups) hears(group);
    },
  };
  return self;
}

function peerEvidence(peer: Peer, now: Instant): PeerEvidence {
  const { url, said, saidAt, clockAheadMs } = peer;
  const asked = peer.problem !== undefined || saidAt !== undefined;
  const problem = asked ? peer.problem : "it has not answered yet";
  return {
    url,
    name: said?.name,
    problem,
    asked,
    clockAheadMs: problem === undefined ? clockAheadMs : undefined,
    groups: (problem === undefined ? (said?.carp ?? []) : []).map(
      ({ vhid, interface: name, role, addresses, advbase, advskew, silentFamily }) => ({
        vhid,
        interface: name,
        role,
        roleForMs: now - (peer.roleSince(vhid, name) ?? now),
        addresses: addresses.map((prefix) => prefix.replace(/\/.*/, "")),
        advbase,
        advskew,
        silentFamily,
        hears: peer.hears(vhid, name, patienceMs({ advbase }), now),
      }),
    ),
  };
}
