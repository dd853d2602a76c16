/**
 * One `[[carp]]` table at work: the state machine with its key, its counter
 * and the device that holds its addresses.
 *
 * Events go through `step`; the actions it answers with are carried out here,
 * one after the other and in that order.
 */
import { randomBytes } from "node:crypto";
import { type Advertisement, type Drop, encodeAdvertisement, HEADER_BYTES } from "./carp/advertisement.js";
import { createSigner, type Signer, sign } from "./carp/digest.js";
import {
  advertisementTicks,
  BOW_OUT,
  DEMOTED_ADVSKEW,
  type Interval,
  isBowOut,
  ticksToMs,
} from "./carp/interval.js";
import {
  type Action,
  type Claim,
  createVhost,
  type Instant,
  lastHeard,
  nextDeadline,
  overslept,
  type Role,
  type Settings,
  step,
  type VhostEvent,
  type VirtualHost,
} from "./carp/vhost.js";
import { type GroupConfig, signatureOf } from "./config.js";
import { createFaults, type OnFault } from "./faults.js";
import { createHearing, patienceMs } from "./hearing.js";
import type { Sender } from "./linux/carp-socket.js";
import type { Holder } from "./linux/holder.js";
import type { Log } from "./log.js";
import { type Address, type Family, formatPrefix, isMulticast } from "./wire/address.js";
import { encodeIpv4, encodeIpv6, GROUP, pseudoHeader } from "./wire/packet.js";

/** Where a parent has no address of its own: a receiver must take it (specification, section 1.3). */
export const UNSPECIFIED: { readonly [F in Family]: Address } = {
  4: { family: 4, bytes: new Uint8Array(4) },
  6: { family: 6, bytes: new Uint8Array(16) },
};

/** Every kind of drop, and what was sent and accepted. */
export type Counters = { [K in Drop | "sent" | "received"]: number };

/** What takes time, and is done in turn. A role is entered at once. */
type Deed = Exclude<Action, { readonly do: "enter" }>;

/** A change of role, with its reason. */
export interface RoleChange {
  /** Wall-clock time, for people. */
  readonly at: Date;
  readonly vhid: number;
  readonly interface: string;
  readonly from: Role;
  readonly to: Role;
  readonly why: string;
}

export interface GroupOptions {
  readonly config: GroupConfig;
  readonly holder: Holder;
  readonly sender: Sender;
  readonly log: Log;
  readonly now: () => Instant;
  /** A digest of our own making, so that it is known when it comes back. */
  readonly onSigned: (digest: Uint8Array, family: Family) => void;
  readonly onRoleChange: (change: RoleChange) => void;
  /** It cannot send, or can again (0): a reason for all groups of this board to be less eager. */
  readonly onSending: (reason: string, advskew: number) => void;
  readonly onFault: OnFault;
  /** State or deadline may be other than before. */
  readonly onChange: () => void;
}

export interface Group {
  readonly config: GroupConfig;
  readonly vhost: VirtualHost;
  readonly signer: Signer;
  readonly holder: Holder;
  readonly counters: Counters;
  /** Of the families that it serves, the one of which nothing comes though the other does. */
  readonly silentFamily: Family | undefined;
  readonly since: Date;
  /** It is no master, nobody else is known to be one, and it may be about to. */
  readonly undecided: boolean;
  /** How often each role was entered. */
  readonly transitions: { readonly [R in Role]: number };
  /** It could not hold the addresses when it was to, and has not shown since that it can. */
  readonly standsBack: boolean;
  /** What is wrong with it, by what it is about. */
  readonly faults: ReadonlyMap<string, string>;
  handle(event: VhostEvent): void;
  fault(about: string, said: string | undefined): void;
  /** When `wake` is due. */
  deadline(): Instant;
  /** The addresses were lost while they were held: claims them again, or leaves. */
  reclaim(): void;
  /** Called now and then: whoever could not hold the addresses may want to try again. */
  review(): void;
  /** Its interface went, and took the device with it. What comes in its place may do better. */
  lost(): void;
  /** Takes over new settings without a pause. */
  reconfigure(config: GroupConfig): void;
  /** Resolves when everything asked for so far is done. */
  settled(): Promise<void>;
  /** Resolves when it is in INIT and has done all that this takes. */
  left(): Promise<void>;
}

