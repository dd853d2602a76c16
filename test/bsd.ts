/**
 * OpenBSD, FreeBSD and NetBSD, small enough to read beside the specification:
 * sections 4, 5.1 to 5.4 and 6.
 */
import type { Action, Claim, Instant, Role, Settings } from "../src/carp/vhost.js";
import type { Family } from "../src/wire/address.js";
import { type EventOf, intervalTicks, type Machine, milliseconds, silenceTicks } from "./machine.js";

export type BsdKind = "openbsd" | "freebsd" | "netbsd";

interface Bsd {
  readonly kind: BsdKind;
  settings: Settings;
  role: Role;
  masterDownAt: { readonly [F in Family]?: Instant };
  advertiseAt: Instant;
  /** OpenBSD says its ARP again with the second advertisement after the first: advertisements until then. */
  announceIn: number;
  readonly reasons: Set<string>;
}

const never = Number.POSITIVE_INFINITY;

export function createBsd(kind: BsdKind, settings: Settings): Machine {
  const bsd: Bsd = {
    kind,
    settings,
    role: "init",
    masterDownAt: {},
    advertiseAt: never,
    announceIn: 0,
    reasons: new Set(),
  };
  return {
    role: () => bsd.role,
    nextDeadline: () => Math.min(bsd.advertiseAt, ...Object.values(bsd.masterDownAt)),
    step: (event, now) => {
      if (event.kind === "heard")
        return bsd.role === "master" ? hearRival(bsd, event, now) : hear(bsd, event, now);
      if (event.kind === "wake") return wake(bsd, now);
      if (event.kind === "demote") return demote(bsd, event, now);
      if (event.kind === "stop") return setDown(bsd, event);
      if (event.kind === "link") return changeLink(bsd, event, now);
      bsd.settings = event.settings;
      return [];
    },
  };
}

/** Section 5.2. */
function hear(bsd: Bsd, { ad, from }: EventOf<"heard">, now: Instant): readonly Action[] {
  if (bsd.role !== "backup") return [];
  const { preempt, families } = bsd.settings;
  const mine = claimOf(bsd);
  const [his, my] = [intervalTicks(ad), intervalTicks(mine)];
  const readsByte = bsd.kind === "openbsd";

  if (preempt && my < his && (!readsByte || ad.demote >= mine.demote)) {
    return becomeMaster(bsd, now, "preempting a slower master");
  }
  if (readsByte && ad.demote > mine.demote) return becomeMaster(bsd, now, "master is demoted");
  const tooSlow = 3 * 256 * mine.advbase + mine.advskew < his;
  if (tooSlow && !(readsByte && mine.advbase === 0)) {
    return becomeMaster(bsd, now, "master advertises too slowly");
  }
  if (families.includes(from.family)) {
    bsd.masterDownAt = { ...bsd.masterDownAt, [from.family]: now + silenceMs(bsd) };
  }
  return [];
}

/** Section 5.1. */
function hearRival(bsd: Bsd, { ad }: EventOf<"heard">, now: Instant): readonly Action[] {
  const mine = claimOf(bsd);
  const notSlower = intervalTicks(ad) <= intervalTicks(mine);
  const yields =
    bsd.kind === "openbsd" ? ad.demote < mine.demote || (notSlower && ad.demote <= mine.demote) : notSlower;
  return yields ? becomeBackup(bsd, now, "heard a preferred master") : [];
}

function wake(bsd: Bsd, now: Instant): readonly Action[] {
  if (bsd.role === "backup" && Math.min(...Object.values(bsd.masterDownAt)) <= now) {
    return becomeMaster(bsd, now, "master timed out");
  }
  return bsd.role === "master" && bsd.advertiseAt <= now ? advertise(bsd, now) : [];
}

/** FreeBSD tells each change, the others only that something is wrong at all. */
function demote(bsd: Bsd, { reason, advskew }: EventOf<"demote">, now: Instant): readonly Action[] {
  const before = bsd.reasons.size;
  if (advskew > 0) bsd.reasons.add(reason);
  else bsd.reasons.delete(reason);
  const tells = bsd.kind === "freebsd" ? bsd.reasons.size !== before : before === 0 && advskew > 0;
  return bsd.role === "master" && tells ? advertise(bsd, now) : [];
}

/** Section 5.4: OpenBSD and NetBSD bow out once, FreeBSD silently goes. */
function setDown(bsd: Bsd, { why }: EventOf<"stop">): readonly Action[] {
  if (bsd.role === "init") return [];
  const bows = bsd.role === "master" && bsd.kind !== "freebsd";
  const { demote } = claimOf(bsd);
  const entered = enter(bsd, "init", why);
  return bows ? [...entered, { do: "advertise", advbase: 255, advskew: 255, demote }] : entered;
}

function changeLink(bsd: Bsd, { up, why }: EventOf<"link">, now: Instant): readonly Action[] {
  if (up) return bsd.role === "init" ? becomeBackup(bsd, now, why) : [];
  return bsd.role === "init" ? [] : enter(bsd, "init", why);
}

/** Section 5.3. */
function becomeMaster(bsd: Bsd, now: Instant, why: string): readonly Action[] {
  const entered = enter(bsd, "master", why);
  bsd.announceIn = 0;
  const spoken = advertise(bsd, now);
  bsd.announceIn = bsd.kind === "openbsd" ? 2 : 0;
  return [...entered, { do: "claim" }, ...spoken, { do: "announce" }];
}

function becomeBackup(bsd: Bsd, now: Instant, why: string): readonly Action[] {
  const entered = enter(bsd, "backup", why);
  const at = now + silenceMs(bsd);
  bsd.masterDownAt = Object.fromEntries(bsd.settings.families.map((family) => [family, at]));
  return entered;
}

function enter(bsd: Bsd, role: Role, why: string): readonly Action[] {
  const left = bsd.role === "master";
  bsd.role = role;
  bsd.masterDownAt = {};
  bsd.advertiseAt = never;
  return [{ do: "enter", role, why }, ...(left ? [{ do: "release" } as const] : [])];
}

function advertise(bsd: Bsd, now: Instant): readonly Action[] {
  bsd.advertiseAt = now + milliseconds(intervalTicks(claimOf(bsd)));
  const again = bsd.announceIn > 0 && --bsd.announceIn === 0;
  return [{ do: "advertise", ...claimOf(bsd) }, ...(again ? [{ do: "announce" } as const] : [])];
}

/** Section 6: OpenBSD counts in its byte; FreeBSD adds to the advskew, never above 240; NetBSD raises it to 240. */
function claimOf({ kind, settings: { advbase, advskew }, reasons }: Bsd): Claim {
  if (kind === "openbsd") return { advbase, advskew, demote: Math.min(255, reasons.size) };
  if (kind === "freebsd") return { advbase, advskew: Math.min(240, advskew + 240 * reasons.size), demote: 0 };
  return { advbase, advskew: reasons.size > 0 ? Math.max(240, advskew) : advskew, demote: 0 };
}

/** Only OpenBSD changed its rule in 2025. */
function silenceMs({ kind, settings }: Bsd): number {
  const masterDown = kind === "openbsd" ? settings.masterDown : "classic";
  return milliseconds(silenceTicks({ ...settings, masterDown }));
}
