/**
 * What a board.toml may hold, key by key. What its keys may not be together is
 * for board-rules.ts; whether the chip is there, for the panel.
 */
import * as v from "valibot";
import { oneOf, table, textThat, wholeNumber } from "./kind.js";
import type { Refuse } from "./notation.js";
import type { Tables } from "./unknown-keys.js";

/** What lights a lamp and reads a button. */
export const DRIVERS = ["onoff", "led-class", "simulated", "none"] as const;
export type Driver = (typeof DRIVERS)[number];

/** In the order they have on a case. Each has its place in the label: panel/lamp.ts. */
export const LAMPS = ["role", "maintenance", "fault"] as const;
export type LampName = (typeof LAMPS)[number];

/** Where on its chip, and on which pin of the board's header. */
const lineEntries = {
  line: v.optional(wholeNumber(0, 1023)),
  pin: v.optional(wholeNumber(1, 200)),
  ground: v.optional(wholeNumber(1, 200)),
};
const lampEntries = {
  ...lineEntries,
  active: v.optional(oneOf("high", "low"), "high"),
  led: v.optional(textThat("the name of a LED", readSysfsName)),
};
const lampsEntries = {
  role: v.optional(table(lampEntries)),
  maintenance: v.optional(table(lampEntries)),
  fault: v.optional(table(lampEntries)),
};
const buttonEntries = {
  ...lineEntries,
  active: v.optional(oneOf("low", "high"), "low"),
  pull: v.optional(oneOf("up", "down", "external")),
  debounce_ms: v.optional(wholeNumber(1, 200), 20),
};
const boardEntries = {
  title: textThat("a text", readTitle),
  compatible: v.optional(v.array(textThat("a text", readTitle), "a list of texts"), []),
  models: v.optional(v.array(textThat("a text", readTitle), "a list of texts"), []),
  driver: v.optional(oneOf(...DRIVERS), "onoff"),
  chip: v.optional(textThat("the label of a GPIO chip", readTitle)),
  lamps: v.optional(table(lampsEntries), {}),
  button: v.optional(table(buttonEntries)),
};

export const boardTable = table(boardEntries);

export type BoardTable = v.InferOutput<typeof boardTable>;
export type LampTable = NonNullable<BoardTable["lamps"]["role"]>;
export type ButtonTable = NonNullable<BoardTable["button"]>;

export const BOARD_TABLES: Tables = {
  "": Object.keys(boardEntries),
  lamps: Object.keys(lampsEntries),
  ...Object.fromEntries(LAMPS.map((name) => [`lamps.${name}`, Object.keys(lampEntries)])),
  button: Object.keys(buttonEntries),
};

function readTitle(text: string, refuse: Refuse): string {
  return /^\P{Cc}{1,80}$/u.test(text) && text.trim() !== "" ? text : refuse("1 to 80 characters on one line");
}

/** Part of a path, and a word in the watchdog's script. */
function readSysfsName(text: string, refuse: Refuse): string {
  const valid = /^[A-Za-z0-9_:.+-]+$/.test(text) && !/^\.{1,2}$/.test(text);
  return valid ? text : refuse("a name under /sys/class/leds: letters, digits and - _ : . +");
}
