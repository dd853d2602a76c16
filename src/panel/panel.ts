/**
 * The panel of a board: its lamps show the face of what they are shown, and
 * its button tells of presses. What a press does is for the daemon.
 */
import { existsSync } from "node:fs";
import type { Board, Driver, LampName, LampWiring } from "../board.js";
import { type ButtonView, openButton } from "./button.js";
import type { PanelDriver } from "./driver.js";
import { type Face, face, type Lamps, lampsOf, type View } from "./lamp.js";
import { type End, openLamps } from "./led.js";
import { ledClass } from "./led-class.js";
import { onoff } from "./onoff.js";
import type { Press } from "./press.js";
import { simulated } from "./simulated.js";

export interface PanelOptions {
  readonly board: Board;
  /** `undefined`: the board's own, and the LED class for lamps that it has. */
  readonly driver: Driver | undefined;
  /** Where a simulated button listens. */
  readonly buttonSocket: string;
  readonly onPress: (press: Press) => void;
  /** A fault, or the button under a finger: time to show a new view. */
  readonly onChange: () => void;
}

/** DESIGN's `panel` in the status. */
export interface PanelView {
  readonly face: Face;
  readonly lamps: Lamps;
  readonly button: ButtonView;
}

export interface Panel {
  /** Whether there are lamps at all: without them nobody needs to be shown anything. */
  readonly hasLamps: boolean;
  /** What cannot be lit or read, and why. */
  readonly faults: readonly string[];
  /** What a view looks like on this panel; nothing is lit. */
  view(view: View): PanelView;
  /** Lights the lamps. Cheap when nothing has changed, and never waits. */
  show(view: View): void;
  /** Leaves the lamps as they shall stay. */
  close(end: End): Promise<void>;
}

const noButton: ButtonView = { pressed: false, held: false, presses: 0 };

export function openPanel({ board, driver, buttonSocket, onPress, onChange }: PanelOptions): Panel {
  const chosen = driverOf(board, driver, buttonSocket);
  const lamps = chosen && openLamps(board, chosen, onChange);
  const button = chosen && board.button && openButton(board.button, chosen, { onPress, onChange });
  const names: readonly LampName[] = lamps?.names ?? [];

  const look = (view: View): PanelView => {
    const state = button?.view ?? noButton;
    const shown = face(view, state);
    return { face: shown, lamps: lampsOf(shown, view, names), button: state };
  };
  return {
    hasLamps: names.length > 0,
    get faults() {
      return [...(lamps?.faults ?? []), ...(button?.fault === undefined ? [] : [button.fault])];
    },
    view: look,
    show(view) {
      lamps?.show(look(view).lamps);
    },
    async close(end) {
      button?.close();
      await lamps?.close(end);
    },
  };
}

function driverOf(board: Board, driver: Driver | undefined, buttonSocket: string): PanelDriver | undefined {
  switch (driver ?? board.driver) {
    case "none":
      return undefined;
    case "simulated":
      return simulated(buttonSocket);
    case "led-class":
      return ledClass;
    case "onoff":
      return driver === undefined ? preferLeds : onoff;
  }
}

/** A lamp that the device tree gave to the kernel cannot be had as a line, and blinks by itself. */
const preferLeds: PanelDriver = {
  openLed: (wiring, name) => (isKernels(wiring) ? ledClass : onoff).openLed(wiring, name),
  openContact: onoff.openContact,
};

function isKernels({ led }: LampWiring): boolean {
  return led !== undefined && existsSync(`/sys/class/leds/${led}`);
}
