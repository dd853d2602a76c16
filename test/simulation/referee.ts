/**
 * Watches a world and throws at the first thing that ought not to be.
 *
 * It knows the specification, what was delivered to whom and when, and whose
 * kernel has the addresses. It never looks into a machine, and shares no rule
 * with the core. What it checks at every moment, faults or not:
 *
 * - A host of ours changes its role only for the reason that it gives, and the
 *   reason is true.
 * - Two masters that hear each other are one after the slower one's interval.
 * - A backup that hears nothing in one family does not wait for ever.
 * - A master of ours that was silent for longer than its peers bear says nothing
 *   before it has stepped down.
 * - Nobody of ours advertises without the addresses, but for last words.
 * - Nobody of ours stands aside before the wish is on its disc, or in part; and
 *   whoever starts with it on its disc does.
 * - Whoever stands aside does not serve on beside a better one that it hears.
 *
 * The longest moments with nobody and with two are measured; whoever drives the
 * world knows what they may be.
 */
import type { Action, Claim, Instant, Role, Settings, VhostEvent } from "../../src/carp/vhost.js";
import type { Family } from "../../src/wire/address.js";
import { type EventOf, intervalTicks, milliseconds, silenceTicks } from "../machine.js";
import { type Host, type Observation, type Path, pathBetween, type World } from "../world.js";

export class Violation extends Error {}

export interface Referee {
  readonly world: World;
  readonly tolerance: Tolerance;
  readonly watches: Map<Host, Watch>;
  /** How often something rare was seen: tests demand that everything was. */
  readonly sightings: Map<string, number>;
  /** What is on the discs: whether to stand aside. */
  readonly kept: Map<Host, boolean>;
  /** While this is set no role may change. */
  calm: boolean;
  disturbedAt: Instant;
  /** How many have the addresses, and since when there are nobody and two. */
  holding: number;
  nobodySince: Instant | undefined;
  twoSince: Instant | undefined;
  longest: Longest;
}

export interface Tolerance {
  /** The longest that a packet is under way when nothing is wrong, with the timers and the kernels around it. */
  readonly reactionMs: number;
  /** When the network was disturbed, packets from before may still arrive for so long. */
  readonly staleMs: number;
}

export interface Longest {
  readonly nobodyMs: number;
  readonly twoMs: number;
}

/** What the referee knows of one host. */
interface Watch {
  readonly demotions: Map<string, number>;
  /** Reasons to hand over and to preempt nobody. */
  readonly aside: Set<string>;
  role: Role;
  masterSince: Instant;
  /** Until then it heard others as those who follow it. */
  calledBackAt: Instant;
  /** When it let others take a bow-out first. */
  bowOutAt: Instant;
  spokeAt: Instant;
  /** Since when nothing was heard that a backup has to believe. */
  readonly quietSince: Record<Family, Instant>;
  /** The least patience that it had since then. */
  readonly patienceMs: Record<Family, number>;
}

/** Rounding, of moments that are sums in another order. */
const EPSILON_MS = 0.01;
/** A busy board is no sleeping one: no silence below this is held against anybody. */
const DEAF_MS = 250;
/** What a handover may take that nobody answers, and a grace. */
const HANDOVER_MS = 1500;

export function createReferee(world: World, tolerance: Tolerance): Referee {
  const referee: Referee = {
    world,
    tolerance,
    watches: new Map(),
    sightings: new Map(),
    kept: new Map(),
    calm: false,
    disturbedAt: 0,
    holding: 0,
    nobodySince: 0,
    twoSince: undefined,
    longest: { nobodyMs: 0, twoMs: 0 },
  };
  world.observe = (host, what) => watch(referee, host, what);
  return referee;
}

export function fail({ world }: Referee, what: string): never {
  throw new Violation(`${(world.now / 1000).toFixed(3)} s: ${what}`);
}

/** A host was started, or lost its power. */
export function forget({ watches }: Referee, host: Host): void {
  watches.delete(host);
}

