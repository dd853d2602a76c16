/**
 * Several hosts on one wire under one clock that only moves when it is told to.
 *
 * A host is what the daemon will be around the core: it hands over events, sets
 * one timer, performs the actions in their order, and has a guard and a lease
 * for the day it dies or hangs. The wire delays, loses, doubles and cuts. Which
 * rules a host plays by, ours or a peer's, is the business of its machine.
 *
 * There is no wall clock here, as there is none in the core; what the hosts do
 * have is a clock of their own each, started at a moment of their own.
 */

import type { Interval } from "../src/carp/interval.js";
import {
  type Action,
  createVhost,
  type Instant,
  nextDeadline,
  type Settings,
  type Sources,
  type Step,
  step,
  type VhostEvent,
  type VirtualHost,
} from "../src/carp/vhost.js";
import { type Address, type Family, sameAddress } from "../src/wire/address.js";
import { type Agenda, createAgenda, plan, takeDue } from "./agenda.js";
import { intervalTicks, type Machine, milliseconds } from "./machine.js";
import { createPeer, type PeerKind } from "./peers.js";

/** Our own machine, or one like it. */
export type Core = (vhost: VirtualHost, event: VhostEvent, now: Instant) => Step;

export interface HostSpec {
  readonly name: string;
  readonly kind: "carpio" | PeerKind;
  readonly settings: Settings;
  readonly sources: Sources;
  /** What its own clock shows when the world's shows 0. */
  readonly clockMs?: number;
  /** Another core than the real one, for tests of the tests. */
  readonly core?: Core;
}

/** One way from one host to another. Everything may be changed at any time. */
export interface Path {
  cut: boolean;
  /** Families that do not get through. */
  deaf: readonly Family[];
  /** 0 to 1. */
  loss: number;
  duplication: number;
  delayMs: number;
  jitterMs: number;
  /** Packets overtake each other. */
  disorder: boolean;
  lastArrivesAt: Instant;
  /** This many of the next packets are lost. */
  loseNext: number;
}

/** How long things take, and where chance comes from. */
export interface Conditions {
  readonly random: () => number;
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly claimMs: () => number;
  readonly releaseMs: () => number;
  /** How late a timer fires. */
  readonly lateMs: () => number;
  /** How long after the daemon's death the guard has taken the addresses off. */
  readonly guardMs: () => number;
}

export type Observation =
  | { readonly kind: "stepped"; readonly event: VhostEvent; readonly actions: readonly Action[] }
  | { readonly kind: "performed"; readonly action: Action }
  /** The addresses came or went. */
  | { readonly kind: "holds"; readonly holds: boolean; readonly why: string };

export interface Host {
  readonly spec: HostSpec;
  readonly paths: { readonly to: Host; readonly path: Path }[];
  settings: Settings;
  /** `undefined`: no power, or no daemon. */
  machine: Machine | undefined;
  /** Our own state, to look at. */
  vhost: (() => VirtualHost) | undefined;
  linkUp: boolean;
  stopping: boolean;
  frozen: boolean;
  inbox: VhostEvent[];
  /** Counts lives, so that what an earlier one planned is not done to a later. */
  life: number;
  outbox: Action[];
  performing: boolean;
  wakeAt: Instant;
  /** What it believes that it holds, and what its kernel really has. */
  claimed: boolean;
  holds: boolean;
  leaseUntil: Instant;
  leaseWatched: boolean;
}

export interface World {
  now: Instant;
  readonly agenda: Agenda;
  readonly hosts: Map<string, Host>;
  readonly conditions: Conditions;
  observe: (host: Host, what: Observation) => void;
}

export function createWorld(conditions: Conditions): World {
  return { now: 0, agenda: createAgenda(), hosts: new Map(), conditions, observe: () => {} };
}

