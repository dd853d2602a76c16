/**
 * What the lamps of an emulated board showed, and when. QEMU writes down every
 * change of the PL061's lines as it happens: nothing is missed, however short,
 * and nobody has to stop the machine to look.
 */
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { type Moment, now } from "../lab/child.js";

/** The lamps' lines, as bits of a reading. */
export const [ROLE, MAINTENANCE, FAULT] = [1, 2, 4] as const;
const LAMPS = ROLE | MAINTENANCE | FAULT;

/** What the lamps showed from a moment on, until the next reading. */
export interface Reading {
  readonly at: Moment;
  readonly bits: number;
}

/** For how long one lamp was lit and dark, each in order. */
export interface Steps {
  readonly lit: readonly number[];
  readonly dark: readonly number[];
}

const CHANGE = /@(\d+\.\d+):pl061_update \S+ GPIODIR (\S+) GPIODATA (\S+)/g;
const DARK = 0;

export class Lamps {
  readonly #trace: string;

  /** `trace` is what QEMU writes with `-trace pl061_update -msg timestamp=on`. */
  constructor(trace: string) {
    this.#trace = trace;
  }

  /** Every change since a moment, after what was shown then. */
  since(at: Moment): readonly Reading[] {
    const all = this.#readings();
    const shown = all.findLast((reading) => reading.at <= at)?.bits ?? DARK;
    return [{ at, bits: shown }, ...all.filter((reading) => reading.at > at)];
  }

  /** Looks at them for so long, from now on. */
  async watch(forMs: number): Promise<readonly Reading[]> {
    const startedAt = now();
    await delay(forMs);
    return this.since(startedAt);
  }

  /** A line that is not an output lights nothing. */
  #readings(): readonly Reading[] {
    const text = existsSync(this.#trace) ? readFileSync(this.#trace, "utf8") : "";
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const lines = [...whole.matchAll(CHANGE)].map(([, seconds, direction, data]) => ({
      at: Number(seconds) * 1000,
      bits: Number(direction) & Number(data) & LAMPS,
    }));
    return lines.filter(({ bits }, i) => bits !== (lines[i - 1]?.bits ?? DARK));
  }
}

/** The steps of one lamp; the first and the last are cut off by the looking and do not count. */
export function stepsOf(readings: readonly Reading[], lamp: number): Steps {
  const changes = readings.filter(
    ({ bits }, i) => i === 0 || (bits & lamp) !== ((readings[i - 1]?.bits ?? DARK) & lamp),
  );
  const whole = changes.slice(1, -1).map(({ at, bits }, i) => ({
    isLit: (bits & lamp) !== 0,
    ms: (changes[i + 2]?.at ?? at) - at,
  }));
  const lengths = (lit: boolean) => whole.filter(({ isLit }) => isLit === lit).map(({ ms }) => ms);
  return { lit: lengths(true), dark: lengths(false) };
}
