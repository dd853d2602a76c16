/**
 * The CARP state machine: `step(vhost, event, now)` answers with the next state
 * and what is to be done, in order.
 *
 * It has no clock, socket, file or randomness of its own. Moments are given in
 * milliseconds of any clock that never jumps; deadlines are fields, and whoever
 * runs this sleeps until `nextDeadline` and says `wake`.
 *
 * Rules are those of the specification, sections 4 to 6, and of the handover,
 * make before break: see `bowOut`.
 */
import { type Address, compareBytes, type Family, sameAddress } from "../wire/address.js";
import {
  advertisementTicks,
  BOW_OUT,
  type Interval,
  isBowOut,
  type MasterDownRule,
  masterDownTicks,
  ticksToMs,
} from "./interval.js";

/** Milliseconds of a clock that never jumps. */
export type Instant = number;
export type Role = "init" | "backup" | "master";

/** What the operator decided about one virtual host. */
export interface Settings extends Interval {
  readonly vhid: number;
  readonly preempt: boolean;
  /** The families it has addresses of. Each is advertised, and each has a master-down timer. */
  readonly families: readonly Family[];
  readonly masterDown: MasterDownRule;
  /** How we say that something is wrong: a raised advskew, or OpenBSD's byte. */
  readonly demote: "advskew" | "byte";
}

/** A reason to be less eager, and the advskew that it raises ours to. */
export interface Demotion {
  readonly reason: string;
  readonly advskew: number;
  /** Somebody wants to work on this host: it hands over, and preempts nobody. */
  readonly standAside: boolean;
}

/** The addresses that our own advertisements come from: they break ties. */
export type Sources = { readonly [F in Family]?: Address };

/** What an advertisement says that matters to the election. */
export interface Claim extends Interval {
  readonly demote: number;
}

/** A master that was heard, and when. */
export interface Heard extends Claim {
  readonly from: Address;
  readonly at: Instant;
}

/** A master on its way out. It serves until the successor is heard, and then a little longer. */
interface Leaving {
  /** BACKUP for one that stands aside: where nobody takes over, it stays. */
  readonly to: "init" | "backup";
  readonly why: string;
  readonly bowOutAt: Instant;
  readonly bowOuts: number;
  readonly giveUpAt: Instant;
  /** From then on it only holds the addresses, for a moment. */
  readonly successor: Heard | undefined;
}

export interface VirtualHost {
  readonly settings: Settings;
  readonly role: Role;
  /** Why it is in this role. */
  readonly why: string;
  readonly sources: Sources;
  readonly demotions: readonly Demotion[];
  /** BACKUP: when the silence has lasted too long, for each family. */
  readonly masterDownAt: { readonly [F in Family]?: Instant };
  /** BACKUP: no packet brings the end of the silence forward to before this. */
  readonly patientUntil: Instant;
  /** BACKUP that stands aside: the master bows out, and if nobody else has come by then, it takes over. */
  readonly standInAt: Instant;
  /** MASTER: since when. */
  readonly masterSince: Instant;
  /** MASTER: when the next advertisement is due. */
  readonly advertiseAt: Instant;
  /** MASTER: when the addresses are announced again, ascending. */
  readonly announceAt: readonly Instant[];
  readonly announcedAt: Instant;
  readonly leaving: Leaving | undefined;
  /** The master last heard in each family, as BACKUP the one that we stand by for. */
  readonly masters: { readonly [F in Family]?: Heard };
}

export type VhostEvent =
  | { readonly kind: "heard"; readonly ad: Claim; readonly from: Address }
  | { readonly kind: "wake" }
  | { readonly kind: "link"; readonly up: boolean; readonly why: string; readonly sources: Sources }
  /** `advskew` 0 takes the reason back. */
  | {
      readonly kind: "demote";
      readonly reason: string;
      readonly advskew: number;
      readonly standAside?: boolean;
    }
  /** `readdress`: the addresses changed too. */
  | { readonly kind: "configure"; readonly settings: Settings; readonly readdress: boolean }
  | { readonly kind: "stop"; readonly why: string };

export type Action =
  | { readonly do: "enter"; readonly role: Role; readonly why: string }
  | { readonly do: "claim" }
  | { readonly do: "release" }
  /** To the group, or, with `to`, to one host only. */
  | ({ readonly do: "advertise"; readonly to?: Address } & Claim)
  | { readonly do: "announce" };