/** Adds a host without power. Hosts with the same vhid share a wire. */
export function addHost(world: World, spec: HostSpec): Host {
  const host: Host = {
    spec,
    paths: [],
    settings: spec.settings,
    machine: undefined,
    vhost: undefined,
    linkUp: true,
    stopping: false,
    frozen: false,
    inbox: [],
    life: 0,
    outbox: [],
    performing: false,
    wakeAt: Number.POSITIVE_INFINITY,
    claimed: false,
    holds: false,
    leaseUntil: 0,
    leaseWatched: false,
  };
  for (const other of world.hosts.values()) {
    if (other.settings.vhid !== spec.settings.vhid) continue;
    host.paths.push({ to: other, path: createPath(world.conditions) });
    other.paths.push({ to: host, path: createPath(world.conditions) });
  }
  world.hosts.set(spec.name, host);
  return host;
}

export function createPath({ delayMs, jitterMs }: Conditions): Path {
  return {
    cut: false,
    deaf: [],
    loss: 0,
    duplication: 0,
    delayMs,
    jitterMs,
    disorder: false,
    lastArrivesAt: 0,
    loseNext: 0,
  };
}

export function pathBetween(from: Host, to: Host): Path {
  const found = from.paths.find((path) => path.to === to);
  if (!found) throw new Error(`${from.spec.name} and ${to.spec.name} share no wire`);
  return found.path;
}

export function runUntil(world: World, until: Instant): void {
  for (let due = takeDue(world.agenda, until); due; due = takeDue(world.agenda, until)) {
    world.now = due.at;
    due.run();
  }
  world.now = until;
}

/** Whose kernels have the addresses of this vhid right now. */
export function holders(world: World, vhid: number): Host[] {
  return [...world.hosts.values()].filter((host) => host.holds && host.settings.vhid === vhid);
}

/**
 * Power, or a daemon that is started again. Whatever an earlier life left behind is released first;
 * `known` is what its disc tells it before it has a link.
 */
export function start(world: World, host: Host, known: readonly VhostEvent[] = []): void {
  if (host.machine) return;
  quit(host);
  putOff(world, host, "left by an earlier run");
  host.stopping = false;
  host.frozen = false;
  boot(host);
  for (const event of known) tell(world, host, event);
  if (host.linkUp) tell(world, host, { kind: "link", up: true, why: "link up", sources: host.spec.sources });
}

/** SIGTERM. The daemon exits when its machine has let go. */
export function stop(world: World, host: Host, why = "shutting down"): void {
  host.stopping = true;
  tell(world, host, { kind: "stop", why });
}

/** No more power: nothing is left of it at once. */
export function cutPower(world: World, host: Host): void {
  quit(host);
  putOff(world, host, "no power");
}

/** The daemon dies without a word. A peer's kernel goes on by itself; our guard takes the addresses off. */
export function kill(world: World, host: Host): void {
  quit(host);
  const { life } = host;
  plan(world.agenda, world.now + world.conditions.guardMs(), () => {
    if (host.life === life && !host.machine) putOff(world, host, "the guard");
  });
}

/** SIGSTOP: packets wait in the socket's queue, and timers pass. */
export function freeze(host: Host): void {
  host.frozen = true;
}

/** SIGCONT. The queue is read before the clock is looked at; the daemon has to see to that. */
export function thaw(world: World, host: Host): void {
  if (!host.frozen) return;
  host.frozen = false;
  drain(world, host);
  for (const event of host.inbox.splice(0)) tell(world, host, event);
  tell(world, host, { kind: "wake" });
}

/** A cable or a switch port. */
export function setLink(world: World, host: Host, up: boolean, why = up ? "link up" : "link down"): void {
  if (host.linkUp === up) return;
  host.linkUp = up;
  tell(world, host, { kind: "link", up, why, sources: host.spec.sources });
}

export function demote(world: World, host: Host, reason: string, advskew: number, standAside = false): void {
  tell(world, host, { kind: "demote", reason, advskew, standAside });
}

