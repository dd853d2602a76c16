/**
 * One plain object that says all there is to say about this board. The only
 * view that HTTP, the command line and the lamps get.
 */
import { lastHeard, ourClaim, type Role } from "../carp/vhost.js";
import type { Config } from "../config.js";
import type { Diagnosis } from "../diagnosis.js";
import type { SlotName } from "../firmware/boot-record.js";
import type { Counters, Group, RoleChange } from "../group.js";
import type { FilterCounters } from "../linux/prefilter.js";
import type { PanelView } from "../panel/panel.js";
import { canTakeOver } from "../peer.js";
import type { Peer } from "../peers.js";
import { formatAddress, formatPrefix } from "../wire/address.js";

/** DESIGN's contract: fields may be added, never renamed. */
export interface Snapshot {
  readonly name: string;
  readonly version: string;
  readonly board: string;
  /** Of a board's card: from which slot this was started; `null` elsewhere. */
  readonly slot: SlotSnapshot | null;
  /** When this was so, by the board's clock. */
  readonly at: string;
  readonly uptimeSeconds: number;
  readonly role: Role | "mixed";
  readonly maintenance: MaintenanceSnapshot;
  readonly identify: IdentifySnapshot;
  readonly demotion: { readonly advskew: number; readonly reasons: readonly string[] };
  readonly carp: readonly GroupSnapshot[];
  readonly panel: PanelView;
  /** Packets that no group is to blame for, and what the kernel dropped before we saw it. */
  readonly dropped: { readonly [reason in keyof Counters]?: number };
  readonly prefilter: FilterCounters | null;
  readonly faults: readonly string[];
  readonly diagnosis: Diagnosis;
  /** The other boards, as they say themselves. */
  readonly peers: readonly PeerSnapshot[];
  readonly events: readonly EventSnapshot[];
}

export interface SlotSnapshot {
  readonly name: SlotName;
  /** It has yet to prove itself, and gives way to the other one if it does not. */
  readonly onTrial: boolean;
}

/** The last answer of a board of `status.peers`; what it was before stays while none comes. */
export interface PeerSnapshot {
  readonly url: string;
  readonly name: string | null;
  readonly reachable: boolean;
  /** Why there is no answer. */
  readonly problem: string | null;
  readonly askedSecondsAgo: number | null;
  readonly role: Snapshot["role"] | null;
  readonly maintenance: boolean | null;
  readonly face: PanelView["face"] | null;
  readonly lamps: PanelView["lamps"] | null;
  /** Whether it would take over all that this board serves; `null`: nothing is served here, or it does not say. */
  readonly willing: boolean | null;
  /** What is wrong there, the first of it. */
  readonly faults: readonly string[];
  readonly carp: readonly PeerGroupSnapshot[];
}

export interface PeerGroupSnapshot {
  readonly vhid: number;
  readonly interface: string;
  readonly role: Role;
  readonly addresses: readonly string[];
  readonly advbase: number;
  readonly advskew: number;
  readonly advertisedAdvskew: number;
  readonly preempt: boolean;
  /** Whom it hears. */
  readonly master: string | null;
  readonly silentFamily: GroupSnapshot["silentFamily"];
  readonly counters: { readonly received: number; readonly badauth: number };
}

export interface MaintenanceSnapshot {
  readonly on: boolean;
  readonly since: string | null;
  readonly until: string | null;
  readonly handover: {
    readonly state: "none" | "asking" | "handing-over" | "handed-over" | "no-taker";
    /** Whose advertisement was heard. */
    readonly to: string | null;
    readonly tookMs: number | null;
  };
}

export interface IdentifySnapshot {
  /** As long as the panel shows which box this is. */
  readonly until: string | null;
}

export interface GroupSnapshot {
  readonly vhid: number;
  readonly interface: string;
  readonly role: Role;
  readonly why: string;
  /** It is no master, nobody else is known to be one, and it may be about to. */
  readonly undecided: boolean;
  readonly since: string;
  /** How often each role was entered since the start. */
  readonly transitions: { readonly [R in Role]: number };
  readonly addresses: readonly string[];
  /** Whether the kernel confirmed that the addresses are on this board. */
  readonly holding: boolean;
  readonly mac: string;
  readonly advbase: number;
  readonly advskew: number;
  readonly advertisedAdvskew: number;
  readonly preempt: boolean;
  readonly master: {
    readonly address: string;
    readonly advbase: number;
    readonly advskew: number;
    readonly heardSecondsAgo: number;
  } | null;
  /** Of which nothing comes though advertisements of the other family do. */
  readonly silentFamily: "IPv4" | "IPv6" | null;
  readonly counters: Counters;
  readonly faults: readonly string[];
}