export interface Step {
  readonly vhost: VirtualHost;
  readonly actions: readonly Action[];
}

/** A switch may have learned the old port from a late frame, so the first repeat comes soon. */
const ANNOUNCE_AGAIN_MS = 100;
/** Caches that missed every announcement so far are mended by this one. */
const ANNOUNCE_REFRESH_MS = 60_000;
/** A peer that preempts answers a raised advskew at once; for one that does not a bow-out follows. */
const ANSWER_MS = 50;
/** Until then one that took over together with us may not have heard what we said as a master. */
const CROSSING_MS = 50;
/** How long a master that stands aside asks: a second for UCARP, as above, and what a bow-out takes. */
const ASK_MS = 1_250;
/** Longer than another asks that only stands aside, and shorter than one serves that goes. */
const STAND_IN_MS = 1_400;
/** How long the address stays after the successor is heard: what is under way still arrives. */
const GRACE_MS = 50;
/** UCARP reads its socket once a second, so a successor may need this long. */
const LEAVE_MS = 1_500;
/** One bow-out may be lost: the second comes after this, the next after twice as long, and so on. */
const BOW_OUT_AGAIN_MS = 50;
/** What an equal peer gets, as a part of the interval: more than a packet takes. */
const HEAD_START = 1 / 4;
/** Whoever was late by less has not missed anything that is not still in its socket's queue. */
const DEAF_MS = 250;

type Kind = VhostEvent["kind"];
type EventOf<K extends Kind> = Extract<VhostEvent, { readonly kind: K }>;
type Transition<K extends Kind> = (vhost: VirtualHost, event: EventOf<K>, now: Instant) => Step;

/**
 * The whole protocol on one screen. Every cell is filled in: `ignore` is a
 * decision, and the compiler asks about the ones we forget.
 */
const transitions: { readonly [K in Kind]: { readonly [R in Role]: Transition<K> } } = {
  heard: { init: ignore, backup: hearMaster, master: hearRival },
  wake: { init: ignore, backup: watchMaster, master: keepAdvertising },
  link: { init: gainLink, backup: loseLink, master: loseLink },
  demote: { init: adjust, backup: adjust, master: adjust },
  configure: { init: adopt, backup: adopt, master: adopt },
  stop: { init: ignore, backup: standDown, master: bowOut },
};

/** A virtual host that has no link yet. */
export function createVhost(settings: Settings): VirtualHost {
  return {
    settings,
    role: "init",
    why: "started",
    sources: {},
    demotions: [],
    masterDownAt: {},
    patientUntil: Number.NEGATIVE_INFINITY,
    standInAt: Number.POSITIVE_INFINITY,
    masterSince: Number.NEGATIVE_INFINITY,
    advertiseAt: Number.POSITIVE_INFINITY,
    announceAt: [],
    announcedAt: Number.NEGATIVE_INFINITY,
    leaving: undefined,
    masters: {},
  };
}

export function step<K extends Kind>(vhost: VirtualHost, event: EventOf<K>, now: Instant): Step {
  if (overslept(vhost, now)) {
    const late = ((now - (vhost.leaving ? nextDeadline(vhost) : vhost.advertiseAt)) / 1000).toFixed(1);
    const awake = becomeBackup(vhost, now, `was ${late} s late: another may serve`);
    const next = step(awake.vhost, event, now);
    return { vhost: next.vhost, actions: [...awake.actions, ...next.actions] };
  }
  const transition: Transition<K> = transitions[event.kind][vhost.role];
  return transition(vhost, event, now);
}

/** When to say `wake`; infinity when nothing is due. */
export function nextDeadline(vhost: VirtualHost): Instant {
  const { role, masterDownAt, standInAt, advertiseAt, announceAt, leaving } = vhost;
  if (role === "init") return Number.POSITIVE_INFINITY;
  if (role === "backup") return Math.min(silenceEndsAt(masterDownAt), standInAt);
  const { successor } = leaving ?? {};
  if (successor) return successor.at + GRACE_MS;
  const next = leaving ? Math.min(leaving.bowOutAt, leaving.giveUpAt) : advertiseAt;
  return Math.min(next, announceAt[0] ?? Number.POSITIVE_INFINITY);
}

