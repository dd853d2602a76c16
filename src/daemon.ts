/**
 * The loop: an event comes, `step` answers, the actions are carried out, the
 * snapshot is published. Owns the timer, the interfaces and the groups; the
 * rules are `carp`'s, and only `linux` changes the network.
 */
import { boardName } from "./board.js";
import type { Drop } from "./carp/advertisement.js";
import { inspect } from "./carp/inspect.js";
import { DEMOTED_ADVSKEW } from "./carp/interval.js";
import { createOwnDigests } from "./carp/own-digests.js";
import { type Instant, ourClaim, type Sources } from "./carp/vhost.js";
import { createClock } from "./clock.js";
import { createComplaints } from "./complaint.js";
import type { Config, GroupConfig } from "./config.js";
import { createGroup, type Group, leaseSeconds, type RoleChange, settingsOf } from "./group.js";
import {
  type CarpDevice,
  type DeviceState,
  deviceName,
  guardCommands,
  LINK_GROUP,
  readDevice,
} from "./linux/carp-device.js";
import { openSender } from "./linux/carp-socket.js";
import { openGuard, waitForGuard } from "./linux/guard.js";
import { createHolder } from "./linux/holder.js";
import { openIp } from "./linux/ip.js";
import { type LinkEvent, watchLinks } from "./linux/link.js";
import { createParent, ownPrefixes, type Parent, sourceOf } from "./linux/parent.js";
import { createPrefilter, unloadPrefilter } from "./linux/prefilter.js";
import { type Changed, overruledSettings, restoreSettings, tuneDevice, tuneParent } from "./linux/sysctl.js";
import type { Log } from "./log.js";
import { readLeftover, removeLeftover, takeLock, writeLeftover } from "./runtime.js";
import { openStatusServer, type StatusServer } from "./status/server.js";
import { type Snapshot, takeSnapshot } from "./status/snapshot.js";
import { version } from "./version.js";
import { formatAddress } from "./wire/address.js";
import { virtualMac } from "./wire/mac.js";
import type { Packet } from "./wire/packet.js";

export interface Daemon {
  snapshot(): Promise<Snapshot>;
  /** Takes over another configuration; groups that did not change notice nothing. */
  reload(config: Config): Promise<void>;
  /** Hands everything over, puts everything back, and ends. */
  stop(why: string): Promise<void>;
}

const EVENTS_KEPT = 100;
/** How long packets may keep a deadline waiting; longer when the deadline was missed by longer. */
const LEAST_READ_MS = 2;
const MOST_READ_MS = 250;
/** When hundreds of groups claim their addresses at once, the kernel is busy for so long that a lease needs more room. */
const GROUPS_A_SECOND = 128;
/** A polite leave takes 1.5 s; longer than this, something hangs. */
const STOP_MS = 4_000;
/** What went wrong is tried again after this long. */
const REVIEW_MS = 5_000;
const REVIEW_DEVICES_MS = 60_000;

/** What the kernel reports of a device that is as we want it: our own doing, and not worth a look. */
const held: readonly LinkEvent["what"][] = ["up", "address"];
const released: readonly LinkEvent["what"][] = ["down", "address-gone"];

