/**
 * Holds a group's addresses on this board, or sees that they are gone.
 *
 * Keeps apart what is wanted and what the kernel says is true. After each
 * change it asks the kernel; where the answer is not what was wanted it reports
 * what was said, and tries again until it is.
 */
import type { Prefix } from "../wire/address.js";
import { formatAddress } from "../wire/address.js";
import { announceByHand } from "./announce.js";
import {
  announceCommands,
  askCommand,
  type CarpDevice,
  claimCommands,
  createCommands,
  type DeviceState,
  destroyCommands,
  heldAddresses,
  holdsAll,
  isConfiguredOn,
  isLocal,
  localityCommands,
  readDevice,
  releaseCommands,
  renewCommands,
} from "./carp-device.js";
import type { Ip, Outcome, Refusal } from "./ip.js";
import { answerArp, stopAnsweringArp } from "./sysctl.js";

export interface Holder {
  readonly device: CarpDevice;
  /** True when the kernel confirmed that all addresses are on. */
  readonly holding: boolean;
  /** True when they were on and may not be any more: a renewal hangs or failed, and their lifetime has passed. */
  readonly leaseOver: boolean;
  /** Makes the device, if there is to be one, and sees that it holds nothing. Says what went wrong. */
  prepare(): Promise<string | undefined>;
  /** The parent went, and took the device with it. */
  lost(): void;
  /** Puts the addresses on and announces them. Says what went wrong. */
  claim(): Promise<string | undefined>;
  /** Takes them off, and does not rest before they are. */
  release(): Promise<void>;
  announce(): Promise<void>;
  /** Renews the lease, if the last renewal is not too recent. */
  renew(): void;
  /** A successor serves: keep the addresses for a moment, but answer no more for them. */
  fallSilent(): void;
  /** Sees whether the kernel still agrees. Asks it, unless an answer is known that was asked for at `askedAt`. */
  check(known?: DeviceState, askedAt?: number): Promise<void>;
  /** Other addresses: those that went are taken off, those that came wait for the next claim. */
  readdress(addresses: readonly Prefix[]): Promise<void>;
  destroy(): Promise<void>;
}

export interface HolderOptions {
  readonly ip: Ip;
  readonly device: CarpDevice;
  /** Prepares the kernel's settings of a new device. */
  readonly tune: (device: string) => void;
  /** The parent's own networks, now. */
  readonly parentPrefixes: () => readonly Prefix[];
  readonly leaseSeconds: () => number;
  /** False when somebody else serves by now: a slow kernel may have kept us. */
  readonly mayAnnounce: () => boolean;
  /** What went wrong, or `undefined` when it is well again. */
  readonly onFault: (said: string | undefined) => void;
  /** Somebody changed something: what it was. */
  readonly onMeddling: (said: string) => void;
  /** Addresses that were on are gone: claim them again, or leave. */
  readonly onLoss: () => void;
}

/** With sub-second advertisements the lease is renewed less often than they are sent. */
const RENEW_EVERY_MS = 250;
const AGAIN_MS = 200;
/** An announcement that follows a claim at once says what the claim has just said. The next one, where a claim was slow, does not. */
const ANNOUNCED_MS = 20;
/** A worker of the kernel needs a few milliseconds on a busy board; without it we go on. */
const LOCAL_WITHIN_MS = 100;

