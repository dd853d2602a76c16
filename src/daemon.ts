/**
 * Puts the parts together, and starts, reloads and stops them: groups with their
 * devices, interfaces, guard, prefilter, status. The rules are `carp`'s, and
 * only `linux` changes the network.
 */
import { hostname } from "node:os";
import { isDeepStrictEqual } from "node:util";
import { createAlarm } from "./alarm.js";
import { boardName } from "./board.js";
import { createOwnDigests } from "./carp/own-digests.js";
import { ourClaim } from "./carp/vhost.js";
import { createClock } from "./clock.js";
import type { Config, GroupConfig } from "./config.js";
import { worthALamp } from "./diagnosis.js";
import { createExamination } from "./examination.js";
import { createFaults } from "./faults.js";
import { watchSlot } from "./firmware/card.js";
import { openUpdates } from "./firmware/updates.js";
import { createFrontPanel, type FrontPanel } from "./front-panel.js";
import { createGroup, type Group, hasSuccessor, leaseSeconds, type RoleChange, settingsOf } from "./group.js";
import { createGroups } from "./groups.js";
import { beat } from "./heartbeat.js";
import { createHooks, isAboutHooks } from "./hooks.js";
import { createIdentify } from "./identify.js";
import { createInterfaces } from "./interfaces.js";
import { type CarpDevice, deviceName, guardCommands, LINK_GROUP, readDevice } from "./linux/carp-device.js";
import { openSender } from "./linux/carp-socket.js";
import { openGuard, waitForGuard } from "./linux/guard.js";
import { createHolder } from "./linux/holder.js";
import { type Ip, openIp } from "./linux/ip.js";
import { readKernelLog } from "./linux/kernel-log.js";
import { type LinkEvent, watchLinks } from "./linux/link.js";
import { createPrefilter, unloadPrefilter } from "./linux/prefilter.js";
import { execute, problemOf } from "./linux/program.js";
import {
  type Changed,
  overruledSettings,
  restoreSettings,
  reviewParent,
  tuneDevice,
  tuneParent,
} from "./linux/sysctl.js";
import type { Log } from "./log.js";
import { createMaintenance, type Maintenance } from "./maintenance.js";
import { tidyMemory } from "./memory.js";
import { faultNotice, maintenanceNotice, roleNotice } from "./notice.js";
import { boardUrl } from "./operate.js";
import { createPeers } from "./peers.js";
import { createRecentDrops } from "./recent-drops.js";
import { createReception } from "./reception.js";
import { readLeftover, removeLeftover, takeLock, writeLeftover } from "./runtime.js";
import { openState, stateDirectory } from "./state.js";
import { keepStatusServer, type StatusServer } from "./status/server.js";
import { type Snapshot, takeSnapshot } from "./status/snapshot.js";
import type { UpdateSnapshot } from "./status/update.js";
import { readToken } from "./token.js";
import { version } from "./version.js";
import { canonicalAddress, formatAddress } from "./wire/address.js";
import { virtualMac } from "./wire/mac.js";

export interface Daemon {
  snapshot(): Snapshot;
  /** Takes over another configuration; groups that did not change notice nothing. `wrong`: what is wrong all the same, in a sentence. */
  reload(config: Config, wrong?: string): Promise<void>;
  /** What is wrong with the card that this board was started from, as far as it is known by now. */
  tellCard(said: string | undefined): void;
  /** Hands everything over, puts everything back, and ends; also in the middle of a reload. */
  stop(why: string, end?: "stopped" | "powered-off"): Promise<void>;
}

const EVENTS_KEPT = 100;
/** When hundreds of groups claim their addresses at once, the kernel is busy for so long that a lease needs more room. */
const GROUPS_A_SECOND = 128;
/** A polite leave takes 1.5 s; longer than this, something hangs. */
const STOP_MS = 4_000;
/** For a word to the first of all programs. */
const RESTART_MS = 3_000;
/** What went wrong is tried again after this long. */
const REVIEW_MS = 5_000;
const REVIEW_DEVICES_MS = 60_000;

/** What the kernel reports of a device that is as we want it: our own doing, and not worth a look. */
const eventsWhileHolding: readonly LinkEvent["what"][] = ["up", "address"];
const eventsWhileIdle: readonly LinkEvent["what"][] = ["down", "address-gone"];

