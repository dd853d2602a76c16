/**
 * The front panel of a board as it looks to somebody who stands before it:
 * what the daemon says that its lamps show, and what they show without a
 * daemon. Which lamps a face has is for src/panel/lamp.ts.
 */
import { LAMPS, type LampName } from "../../src/board.js";
import {
  type Face,
  isLit,
  type Lamp,
  type Lamps,
  lampsAfterPowerOff,
  lampsAfterStop,
  nextChangeMs,
  sameLamp,
} from "../../src/panel/lamp.js";
import type { PanelView } from "../../src/panel/panel.js";
import { faces } from "../../src/status/vocabulary.js";
import type { Moment } from "../../test/lab/child.js";

/** A face of the label, or one that needs no daemon. */
export type Sight = Face | "unused" | "stopped" | "hangs" | "switched-off";

export interface SeenPanel {
  readonly sight: Sight;
  readonly pressed: boolean;
  readonly lamps: { readonly [L in LampName]: Shown };
}

/** A blink began with its lit step at `since`. */
interface Shown {
  readonly lamp: Lamp;
  readonly since: Moment;
}

const off: Lamp = { pattern: "off" };

/** Nobody has driven the lamps yet. */
export const unused: SeenPanel = {
  sight: "unused",
  pressed: false,
  lamps: {
    role: { lamp: off, since: 0 },
    maintenance: { lamp: off, since: 0 },
    fault: { lamp: off, since: 0 },
  },
};

/** What a sight says to whoever wants to touch the board. */
export function wordsFor(sight: Sight): string {
  switch (sight) {
    case "unused":
      return "carpio has not run yet";
    case "stopped":
      return "carpio does not run, or hangs";
    case "hangs":
      return "standing still";
    case "switched-off":
      return "switched off: safe to unplug";
    default:
      return faces[sight];
  }
}

/** As the daemon has answered. */
export function look(before: SeenPanel, { face, lamps, button }: PanelView, at: Moment): SeenPanel {
  return { sight: face, pressed: button.pressed, lamps: change(before, lamps, at) };
}

/** Nothing blinks that the program would have to blink. */
export function stopped(before: SeenPanel, at: Moment): SeenPanel {
  return { sight: "stopped", pressed: false, lamps: change(before, lampsAfterStop(LAMPS, false), at) };
}

export function switchedOff(before: SeenPanel, at: Moment): SeenPanel {
  return { sight: "switched-off", pressed: false, lamps: change(before, lampsAfterPowerOff(LAMPS), at) };
}

/** Each lamp as it happened to be when the program began to hang. */
export function hanging(before: SeenPanel, at: Moment): SeenPanel {
  const still = LAMPS.map((name) => [name, isOn(before, name, at) ? { pattern: "on" } : off] as const);
  return { ...before, sight: "hangs", lamps: change(before, Object.fromEntries(still), at) };
}

export function isOn({ lamps }: SeenPanel, name: LampName, at: Moment): boolean {
  const { lamp, since } = lamps[name];
  return isLit(lamp, Math.max(at - since, 0));
}

/** How long the panel looks as it does now; a wink is over in 50 ms. */
export function staysForMs({ lamps }: SeenPanel, at: Moment): number {
  const left = LAMPS.map(
    (name) => nextChangeMs(lamps[name].lamp, at - lamps[name].since) - (at - lamps[name].since),
  );
  return Math.min(...left);
}

/** A lamp that shows the same as before goes on as it was. */
function change({ lamps }: SeenPanel, wanted: Lamps, at: Moment): SeenPanel["lamps"] {
  const shown = (name: LampName): Shown => {
    const lamp = wanted[name] ?? off;
    return sameLamp(lamps[name].lamp, lamp) ? lamps[name] : { lamp, since: at };
  };
  return { role: shown("role"), maintenance: shown("maintenance"), fault: shown("fault") };
}