export function configure(world: World, host: Host, settings: Settings, readdress = false): void {
  host.settings = settings;
  tell(world, host, { kind: "configure", settings, readdress });
}

/** An event for the machine: its answer is performed, and its next deadline waited for. */
export function tell(world: World, host: Host, event: VhostEvent): void {
  if (!host.machine) return;
  if (host.frozen) {
    if (event.kind !== "wake") host.inbox.push(event);
    return;
  }
  const actions = host.machine.step(event, hostTime(world, host));
  world.observe(host, { kind: "stepped", event, actions });
  if (actions.length > 0) {
    host.outbox.push(...actions);
    drain(world, host);
  }
  quitWhenLeft(host);
  arm(world, host);
}

/** The daemon exits when all that it had to do is done. */
function quitWhenLeft(host: Host): void {
  const left = host.stopping && host.machine?.role() === "init";
  if (left && host.outbox.length === 0 && !host.performing) quit(host);
}

function boot(host: Host): void {
  const { kind, sources, core = step } = host.spec;
  if (kind !== "carpio") {
    host.machine = createPeer(kind, host.settings, sources);
    return;
  }
  let vhost = createVhost(host.settings);
  host.vhost = () => vhost;
  host.machine = {
    role: () => vhost.role,
    nextDeadline: () => nextDeadline(vhost),
    step: (event, now) => {
      const next = core(vhost, event, now);
      vhost = next.vhost;
      return next.actions;
    },
  };
}

function quit(host: Host): void {
  host.machine = undefined;
  host.vhost = undefined;
  host.life++;
  host.inbox = [];
  host.outbox = [];
  host.performing = false;
  host.claimed = false;
  host.wakeAt = Number.POSITIVE_INFINITY;
}

function hostTime(world: World, host: Host): Instant {
  return world.now + (host.spec.clockMs ?? 0);
}

/** One timer. When the deadline has moved away meanwhile, the timer finds nothing due and is set again. */
function arm(world: World, host: Host): void {
  if (!host.machine) return;
  const at = Math.max(world.now, host.machine.nextDeadline() - (host.spec.clockMs ?? 0));
  if (at === Number.POSITIVE_INFINITY || host.wakeAt <= at) return;
  host.wakeAt = at;
  const { life } = host;
  plan(world.agenda, at + world.conditions.lateMs(), () => {
    if (host.life !== life || host.wakeAt !== at) return;
    host.wakeAt = Number.POSITIVE_INFINITY;
    if (!host.machine || host.frozen) return;
    if (host.machine.nextDeadline() <= hostTime(world, host)) tell(world, host, { kind: "wake" });
    else arm(world, host);
  });
}

/**
 * Performs what is to be done, one after the other: an advertisement waits until
 * the addresses are on. What only a master does is left out when it is none any more.
 */
function drain(world: World, host: Host): void {
  while (!host.performing && !host.frozen) {
    const action = host.outbox.shift();
    if (!action) return;
    if (isOutdated(host, action)) continue;
    const takes = durationMs(world, host, action);
    if (takes === 0) {
      perform(world, host, action);
      continue;
    }
    host.performing = true;
    const { life } = host;
    plan(world.agenda, world.now + takes, () => {
      if (host.life !== life) return;
      host.performing = false;
      perform(world, host, action);
      drain(world, host);
      quitWhenLeft(host);
    });
  }
}

function isOutdated({ machine, spec }: Host, action: Action): boolean {
  if (spec.kind !== "carpio" || machine?.role() === "master") return false;
  return action.do === "claim" || action.do === "announce" || (action.do === "advertise" && !action.to);
}

function durationMs({ conditions }: World, host: Host, action: Action): number {
  if (host.spec.kind !== "carpio") return 0;
  if (action.do === "claim") return conditions.claimMs();
  return action.do === "release" ? conditions.releaseMs() : 0;
}