/** Starts the daemon. Throws a sentence when another one runs here already. */
export async function startDaemon(initial: Config, log: Log): Promise<Daemon> {
  const lock = await takeLock();
  if ("heldBy" in lock) throw new Error(`carpio is running here already, as ${lock.heldBy}`);

  const startedAt = performance.now();
  const clock = createClock();
  const ip = openIp();
  await clearAway();
  let guardPid: number | undefined;
  const guard = openGuard((pid) => {
    const restarted = guardPid !== undefined;
    guardPid = pid;
    if (!restarted) return;
    log.warn("the guard has ended; another has started");
    leaveNote();
  });
  const sender = openSender();
  let config = initial;
  let changed: Changed = {};
  const prefilter = createPrefilter();
  let server: StatusServer | undefined;
  let heard = 0;
  let stopping = false;
  let rearming = false;
  let noting = false;
  let floating: ReadonlySet<string> = new Set();
  const groups = new Map<string, Group>();
  /** On their way out, or gone. */
  const leavers = new WeakSet<Group>();
  const parents = new Map<string, Parent>();
  const events: RoleChange[] = [];
  const dropped: { [K in Drop]?: number } = {};
  const faults = new Map<string, string>();
  const ownDigests = createOwnDigests();
  const complaints = createComplaints();

  // ---- Packets -------------------------------------------------------------

  const onPacket = (parent: string, packet: Packet): void => {
    heard++;
    const verdict = inspect(packet, {
      signerOf: (vhid, family) => {
        const group = groups.get(keyOf({ interface: parent, vhid }));
        return group?.vhost.settings.families.includes(family) ? group.signer : undefined;
      },
      isOurs: ownDigests.has,
    });
    if (!verdict.ok) {
      drop(parent, packet, verdict.drop, verdict.vhid);
      return;
    }
    const { advertisement } = verdict;
    const group = groups.get(keyOf({ interface: parent, vhid: advertisement.vhid }));
    if (!group) return;
    group.counters.received++;
    const { vhid, advbase, advskew, demote } = advertisement;
    log.debug(
      "carp",
      () => `${parent}: ${formatAddress(packet.source)}: vhid ${vhid}, ${advbase}/${advskew}, ${demote}`,
    );
    group.handle({ kind: "heard", ad: advertisement, from: packet.source });
  };

  const drop = (parent: string, packet: Packet, reason: Drop, vhid: number | undefined): void => {
    log.debug("wire", () => `${parent}: ${formatAddress(packet.source)}: dropped, ${reason}`);
    const group = vhid === undefined ? undefined : groups.get(keyOf({ interface: parent, vhid }));
    if (!group) {
      dropped[reason] = (dropped[reason] ?? 0) + 1;
      return;
    }
    group.counters[reason]++;
    const said = complaints.about(packet, reason, group.config, clock.now());
    if (said) log.warn(said);
  };

  // ---- Time ----------------------------------------------------------------

  /** Many groups may change in one turn of the loop; one look at all of them is enough. */
  const rearm = (): void => {
    if (!rearming) queueMicrotask(setAlarm);
    rearming = true;
  };

  const setAlarm = (): void => {
    rearming = false;
    let at: Instant = Number.POSITIVE_INFINITY;
    for (const group of groups.values()) at = Math.min(at, group.deadline());
    clock.wakeAt(at, () => {
      const lateMs = clock.now() - at;
      afterQueue(tick, clock.now() + Math.min(Math.max(lateMs, LEAST_READ_MS), MOST_READ_MS));
    });
  };

  /**
   * What is queued is read before anything is decided: whoever was late may
   * find the answer there. A flood does not end, so this does.
   */
  const afterQueue = (then: () => void, untilAt: Instant): void => {
    const before = heard;
    setImmediate(() => (heard === before || clock.now() >= untilAt ? then() : afterQueue(then, untilAt)));
  };

  const tick = (): void => {
    const now = clock.now();
    for (const group of groups.values()) if (group.deadline() <= now) group.handle({ kind: "wake" });
    rearm();
  };

  // ---- Interfaces ----------------------------------------------------------

  const groupsOn = (parent: string): Group[] =>
    [...groups.values()].filter(({ config }) => config.interface === parent);

  const sourcesOn = (parent: string): Sources => {
    const own = ownPrefixes(parents.get(parent)?.state, floating);
    const sources = ([4, 6] as const).map((family) => [family, sourceOf(own, family)] as const);
    return Object.fromEntries(sources.filter(([, address]) => address));
  };

  const onState = async (
    parent: string,
    state: DeviceState | undefined,
    replaced: boolean,
  ): Promise<void> => {
    if (replaced) ip.forget();
    if (state && replaced) tune(parent);
    await Promise.all(groupsOn(parent).map((group) => connect(group, state, replaced)));
    demoteForLinks();
  };

  /** Tells one group about its interface. */
  const connect = async (group: Group, state: DeviceState | undefined, replaced: boolean): Promise<void> => {
    const { interface: parent } = group.config;
    // Its own addresses going off the parent are news of that parent: they must not bring it back.
    if (leavers.has(group) && state?.running) return;
    const link = (up: boolean, why: string) =>
      group.handle({ kind: "link", up, why, sources: sourcesOn(parent) });
    if (replaced || !state) {
      link(false, state ? `${parent} is another than before` : `there is no ${parent}`);
      await group.settled();
      group.holder.lost();
    }
    const deaf = parents.get(parent)?.deafTo(group.vhost.settings.families);
    group.fault("interface", state ? deaf : `there is no interface ${parent}`);
    if (!state) return;
    if (replaced) {
      const problem = await group.holder.prepare();
      group.fault("addresses", problem);
      // It may have been asked to leave in the meantime.
      if (problem || leavers.has(group)) return;
    }
    // Who cannot hear a master must not believe that there is none.
    if (deaf) return link(false, deaf);
    if (group.faults.has("addresses") && group.vhost.role === "init") return;
    link(state.running, state.running ? "link up" : "link down");
  };

  /** A router with one leg in the air serves nobody: all its groups move together. */
  const demoteForLinks = (): void => {
    for (const { name, state } of parents.values()) {
      const advskew = state?.running ? 0 : DEMOTED_ADVSKEW;
      for (const group of groups.values()) {
        if (group.config.interface !== name)
          group.handle({ kind: "demote", reason: linkDown(name), advskew });
      }
    }
  };

  const tune = (parent: string): void => {
    for (const { config, vhost } of groupsOn(parent)) {
      for (const problem of tuneParent(parent, config.mac, vhost.settings.families, changed))
        warnOnce(problem);
    }
    for (const problem of overruledSettings()) warnOnce(problem);
    leaveNote();
  };

  const onLinkEvent = ({ name, what }: LinkEvent): void => {
    parents.get(name)?.refresh();
    for (const group of groups.values()) {
      const expected = group.holder.holding ? held : released;
      if (group.holder.device.name === name && !expected.includes(what)) lookAgain(group);
    }
  };

  /** Whoever was stopped for long finds out first that it is master no more, or it would claim addresses again. */
  const lookAgain = (group: Group): void => {
    const look = (): void => {
      if (group.deadline() <= clock.now()) group.handle({ kind: "wake" });
      group.holder.check();
    };
    afterQueue(look, clock.now() + LEAST_READ_MS);
  };

  const review = (): void => {
    for (const parent of parents.values()) parent.refresh();
    for (const group of groups.values()) {
      const state = parents.get(group.config.interface)?.state;
      const { role, leaving } = group.vhost;
      if (state && role === "init" && group.faults.has("addresses")) connect(group, state, true);
      if (role === "master" && !leaving && !group.holder.holding) group.reclaim();
    }
  };

  /** Asks once for all devices, in case a report was lost; hundreds of groups make a long answer. */
  const reviewDevices = async (): Promise<void> => {
    const askedAt = performance.now();
    const { answers } = await ip.run([`address show group ${LINK_GROUP}`]);
    const found = answers.map(readDevice);
    for (const { holder } of groups.values()) {
      if (holder.holding)
        holder.check(
          found.find((device) => device?.name === holder.device.name),
          askedAt,
        );
    }
  };

  // ---- Groups --------------------------------------------------------------

  const addGroup = (wanted: GroupConfig): Group => {
    const { vhid, interface: parent, mac } = wanted;
    const taken = new Set([...groups.values()].map(({ holder }) => holder.device.name));
    const device: CarpDevice = {
      name: mac === "virtual" ? deviceName(vhid, parent, taken) : parent,
      parent,
      mac: mac === "virtual" ? virtualMac(vhid) : undefined,
      addresses: wanted.addresses,
    };
    const holder = createHolder({
      ip,
      device,
      tune: (name) => {
        const problems = tuneDevice(name, settingsOf(group.config).families);
        group.fault("settings", problems.length > 0 ? problems.join("; ") : undefined);
      },
      parentPrefixes: () => ownPrefixes(parents.get(parent)?.state, floating),
      leaseSeconds: () =>
        leaseSeconds(group.config, ourClaim(group.vhost)) + Math.floor(groups.size / GROUPS_A_SECOND),
      onFault: (said) => group.fault("device", said),
      onMeddling: (said) => log.warn(`carp ${vhid} on ${parent}: ${said}`),
      onLoss: () => group.reclaim(),
    });
    const group = createGroup({
      config: wanted,
      holder,
      sender,
      log,
      now: clock.now,
      onSigned: ownDigests.add,
      onRoleChange: (change) => {
        events.unshift(change);
        events.splice(EVENTS_KEPT);
        leaveNote();
      },
      onChange: rearm,
    });
    groups.set(keyOf(wanted), group);
    return group;
  };

  const leave = async (group: Group, why: string): Promise<void> => {
    leavers.add(group);
    group.handle({ kind: "stop", why });
    while (group.vhost.role !== "init") await new Promise((resolve) => setTimeout(resolve, 5));
    await group.settled();
  };

  const removeGroup = async (group: Group, why: string): Promise<void> => {
    await leave(group, why);
    await group.holder.destroy();
    groups.delete(keyOf(group.config));
  };

  /** Opens and closes interfaces so that each group has one, and no other is touched. */
  const arrange = async (fresh: readonly Group[]): Promise<void> => {
    const prefixes = [...groups.values()].flatMap(({ config }) => config.addresses);
    floating = new Set(prefixes.map(({ address }) => formatAddress(address)));
    const names = new Set([...groups.values()].map(({ config }) => config.interface));
    for (const [name, parent] of parents) {
      if (names.has(name)) continue;
      parent.close();
      parents.delete(name);
      for (const group of groups.values())
        group.handle({ kind: "demote", reason: linkDown(name), advskew: 0 });
    }
    for (const name of names) {
      if (parents.has(name)) continue;
      const parent = createParent({
        name,
        ip,
        onPacket: (packet) => onPacket(name, packet),
        onState: (state, replaced) => onState(name, state, replaced),
      });
      parents.set(name, parent);
    }
    guard.protect(guardCommands([...groups.values()].map(protectedDevice)));
    const filtered = refilter();
    // At first there are no older rules that could keep anything from a group.
    if (heard > 0) await filtered;
    await Promise.all([...parents.values()].map((parent) => settle(parent, fresh)));
    demoteForLinks();
  };

  const settle = async (parent: Parent, fresh: readonly Group[]): Promise<void> => {
    const all = groupsOn(parent.name);
    const served = all.filter(({ holder }) => holder.device.mac).flatMap(({ config }) => config.addresses);
    parent.listen(
      new Set(all.flatMap(({ vhost }) => vhost.settings.families)),
      served.map(({ address }) => address).filter(({ family }) => family === 6),
    );
    const known = parent.state;
    await parent.refresh();
    if (!parent.state) for (const group of groupsOn(parent.name)) await connect(group, undefined, true);
    if (known) {
      tune(parent.name);
      const late = fresh.filter(({ config }) => config.interface === parent.name);
      await Promise.all(late.map((group) => connect(group, parent.state, true)));
    }
  };

  // ---- Around it -----------------------------------------------------------

  const leaveNote = (): void => {
    if (!noting) queueMicrotask(writeNote);
    noting = true;
  };

  const writeNote = (): void => {
    noting = false;
    const masters = [...groups.values()].filter(({ vhost }) => vhost.role === "master");
    const serving = masters.map(({ config }) => ({ interface: config.interface, vhid: config.vhid }));
    const problem = writeLeftover({ guardPid, serving, changed });
    setFault("runtime", problem && `cannot keep notes for a restart: ${problem}`);
  };

  const refilter = async (): Promise<void> => {
    const interfaces = [...parents.keys()].map((name) => ({
      name,
      vhids: groupsOn(name).map((it) => it.config.vhid),
      devices: groupsOn(name).flatMap(({ holder: { device } }) => (device.mac ? [device.name] : [])),
    }));
    const problem = await prefilter.load(interfaces.filter(({ vhids }) => vhids.length > 0));
    const cost =
      "hop limits of IPv6 advertisements are not checked, floods reach the daemon, and a handover may lose IPv6 packets";
    if (!stopping) setFault("prefilter", problem && `no prefilter, so ${cost}: ${problem}`);
  };

  const setFault = (about: string, said: string | undefined): void => {
    if (faults.get(about) === said) return;
    if (said === undefined) faults.delete(about);
    else {
      faults.set(about, said);
      log.warn(said);
    }
  };

  const warnOnce = (said: string): void => setFault(said, said);

  const serve = async (): Promise<void> => {
    server?.close();
    server = undefined;
    const { listen } = config.status;
    if (!listen) return;
    try {
      server = await openStatusServer(listen, snapshot);
      setFault("status", undefined);
    } catch (error) {
      setFault("status", `no status over HTTP: ${error instanceof Error ? error.message : error}`);
    }
  };

  const snapshot = async (): Promise<Snapshot> => {
    return takeSnapshot({
      config,
      version,
      board: boardName(config.board),
      uptimeSeconds: (performance.now() - startedAt) / 1000,
      groups: [...groups.values()],
      macOf: (name) => parents.get(name)?.state?.mac ?? "",
      dropped,
      prefilter: await prefilter.counters(),
      faults: [...faults.values()],
      events,
      now: clock.now(),
    });
  };

  /** What an earlier run left: its guard at work, its devices, its changed settings. */
  async function clearAway(): Promise<void> {
    const leftover = readLeftover();
    if (leftover.guardPid) await Promise.all([waitForGuard(leftover.guardPid), unloadPrefilter()]);
    await ip.run([`link delete group ${LINK_GROUP}`]);
    restoreSettings(leftover.changed ?? {});
  }

  /** Deletes all devices past the commands that are queued: hundreds take seconds to set down one by one. */
  async function removeDevices(): Promise<boolean> {
    const another = openIp();
    const { refusals } = await another.run([`link delete group ${LINK_GROUP}`]);
    await another.close();
    const onParents = [...groups.values()].filter(({ holder }) => !holder.device.mac);
    return refusals.length === 0 && onParents.every(({ holder }) => !holder.holding);
  }

  for (const wanted of config.groups) addGroup(wanted);
  const watch = watchLinks(onLinkEvent, () => {
    review();
    reviewDevices();
  });
  await serve();
  await arrange([...groups.values()]);
  const reviews = [setInterval(review, REVIEW_MS), setInterval(reviewDevices, REVIEW_DEVICES_MS)];
  log.info(`carpio ${version} as ${config.name}: ${groups.size} group${groups.size === 1 ? "" : "s"}`);

  return {
    snapshot,
    async reload(next) {
      const wanted = new Map(next.groups.map((group) => [keyOf(group), group]));
      const stays = (group: Group): boolean => {
        const other = wanted.get(keyOf(group.config));
        return other !== undefined && isSameGroup(group.config, other);
      };
      await Promise.all(
        [...groups.values()]
          .filter((group) => !stays(group))
          .map((group) => removeGroup(group, "configuration changed")),
      );
      const before = config;
      config = next;
      const fresh: Group[] = [];
      for (const [key, group] of wanted) {
        const known = groups.get(key);
        if (!known) fresh.push(addGroup(group));
        else if (JSON.stringify(plain(known.config)) !== JSON.stringify(plain(group)))
          known.reconfigure(group);
      }
      await arrange(fresh);
      if (JSON.stringify(before.status.listen) !== JSON.stringify(next.status.listen)) await serve();
      log.info(`configuration read again: ${groups.size} group${groups.size === 1 ? "" : "s"}`);
    },
    async stop(why) {
      if (stopping) return;
      stopping = true;
      for (const timer of reviews) clearInterval(timer);
      const left = Promise.all([...groups.values()].map((group) => leave(group, why)));
      const late = new Promise((resolve) => setTimeout(resolve, STOP_MS, "late"));
      if ((await Promise.race([left, late])) === "late" && !(await removeDevices())) {
        log.warn("the kernel does not take the addresses off: leaving that to the guard");
        return;
      }
      // One command for all devices takes less time than one of them alone.
      await ip.run([`link delete group ${LINK_GROUP}`]);
      clock.stop();
      watch.close();
      server?.close();
      for (const parent of parents.values()) parent.close();
      sender.close();
      await Promise.all([guard.dismiss(), prefilter.unload(), ip.close()]);
      restoreSettings(changed);
      changed = {};
      removeLeftover();
      lock.release();
    },
  };
}

function linkDown(name: string): string {
  return `link ${name} down`;
}

/** With the addresses that are on and those that are about to be. */
function protectedDevice({ holder, config }: Group): CarpDevice {
  return { ...holder.device, addresses: [...holder.device.addresses, ...config.addresses] };
}

function keyOf({ interface: parent, vhid }: { readonly interface: string; readonly vhid: number }): string {
  return `${parent} ${vhid}`;
}

/** A new key or another kind of MAC makes another virtual host of it; all else is settings. */
function isSameGroup(a: GroupConfig, b: GroupConfig): boolean {
  return a.mac === b.mac && Buffer.compare(a.key, b.key) === 0;
}

function plain(group: GroupConfig): unknown {
  const { key, compat, ...rest } = group;
  const bytes = (it: Uint8Array | undefined) => it && [...it].join();
  return {
    ...rest,
    key: bytes(key),
    addresses: group.addresses.map(({ address, length }) => [formatAddress(address), length]),
    peers: group.peers.map(formatAddress),
    compat: { ...compat, lladdr: bytes(compat.lladdr) },
  };
}
