/**
 * Lamps of the kernel's LED class, under /sys/class/leds. Its triggers blink,
 * so a program that hangs does not blink as if it were well. Where the kernel
 * lacks a trigger, led.ts blinks.
 */
import { readFile, writeFile } from "node:fs/promises";
import type { LampWiring } from "../board.js";
import type { FileWrite, Led, PanelDriver } from "./driver.js";
import type { Lamp } from "./lamp.js";
import { onoff } from "./onoff.js";

const LED_FOLDER = "/sys/class/leds";

/** A button is no LED: that one stays with onoff. */
export const ledClass: PanelDriver = { openLed: (wiring) => openLed(wiring), openContact: onoff.openContact };

/** Opens the LED that the device tree made. `folder` is where the kernel shows them. */
export async function openLed({ led, place }: LampWiring, folder = LED_FOLDER): Promise<Led> {
  if (led === undefined) {
    throw new Error(`${place}: found a lamp without led, wanted its name under ${folder}`);
  }
  const path = `${folder}/${led}`;
  const read = async (file: string) => (await readFile(`${path}/${file}`, "utf8")).trim();
  const brightest = await read("max_brightness").catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw new Error(`${place}: ${error.message}`);
    throw new Error(`${place}: found no LED ${led} under ${folder}, wanted one in the device tree`);
  });
  const triggers = (await read("trigger")).replace(/[[\]]/g, "").split(" ");
  const writes = (lamp: Lamp) => writesFor(lamp, path, brightest);
  return {
    blinks: triggers.includes("timer") && triggers.includes("pattern"),
    writes,
    async show(lamp) {
      for (const { path: file, text } of writes(lamp)) {
        await writeFile(file, text).catch((error: Error) => {
          throw new Error(`${place}: ${error.message}`);
        });
      }
    },
    close: () => {},
  };
}

/** Writing 0 to brightness takes any trigger away, and the trigger's own files with it. */
function writesFor(lamp: Lamp, path: string, brightest: string): readonly FileWrite[] {
  const dark = { path: `${path}/brightness`, text: "0" };
  if (lamp.pattern === "off") return [dark];
  if (lamp.pattern === "on") return [dark, { path: `${path}/brightness`, text: brightest }];

  const [onMs, offMs, ...more] = lamp.stepsMs;
  const trigger = (text: string) => ({ path: `${path}/trigger`, text });
  if (more.length === 0) {
    const halves = [
      { path: `${path}/delay_on`, text: String(onMs) },
      { path: `${path}/delay_off`, text: String(offMs) },
    ];
    return [dark, trigger("timer"), ...halves];
  }
  return [dark, trigger("pattern"), { path: `${path}/pattern`, text: patternText(lamp.stepsMs, brightest) }];
}

/** The trigger fades from one step to the next unless a step of no length stands between. */
function patternText(stepsMs: readonly number[], brightest: string): string {
  return stepsMs
    .map((stepMs, index) => {
      const level = index % 2 === 0 ? brightest : "0";
      return `${level} ${stepMs} ${level} 0`;
    })
    .join(" ");
}