/** All bytes of a wish are on the disc. */
export function noteKept({ kept }: Referee, host: Host, on: boolean): void {
  kept.set(host, on);
}

/** A host has started, and read its disc. */
export function noteResumed(referee: Referee, host: Host): void {
  if (!referee.kept.get(host)) return;
  if (!standsAside(referee, host)) fail(referee, `${host.spec.name} forgot a wish that it had kept`);
  saw(referee, "a wish outlived a restart");
}

/** A path was changed, or a host woken: what is under way may still be old. */
export function disturbed(referee: Referee): void {
  referee.disturbedAt = referee.world.now;
}

/** What a host advertises, demoted as it is: section 6. */
export function claimOf(referee: Referee, host: Host): Claim {
  const { demotions } = watchOf(referee, host);
  const { advbase, advskew } = host.settings;
  const byte =
    host.spec.kind === "openbsd" || (host.spec.kind === "carpio" && host.settings.demote === "byte");
  if (byte) return { advbase, advskew, demote: Math.min(255, demotions.size) };
  if (host.spec.kind === "ucarp" || demotions.size === 0) return { advbase, advskew, demote: 0 };
  const raised = host.spec.kind === "carpio" ? Math.max(...demotions.values()) : 240;
  return { advbase, advskew: Math.max(advskew, raised), demote: 0 };
}

/** True for a host that was told to let others serve. */
export function standsAside(referee: Referee, host: Host): boolean {
  return watchOf(referee, host).aside.size > 0;
}

/** Starts measuring anew how long nobody and two have the addresses. */
export function measure(referee: Referee): void {
  const { now } = referee.world;
  if (referee.nobodySince !== undefined) referee.nobodySince = now;
  if (referee.twoSince !== undefined) referee.twoSince = now;
  referee.longest = { nobodyMs: 0, twoMs: 0 };
}

export function longestOf(referee: Referee): Longest {
  const { world, nobodySince = world.now, twoSince = world.now, longest } = referee;
  referee.longest = {
    nobodyMs: Math.max(longest.nobodyMs, world.now - nobodySince),
    twoMs: Math.max(longest.twoMs, world.now - twoSince),
  };
  return referee.longest;
}

function watch(referee: Referee, host: Host, what: Observation): void {
  if (what.kind === "stepped") watchStep(referee, host, what.event, what.actions);
  else if (what.kind === "holds") watchAddresses(referee, host, what.holds, what.why);
  else if (host.spec.kind === "carpio") watchPacket(referee, host, what.action);
}

function watchPacket(referee: Referee, { spec, claimed }: Host, action: Action): void {
  if (action.do !== "advertise") return;
  if (action.to) saw(referee, "last words");
  else if (!claimed) fail(referee, `${spec.name} advertises without the addresses`);
}

function watchStep(referee: Referee, host: Host, event: VhostEvent, actions: readonly Action[]): void {
  const before = { ...watchOf(referee, host) };
  if (event.kind === "demote") watchDemotion(referee, host, event);
  if (event.kind === "configure") beLessPatient(referee, host);

  let entered = false;
  for (const action of actions) {
    if (action.do === "enter") watchRole(referee, host, event, action);
    if (action.do === "advertise" && !action.to) watchWords(referee, host, entered);
    entered ||= action.do === "enter";
  }
  const after = watchOf(referee, host);
  if (host.spec.kind === "carpio" && before.role === after.role && !entered) {
    if (event.kind === "heard" && after.role === "backup") watchPatience(referee, host, event);
    watchRarities(referee, host, event, actions);
  }
  if (after.role === "master") watchRivals(referee, host);
}