/** The master that was heard last, in whichever family. */
export function lastHeard({ masters }: VirtualHost): Heard | undefined {
  return Object.values(masters).toSorted((a, b) => b.at - a.at)[0];
}

/** What our next advertisement says: configuration and demotion together. */
export function ourClaim({ settings, demotions }: VirtualHost): Claim {
  const { advbase, advskew, demote } = settings;
  if (demote === "byte") return { advbase, advskew, demote: Math.min(255, demotions.length) };
  return { advbase, advskew: Math.max(advskew, ...demotions.map((reason) => reason.advskew)), demote: 0 };
}

/**
 * BACKUP hears a master: it takes over, or else the master is alive and the
 * master-down timer of that family starts again.
 */
function hearMaster(vhost: VirtualHost, { ad, from }: EventOf<"heard">, now: Instant): Step {
  const why = whyTakeOver(vhost, ad);
  if (why && alreadySucceeded(vhost, from, now)) return unchanged(vhost);

  const masters = remember(vhost, ad, from, now);
  if (why && standsAside(vhost) && isBowOut(ad)) {
    return unchanged({ ...vhost, masters, standInAt: Math.min(vhost.standInAt, now + STAND_IN_MS) });
  }
  if (why) return becomeMaster({ ...vhost, masters }, now, why);
  // OpenBSD speaks IPv6 for a link-local alone: a family that we do not serve has no timer.
  if (!vhost.settings.families.includes(from.family)) return unchanged({ ...vhost, masters });
  // After a draw the second packet does not take back the head start.
  const at = Math.max(vhost.patientUntil, now + patienceMs(vhost, ad));
  const masterDownAt = { ...vhost.masterDownAt, [from.family]: at };
  return unchanged({ ...vhost, masters, masterDownAt, standInAt: Number.POSITIVE_INFINITY });
}

/** Who is demoted bears a healthy master that is slower, too: it would only have to give way to it again. */
function patienceMs(vhost: VirtualHost, ad: Claim): number {
  const own = masterDownMs(vhost);
  return ad.demote < ourClaim(vhost).demote ? Math.max(own, masterDownMs(vhost, ad)) : own;
}

/**
 * Three reasons to take over at once (section 5.2): we preempt and the master is
 * slower than us; it is demoted more than we are, as OpenBSD says in its byte; it
 * is so slow that it would time out anyway, and 255/255 is how one bows out.
 */
function whyTakeOver(vhost: VirtualHost, ad: Claim): string | undefined {
  const { settings } = vhost;
  const ours = ourClaim(vhost);
  const theirs = advertisementTicks(ad);
  if (isBowOut(ad)) return "master bowed out";
  if (
    settings.preempt &&
    !standsAside(vhost) &&
    theirs > advertisementTicks(ours) &&
    ad.demote >= ours.demote
  ) {
    return "preempting a slower master";
  }
  if (ad.demote > ours.demote && !standsAside(vhost)) return "master is demoted";
  if (ticksToMs(theirs) > patienceMs(vhost, ad)) return "master advertises too slowly";
  return undefined;
}

/**
 * MASTER hears another.
 *
 * The faster one stays (OpenBSD: the less demoted one). Whoever stays announces
 * again, because clients and switches may have believed the other; whoever
 * yields says so to the winner alone, who may not have heard it yet. Said to
 * all, a third host might take it for a slow master and preempt it.
 */
function hearRival(vhost: VirtualHost, { ad, from }: EventOf<"heard">, now: Instant): Step {
  if (vhost.leaving) return hearSuccessor(vhost, vhost.leaving, { ...ad, from, at: now });

  const ours = ourClaim(vhost);

  const heard = { ...vhost, masters: remember(vhost, ad, from, now) };
  if (!yieldsTo(vhost, ad, from)) {
    // Whoever bows out to a master has not heard it yet, and would serve beside it for longer.
    const unheard = isBowOut(ad) && now - spokeAt(vhost) >= BOW_OUT_AGAIN_MS / 2;
    const tell = now - vhost.announcedAt < ANNOUNCE_AGAIN_MS ? later : announce;
    return inOrder(heard, unheard ? [advertise, tell] : [tell], now);
  }
  const difference = advertisementTicks(ours) - advertisementTicks(ad);
  const lost = difference > 0 && ours.demote >= ad.demote;
  // An equal BSD may give way to us at this very moment; if both fall silent, it speaks first.
  const headStartMs = difference === 0 ? HEAD_START * ticksToMs(advertisementTicks(ours)) : 0;
  const next = becomeBackup(heard, now, "heard a preferred master", headStartMs, patienceMs(vhost, ad));
  const reachable = from.bytes.some((byte) => byte !== 0);
  return lost && reachable
    ? { ...next, actions: [...next.actions, { do: "advertise", to: from, ...ours }] }
    : next;
}

