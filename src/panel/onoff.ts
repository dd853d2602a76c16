/**
 * Lamps and a button on GPIO lines, by onoff. Knows lines only; what blinks is
 * led.ts, which writes each change.
 */
import { Gpio } from "onoff";
import type { ButtonWiring, LampWiring, Wire } from "../board.js";
import type { Contact, Led, PanelDriver } from "./driver.js";
import { exportLine } from "./gpio-line.js";

export const onoff: PanelDriver = { openLed, openContact };

/** Ahead of the first line. Throws what `addon` says where we carry none. */
export function loadGpio(): unknown {
  return Gpio.accessible;
}

async function openLed({ wire, place }: LampWiring): Promise<Led> {
  if (!wire)
    throw new Error(`${place}: found a lamp without chip and line, wanted both for the driver onoff`);
  const { number, valueFile } = await exportLine(wire, place);
  // `high` and `low` are what the pin gets, whatever is active: the lamp starts dark.
  const dark = wire.activeLow ? "high" : "low";
  const gpio = openGpio(place, wire, () => new Gpio(number, dark, "none", { activeLow: wire.activeLow }));
  return {
    blinks: false,
    show: (lamp) => gpio.write(lamp.pattern === "on" ? 1 : 0),
    writes: (lamp) => [{ path: valueFile, text: lamp.pattern === "on" ? "1" : "0" }],
    // A line that is given back becomes an input, and the lamp goes dark.
    close: ({ stays }) => {
      if (!stays) gpio.unexport();
    },
  };
}

async function openContact(
  { wire, place }: ButtonWiring,
  onEdge: (pressed: boolean) => void,
): Promise<Contact> {
  if (!wire) throw new Error(`${place}: found a button without chip and line, wanted both`);
  const { number } = await exportLine(wire, place);
  const gpio = openGpio(place, wire, () => new Gpio(number, "in", "both", { activeLow: wire.activeLow }));
  bearFailingReads(gpio);
  // Without onoff's own debouncing, which waits for the end of the bouncing and loses when it began.
  gpio.watch((error, value) => {
    if (!error) onEdge(value === 1);
  });
  return { read: async () => (await gpio.read()) === 1, close: () => gpio.unexport() };
}

/**
 * At every edge onoff reads the line, where nobody can catch what the kernel
 * says to that. An edge without a value is none, and whoever looks at the line
 * meets the same error.
 */
export function bearFailingReads(gpio: { readSync(): number | undefined }): void {
  const readSync = gpio.readSync.bind(gpio);
  gpio.readSync = () => {
    try {
      return readSync();
    } catch {
      return undefined;
    }
  };
}

/** On a line that was exported before, onoff keeps errors to itself: look at what has come of it. */
function openGpio(place: string, wire: Wire, open: () => Gpio): Gpio {
  let gpio: Gpio | undefined;
  try {
    gpio = open();
    const active = gpio.activeLow() ? "low" : "high";
    if (gpio.activeLow() !== wire.activeLow)
      throw new Error(`found the line active ${active}, and it stays so`);
    return gpio;
  } catch (error) {
    gpio?.unexport();
    throw new Error(`${place}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