function watchDemotion(
  referee: Referee,
  host: Host,
  { reason, advskew, standAside }: EventOf<"demote">,
): void {
  const known = watchOf(referee, host);
  const { demotions, aside } = known;
  const wished = reason === "maintenance" && advskew > 0 && host.spec.kind === "carpio";
  if (wished && !standAside) fail(referee, `${host.spec.name} is in maintenance and does not stand aside`);
  if (wished && !referee.kept.get(host)) {
    fail(referee, `${host.spec.name} stands aside for a wish that is not on its disc`);
  }
  demotions.delete(reason);
  if (aside.delete(reason)) known.calledBackAt = referee.world.now;
  if (advskew > 0) demotions.set(reason, advskew);
  if (advskew > 0 && standAside) aside.add(reason);
}

/** What is right, and so rare that we want to know that it came about. */
function watchRarities(referee: Referee, host: Host, event: VhostEvent, actions: readonly Action[]): void {
  const { role, quietSince } = watchOf(referee, host);
  const patience = milliseconds(silenceTicks(demotedMost(host.settings)));
  const deaf = host.settings.families.some(
    (family) => referee.world.now - quietSince[family] > 2 * patience + DEAF_MS,
  );
  if (event.kind === "wake" && role === "backup" && deaf) saw(referee, "a deaf backup listened again");
  const answered = event.kind === "heard" && isBowOut(event.ad) && role === "master";
  if (answered && actions.some((it) => it.do === "advertise")) saw(referee, "a bow-out was answered");
}

function watchRole(referee: Referee, host: Host, event: VhostEvent, { role, why }: Entry): void {
  const known = watchOf(referee, host);
  const { name, kind } = host.spec;
  if (referee.calm) fail(referee, `${name} enters ${role} although nothing happened: ${why}`);
  if (known.role === role) fail(referee, `${name} enters ${role}, where it was`);
  if (kind === "carpio") {
    if (!isTrue(referee, why, host, event)) {
      fail(referee, `${name} enters ${role} for a reason that is not true: ${why}`);
    }
    saw(referee, `${role}: ${why.replace(/\d.* s late/, "late")}`);
    const tie = event.kind === "heard" && intervalTicks(event.ad) === intervalTicks(claimOf(referee, host));
    if (tie && why === "heard a preferred master") saw(referee, "a tie was settled");
  }
  known.role = role;
  if (role === "master") known.masterSince = referee.world.now;
  if (role === "backup") for (const family of host.settings.families) restart(referee, host, family);
}

type Entry = Extract<Action, { readonly do: "enter" }>;

/** The reason of a change of role, against what the world knows: sections 4, 5.1 and 5.2. */
function isTrue(referee: Referee, why: string, host: Host, event: VhostEvent): boolean {
  const { settings } = host;
  const { families, preempt } = settings;
  const aside = standsAside(referee, host);
  const { spokeAt } = watchOf(referee, host);
  const mine = claimOf(referee, host);
  if (why.startsWith("shutting down")) return host.stopping;
  if (why.startsWith("was ")) {
    return referee.world.now - spokeAt > Math.max(DEAF_MS, milliseconds(silenceTicks(settings)));
  }
  if (why === "no master heard" || why === "master timed out") {
    return event.kind === "wake" && families.some((family) => isSilent(referee, host, family));
  }
  if (why === "link up" || why === "link down") {
    return event.kind === "link" && event.up === (why === "link up");
  }
  if (why === "maintenance") return event.kind === "wake" && aside;
  if (why === "master bowed out, and nobody else came") return event.kind === "wake" && aside;
  if (why === "master bowed out" && event.kind === "demote") return !aside && isBowedOutTo(referee, host);
  if (event.kind !== "heard") return false;
  const { ad } = event;
  const [his, my] = [intervalTicks(ad), intervalTicks(mine)];
  if (why === "master bowed out") return isBowOut(ad);
  if (why === "preempting a slower master") return preempt && !aside && my < his && ad.demote >= mine.demote;
  if (why === "master is demoted") return !aside && ad.demote > mine.demote;
  if (why === "master advertises too slowly") return isTooSlow(ad, mine, settings, aside);
  if (why === "heard a preferred master") {
    return ad.demote < mine.demote || (ad.demote === mine.demote && his <= my);
  }
  return false;
}

