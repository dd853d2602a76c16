/**
 * A run under way: its hosts, what is done to them, and how long things may take
 * between them.
 */
import { intervalTicks, milliseconds, silenceTicks } from "../machine.js";
import { configure, cutPower, type Host, runUntil, start, thaw } from "../world.js";
import { disturbed, forget, noteResumed } from "./referee.js";
import { closeBy, type Scene } from "./scene.js";
import { cutShort, type Desk, goOn, resume } from "./wish.js";

export interface Run extends Desk {
  readonly scene: Scene;
  readonly hosts: readonly Host[];
}

/** How late a timer fires. */
export const LATE_MS = 1.2;
/** How long after the daemon's death the guard has let go. */
export const GUARD_MS = 100;
/** The longest delay of a storm: what is under way when it ends arrives by then. */
export const STALE_MS = 400;
/** How long a polite stop may take. */
export const LEAVE_MS = 1500;
/** How long the addresses stay after the successor is heard. */
const GRACE_MS = 50;
/** How long UCARP may not notice that its link is back. */
const UCARP_SLEEP_MS = 10_000;

/** Lets enough time pass that a network that is whole has one master. */
export function settle(run: Run): void {
  runUntil(run.world, run.world.now + settleMs(run));
}

export function wake(run: Run, host: Host): void {
  const { world, referee } = run;
  disturbed(referee);
  thaw(world, host);
  goOn(run, host);
}

export function boot(run: Run, host: Host): void {
  if (host.machine) return;
  forget(run.referee, host);
  start(run.world, host, resume(run, host));
  noteResumed(run.referee, host);
}

export function isRunning(host: Host): boolean {
  return host.machine !== undefined && !host.stopping;
}

export function namesOf(hosts: readonly Host[]): string {
  return hosts.map((host) => host.spec.name).join(" and ") || "nobody";
}

/** No more power, and no memory but the disc's. */
export function losePower(run: Run, host: Host): void {
  cutPower(run.world, host);
  cutShort(run, host);
  forget(run.referee, host);
}

/** SIGHUP with another advskew. It makes us nobody's equal where there is no rule for equals. */
export function reload({ world, chance, scene, hosts }: Run, host: Host): void {
  const settings = { ...host.settings, advskew: chance.whole(...scene.skews) };
  const odd = hosts.some(
    (other) =>
      other !== host &&
      (closeBy(other.settings, settings) ||
        (other.settings.advskew === settings.advskew && (other.spec.kind !== "carpio" || !scene.addressed))),
  );
  if (odd) return;
  configure(world, host, settings, chance.maybe(0.4));
}

/** A packet, a timer and the kernel, on both sides. */
export function reactionMs({ delayMs, jitterMs, slowestClaimMs }: Scene): number {
  return 2 * (delayMs + jitterMs + LATE_MS + slowestClaimMs) + 1;
}

/**
 * How long two hosts may have the addresses when one follows the other: the
 * grace, and what it takes to hear of each other. Of three hosts two may follow
 * at once and settle it between them. UCARP hears of it up to a second late. And
 * whoever hears the loser's word after the winner's may take over from the loser,
 * until the winner speaks again: every BSD does, and so do we where nobody can
 * tell one host from another, in two families or without addresses of their own.
 * Where UCARP is that winner or that host, this word is an interval late too,
 * since it looks at its timers once in one, and is read another second later.
 */
export function handoverMs({ hosts, scene }: Run): number {
  const ucarp = hosts.some(({ spec }) => spec.kind === "ucarp");
  const late = ucarp ? 1000 : 0;
  const dual = hosts.some(({ settings }) => settings.families.length > 1);
  const astray =
    hosts.length > 2 && (dual || !scene.addressed || hosts.some(({ spec }) => spec.kind !== "carpio"));
  const slowest = Math.max(...hosts.map(({ settings }) => milliseconds(intervalTicks(settings))));
  const nextWord = ucarp ? 2 * slowest + late : slowest;
  // Where all look alike, the words of one that follows pass for those of another, and whoever hands over asks on.
  const asksOn = hosts.length > 2 && !scene.addressed ? LEAVE_MS : 0;
  return GRACE_MS + 2 * reactionMs(scene) + late + (astray ? nextWord : 0) + asksOn;
}

/** Section 4, demoted as much as can be; UCARP looks at its timers at multiples of its interval and reads late. */
export function patienceMs({ spec, settings }: Host): number {
  const most = { ...settings, advskew: Math.max(settings.advskew, 240) };
  if (spec.kind === "ucarp") return milliseconds(3 * silenceTicks(settings)) + 1000;
  return milliseconds(silenceTicks(spec.kind === "carpio" ? most : settings));
}

/** The network settles within: two patiences (one to find out, one after a draw or a sleep), an interval, a farewell. */
export function settleMs({ hosts, scene }: Run): number {
  const patience = Math.max(...hosts.map(patienceMs));
  const sleep = hosts.some(({ spec }) => spec.kind === "ucarp") ? UCARP_SLEEP_MS : 0;
  return (scene.draws ? 10 : 3) * patience + LEAVE_MS + STALE_MS + sleep;
}