/** BACKUP: silence in one family is enough. Whoever slept through it listens once more before it judges. */
function watchMaster(vhost: VirtualHost, _event: EventOf<"wake">, now: Instant): Step {
  if (vhost.standInAt <= now) return becomeMaster(vhost, now, "master bowed out, and nobody else came");
  const silentSince = silenceEndsAt(vhost.masterDownAt);
  if (silentSince > now) return unchanged(vhost);
  if (now - silentSince > Math.max(DEAF_MS, masterDownMs(vhost))) {
    return unchanged({ ...vhost, masterDownAt: masterDownTimers(vhost, now + masterDownMs(vhost)) });
  }
  return becomeMaster(vhost, now, lastHeard(vhost) ? "master timed out" : "no master heard");
}

/** MASTER: what is due, in this order: the way out, the advertisement, the announcement. */
function keepAdvertising(vhost: VirtualHost, _event: EventOf<"wake">, now: Instant): Step {
  const steps: TimedStep[] = [];
  if (vhost.leaving) {
    const { successor, giveUpAt, bowOutAt } = vhost.leaving;
    if (successor)
      return successor.at + GRACE_MS <= now ? letGo(vhost, vhost.leaving, successor, now) : unchanged(vhost);
    if (giveUpAt <= now) return giveUp(vhost, vhost.leaving, now);
    if (bowOutAt <= now) steps.push(bowOutAgain);
  } else if (vhost.advertiseAt <= now) {
    steps.push(advertise);
  }
  if ((vhost.announceAt[0] ?? Number.POSITIVE_INFINITY) <= now) steps.push(announce);
  return inOrder(vhost, steps, now);
}

/** The successor serves. */
function letGo(vhost: VirtualHost, { to, why }: Leaving, successor: Heard, now: Instant): Step {
  if (to === "init") return leave(vhost, why);
  return becomeBackup(vhost, now, why, 0, patienceMs(vhost, successor));
}

/** Nobody took over. Who stands aside goes on serving: an address is never left unserved to be polite. */
function giveUp(vhost: VirtualHost, { to, why }: Leaving, now: Instant): Step {
  if (to === "init") return leave(vhost, `${why}, nobody took over`);
  const announceAt = [now + ANNOUNCE_REFRESH_MS];
  return advertise({ ...vhost, leaving: undefined, why: `${why}, nobody took over`, announceAt }, now);
}

/** INIT: with a link comes BACKUP and a full master-down time of listening, whatever preempt says. */
function gainLink(vhost: VirtualHost, { up, why, sources }: EventOf<"link">, now: Instant): Step {
  if (!up) return unchanged({ ...vhost, why });
  return becomeBackup({ ...vhost, sources, masters: {} }, now, why);
}

/** No link, no role. While the link stays up only our own addresses have changed. */
function loseLink(vhost: VirtualHost, { up, why, sources }: EventOf<"link">): Step {
  return up ? unchanged({ ...vhost, sources }) : leave(vhost, why);
}

/**
 * A reason to be less eager came or went. The others of a group are told at
 * once. A master that is to stand aside hands over, and when it is called back
 * in the middle of that it serves on. A backup that is called back while it lets
 * others take a bow-out first need not wait for them any more.
 */
