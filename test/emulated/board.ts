/**
 * An emulated machine as a carpio board: its configuration, what its status
 * says, and what its lamps show. What it ought to show is for the tests.
 *
 * The machine that emulates is a busy one, and nothing here is judged by one
 * look: a face, a lamp that stays lit or one that blinks is waited for.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Interval } from "../../src/carp/interval.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import { now } from "../lab/child.js";
import { FAULT, MAINTENANCE, type Reading, ROLE, stepsOf } from "./lamps.js";
import type { Qemu } from "./qemu.js";

export type Face = Snapshot["panel"]["face"];

/** What an emulated processor may be late by, on a machine with other things to do. */
const LATE_MS = 40;
const ASK_EVERY_MS = 500;
/** Whoever takes long to answer has other things to do, and is asked less often. */
const REST = 4;
const LONGEST_REST_MS = 5_000;
/** Longer than any lamp that blinks stays as it is, but for a wink. */
const STEADY_MS = 1_200;
/** Between two looks at one that blinks. */
const LOOK_MS = 250;
/** So many steps in a row tell a pattern: one of them may be late. */
const ENOUGH = 3;

/** The `[[carp]]` table; left out is what a board alone wants. */
export function group({ advbase = 1, advskew = 0 }: Partial<Interval> = {}): readonly string[] {
  const settings = ["vhid = 7", 'interface = "eth0"', 'password = "x"', 'addresses = ["192.0.2.1/24"]'];
  return ["[[carp]]", ...settings, `advbase = ${advbase}`, `advskew = ${advskew}`];
}

/** The status, or nothing from a board that is still starting. */
export async function statusOf(board: Qemu): Promise<Snapshot | undefined> {
  const text = await board.get("/status").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Snapshot);
}

/** Waits until the status is so; says what of it was last seen, and what was wrong. */
export function untilStatus(board: Qemu, what: string, isSo: (it: Snapshot) => boolean) {
  let last: Snapshot | undefined;
  let restMs = 0;
  const ask = async () => {
    await delay(restMs);
    const askedAt = now();
    last = await statusOf(board);
    restMs = Math.min(Math.max(ASK_EVERY_MS, REST * (now() - askedAt)), LONGEST_REST_MS);
    return { isSo: last !== undefined && isSo(last), face: last?.panel.face, faults: last?.faults };
  };
  return board.until(ask, { holds: (seen) => seen.isSo, what }).then(() => last as Snapshot);
}

export function waitForFace(board: Qemu, face: Face): Promise<Snapshot> {
  return untilStatus(board, `the face ${face}`, ({ panel }) => panel.face === face);
}

/** Waits until these lamps are lit, no others, and all stay so. */
export async function waitForLamps(board: Qemu, lamps: number): Promise<void> {
  await board.until(() => board.lamps.watch(STEADY_MS), {
    holds: (readings) => readings.length === 1 && readings[0]?.bits === lamps,
    what: `lamps that show ${inWords(lamps)} and nothing else`,
  });
}

/** How a lamp blinks, and which others are lit beside it all the while; left out, they may do as they like. */
export interface Blinks {
  readonly onMs: number;
  readonly offMs: number;
  readonly beside?: number;
}

/** Waits until one lamp has blinked so for some steps. */
export async function waitForBlinks(board: Qemu, lamp: number, blinks: Blinks): Promise<void> {
  const { onMs, offMs, beside } = blinks;
  const startedAt = now();
  // The first and the last step do not count.
  const windowMs = (ENOUGH + 2) * (onMs + offMs);
  const fits = (steps: readonly number[], wantedMs: number) =>
    steps.length >= ENOUGH && near(median(steps.slice(-ENOUGH)), wantedMs);
  const look = async () => {
    await board.lamps.watch(LOOK_MS);
    const readings = board.lamps.since(Math.max(startedAt, now() - windowMs));
    return { ...stepsOf(readings, lamp), others: readings.map(({ bits }) => bits & ~lamp) };
  };
  await board.until(look, {
    holds: ({ lit, dark, others }) =>
      fits(lit, onMs) &&
      fits(dark, offMs) &&
      (beside === undefined || others.every((bits) => bits === beside)),
    what: `${inWords(lamp)} ${onMs} ms lit and ${offMs} ms dark`,
  });
}

export function near(foundMs: number, wantedMs: number): boolean {
  return Math.abs(foundMs - wantedMs) < LATE_MS;
}

/** As one would say which lamps are lit. */
export function inWords(bits: Reading["bits"]): string {
  const names = { green: ROLE, amber: MAINTENANCE, red: FAULT };
  const lit = Object.entries(names).flatMap(([name, lamp]) => (bits & lamp ? [name] : []));
  return lit.join(" and ") || "no lamp";
}

function median(steps: readonly number[]): number {
  return steps.toSorted((a, b) => a - b)[steps.length >> 1] ?? 0;
}