export interface Surroundings {
  /** Closed when the daemon stops, and by whoever gave it when there was no start. */
  readonly ip: Ip;
  /** Somebody held the button: stop it, and turn the power off. */
  readonly onPowerOff: () => void;
  /** Why this is not the configuration that was asked for. */
  readonly wrong?: string | undefined;
  /** What is wrong with the card that this board was started from. */
  readonly card?: string | undefined;
}

/** Starts the daemon. Throws a sentence when another one runs here already. */
export async function startDaemon(
  initial: Config,
  log: Log,
  { ip, onPowerOff, wrong, card }: Surroundings,
): Promise<Daemon> {
  const lock = await takeLock();
  if ("heldBy" in lock) throw new Error(`carpio is running here already, as ${lock.heldBy}`);

  const startedAt = performance.now();
  const clock = createClock();
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
  const prefilter = createPrefilter();
  let shown: FrontPanel | undefined;
  let server: Pick<StatusServer, "changed" | "close"> | undefined;
  /** Something may be wrong that was not, or the other way round. */
  const news = (): void => {
    examination.news();
    showAll();
  };
  /** Something that lamps and watchers see may be other than before. */
  const showAll = (): void => {
    shown?.show();
    server?.changed();
  };
  const faults = createFaults(log, "", (about, said) => {
    news();
    tellFault(about, said);
  });
  const hooks = createHooks({
    configs: initial.hooks,
    name: initial.name,
    log,
    faults,
    program: thisProgram(),
  });
  const identify = createIdentify(log, showAll);
  const groups = createGroups();
  const ownDigests = createOwnDigests();
  const drops = createRecentDrops({
    groups: () => config.groups,
    now: clock.now,
    onNews: () => news(),
  });
  const reception = createReception({ groups, ownDigests, log, now: clock.now, onDrop: drops.note });
  const alarm = createAlarm({ clock, groups, packetsRead: () => reception.taken });
  const interfaces = createInterfaces({ ip, groups, onPacket: reception.take, tune });
  const maintenance: Maintenance = createMaintenance({
    groups,
    state: openState(stateDirectory()),
    advskew: () => config.maintenance.advskew,
    peers: () => config.status.peers,
    log,
    faults,
    now: clock.now,
    onChange() {
      showAll();
      tellMaintenance();
    },
  });
  let told = maintenance.snapshot();
  const peers = createPeers({ urls: initial.status.peers, now: clock.now, onNews: () => news() });
  const examination = createExamination({
    name: () => config.name,
    groups,
    faults: faults.all,
    peers: () => peers.all,
    drops,
    now: clock.now,
  });
  const updates = openUpdates({ onEnd: tellUpdate });
  const runningSlot = watchSlot();
  const events: RoleChange[] = [];
  let config = initial;
  let board = boardName(config.board);
  let changed: Changed = {};
  let stopping = false;
  let noting = false;
  /** About to be looked at: one look sees whatever has happened until then. */
  const looking = new Set<Group>();
  let token: string | undefined;

  // ---- Groups --------------------------------------------------------------

  function addGroup(wanted: GroupConfig): void {
    const { vhid, interface: parent, mac } = wanted;
    const taken = new Set([...groups].map(({ holder }) => holder.device.name));
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
      parentPrefixes: () => interfaces.prefixesOf(parent),
      leaseSeconds: () =>
        leaseSeconds(group.config, ourClaim(group.vhost)) + Math.floor(groups.size / GROUPS_A_SECOND),
      mayAnnounce: () => group.vhost.role === "master" && !hasSuccessor(group.vhost),
      onFault: (said) => group.fault("device", said),
      onMeddling: (said) => log.warn(`carp ${vhid} on ${parent}: ${said}`),
      onLoss() {
        examination.lost(group);
        group.reclaim();
      },
    });
    const group = createGroup({
      config: wanted,
      holder,
      sender,
      log,
      now: clock.now,
      onSigned: ownDigests.add,
      // Half a router serves nobody: all groups move together, as for a link that is lost.
      onSending: (reason, advskew) => {
        for (const each of groups) each.handle({ kind: "demote", reason, advskew });
      },
      onRoleChange: (change) => {
        events.unshift(change);
        events.splice(EVENTS_KEPT);
        hooks.tell(roleNotice(change, group.config));
        examination.news();
        leaveNote();
      },
      onFault(about, said) {
        examination.news();
        tellFault(about, said, group.config);
      },
      onChange() {
        alarm.rearm();
        maintenance.watch();
        showAll();
      },
    });
    groups.add(group);
    maintenance.adopt(group);
  }

  async function leave(group: Group, why: string): Promise<void> {
    const quiet = interfaces.retire(group);
    group.handle({ kind: "stop", why });
    await quiet;
    await group.left();
  }

  async function removeGroup(group: Group): Promise<void> {
    await leave(group, "configuration changed");
    await group.holder.destroy();
    groups.remove(group);
  }

  /** Everything around the groups that are there now. */
  async function arrange({ atStart }: { readonly atStart: boolean }): Promise<void> {
    guard.protect(guardCommands([...groups].map(protectedDevice)));
    // At first there are no older rules that could keep anything from a group.
    if (!atStart) await refilter();
    const arranged = interfaces.arrange();
    if (atStart) refilter();
    await arranged;
  }

  // ---- What the kernel does ------------------------------------------------

  function onLinkEvent({ name, what }: LinkEvent): void {
    interfaces.look(name);
    for (const group of groups) {
      const expected = group.holder.holding ? eventsWhileHolding : eventsWhileIdle;
      if (group.holder.device.name === name && !expected.includes(what)) lookAgain(group);
    }
  }

  /** Whoever was stopped for long finds out first that it is master no more, or it would claim addresses again. */
  function lookAgain(group: Group): void {
    if (looking.has(group)) return;
    looking.add(group);
    alarm.afterQueue(() => {
      looking.delete(group);
      if (group.deadline() <= clock.now()) group.handle({ kind: "wake" });
      group.holder.check();
    });
  }

  /** Asks once for all devices, in case a report was lost; hundreds of groups make a long answer. */
  async function reviewDevices(): Promise<void> {
    const askedAt = performance.now();
    const { answers } = await ip.run([`address show group ${LINK_GROUP}`]);
    const found = new Map(answers.map(readDevice).map((device) => [device?.name, device]));
    for (const { holder } of groups) if (holder.holding) holder.check(found.get(holder.device.name), askedAt);
  }

  function tune(parent: string): void {
    const problems = groups
      .on(parent)
      .flatMap(({ config, vhost }) => tuneParent(parent, config.mac, vhost.settings.families, changed));
    tellSettings(parent, problems);
    leaveNote();
  }

  /** Others change settings as well, and know nothing of us. */
  function reviewSettings(): void {
    const { names } = interfaces;
    for (const about of faults.all.keys()) {
      const [, parent] = /^settings of (.*)$/.exec(about) ?? [];
      if (parent !== undefined && !names.includes(parent)) faults.set(about, undefined);
    }
    for (const name of names) {
      const needs = groups
        .on(name)
        .map(({ config, vhost }) => ({ mac: config.mac, families: vhost.settings.families }));
      const problems = reviewParent(name, needs, changed);
      tellSettings(name, problems);
      if (problems.length > 0) leaveNote();
    }
  }

  function tellSettings(parent: string, problems: readonly string[]): void {
    faults.set(`settings of ${parent}`, [...new Set(problems)].join("; ") || undefined);
    faults.set("settings", overruledSettings().join("; ") || undefined);
  }

  async function refilter(): Promise<void> {
    const filtered = [...new Set([...groups].map(({ config }) => config.interface))].map((name) => ({
      name,
      vhids: groups.on(name).map(({ config }) => config.vhid),
      devices: groups.on(name).flatMap(({ holder: { device } }) => (device.mac ? [device.name] : [])),
    }));
    const problem = await prefilter.load(filtered);
    const cost =
      "hop limits of IPv6 advertisements are not checked, floods reach the daemon, and a handover may lose IPv6 packets";
    if (!stopping) faults.set("prefilter", problem && `no prefilter, so ${cost}: ${problem}`);
  }

  /** What an earlier run left: its guard at work, its devices, its changed settings. */
  async function clearAway(): Promise<void> {
    const leftover = readLeftover();
    if (leftover.guardPid) await Promise.all([waitForGuard(leftover.guardPid), unloadPrefilter()]);
    // Most often there are none, and a refusal would cost us this `ip`.
    const { answered, answers } = await ip.run([`address show group ${LINK_GROUP}`]);
    if (!answered || answers.some(readDevice)) await ip.run([`link delete group ${LINK_GROUP}`]);
    restoreSettings(leftover.changed ?? {});
  }

  /** Deletes all devices past the commands that are queued: hundreds take seconds to set down one by one. */
  async function removeDevices(): Promise<boolean> {
    const another = openIp();
    const { refusals } = await another.run([`link delete group ${LINK_GROUP}`]);
    await another.close();
    const onParents = [...groups].filter(({ holder }) => !holder.device.mac);
    return refusals.length === 0 && onParents.every(({ holder }) => !holder.holding);
  }

  // ---- What others see -----------------------------------------------------

  /** For whoever cleans up after us, should we die. */
  function leaveNote(): void {
    if (!noting) queueMicrotask(writeNote);
    noting = true;
  }

  function writeNote(): void {
    noting = false;
    const masters = [...groups].filter(({ vhost }) => vhost.role === "master");
    const serving = masters.map(({ config }) => ({ interface: config.interface, vhid: config.vhid }));
    const problem = writeLeftover({ guardPid, serving, changed });
    faults.set("runtime", problem && `cannot keep notes for a restart: ${problem}`);
  }

  function tellFault(about: string, said: string | undefined, group?: GroupConfig): void {
    if (!isAboutHooks(about)) hooks.tell(faultNotice(about, said, group, new Date()));
  }

  function tellMaintenance(): void {
    const before = told;
    told = maintenance.snapshot();
    const notice = maintenanceNotice(before, told, new Date());
    if (notice) hooks.tell(notice);
  }

  function serve(): void {
    server?.close();
    server = undefined;
    faults.set("status", undefined);
    const { listen } = config.status;
    if (!listen) return;
    const asked = {
      ready: prefilter.read,
      snapshot,
      setMaintenance: (on: boolean, forSeconds: number | undefined) =>
        maintenance.set(on, { by: "HTTP", forSeconds }),
      identify: identify.begin,
      token: () => token,
      names: () => [config.name, hostname(), ...config.status.names],
      updates,
      startAgain: updates && startAgain,
      // Elsewhere the system that runs this computer has it.
      readLog: updates && readKernelLog,
    };
    server = keepStatusServer(listen, asked, (said) => {
      const wellSo = said === undefined || isAwaited(listen.host);
      faults.set("status", wellSo ? undefined : `no status over HTTP: ${said}`);
    });
  }

  /** A floating address comes with mastership. */
  function isAwaited(host: string): boolean {
    const address = canonicalAddress(host);
    const isElsewhere = ({ config, holder }: Group) =>
      !holder.holding && config.addresses.some((it) => formatAddress(it.address) === address);
    return [...groups].some(isElsewhere);
  }

  /** The board's own system ends us on the way, and we hand over. */
  async function startAgain(): Promise<string | undefined> {
    log.info("asked over HTTP to start the board again");
    // Whoever asked still listens then; and it is not for a card that hangs to say when.
    const problem = problemOf(await execute(["reboot", "-n"], { deadlineMs: RESTART_MS }));
    if (problem === undefined) return undefined;
    const said = `the board does not start again: ${problem}`;
    log.warn(said);
    return said;
  }

  function takeToken(): void {
    const { tokenFile } = config.status;
    const read = tokenFile === undefined ? undefined : readToken(tokenFile);
    token = read && "token" in read ? read.token : undefined;
    faults.set("token", read && "problem" in read ? read.problem : undefined);
  }

  function snapshot(): Snapshot {
    return takeSnapshot({
      config,
      version,
      board,
      slot: runningSlot(),
      uptimeSeconds: (performance.now() - startedAt) / 1000,
      groups: [...groups],
      maintenance: maintenance.snapshot(),
      identify: identify.snapshot(),
      panel: panel.snapshot(),
      macOf: (name) => interfaces.macOf(name) ?? "",
      dropped: reception.dropped,
      prefilter: prefilter.counters,
      faults: [...faults.all.values()],
      diagnosis: examination.diagnosis,
      peers: peers.all,
      events,
      now: clock.now(),
    });
  }

  function tellUpdate(end: UpdateSnapshot): void {
    if (end.state === "failed") log.warn(`update, by HTTP: ${end.error}`);
    if (end.state === "done")
      log.info(`update, by HTTP: version ${end.version} is in slot ${end.slot} and started next`);
  }

  /** Ready: in the configuration that was asked for, with its sockets, and to be asked about it. */
  function lineOfBeat(): string {
    const why = faults.all.get("configuration") ?? faults.all.get("status") ?? lackOfSockets();
    if (why !== undefined) return `alive ${why}`;
    const own = boardUrl(undefined, config);
    return typeof own === "string" ? "ready -" : `ready ${own.url}/status`;
  }

  /**
   * Why a group cannot hear or speak, if so. A slot on trial is judged by it, so what another
   * slot would do no better is no lack: a cable, an interface, an address, a peer.
   */
  function lackOfSockets(): string | undefined {
    return [...groups]
      .map((group) => interfaces.deafnessOf(group) ?? sender.mutenessIn(group.vhost.settings.families))
      .find((said) => said !== undefined);
  }

  // ---- Start, reload, stop -------------------------------------------------

  // Before its lamps show anything.
  await maintenance.resume();
  for (const wanted of config.groups) addGroup(wanted);
  const watch = watchLinks(onLinkEvent, () => {
    interfaces.review();
    reviewDevices();
  });
  // What is slow in it is for other programs to do, while we go on.
  const arranged = arrange({ atStart: true });
  const panel = createFrontPanel({
    config,
    groups,
    faults,
    maintenance,
    identify,
    troubles: () => worthALamp(examination.diagnosis),
    onPowerOff,
    onChange: () => server?.changed(),
  });
  shown = panel;
  faults.set("configuration", wrong);
  faults.set("card", card);
  takeToken();
  serve();
  await arranged;
  // Nobody depends on us yet.
  tidyMemory();
  const heartbeat = beat(lineOfBeat);
  const reviews = [
    setInterval(interfaces.review, REVIEW_MS),
    setInterval(reviewSettings, REVIEW_MS),
    setInterval(reviewDevices, REVIEW_DEVICES_MS),
    // What has not happened again for a while is over.
    setInterval(news, REVIEW_MS),
  ];
  log.info(`carpio ${version} as ${config.name}: ${countOf(groups.size)}`);

  return {
    snapshot,
    async reload(next, wrong) {
      const find = (list: readonly GroupConfig[], { interface: name, vhid }: GroupConfig) =>
        list.find((group) => group.interface === name && group.vhid === vhid);
      const stays = ({ config: group }: Group): boolean => {
        const wanted = find(next.groups, group);
        return wanted !== undefined && isSameGroup(group, wanted);
      };
      await Promise.all([...groups].filter((group) => !stays(group)).map(removeGroup));
      if (stopping) return;
      const before = config;
      config = next;
      board = boardName(config.board);
      for (const wanted of next.groups) {
        const known = groups.find(wanted.interface, wanted.vhid);
        if (!known) addGroup(wanted);
        else if (!isDeepStrictEqual(known.config, wanted)) known.reconfigure(wanted);
      }
      if (before.maintenance.advskew !== next.maintenance.advskew)
        for (const group of groups) maintenance.adopt(group);
      await arrange({ atStart: false });
      if (stopping) return;
      faults.set("configuration", wrong);
      if (!isDeepStrictEqual(before.status.listen, next.status.listen)) serve();
      takeToken();
      hooks.reconfigure(next.hooks, next.name);
      peers.reconfigure(next.status.peers);
      news();
      await panel.reconfigure(next);
      log.info(`configuration read again: ${countOf(groups.size)}`);
    },
    tellCard: (said) => faults.set("card", said),
    async stop(why, end = "stopped") {
      if (stopping) return;
      stopping = true;
      heartbeat.stop();
      for (const timer of reviews) clearInterval(timer);
      maintenance.stop();
      identify.stop();
      peers.close();
      drops.close();
      panel.leave();
      const left = Promise.all([...groups].map((group) => leave(group, why)));
      const late = new Promise((resolve) => setTimeout(resolve, STOP_MS, "late"));
      if ((await Promise.race([left, late])) === "late" && !(await removeDevices())) {
        log.warn("the kernel does not take the addresses off: leaving that to the guard");
        return;
      }
      interfaces.close();
      // One command for all devices takes less time than one of them alone.
      await ip.run([`link delete group ${LINK_GROUP}`]);
      clock.stop();
      watch.close();
      server?.close();
      sender.close();
      await Promise.all([panel.close(end), guard.dismiss(), prefilter.unload(), ip.close()]);
      restoreSettings(changed);
      changed = {};
      removeLeftover();
      lock.release();
      await hooks.close();
    },
  };
}

/** For what is done in a process of its own. */
function thisProgram(): readonly string[] {
  return [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)];
}

function countOf(groups: number): string {
  return `${groups} group${groups === 1 ? "" : "s"}`;
}

/** With the addresses that are on and those that are about to be. */
function protectedDevice({ holder, config }: Group): CarpDevice {
  return { ...holder.device, addresses: [...holder.device.addresses, ...config.addresses] };
}

/** A new key or another kind of MAC makes another virtual host of it; all else is settings. */
function isSameGroup(a: GroupConfig, b: GroupConfig): boolean {
  return a.mac === b.mac && Buffer.compare(a.key, b.key) === 0;
}