/** A bow-out is waited with for no longer than a handover takes. */
function isBowedOutTo(referee: Referee, host: Host): boolean {
  return referee.world.now - watchOf(referee, host).bowOutAt < HANDOVER_MS;
}

/** A backup of ours heard somebody, and stayed what it is. */
function watchPatience(referee: Referee, host: Host, { ad, from }: EventOf<"heard">): void {
  for (const family of host.settings.families) {
    if (family !== from.family) checkSilence(referee, host, family, ad);
  }
  const mine = claimOf(referee, host);
  const aside = standsAside(referee, host);
  if (aside && isBowOut(ad)) {
    watchOf(referee, host).bowOutAt = referee.world.now;
    return;
  }
  const takesOver =
    isBowOut(ad) ||
    (!aside && ad.demote > mine.demote) ||
    isTooSlow(ad, mine, host.settings, aside) ||
    (!aside && host.settings.preempt && intervalTicks(mine) < intervalTicks(ad) && ad.demote >= mine.demote);
  if (!takesOver) restart(referee, host, from.family);
  else saw(referee, isBowOut(ad) ? "a repeated bow-out was left alone" : "a loser's words were left alone");
}

/** The other family speaks; this one may not be silent for longer than the most patient backup bears. */
function checkSilence(referee: Referee, host: Host, family: Family, ad: Claim): void {
  const { settings, spec } = host;
  const { quietSince } = watchOf(referee, host);
  const silence = referee.world.now - Math.max(quietSince[family], referee.disturbedAt);
  if (silence < DEAF_MS) return;
  const most = demotedMost(settings);
  const patience = Math.max(silenceTicks(most), silenceTicks({ ...ad, masterDown: settings.masterDown }));
  const headStart = intervalTicks(most) / 4;
  if (silence > milliseconds(patience + headStart) + DEAF_MS + referee.tolerance.reactionMs) {
    fail(referee, `${spec.name} is still a backup after ${silence.toFixed(0)} ms without IPv${family}`);
  }
}

/** A host speaks as a master. */
function watchWords(referee: Referee, host: Host, entered: boolean): void {
  const known = watchOf(referee, host);
  const silence = referee.world.now - known.spokeAt;
  known.spokeAt = referee.world.now;
  if (host.spec.kind !== "carpio" || entered || host.stopping || known.aside.size > 0) return;
  const patience = Math.max(DEAF_MS, milliseconds(silenceTicks(host.settings)));
  if (silence > patience + milliseconds(intervalTicks(demotedMost(host.settings))) + EPSILON_MS) {
    fail(referee, `${host.spec.name} speaks as a master after ${silence.toFixed(0)} ms of silence`);
  }
}

/** Two masters that hear each other settle it with the slower one's next advertisement, or the faster one's. */
function watchRivals(referee: Referee, host: Host): void {
  const { world, disturbedAt, tolerance } = referee;
  for (const { to: rival, path } of host.paths) {
    const other = watchOf(referee, rival);
    if (other.role !== "master" || !canAnswer(host) || !canAnswer(rival)) continue;
    const aside = [host, rival].filter((it) => standsAside(referee, it));
    if (aside.length === 2) continue;
    saw(referee, aside.length === 0 ? "two masters" : "a master that stands aside heard another");
    if (!isWhole(path) || !isWhole(pathBetween(rival, host))) continue;
    const begun = [watchOf(referee, host), other].flatMap((it) => [it.masterSince, it.calledBackAt]);
    const since = Math.max(...begun, disturbedAt + tolerance.staleMs);
    const slower = Math.max(...[host, rival].map((it) => slowestTicks(referee, it)));
    // UCARP reads its packets up to a second late, and looks at its timers once an interval.
    const late = [host, rival].some(({ spec }) => spec.kind === "ucarp")
      ? 2 * milliseconds(slower) + 1000
      : 0;
    // Whoever hands over asks first, and keeps the addresses for a moment when it is answered.
    const handingOver = aside.length > 0 ? HANDOVER_MS : 0;
    if (world.now - since > milliseconds(slower) + tolerance.reactionMs + late + handingOver) {
      fail(referee, `${host.spec.name} and ${rival.spec.name} hear each other and are masters both`);
    }
  }
}

