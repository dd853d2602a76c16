/**
 * What takes part in an election, and the arithmetic of the specification's
 * section 4: written from it alone, sharing nothing with `src/carp`.
 */
import type { Action, Claim, Instant, Role, Settings, VhostEvent } from "../src/carp/vhost.js";

/** Anything that takes part in an election. */
export interface Machine {
  readonly role: () => Role;
  readonly step: (event: VhostEvent, now: Instant) => readonly Action[];
  readonly nextDeadline: () => Instant;
}

export type EventOf<K extends VhostEvent["kind"]> = Extract<VhostEvent, { readonly kind: K }>;

/** The advertisement interval in 1/256 s. */
export function intervalTicks({ advbase, advskew }: Pick<Claim, "advbase" | "advskew">): number {
  return advbase === 0 && advskew === 0 ? 1 : 256 * advbase + advskew;
}

type Patience = Pick<Settings, "advbase" | "advskew" | "masterDown">;

/** The master-down time in 1/256 s: OpenBSD of 2025 scales the skew too, the one of 2015 where there is no base. */
export function silenceTicks({ advbase, advskew, masterDown }: Patience): number {
  if (masterDown === "scaled" || advbase === 0) return 3 * intervalTicks({ advbase, advskew });
  return 3 * 256 * advbase + advskew;
}

export function milliseconds(ticks: number): number {
  return ticks * (1000 / 256);
}
