/**
 * UCARP 1.5.2, small enough to read beside the specification: one loop of
 * `poll`, which returns when the capture buffer is handed over, else after one
 * interval, and only then are the timers looked at. So it hears late and times
 * out late. IPv4 only, no demotion, no bow-out.
 */
import type { Action, Instant, Role, Settings, Sources } from "../src/carp/vhost.js";
import type { Address } from "../src/wire/address.js";
import { type EventOf, intervalTicks, type Machine, milliseconds } from "./machine.js";

interface Ucarp {
  readonly settings: Settings;
  readonly own: Address | undefined;
  role: Role;
  pollAt: Instant;
  masterDownAt: Instant;
  advertiseAt: Instant;
  /** It says its ARP again right after the second advertisement: advertisements until then. */
  announceIn: number;
  startedAt: Instant;
  /** When its link went. */
  asleepSince: Instant | undefined;
  buffer: EventOf<"heard">[];
  bufferAt: Instant;
}

/** Received packets sit in the capture buffer for up to this long (section 4, seen on Linux). */
const BUFFER_MS = 1000;
/** Without a link it sleeps this long at a time (section 6). */
const LINK_SLEEP_MS = 10_000;
const never = Number.POSITIVE_INFINITY;

export function createUcarp(settings: Settings, sources: Sources): Machine {
  const ucarp: Ucarp = {
    settings,
    own: sources[4],
    role: "init",
    pollAt: never,
    masterDownAt: never,
    advertiseAt: never,
    announceIn: 0,
    startedAt: 0,
    asleepSince: undefined,
    buffer: [],
    bufferAt: never,
  };
  return {
    role: () => ucarp.role,
    nextDeadline: () => Math.min(ucarp.pollAt, ucarp.bufferAt),
    step: (event, now) => {
      if (event.kind === "heard") return capture(ucarp, event, now);
      if (event.kind === "wake") return poll(ucarp, now);
      if (event.kind === "link") return event.up ? gainLink(ucarp, event, now) : loseLink(ucarp, event, now);
      // With --shutdown: the downscript, and not a word to the others.
      if (event.kind === "stop" && ucarp.role !== "init") return enter(ucarp, "init", event.why);
      return [];
    },
  };
}

function capture(ucarp: Ucarp, event: EventOf<"heard">, now: Instant): readonly Action[] {
  if (ucarp.role === "init" || event.from.family !== 4) return [];
  ucarp.buffer.push(event);
  const handedOverAt = now - ((now - ucarp.startedAt) % BUFFER_MS) + BUFFER_MS;
  ucarp.bufferAt = Math.min(ucarp.bufferAt, handedOverAt);
  return [];
}

function poll(ucarp: Ucarp, now: Instant): readonly Action[] {
  if (Math.min(ucarp.pollAt, ucarp.bufferAt) > now) return [];
  const actions: Action[] = [];
  if (ucarp.bufferAt <= now) {
    ucarp.bufferAt = never;
    for (const event of ucarp.buffer.splice(0)) actions.push(...hear(ucarp, event, now));
  }
  if (ucarp.masterDownAt <= now) actions.push(...becomeMaster(ucarp, now, "master timed out"));
  else if (ucarp.advertiseAt <= now) actions.push(...advertise(ucarp, now));
  ucarp.pollAt = now + intervalMs(ucarp);
  return actions;
}

function hear(ucarp: Ucarp, { ad, from }: EventOf<"heard">, now: Instant): readonly Action[] {
  const { advbase, advskew, preempt } = ucarp.settings;
  const [his, mine] = [intervalTicks(ad), intervalTicks(ucarp.settings)];
  if (ucarp.role === "master") {
    const lower = ucarp.own !== undefined && littleEndian(from) < littleEndian(ucarp.own);
    if (his < mine || (his === mine && lower)) {
      return [...advertise(ucarp, now), ...becomeBackup(ucarp, now, "heard a preferred master")];
    }
    ucarp.announceIn = 2;
    return [{ do: "announce" }];
  }
  if (ucarp.role !== "backup" || ucarp.asleepSince !== undefined) return [];
  if (preempt && mine < his) return becomeMaster(ucarp, now, "preempting a slower master");
  if (3 * 256 * advbase + advskew < his) return becomeMaster(ucarp, now, "master advertises too slowly");
  ucarp.masterDownAt = now + silenceMs(ucarp);
  return [];
}

function gainLink(ucarp: Ucarp, { why }: EventOf<"link">, now: Instant): readonly Action[] {
  if (ucarp.role === "init") {
    ucarp.startedAt = now;
    ucarp.pollAt = now + intervalMs(ucarp);
    return becomeBackup(ucarp, now, why);
  }
  if (ucarp.asleepSince === undefined) return [];
  const sleeps = Math.ceil((now - ucarp.asleepSince) / LINK_SLEEP_MS);
  ucarp.pollAt = ucarp.asleepSince + sleeps * LINK_SLEEP_MS;
  ucarp.masterDownAt = ucarp.pollAt + silenceMs(ucarp);
  ucarp.asleepSince = undefined;
  return [];
}

function loseLink(ucarp: Ucarp, { why }: EventOf<"link">, now: Instant): readonly Action[] {
  const entered = ucarp.role === "master" ? enter(ucarp, "backup", why) : [];
  ucarp.asleepSince ??= now;
  ucarp.pollAt = never;
  ucarp.masterDownAt = never;
  return entered;
}

/** Section 5.3: the upscript, gratuitous ARP, advertisement. */
function becomeMaster(ucarp: Ucarp, now: Instant, why: string): readonly Action[] {
  const entered = enter(ucarp, "master", why);
  ucarp.announceIn = 0;
  const spoken = advertise(ucarp, now);
  ucarp.announceIn = 2;
  return [...entered, { do: "claim" }, { do: "announce" }, ...spoken];
}

function becomeBackup(ucarp: Ucarp, now: Instant, why: string): readonly Action[] {
  const entered = enter(ucarp, "backup", why);
  ucarp.masterDownAt = now + silenceMs(ucarp);
  return entered;
}

function enter(ucarp: Ucarp, role: Role, why: string): readonly Action[] {
  const left = ucarp.role === "master";
  ucarp.role = role;
  ucarp.masterDownAt = never;
  ucarp.advertiseAt = never;
  return [{ do: "enter", role, why }, ...(left ? [{ do: "release" } as const] : [])];
}

function advertise(ucarp: Ucarp, now: Instant): readonly Action[] {
  const { advbase, advskew } = ucarp.settings;
  ucarp.advertiseAt = now + intervalMs(ucarp);
  const again = ucarp.announceIn > 0 && --ucarp.announceIn === 0;
  return [{ do: "advertise", advbase, advskew, demote: 0 }, ...(again ? [{ do: "announce" } as const] : [])];
}

function intervalMs({ settings }: Ucarp): number {
  return milliseconds(intervalTicks(settings));
}

function silenceMs({ settings: { advbase, advskew } }: Ucarp): number {
  return 3 * 1000 * advbase + milliseconds(advskew);
}

/** An address as its host integer on a little-endian machine: the last octet counts most. */
function littleEndian({ bytes }: Address): bigint {
  return bytes.reduce((sum, byte, i) => sum + (BigInt(byte) << BigInt(8 * i)), 0n);
}
