/**
 * Lamps at work: each is opened, shown what is wanted, and tried again when it
 * fails. Where the kernel does not blink, this does. Nothing here waits for a
 * lamp, and one that hangs or refuses is a fault and no more.
 */
import { type Board, LAMPS, type LampName, type LampWiring } from "../board.js";
import type { FileWrite, Led, PanelDriver } from "./driver.js";
import {
  isLit,
  type Lamp,
  type Lamps,
  lampsAfterPowerOff,
  lampsAfterStop,
  nextChangeMs,
  sameLamp,
} from "./lamp.js";
import { openWatchdog, type Watchdog } from "./watchdog.js";

export interface LampSet {
  readonly names: readonly LampName[];
  /** What cannot be lit, and why. */
  readonly faults: readonly string[];
  show(lamps: Lamps): void;
  /** Shows the last, and gives the lamps back. Bounded in time. */
  close(end: End): Promise<void>;
}

/** Why the lamps are left: the program stops, the board goes off, or other lamps come. */
export type End = "stopped" | "powered-off" | "replaced";

const AGAIN_MS = 5_000;
/** A line is written in microseconds; to be given one takes seconds, where udev has to allow it or a start is busy. */
const SLOW_MS = 10_000;
/** How long the end of the program waits for lamps. */
const LAST_MS = 1_000;

const dark: Lamp = { pattern: "off" };

interface Lit {
  readonly name: LampName;
  fault: string | undefined;
  led: Led | undefined;
  show(lamp: Lamp): void;
  /** As if nothing had been written yet. */
  repeat(): void;
  /** Settles when what was shown has been written, or could not be in time. */
  settled(): Promise<void>;
  stop(): void;
}

/** Opens a board's lamps; `onFault` is told when `faults` have changed. */
export function openLamps(board: Board, driver: PanelDriver, onFault: () => void): LampSet {
  let watchdog: Watchdog | undefined;
  const names = LAMPS.filter((name) => board.lamps[name]);
  const lamps = names.map((name) =>
    light(name, board.lamps[name] as LampWiring, driver, { onFault, onOpen: () => guard() }),
  );

  const last = (end: End): Lamps => {
    if (end === "powered-off") return lampsAfterPowerOff(names);
    if (end === "stopped")
      return lampsAfterStop(
        names,
        lamps.every(({ led }) => led?.blinks),
      );
    return {};
  };
  /** The writes for the end of the program; lamps that are not files need nobody for that. */
  const guard = () => {
    const parting = last("stopped");
    const writes = lamps.flatMap(
      ({ name, led }): readonly FileWrite[] => led?.writes(parting[name] ?? dark) ?? [],
    );
    if (writes.length === 0) return;
    watchdog ??= openWatchdog(() => {
      for (const lamp of lamps) lamp.repeat();
    });
    watchdog.arm(writes);
  };

  return {
    names,
    get faults() {
      return lamps.flatMap(({ name, fault }) => (fault === undefined ? [] : [`${name} lamp: ${fault}`]));
    },
    show(wanted) {
      for (const lamp of lamps) lamp.show(wanted[lamp.name] ?? dark);
    },
    async close(end) {
      const parting = last(end);
      for (const lamp of lamps) lamp.show(parting[lamp.name] ?? dark);
      await Promise.all(lamps.map((lamp) => lamp.settled()));
      await watchdog?.dismiss();
      for (const { name, led, stop } of lamps) {
        stop();
        led?.close({ stays: (parting[name] ?? dark).pattern !== "off" });
      }
    },
  };
}

interface Listeners {
  readonly onFault: () => void;
  readonly onOpen: () => void;
}

/** One lamp. There is never more than one thing under way, and the last that was wanted wins. */
function light(name: LampName, wiring: LampWiring, driver: PanelDriver, { onFault, onOpen }: Listeners): Lit {
  let wanted: Lamp = dark;
  let sinceAt = performance.now();
  /** What was written last; `undefined`: nobody knows. */
  let written: Lamp | undefined;
  let underWay: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const setFault = (said: string | undefined) => {
    if (lit.fault === said) return;
    lit.fault = said;
    onFault();
  };
  const due = (): Lamp => {
    if (lit.led?.blinks || wanted.pattern !== "blink") return wanted;
    return isLit(wanted, performance.now() - sinceAt) ? { pattern: "on" } : dark;
  };
  const wakeIn = (delayMs: number) => {
    clearTimeout(timer);
    if (!stopped && delayMs !== Number.POSITIVE_INFINITY) timer = setTimeout(next, delayMs);
  };
  const next = () => {
    if (underWay || stopped) return;
    const lamp = due();
    if (lit.led && sameLamp(written, lamp)) {
      const sinceMs = performance.now() - sinceAt;
      if (!lit.led.blinks) wakeIn(nextChangeMs(wanted, sinceMs) - sinceMs);
      return;
    }
    const task = (lit.led ? write(lit.led, lamp) : open()).then(
      () => finish(slow, undefined),
      (error: unknown) => finish(slow, error instanceof Error ? error.message : String(error)),
    );
    const judge = () => underWay === task && setFault(`has not answered for ${SLOW_MS / 1000} s`);
    // Whoever was late itself finds the answer waiting, and hears it before it judges.
    const slow = setTimeout(() => setImmediate(judge), SLOW_MS);
    underWay = task;
  };
  const open = async () => {
    lit.led = await driver.openLed(wiring, name);
    written = undefined;
    onOpen();
  };
  const write = async (led: Led, lamp: Lamp) => {
    written = undefined;
    await led.show(lamp);
    written = lamp;
  };
  const finish = (slow: NodeJS.Timeout, said: string | undefined) => {
    clearTimeout(slow);
    underWay = undefined;
    setFault(said);
    if (said === undefined) return next();
    lit.led?.close({ stays: false });
    lit.led = undefined;
    wakeIn(AGAIN_MS);
  };

  const lit: Lit = {
    name,
    fault: undefined,
    led: undefined,
    show(lamp) {
      if (sameLamp(wanted, lamp)) return;
      wanted = lamp;
      sinceAt = performance.now();
      // One that failed waits until it is tried again.
      if (lit.led) next();
    },
    repeat() {
      written = undefined;
      if (lit.led) next();
    },
    async settled() {
      const deadlineAt = performance.now() + LAST_MS;
      while (lit.led && !sameLamp(written, due()) && performance.now() < deadlineAt) {
        await Promise.race([underWay, new Promise((resolve) => setTimeout(resolve, LAST_MS / 10))]);
      }
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
  next();
  return lit;
}