/** A reason to be less eager: from a claim that the kernel refused to the next that it takes, or for a while. */
const CANNOT_HOLD = "cannot hold the addresses";
/** Three failures in a row are no accident, and three successes are a recovery (FreeBSD and OpenBSD count so too). */
const SEND_FAILURES = 3;
/** Who could not hold the addresses stays behind the others for so long, and twice as long each time it cannot again. */
const BEHIND_MS = 10_000;
const LONGEST_BEHIND_MS = 640_000;
/** Peers of the BSDs and UCARP count on from ours, so each of our steps leaves them room. */
const COUNTER_STEP = 0x10000n;

export function settingsOf(config: GroupConfig): Settings {
  const { vhid, advbase, advskew, preempt, compat } = config;
  const { masterDown, demote } = compat;
  return { vhid, advbase, advskew, preempt, families: familiesOf(config), masterDown, demote };
}

/** The families in which a group has addresses, and so advertises. */
export function familiesOf({ addresses }: GroupConfig): readonly Family[] {
  return ([4, 6] as const).filter((family) => addresses.some(({ address }) => address.family === family));
}

/** Whom a group tells: its peers of that family, or all. */
export function destinationsOf({ peers }: GroupConfig, family: Family): readonly Address[] {
  const named = peers.filter((peer) => peer.family === family);
  return named.length > 0 ? named : [GROUP[family]];
}

/**
 * How long the kernel keeps the addresses without being asked again: never so
 * short that they go between two advertisements, and else gone before the peers'
 * patience is at an end. The kernel counts whole seconds.
 */
export function leaseSeconds(configured: Interval, interval: Interval): number {
  const everySeconds = ticksToMs(advertisementTicks(interval)) / 1000;
  return everySeconds <= 0.5 ? 1 : Math.max(Math.ceil(everySeconds) + 1, 3 * configured.advbase - 1);
}