function perform(world: World, host: Host, action: Action): void {
  world.observe(host, { kind: "performed", action });
  if (action.do === "claim") {
    host.claimed = true;
    putOn(world, host, "claimed");
  } else if (action.do === "release") {
    host.claimed = false;
    putOff(world, host, "released");
  } else if (action.do === "advertise") {
    // The code that advertises renews the lease, and puts back what has run out.
    if (host.claimed) putOn(world, host, "lease renewed");
    const interval = action.advbase === 255 ? host.settings : action;
    host.leaseUntil = world.now + leaseMs(host.settings, interval);
    send(world, host, action);
  }
}

function send(world: World, host: Host, ad: Extract<Action, { do: "advertise" }>): void {
  if (!host.linkUp) return;
  for (const family of host.settings.families) {
    if (ad.to && ad.to.family !== family) continue;
    const from = host.spec.sources[family] ?? unspecified(family);
    const event: VhostEvent = { kind: "heard", ad, from };
    for (const { to, path } of host.paths) {
      if (!to.settings.families.includes(family)) continue;
      if (ad.to && !takesUnicast(to, ad.to)) continue;
      deliver(world, to, path, family, event);
    }
  }
}

/** OpenBSD, NetBSD and UCARP drop what is not sent to the group (specification, section 1.3). */
function takesUnicast({ spec }: Host, address: Address): boolean {
  const own = spec.sources[address.family];
  return (
    own !== undefined && sameAddress(own, address) && (spec.kind === "carpio" || spec.kind === "freebsd")
  );
}

function deliver(world: World, to: Host, path: Path, family: Family, event: VhostEvent): void {
  const { random } = world.conditions;
  if (path.cut || path.deaf.includes(family)) return;
  if (path.loseNext > 0) {
    path.loseNext--;
    return;
  }
  if (path.loss > 0 && random() < path.loss) return;
  const copies = path.duplication > 0 && random() < path.duplication ? 2 : 1;
  for (let copy = 0; copy < copies; copy++) {
    const delayMs = path.jitterMs > 0 ? path.delayMs + path.jitterMs * random() : path.delayMs;
    const arrivesAt = world.now + delayMs;
    path.lastArrivesAt = path.disorder ? arrivesAt : Math.max(arrivesAt, path.lastArrivesAt);
    plan(world.agenda, path.lastArrivesAt, () => {
      if (to.linkUp) tell(world, to, event);
    });
  }
}

function putOn(world: World, host: Host, why: string): void {
  host.leaseUntil = world.now + leaseMs(host.settings, host.settings);
  if (!host.holds) {
    host.holds = true;
    world.observe(host, { kind: "holds", holds: true, why });
  }
  if (host.spec.kind === "carpio" && !host.leaseWatched) watchLease(world, host);
}

function putOff(world: World, host: Host, why: string): void {
  if (!host.holds) return;
  host.holds = false;
  world.observe(host, { kind: "holds", holds: false, why });
}

function watchLease(world: World, host: Host): void {
  host.leaseWatched = true;
  plan(world.agenda, host.leaseUntil, () => {
    host.leaseWatched = false;
    if (!host.holds) return;
    if (host.leaseUntil > world.now) watchLease(world, host);
    else putOff(world, host, "the lease");
  });
}

/**
 * How long the kernel keeps the addresses of a host that says no more: whole
 * seconds, gone before its peers' patience is at an end where that is possible,
 * and never between two advertisements. The kernel was seen to be 30 ms late.
 */
export function leaseMs(configured: Interval, advertised: Interval): number {
  const seconds = milliseconds(intervalTicks(advertised)) / 1000;
  const lease = seconds <= 0.5 ? 1 : Math.max(Math.ceil(seconds) + 1, 3 * configured.advbase - 1);
  return 1000 * lease + 30;
}

function unspecified(family: Family): Address {
  return { family, bytes: new Uint8Array(family === 4 ? 4 : 16) };
}