function adjust(
  vhost: VirtualHost,
  { reason, advskew, standAside = false }: EventOf<"demote">,
  now: Instant,
): Step {
  const others = vhost.demotions.filter((demotion) => demotion.reason !== reason);
  const demotions = advskew > 0 ? [...others, { reason, advskew, standAside }] : others;
  const next = { ...vhost, demotions };
  const standsInNoMore = next.standInAt !== Number.POSITIVE_INFINITY && !standsAside(next);
  if (standsInNoMore) return becomeMaster(next, now, "master bowed out");
  if (vhost.role !== "master") return unchanged(next);
  if (vhost.leaving)
    return vhost.leaving.to === "backup" && !standsAside(next) ? stay(next, now) : unchanged(next);
  if (standAside && advskew > 0) return handOver(next, reason, now);

  const before = ourClaim(vhost);
  const after = ourClaim(next);
  const same = before.advskew === after.advskew && before.demote === after.demote;
  return same ? unchanged(next) : advertise(next, now);
}

/** The raised advskew first, and a bow-out for those who do not preempt. */
function handOver(vhost: VirtualHost, why: string, now: Instant): Step {
  const leaving: Leaving = {
    to: "backup",
    why,
    bowOutAt: now + ANSWER_MS,
    bowOuts: 0,
    giveUpAt: now + ANSWER_MS + ASK_MS,
    successor: undefined,
  };
  return advertise({ ...vhost, leaving, announceAt: [] }, now);
}

/** Called back while it still has the addresses: whoever took over meanwhile is a rival now. */
function stay(vhost: VirtualHost, now: Instant): Step {
  const spoken = advertise({ ...vhost, leaving: undefined }, now);
  const told = announce(spoken.vhost, now);
  return { vhost: told.vhost, actions: [{ do: "claim" }, ...spoken.actions, ...told.actions] };
}

function standsAside({ demotions }: VirtualHost): boolean {
  return demotions.some(({ standAside }) => standAside);
}

/** New settings for a virtual host that stays: nothing is missed, and a master goes on serving. */
function adopt(vhost: VirtualHost, { settings, readdress }: EventOf<"configure">, now: Instant): Step {
  const next = { ...vhost, settings };
  if (vhost.role === "backup") {
    const fresh = masterDownTimers(next, now + masterDownMs(next));
    const sooner = ([family, at]: [string, Instant]) =>
      [family, Math.min(at, vhost.masterDownAt[Number(family) as Family] ?? at)] as const;
    return unchanged({ ...next, masterDownAt: Object.fromEntries(Object.entries(fresh).map(sooner)) });
  }
  if (vhost.role === "init" || vhost.leaving) return unchanged(next);
  const spoken = advertise(next, now);
  if (!readdress) return spoken;
  const told = announce(spoken.vhost, now);
  return { vhost: told.vhost, actions: [{ do: "claim" }, ...spoken.actions, ...told.actions] };
}

function standDown(vhost: VirtualHost, { why }: EventOf<"stop">): Step {
  return leave(vhost, why);
}

/**
 * MASTER leaves: make before break. It says 255/255 while it still serves, and
 * says it again until a successor is heard; then it keeps quiet, holds the
 * addresses for a short grace and lets go. Every known implementation takes
 * over from a 255/255, with or without preempt. If nobody has come when its
 * time is up, it goes all the same.
 */
function bowOut(vhost: VirtualHost, { why }: EventOf<"stop">, now: Instant): Step {
  const giveUpAt = now + LEAVE_MS;
  if (vhost.leaving) {
    const sooner = vhost.leaving.to === "init";
    return unchanged(sooner ? vhost : { ...vhost, leaving: { ...vhost.leaving, to: "init", why, giveUpAt } });
  }
  const leaving: Leaving = {
    to: "init",
    why,
    bowOutAt: now,
    bowOuts: 0,
    giveUpAt,
    successor: undefined,
  };
  return bowOutAgain({ ...vhost, leaving, announceAt: [] }, now);
}

function bowOutAgain(vhost: VirtualHost, now: Instant): Step {
  if (!vhost.leaving) return unchanged(vhost);
  const bowOuts = vhost.leaving.bowOuts + 1;
  const bowOutAt = now + BOW_OUT_AGAIN_MS * 2 ** (bowOuts - 1);
  return {
    vhost: { ...vhost, leaving: { ...vhost.leaving, bowOuts, bowOutAt } },
    actions: [{ do: "advertise", ...BOW_OUT }],
  };
}

/**
 * The switch has to learn the successor's port, so from here on nothing more is
 * said. Of two that follow at once the better one stays. One that begins to leave
 * itself asks for its own part, and serves until somebody answers.
 */