export interface EventSnapshot {
  readonly at: string;
  readonly vhid: number;
  readonly interface: string;
  readonly from: Role;
  readonly to: Role;
  readonly why: string;
}

export interface Observed {
  readonly config: Config;
  readonly version: string;
  readonly board: string;
  readonly slot: SlotSnapshot | null;
  readonly uptimeSeconds: number;
  readonly groups: readonly Group[];
  readonly maintenance: MaintenanceSnapshot;
  readonly identify: IdentifySnapshot;
  readonly panel: PanelView;
  /** The MAC of an interface, as far as it is known. */
  readonly macOf: (name: string) => string;
  readonly dropped: Snapshot["dropped"];
  readonly prefilter: FilterCounters | undefined;
  /** Faults that belong to no group. */
  readonly faults: readonly string[];
  readonly diagnosis: Diagnosis;
  readonly peers: readonly Peer[];
  readonly events: readonly RoleChange[];
  readonly now: number;
}

export function takeSnapshot(observed: Observed): Snapshot {
  const groups = observed.groups.map((group) => groupSnapshot(group, observed));
  const reasons = observed.groups.flatMap(({ vhost }) => vhost.demotions);
  return {
    name: observed.config.name,
    version: observed.version,
    board: observed.board,
    slot: observed.slot,
    at: new Date().toISOString(),
    uptimeSeconds: Math.round(observed.uptimeSeconds * 10) / 10,
    role: overallRole(groups.map(({ role }) => role)),
    maintenance: observed.maintenance,
    identify: observed.identify,
    demotion: {
      advskew: Math.max(0, ...reasons.map(({ advskew }) => advskew)),
      reasons: [...new Set(reasons.map(({ reason }) => reason))],
    },
    carp: groups,
    panel: observed.panel,
    dropped: observed.dropped,
    prefilter: observed.prefilter ?? null,
    faults: [...observed.faults, ...groups.flatMap(({ faults }) => faults)],
    diagnosis: observed.diagnosis,
    peers: observed.peers.map((peer) => peerSnapshot(peer, groups, observed.now)),
    events: observed.events.map(({ at, ...event }) => ({ at: at.toISOString(), ...event })),
  };
}

/** The role that all groups agree on, else `mixed`; a board with nothing to do is in `init`. */
export function overallRole(roles: readonly Role[]): Role | "mixed" {
  const [first = "init", ...others] = roles;
  return others.every((role) => role === first) ? first : "mixed";
}

function groupSnapshot(group: Group, { macOf, now }: Observed): GroupSnapshot {
  const { config, vhost, holder } = group;
  const heard = vhost.role === "backup" ? lastHeard(vhost) : undefined;
  return {
    vhid: config.vhid,
    interface: config.interface,
    role: vhost.role,
    why: vhost.why,
    undecided: group.undecided,
    since: group.since.toISOString(),
    transitions: { ...group.transitions },
    addresses: config.addresses.map(formatPrefix),
    holding: holder.holding,
    mac: holder.device.mac ?? macOf(config.interface),
    advbase: config.advbase,
    advskew: config.advskew,
    advertisedAdvskew: ourClaim(vhost).advskew,
    preempt: config.preempt,
    master: heard
      ? {
          address: formatAddress(heard.from),
          advbase: heard.advbase,
          advskew: heard.advskew,
          heardSecondsAgo: Math.round(now - heard.at) / 1000,
        }
      : null,
    silentFamily: group.silentFamily ? `IPv${group.silentFamily}` : null,
    counters: { ...group.counters },
    faults: [...group.faults.values()],
  };
}

function peerSnapshot(
  { url, said, saidAt, problem }: Peer,
  groups: readonly GroupSnapshot[],
  now: number,
): PeerSnapshot {
  const served = groups.filter(({ role }) => role === "master");
  const reachable = saidAt !== undefined && problem === undefined;
  const isWilling = said && served.every(({ vhid }) => canTakeOver(said, vhid));
  return {
    url,
    name: said?.name ?? null,
    reachable,
    problem: problem ?? null,
    askedSecondsAgo: saidAt === undefined ? null : Math.round(now - saidAt) / 1000,
    role: said?.role ?? null,
    maintenance: said?.maintenance.on ?? null,
    face: said?.panel.face ?? null,
    lamps: said?.panel.lamps ?? null,
    willing: reachable && served.length > 0 ? (isWilling ?? null) : null,
    faults: said?.faults ?? [],
    carp: (said?.carp ?? []).map(({ master, ...group }) => ({ ...group, master: master?.address ?? null })),
  };
}