/** A peer that was demoted until now may be as slow as that for one more interval; we say at once that we are not. */
function slowestTicks(referee: Referee, host: Host): number {
  return intervalTicks(host.spec.kind === "carpio" ? claimOf(referee, host) : demotedMost(host.settings));
}

function watchAddresses(referee: Referee, host: Host, holds: boolean, why: string): void {
  longestOf(referee);
  referee.holding += holds ? 1 : -1;
  const { now } = referee.world;
  referee.nobodySince = referee.holding === 0 ? (referee.nobodySince ?? now) : undefined;
  referee.twoSince = referee.holding > 1 ? (referee.twoSince ?? now) : undefined;
  if (why === "the lease" || why === "the guard") saw(referee, `addresses off: ${why}`);
  if (why === "lease renewed") saw(referee, "addresses back on with the lease");
  if (referee.holding < 0) fail(referee, `${host.spec.name} lost what nobody had`);
}

function watchOf({ watches, world }: Referee, host: Host): Watch {
  const known = watches.get(host);
  if (known) return known;
  const created: Watch = {
    demotions: new Map(),
    aside: new Set(),
    role: "init",
    masterSince: 0,
    calledBackAt: 0,
    bowOutAt: Number.NEGATIVE_INFINITY,
    spokeAt: 0,
    quietSince: { 4: world.now, 6: world.now },
    patienceMs: { 4: 0, 6: 0 },
  };
  watches.set(host, created);
  return created;
}

function restart(referee: Referee, host: Host, family: Family): void {
  const { quietSince, patienceMs } = watchOf(referee, host);
  quietSince[family] = referee.world.now;
  patienceMs[family] = milliseconds(silenceTicks(host.settings));
}

function beLessPatient(referee: Referee, host: Host): void {
  const { patienceMs } = watchOf(referee, host);
  const patience = milliseconds(silenceTicks(host.settings));
  for (const family of host.settings.families) patienceMs[family] = Math.min(patienceMs[family], patience);
}

function isSilent(referee: Referee, host: Host, family: Family): boolean {
  const { quietSince, patienceMs } = watchOf(referee, host);
  return referee.world.now - quietSince[family] >= patienceMs[family] - EPSILON_MS;
}

export function saw({ sightings }: Referee, what: string): void {
  sightings.set(what, (sightings.get(what) ?? 0) + 1);
}

function demotedMost({
  advbase,
  masterDown,
}: Settings): Pick<Settings, "advbase" | "advskew" | "masterDown"> {
  return { advbase, advskew: 240, masterDown };
}

function isBowOut({ advbase, advskew }: Claim): boolean {
  return advbase === 255 && advskew === 255;
}

/** Section 5.2, rule 3; but who is demoted more bears a slow one, and who stands aside bears one as if its advskew were raised. */
function isTooSlow(ad: Claim, mine: Claim, settings: Settings, aside: boolean): boolean {
  const patient = aside ? demotedMost(settings) : { ...mine, masterDown: settings.masterDown };
  return ad.demote >= mine.demote && intervalTicks(ad) > silenceTicks(patient);
}

function canAnswer({ machine, frozen, stopping, linkUp }: Host): boolean {
  return machine !== undefined && !frozen && !stopping && linkUp;
}

function isWhole({ cut, loss, deaf, disorder, loseNext }: Path): boolean {
  return !cut && !disorder && loss === 0 && deaf.length === 0 && loseNext === 0;
}