function hearSuccessor(vhost: VirtualHost, leaving: Leaving, heard: Heard): Step {
  const { successor } = leaving;
  if (successor) {
    return isPreferred(heard, successor) ? follow(vhost, leaving, heard, successor.at) : unchanged(vhost);
  }
  // Before the first bow-out, a rival that is no better than us may not know yet that we leave. Nor may
  // one that took over together with us: it may be about to give way to what we said then.
  const answers =
    leaving.bowOuts > 0 ||
    (isPreferred(heard, ourClaim(vhost)) && heard.at - vhost.masterSince >= CROSSING_MS);
  return answers && !isBowOut(heard) ? follow(vhost, leaving, heard, heard.at) : unchanged(vhost);
}

/** From `since` on the addresses stay for a grace. */
function follow(vhost: VirtualHost, leaving: Leaving, heard: Heard, since: Instant): Step {
  const masters = remember(vhost, heard, heard.from, heard.at);
  return unchanged({ ...vhost, masters, leaving: { ...leaving, successor: { ...heard, at: since } } });
}

function becomeMaster(vhost: VirtualHost, now: Instant, why: string): Step {
  const interval = ticksToMs(advertisementTicks(ourClaim(vhost)));
  const next: VirtualHost = {
    ...vhost,
    role: "master",
    why,
    masterDownAt: {},
    standInAt: Number.POSITIVE_INFINITY,
    masterSince: now,
    announcedAt: now,
    announceAt: [ANNOUNCE_AGAIN_MS, 2 * interval, ANNOUNCE_REFRESH_MS]
      .map((ms) => now + ms)
      .sort((a, b) => a - b),
  };
  const spoken = advertise(next, now);
  return {
    vhost: spoken.vhost,
    actions: [{ do: "enter", role: "master", why }, { do: "claim" }, ...spoken.actions, { do: "announce" }],
  };
}

function becomeBackup(
  vhost: VirtualHost,
  now: Instant,
  why: string,
  headStartMs = 0,
  patience = masterDownMs(vhost),
): Step {
  const masterDownAt = masterDownTimers(vhost, now + patience + headStartMs);
  const patientUntil = now + masterDownMs(vhost) + headStartMs;
  return {
    vhost: { ...vhost, ...silent, role: "backup", why, masterDownAt, patientUntil },
    actions: [{ do: "enter", role: "backup", why }, ...(vhost.role === "master" ? [released] : [])],
  };
}

function leave(vhost: VirtualHost, why: string): Step {
  return {
    vhost: { ...vhost, ...silent, role: "init", why, masterDownAt: {}, masters: {} },
    actions: [{ do: "enter", role: "init", why }, ...(vhost.role === "master" ? [released] : [])],
  };
}

const released: Action = { do: "release" };
const silent = {
  advertiseAt: Number.POSITIVE_INFINITY,
  announceAt: [],
  leaving: undefined,
  standInAt: Number.POSITIVE_INFINITY,
} as const;

function advertise(vhost: VirtualHost, now: Instant): Step {
  const claim = ourClaim(vhost);
  const advertiseAt = now + ticksToMs(advertisementTicks(claim));
  return { vhost: { ...vhost, advertiseAt }, actions: [{ do: "advertise", ...claim }] };
}

/** When we, MASTER, last advertised. */
function spokeAt(vhost: VirtualHost): Instant {
  return vhost.advertiseAt - ticksToMs(advertisementTicks(ourClaim(vhost)));
}

function announce(vhost: VirtualHost, now: Instant): Step {
  const pending = vhost.announceAt.filter((at) => at > now);
  const announceAt = pending.length > 0 ? pending : [now + ANNOUNCE_REFRESH_MS];
  return { vhost: { ...vhost, announceAt, announcedAt: now }, actions: [{ do: "announce" }] };
}

/** A rival that floods us does not make us flood the others. */
function later(vhost: VirtualHost, now: Instant): Step {
  const soon = vhost.announcedAt + ANNOUNCE_AGAIN_MS;
  if ((vhost.announceAt[0] ?? Number.POSITIVE_INFINITY) <= soon) return unchanged(vhost);
  return unchanged({ ...vhost, announceAt: [Math.max(soon, now), ...vhost.announceAt] });
}