export function createGroup(options: GroupOptions): Group {
  const { holder, log, now } = options;
  let { config } = options;
  let vhost = createVhost(settingsOf(config));
  let signer = createSigner(config.vhid, signatureOf(config));
  let counter = randomBytes(8).readBigUInt64BE();
  let since = new Date();
  let hearing = createHearing();
  const transitions = { init: 0, backup: 0, master: 0 };
  let todo = Promise.resolve();
  let linkKnown = false;
  let waiting = 0;
  let claimsWaiting = 0;
  let failures = 0;
  let successes = 0;
  let refusals = 0;
  let behindUntil = Number.NEGATIVE_INFINITY;
  const onLeft: (() => void)[] = [];
  const counters: Counters = {
    sent: 0,
    received: 0,
    badttl: 0,
    badlen: 0,
    badver: 0,
    badsum: 0,
    badauth: 0,
    badvhid: 0,
    looped: 0,
    foreign: 0,
  };
  const name = `carp ${config.vhid} on ${config.interface}`;
  const faults = createFaults(log, `${name}: `, (about, said) => {
    options.onFault(about, said);
    options.onChange();
  });

  const handle = (event: VhostEvent): void => {
    if (event.kind === "heard") hearing.hear(event.from.family, now());
    if (event.kind === "link") linkKnown = true;
    const before = vhost;
    const next = step(before, event, now());
    vhost = next.vhost;
    if (hasSuccessor(vhost) && !hasSuccessor(before)) holder.fallSilent();
    let from = before.role;
    for (const action of next.actions) {
      if (action.do === "enter") from = enter(from, action.role, action.why);
      else enqueue(action);
    }
    if (vhost.role === "init" && before.role !== "init") {
      forgetFailures();
      for (const resolve of onLeft.splice(0)) resolve();
    }
    options.onChange();
  };

  /** Whoever is no master sends nothing that could show a recovery. */
  const forgetFailures = (): void => {
    const failing = failures >= SEND_FAILURES;
    failures = 0;
    successes = 0;
    faults.set("sending", undefined);
    if (failing) options.onSending(sendingFails(), 0);
  };

  const sendingFails = (): string => `cannot send on ${config.interface}`;

  const enter = (from: Role, to: Role, why: string): Role => {
    since = new Date();
    transitions[to]++;
    log.info(`${name}: ${from} -> ${to}: ${why}`);
    options.onRoleChange({ at: since, vhid: config.vhid, interface: config.interface, from, to, why });
    return to;
  };

  const enqueue = (action: Deed): void => {
    // Behind a kernel that does not answer, what was to be said is old by the time it can be; a bow-out waits for none.
    if (action.do === "advertise" && isBowOut(action) && waiting > 0) return void perform(action);
    if (action.do === "advertise" && waiting > 2) return;
    const claims = action.do === "claim" ? 1 : 0;
    waiting++;
    claimsWaiting += claims;
    todo = todo
      .then(() => perform(action))
      .finally(() => {
        waiting--;
        claimsWaiting -= claims;
      });
  };

  const perform = async (action: Deed): Promise<void> => {
    // Whoever was stopped finds out first that it is master no more.
    if (overslept(vhost, now())) handle({ kind: "wake" });
    // What waited behind a slow kernel may be said by a master no more.
    const stale = vhost.role !== "master" && !(action.do === "advertise" && action.to);
    if (stale && action.do !== "release") return;
    if (isTooLate(action)) return;
    if (action.do === "advertise" && !isBowOut(action)) {
      await seeLease();
      // Whoever serves would let go for it.
      if (faults.all.has("addresses")) return;
    }
    log.debug("linux", () => `${name}: ${JSON.stringify(action)}`);
    switch (action.do) {
      case "claim":
        return claim();
      case "release":
        await holder.release();
        return options.onChange();
      case "advertise":
        return advertise(action, action.to);
      case "announce":
        return holder.announce();
    }
  };

  const claim = async (): Promise<void> => {
    const said = await holder.claim();
    if (said === undefined) {
      faults.set("addresses", undefined);
      forgetRefusals();
    } else if (vhost.role === "master") standBack(said);
  };

  /**
   * What waited is not done after a bow-out that went ahead of it: whoever has
   * taken over would give way again to one that leaves. Nor is a claim that was
   * asked for again while a slow one failed.
   */
  const isTooLate = (action: Deed): boolean => {
    const { leaving } = vhost;
    if (!leaving) return false;
    if (action.do === "claim") return leaving.to === "init" || hasSuccessor(vhost);
    const speaks = action.do === "announce" || (action.do === "advertise" && !action.to && !isBowOut(action));
    return speaks && (leaving.bowOuts > 0 || hasSuccessor(vhost));
  };

  /** The kernel takes the addresses off by itself, and a claim would wait behind the renewal that hangs. */
  const seeLease = async (): Promise<void> => {
    // Where it was us who stood still, the answer may be there already.
    if (holder.leaseOver) await new Promise((resolve) => setImmediate(resolve));
    if (vhost.role !== "master" || !holder.leaseOver) return;
    standBack(`ip has not renewed the addresses on ${holder.device.name} within their lifetime`);
  };

  /** A master that cannot hold the addresses leaves, so that another may; the next review tries again. */
  const standBack = (said: string): void => {
    faults.set("addresses", said);
    if (vhost.leaving?.to === "init") return;
    behindUntil = now() + Math.min(BEHIND_MS * 2 ** refusals, LONGEST_BEHIND_MS);
    refusals++;
    handle({ kind: "demote", reason: CANNOT_HOLD, advskew: DEMOTED_ADVSKEW });
    handle({ kind: "stop", why: CANNOT_HOLD });
    // One that is on while another is not serves nobody, and may be another board's in a moment.
    holder.fallSilent();
    enqueue({ do: "release" });
  };

  const forgetRefusals = (): void => {
    refusals = 0;
    catchUp();
  };

  const catchUp = (): void => handle({ kind: "demote", reason: CANNOT_HOLD, advskew: 0 });

  const advertise = async (claim: Claim, to: Address | undefined): Promise<void> => {
    if (holder.holding) holder.renew();
    const packets = vhost.settings.families
      .filter((family) => !to || to.family === family)
      .flatMap((family) => {
        const destinations = to ? [to] : destinationsOf(config, family);
        const ad = signed(claim, family);
        const source = vhost.sources[family] ?? UNSPECIFIED[family];
        return destinations.map((destination) => ({
          destination,
          packet: encodePacket(config, ad, source, destination),
        }));
      });
    const results = await Promise.all(
      packets.map(({ packet, destination }) =>
        options.sender.send(packet, destination, deviceTo(destination)),
      ),
    );
    counters.sent += results.filter((error) => error === undefined).length;
    account(results.find((error) => error !== undefined));
  };

  /**
   * Only to the group does the virtual MAC say something: which port of the
   * switch is the master's. Who leaves speaks from the interface's own MAC, or
   * a bow-out that crosses the successor's announcement takes the port back.
   */
  const deviceTo = (destination: Address): string =>
    holder.holding && !vhost.leaving && isMulticast(destination) ? holder.device.name : config.interface;

  const signed = ({ advbase, advskew, demote }: Claim, family: Family): Advertisement => {
    counter = BigInt.asUintN(64, counter + COUNTER_STEP);
    const digest = sign(signer, counter);
    options.onSigned(digest, family);
    return { vhid: config.vhid, advbase, advskew, demote, counter, digest };
  };

  const account = (error: Error | undefined): void => {
    const reason = sendingFails();
    if (error) {
      successes = 0;
      failures++;
      if (failures < SEND_FAILURES) return;
      faults.set("sending", `${reason}: ${error.message}`);
      // Each time: another group may have taken the reason back, or be new.
      options.onSending(reason, DEMOTED_ADVSKEW);
      return;
    }
    successes++;
    if (failures < SEND_FAILURES) failures = 0;
    else if (successes >= SEND_FAILURES) {
      failures = 0;
      faults.set("sending", undefined);
      options.onSending(reason, 0);
    }
  };

  const settled = async (): Promise<void> => {
    for (let last: Promise<void> | undefined; last !== todo; ) {
      last = todo;
      await last;
    }
  };

  return {
    get config() {
      return config;
    },
    get vhost() {
      return vhost;
    },
    get signer() {
      return signer;
    },
    get since() {
      return since;
    },
    get undecided() {
      if (vhost.role !== "init") return vhost.role === "backup" && lastHeard(vhost) === undefined;
      // A link that is there brings it to life, unless it has no place for its addresses. Whoever left without them comes back.
      return faults.all.has("addresses") ? refusals > 0 : !linkKnown;
    },
    get silentFamily() {
      const silent = hearing.silentFamily(patienceMs(config), now());
      return silent && vhost.settings.families.includes(silent) ? silent : undefined;
    },
    get standsBack() {
      return refusals > 0;
    },
    holder,
    counters,
    transitions,
    faults: faults.all,
    handle,
    fault: faults.set,
    deadline: () => nextDeadline(vhost),
    reclaim() {
      const isUnderWay = claimsWaiting > 0 || holder.leaseOver;
      if (vhost.role === "master" && !hasSuccessor(vhost) && !isUnderWay) enqueue({ do: "claim" });
    },
    review() {
      const isBehind = vhost.demotions.some(({ reason }) => reason === CANNOT_HOLD);
      if (vhost.role === "backup" && isBehind && now() >= behindUntil) catchUp();
    },
    lost() {
      linkKnown = false;
      holder.lost();
      forgetRefusals();
    },
    reconfigure(next) {
      const listed = (it: GroupConfig) => it.addresses.map(formatPrefix).join();
      const readdress = listed(config) !== listed(next);
      config = next;
      signer = createSigner(next.vhid, signatureOf(next));
      if (readdress) {
        hearing = createHearing();
        todo = todo.then(() => holder.readdress(next.addresses));
        forgetRefusals();
      }
      handle({ kind: "configure", settings: settingsOf(next), readdress });
    },
    settled,
    async left() {
      if (vhost.role !== "init") await new Promise<void>((resolve) => onLeft.push(resolve));
      await settled();
    },
  };
}

/** True for a master that has heard the one that takes its place. */
export function hasSuccessor({ leaving }: VirtualHost): boolean {
  return leaving?.successor !== undefined;
}

/** The last words of a host that has left already: 255/255, as a whole packet. */
export function signBowOut(config: GroupConfig, source: Address, destination: Address): Uint8Array {
  const signer = createSigner(config.vhid, signatureOf(config));
  const counter = randomBytes(8).readBigUInt64BE();
  const ad = { vhid: config.vhid, ...BOW_OUT, counter, digest: sign(signer, counter) };
  return encodePacket(config, ad, source, destination);
}

function encodePacket(
  { compat }: GroupConfig,
  ad: Advertisement,
  source: Address,
  destination: Address,
): Uint8Array {
  if (source.family === 4) return encodeIpv4(source, destination, encodeAdvertisement(ad));
  const summed = compat.checksum6 === "pseudo-header";
  const pseudo = summed ? pseudoHeader(source, destination, HEADER_BYTES) : undefined;
  return encodeIpv6(source, destination, encodeAdvertisement(ad, pseudo));
}