export function createHolder(options: HolderOptions): Holder {
  const { ip } = options;
  let device = options.device;
  let wanted = false;
  let holding = false;
  let exists = false;
  let changing = 0;
  let changedAt = Number.NEGATIVE_INFINITY;
  let renewedAt = Number.NEGATIVE_INFINITY;
  /** Nobody but the kernel knows better than this when their lifetime began. */
  let leasedUntil = Number.NEGATIVE_INFINITY;
  /** A second renewal behind one that `ip` has not carried out would be the same once more. */
  let renewing = false;
  /** The last renewal that was asked for was carried out. Whoever has not asked does not know. */
  let renewed = true;
  let announcedAt = Number.NEGATIVE_INFINITY;
  /** Nothing was announced since the claim, which does so itself. */
  let claimed = false;
  /** What was said to the kernel's way of announcing, where the device does not have it. */
  let mute: string | undefined;
  const faults = new Map<"device" | "announcement", string>();

  const fault = (about: "device" | "announcement", said: string | undefined): void => {
    if (said === undefined) faults.delete(about);
    else faults.set(about, said);
    options.onFault(faults.size > 0 ? [...faults.values()].join("; ") : undefined);
  };

  const change = async (commands: readonly string[]): Promise<Outcome> => {
    changing++;
    const outcome = await ip.run(commands);
    changing--;
    changedAt = performance.now();
    return outcome;
  };

  const look = async (
    commands: readonly string[],
  ): Promise<[DeviceState | undefined, readonly Refusal[], boolean]> => {
    const run = commands.length > 0 ? change : ip.run;
    const { answered, answers, refusals } = await run([...commands, askCommand(device)]);
    const state = readDevice(answers.at(-1));
    if (answered) exists = state !== undefined;
    return [state, refusals, answered];
  };
  const complete = (state: DeviceState | undefined) => state?.up === true && holdsAll(device, state);
  /** As a backup leaves it. What is configured on a parent for good is not ours. */
  const idle = (state: DeviceState | undefined) => {
    const held = heldAddresses(device, state);
    return device.mac ? held.length === 0 && !state?.up : held.every(({ leased }) => !leased);
  };

  /** Every command is acknowledged by the kernel, so nothing refused means that all addresses are on. */
  const putOn = async (): Promise<string | undefined> => {
    const askedAt = performance.now();
    renewedAt = askedAt;
    // With a lease the board's own address would be gone in two seconds.
    const problem = device.mac ? undefined : notOurs((await look([]))[0]);
    if (problem) return problem;
    if (device.mac) answerArp(device.name);
    const seconds = options.leaseSeconds();
    const { refusals } = await ip.run(claimCommands(device, options.parentPrefixes(), seconds));
    if (!wanted) return undefined;
    holding = refusals.length === 0;
    leasedUntil = askedAt + seconds * 1000;
    renewed = true;
    if (holding) await untilLocal();
    // Where that took long, the first renewal would come late.
    const isLate = performance.now() - askedAt > (seconds * 1000) / 2;
    return holding && isLate ? renewLease() : describe(refusals);
  };

  /** What somebody configured for good, on a parent that is to hold the addresses itself. */
  const notOurs = (state: DeviceState | undefined): string | undefined => {
    const foreign = heldAddresses(device, state).filter(({ leased }) => !leased);
    const list = foreign.map(({ address }) => formatAddress(address)).join(", ");
    return list === "" ? undefined : isConfiguredOn(list, device.name);
  };

  /** Whoever is told of an address sends to it at once, and finds it in service. */
  const untilLocal = async (): Promise<void> => {
    const questions = localityCommands(device);
    for (const untilAt = performance.now() + LOCAL_WITHIN_MS; performance.now() < untilAt; ) {
      const { answers } = await ip.run(questions);
      if (answers.filter(isLocal).length === questions.length) return;
    }
  };

  const quiet = async (): Promise<[undefined]> => {
    if (exists) await change([`link set dev ${device.name} down`]);
    return [undefined];
  };

  const takeOff = async (): Promise<string | undefined> => {
    // Where many groups leave at once, no address is served while another's is still being flushed.
    const [before] = await (device.mac ? quiet() : look([]));
    // A claim may have come while we waited: then what is on belongs there.
    if (wanted) return undefined;
    const held = heldAddresses(device, before).filter(({ leased }) => leased);
    const [state, refusals, answered] = await look(exists ? releaseCommands(device, held) : []);
    const off = answered && idle(state);
    if (off) holding = false;
    return off
      ? undefined
      : (describe(refusals) ?? `${device.name} still holds addresses that were taken off`);
  };

  /** A release that fails leaves two boards with one address, so the device itself goes if its addresses will not. */
  const release = async (): Promise<void> => {
    wanted = false;
    for (let said = await takeOff(); said !== undefined && !wanted; said = await takeOff()) {
      fault("device", said);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      if (device.mac && exists && !wanted) await make([`link delete dev ${device.name}`]);
    }
    faults.clear();
    fault("device", undefined);
  };

  const make = async (before: readonly string[]): Promise<string | undefined> => {
    const [made, refusals] = await look([...before, ...createCommands(device)]);
    mute = undefined;
    if (!made) return (await stranger()) ?? describe(refusals) ?? `${device.name} was not made`;
    options.tune(device.name);
    return undefined;
  };

  /** Says that somebody else has taken the name, if so. */
  const stranger = async (): Promise<string | undefined> => {
    const { answers } = await ip.run([`address show dev ${device.name}`]);
    const found = readDevice(answers[0]);
    return (
      found &&
      `the interface ${device.name} is not carpio's: rename or remove it, because the addresses go on a device of that name`
    );
  };

  /** Somebody may have deleted the device. */
  const makeAgain = async (): Promise<string | undefined> => {
    const [state, , answered] = await look([]);
    return device.mac && answered && !state ? make([]) : undefined;
  };

  const announce = async (): Promise<void> => {
    if (!holding || !options.mayAnnounce()) return;
    announcedAt = performance.now();
    const mac = device.mac ?? (await macOfParent());
    // Whoever was stopped in between for longer than the lease has nothing to announce any more.
    if (performance.now() > leasedUntil) return;
    if (!mac) return fault("announcement", `cannot announce on ${device.name}: ip does not tell its MAC`);
    if (mute === undefined) {
      const commands = announceCommands(device, mac);
      let { answered, refusals } = await ip.run(commands);
      // Somebody ended `ip`: another one says it, and not the next announcement in a minute.
      if (!answered && holding) ({ answered, refusals } = await ip.run(commands));
      const said = describe(refusals);
      if (answered) mute = said;
      if (mute === undefined) return fault("announcement", said);
    }
    // Nobody waits for it: `arping` takes a second to find out that nobody answers.
    if (holding) announceOurselves(mac, mute);
  };

  const announceOurselves = async (mac: string, because: string): Promise<void> => {
    const said = await announceByHand(
      device.name,
      mac,
      device.addresses.map(({ address }) => address),
    );
    if (holding) fault("announcement", said && `${said}; and the kernel does not do it: ${because}`);
  };

  const renewLease = async (): Promise<string | undefined> => {
    const seconds = options.leaseSeconds();
    const commands = renewCommands(device, options.parentPrefixes(), seconds);
    renewing = true;
    renewed = false;
    let askedAt = performance.now();
    let outcome = await ip.run(commands);
    // By the next advertisement the lease may be over, and another `ip` may fare better.
    if (outcome.refusals.length > 0 && wanted) {
      askedAt = performance.now();
      outcome = await ip.run(commands);
    }
    renewing = false;
    renewed = outcome.refusals.length === 0;
    if (renewed) leasedUntil = askedAt + seconds * 1000;
    const said = describe(outcome.refusals);
    if (wanted) fault("device", said);
    return said;
  };

  const isLeaseOver = (): boolean => !renewed && performance.now() > leasedUntil;

  /** Asked for each time: what it was before would be set again. */
  const macOfParent = async (): Promise<string | undefined> => {
    const { answers } = await ip.run([askCommand(device)]);
    return readDevice(answers[0])?.mac;
  };

  return {
    get device() {
      return device;
    },
    get holding() {
      return holding && !isLeaseOver();
    },
    get leaseOver() {
      return holding && isLeaseOver();
    },
    async prepare() {
      holding = false;
      mute = undefined;
      const [found] = await look([]);
      const problem = device.mac ? await make(found ? destroyCommands(device) : []) : notOurs(found);
      if (!problem) await release();
      return problem;
    },
    lost() {
      exists = false;
      holding = false;
      wanted = false;
    },
    async claim() {
      wanted = true;
      const said = (await putOn()) && ((await makeAgain()) ?? (await putOn()));
      // Before anybody hears our advertisement and lets go, clients and switches know where to send.
      if (!said) await announce();
      claimed = !said;
      return said;
    },
    release,
    async announce() {
      const isSaid = claimed && performance.now() - announcedAt < ANNOUNCED_MS;
      claimed = false;
      if (!isSaid) await announce();
    },
    renew() {
      if (!wanted || renewing || performance.now() - renewedAt < RENEW_EVERY_MS) return;
      renewedAt = performance.now();
      renewLease();
    },
    fallSilent() {
      if (device.mac) stopAnsweringArp(device.name);
    },
    async check(known, askedAt = performance.now()) {
      if (changing > 0) return;
      const [state, , answered] = known ? [known, [], true] : await look([]);
      if (!answered) return;
      // An answer from before our own last change says nothing about others'.
      if (changing > 0 || askedAt <= changedAt) return;
      if (wanted && !complete(state)) {
        // Where nothing is held, a claim is under way already.
        if (!holding) return;
        holding = false;
        options.onMeddling(`${device.name} has lost addresses: claiming them again`);
        options.onLoss();
      } else if (!wanted && state && !idle(state)) {
        await release();
        options.onMeddling(`somebody put ${device.name} to use while another board serves: it is off again`);
      }
    },
    async readdress(addresses) {
      const kept = new Set(addresses.map(({ address }) => formatAddress(address)));
      const dropped = device.addresses.filter(({ address }) => !kept.has(formatAddress(address)));
      const [state] = await look([]);
      const held = heldAddresses({ ...device, addresses: dropped }, state).filter(({ leased }) => leased);
      await look(releaseCommands({ ...device, mac: undefined }, held));
      device = { ...device, addresses };
      // A family may have come that the device was not prepared for.
      if (device.mac && exists) options.tune(device.name);
    },
    async destroy() {
      await release();
      if (device.mac && exists) await look(destroyCommands(device));
    },
  };
}

function describe(refusals: readonly Refusal[]): string | undefined {
  const [first] = refusals.filter(({ command }) => !command.startsWith("address show"));
  return first && `ip ${first.command}: ${first.said}`;
}
