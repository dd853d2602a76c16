/**
 * Faults, at random moments and for random times, until the network is whole again.
 */
import { plan } from "../agenda.js";
import {
  createPath,
  demote,
  freeze,
  type Host,
  kill,
  type Path,
  pathBetween,
  runUntil,
  setLink,
  stop,
} from "../world.js";
import { disturbed, forget } from "./referee.js";
import { boot, isRunning, LEAVE_MS, losePower, type Run, reload, STALE_MS, wake } from "./run.js";
import { ask, isKept, isWriting, MAINTENANCE } from "./wish.js";

type Undo = () => void;
type Fault = (run: Run) => Undo | undefined;

/** Faults at random moments, for random times. */
export function storm(run: Run, durationMs: number): void {
  const { world, chance, scene } = run;
  const end = world.now + durationMs;
  const count = Math.ceil(chance.between(1, 12));
  for (let i = 0; i < count; i++) {
    plan(world.agenda, world.now + chance.between(0, durationMs), () => {
      if (world.now >= end) return;
      disturbed(run.referee);
      const undo = chance.pick(faults)(run);
      const lasts = chance.between(0, chance.maybe(0.3) ? durationMs : scene.pace * 6000);
      if (undo) {
        plan(world.agenda, Math.min(end, world.now + lasts), () => {
          disturbed(run.referee);
          undo();
        });
      }
    });
  }
  runUntil(world, end);
}

/** A fault that is listed twice is drawn twice as often. */
const faults: readonly Fault[] = [
  onPaths("all", { loss: 0.1 }),
  onPaths("all", { loss: 0.5 }),
  onPaths("all", { loss: 0.9 }),
  onPaths("one way", { loss: 0.5 }),
  onPaths("one way", { loss: 0.95 }),
  onPaths("one way", { cut: true }),
  onPaths("pair", { cut: true }),
  onPaths("pair", { cut: true }),
  onPaths("pair", { deaf: [4] }),
  onPaths("pair", { deaf: [6] }),
  onPaths("all", { duplication: 0.5 }),
  onPaths("one way", { delayMs: 20, jitterMs: STALE_MS - 100, disorder: true }),
  onPaths("all", { jitterMs: 60, disorder: true, duplication: 0.2 }),
  onHost(hang),
  onHost(hangInTheDark),
  onHost(die),
  onHost(darken),
  onHost(leave),
  onHost(loseLink),
  onHost(beDemoted),
  onHost(readSettings),
];

/** A hang, of a daemon: a BSD's kernel does not hang and go on. */
function hang(run: Run, host: Host): Undo | undefined {
  if (host.spec.kind !== "carpio" && host.spec.kind !== "ucarp") return undefined;
  freeze(host);
  return () => wake(run, host);
}

/** A hang while nobody can be heard, so that its queue is empty when it wakes. */
function hangInTheDark(run: Run, host: Host): Undo | undefined {
  const goOn = hang(run, host);
  const paths = run.hosts.flatMap((other) => (other === host ? [] : [pathBetween(other, host)]));
  for (const path of paths) path.cut = true;
  return () => {
    goOn?.();
    for (const path of paths) path.cut = false;
  };
}

/** SIGKILL; a BSD dies with its kernel. */
function die(run: Run, host: Host): Undo {
  if (host.spec.kind !== "carpio") return darken(run, host);
  kill(run.world, host);
  forget(run.referee, host);
  return () => boot(run, host);
}

function darken(run: Run, host: Host): Undo {
  losePower(run, host);
  return () => boot(run, host);
}

function leave(run: Run, host: Host): Undo {
  stop(run.world, host);
  return () => boot(run, host);
}

function loseLink(run: Run, host: Host): Undo {
  setLink(run.world, host, false);
  return () => setLink(run.world, host, true);
}

function beDemoted(run: Run, host: Host): Undo {
  const reason = run.chance.pick([MAINTENANCE, "link eth1 down", "check gateway"]);
  if (reason === MAINTENANCE) {
    ask(run, host, true);
    return () => ask(run, host, false);
  }
  demote(run.world, host, reason, run.chance.pick([150, 240]));
  return () => demote(run.world, host, reason, 0);
}

function readSettings(run: Run, host: Host): undefined {
  if (host.spec.kind === "carpio") reload(run, host);
}

function onHost(act: (run: Run, host: Host) => Undo | undefined): Fault {
  return (run) => {
    const host = run.chance.pick(run.hosts.filter((it) => isRunning(it) && !it.frozen));
    return host && act(run, host);
  };
}

function onPaths(which: "all" | "pair" | "one way", change: Partial<Path>): Fault {
  return ({ world, chance, hosts }) => {
    const from = chance.pick(hosts);
    const to = chance.pick(hosts.filter((host) => host !== from));
    const pair =
      which === "one way" ? [pathBetween(from, to)] : [pathBetween(from, to), pathBetween(to, from)];
    const chosen = which === "all" ? hosts.flatMap((host) => host.paths.map(({ path }) => path)) : pair;
    for (const path of chosen) Object.assign(path, change);
    return () => {
      for (const path of chosen) Object.assign(path, createPath(world.conditions));
    };
  };
}

/**
 * The network is whole. Most of those that are off come back; at least two take
 * part. Whoever comes back with a wish that nobody could take back is called back now.
 */
export function heal(run: Run): void {
  const { world, chance, hosts, referee } = run;
  disturbed(referee);
  for (const host of hosts) {
    for (const { path } of host.paths) Object.assign(path, createPath(world.conditions));
    setLink(world, host, true);
    wake(run, host);
  }
  // Whoever is on its way out cannot come back before it has gone.
  if (hosts.some(({ stopping, machine }) => stopping && machine)) runUntil(world, world.now + LEAVE_MS + 200);
  for (const host of hosts) {
    const needed = hosts.filter(isRunning).length < 2;
    if (!host.machine && (needed || chance.maybe(0.7))) boot(run, host);
    if (isKept(run, host) || isWriting(run, host)) ask(run, host, false);
  }
}