/**
 * Whether we, MASTER, give way. The less demoted one stays, then the faster; to
 * one that leaves nobody gives way, however demoted.
 *
 * Of two equals every BSD gives way to whoever speaks first, so two of them
 * can both fall silent. UCARP keeps the lower source address, its last octet
 * counting most (it compares memory on little-endian machines). Its rule has
 * one winner, and BSD gives way to it, so we take it too. A pair of families
 * would be two opinions: IPv4 decides where there is IPv4.
 */
function yieldsTo(vhost: VirtualHost, ad: Claim, from: Address): boolean {
  const ours = ourClaim(vhost);
  if (isBowOut(ad)) return false;
  if (ad.demote !== ours.demote) return ad.demote < ours.demote;
  const difference = advertisementTicks(ad) - advertisementTicks(ours);
  if (difference !== 0) return difference < 0;
  if (from.family === 6 && vhost.settings.families.includes(4) && vhost.sources[4]) return false;

  const own = vhost.sources[from.family];
  return !own || compareBytes(from.bytes.toReversed(), own.bytes.toReversed()) <= 0;
}

/** The less demoted one is preferred, then the faster one. */
function isPreferred(a: Claim, b: Claim): boolean {
  return a.demote === b.demote ? advertisementTicks(a) < advertisementTicks(b) : a.demote < b.demote;
}

/**
 * True when a reason to take over comes from somebody whose successor we have
 * heard already: a repeated bow-out, a loser's last words, the farewell of a host
 * that was no master. A master that spoke within its own interval is alive.
 */
function alreadySucceeded({ masters }: VirtualHost, from: Address, now: Instant): boolean {
  const master = masters[from.family];
  if (!master || isBowOut(master) || sameAddress(master.from, from)) return false;
  return now - master.at < ticksToMs(advertisementTicks(master));
}

/**
 * True for a master that is late, and was silent for as long as its peers bear:
 * they have one of their own by now. A demoted one may be slower than that
 * without being late; it is the master because it has no peer.
 */
export function overslept(vhost: VirtualHost, now: Instant): boolean {
  const { role, leaving, settings } = vhost;
  if (role !== "master" || leaving?.to === "init") return false;
  const [dueAt, silentSince] = leaving
    ? [nextDeadline(vhost), nextDeadline(vhost)]
    : [vhost.advertiseAt, spokeAt(vhost)];
  const bears = ticksToMs(masterDownTicks(settings, settings.masterDown));
  return now - dueAt > DEAF_MS && now - silentSince > bears;
}

/** Whoever stands aside listens for as long with OpenBSD's byte, which leaves the advskew alone, as with a raised one. */
function patientClaim(vhost: VirtualHost): Interval {
  const { advbase, advskew } = ourClaim(vhost);
  const aside = vhost.demotions.filter(({ standAside }) => standAside).map((reason) => reason.advskew);
  return { advbase, advskew: Math.max(advskew, ...aside) };
}

function masterDownMs(vhost: VirtualHost, claim: Interval = patientClaim(vhost)): number {
  return ticksToMs(masterDownTicks(claim, vhost.settings.masterDown));
}

function masterDownTimers({ settings }: VirtualHost, at: Instant): VirtualHost["masterDownAt"] {
  return Object.fromEntries(settings.families.map((family) => [family, at]));
}

/** The first family whose silence has lasted too long decides. */
function silenceEndsAt(masterDownAt: VirtualHost["masterDownAt"]): Instant {
  return Math.min(masterDownAt[4] ?? Number.POSITIVE_INFINITY, masterDownAt[6] ?? Number.POSITIVE_INFINITY);
}

function remember({ masters }: VirtualHost, ad: Claim, from: Address, at: Instant): VirtualHost["masters"] {
  const { advbase, advskew, demote } = ad;
  return { ...masters, [from.family]: { advbase, advskew, demote, from, at } };
}

type TimedStep = (vhost: VirtualHost, now: Instant) => Step;

function inOrder(vhost: VirtualHost, steps: readonly TimedStep[], now: Instant): Step {
  return steps.reduce<Step>((before, next) => {
    const after = next(before.vhost, now);
    return { vhost: after.vhost, actions: [...before.actions, ...after.actions] };
  }, unchanged(vhost));
}

function unchanged(vhost: VirtualHost): Step {
  return { vhost, actions: [] };
}

function ignore(vhost: VirtualHost): Step {
  return unchanged(vhost);
}
