/**
 * What keys of a board.toml may not be together. Relies on values that are right
 * by themselves and passes over the others.
 */
import { type BoardTable, type ButtonTable, LAMPS, type LampTable } from "./board-schema.js";
import type { Fault } from "./problem.js";
import { formatKey, type KeyPath, type LineOf } from "./toml-lines.js";

export type BoardSketch = Partial<Omit<BoardTable, "lamps" | "button">> & {
  readonly lamps?: { readonly [L in (typeof LAMPS)[number]]?: Partial<LampTable> | undefined };
  readonly button?: Partial<ButtonTable> | undefined;
};

/** A lamp or the button, and where it stands. */
interface Part {
  readonly path: KeyPath;
  readonly what: string;
  readonly part: Partial<LampTable> | Partial<ButtonTable>;
}

export function boardFaults(sketch: BoardSketch, lineOf: LineOf): Fault[] {
  const lamps = LAMPS.flatMap((name): Part[] => {
    const part = sketch.lamps?.[name];
    return part ? [{ path: ["lamps", name], what: "lamp", part }] : [];
  });
  const button: Part[] = sketch.button ? [{ path: ["button"], what: "button", part: sketch.button }] : [];
  const parts = [...lamps, ...button];
  return [
    ...roleFaults(sketch),
    ...chipFaults(sketch, parts),
    ...parts.flatMap((part) => lineFaults(sketch, part)),
    ...pullFaults(sketch.button),
    ...(["line", "pin", "led"] as const).flatMap((key) => repeated(parts, key, lineOf)),
  ];
}

/** One lamp has to say everything, and two share what the third would have said: always with this one. */
function roleFaults({ lamps }: BoardSketch): Fault[] {
  if (!lamps || "role" in lamps || Object.keys(lamps).length === 0) return [];
  const wanted = "lamps.role: a board with one lamp shows everything on that one";
  return [{ path: ["lamps"], found: "no role lamp", wanted }];
}

function chipFaults(sketch: BoardSketch, parts: readonly Part[]): Fault[] {
  const lined = parts.find(({ part }) => part.line !== undefined);
  if (!lined || "chip" in sketch) return [];
  const found = `nothing beside ${formatKey(lined.path)}.line`;
  return [
    { path: ["chip"], found, wanted: "the chip's label, which `cat /sys/class/gpio/gpiochip*/label` shows" },
  ];
}

function lineFaults({ driver }: BoardSketch, { path, what, part }: Part): Fault[] {
  if (driver === undefined || driver === "simulated" || driver === "none") return [];
  const reachable = "line" in part || ("led" in part && driver === "led-class");
  if (reachable) return [];
  const found = `a ${what} without line`;
  return [{ path: [...path, "line"], found, wanted: `which line of the chip the ${what} is on` }];
}

/** A contact that closes to the side it is pulled to never changes anything. */
function pullFaults(button: BoardSketch["button"]): Fault[] {
  const { active, pull } = button ?? {};
  if (pull === undefined || pull === "external") return [];
  const idle = active === "low" ? "up" : "down";
  if (active === undefined || pull === idle) return [];
  const found = `"${pull}" with active = "${active}", which is pressed for ever`;
  return [{ path: ["button", "pull"], found, wanted: `"${idle}", or "external"` }];
}

function repeated(parts: readonly Part[], key: "line" | "pin" | "led", lineOf: LineOf): Fault[] {
  const first = new Map<unknown, KeyPath>();
  return parts.flatMap(({ path: parent, part }) => {
    const value = (part as Partial<LampTable>)[key];
    const path = [...parent, key];
    const before = first.get(value);
    if (value !== undefined && !before) first.set(value, path);
    if (value === undefined || !before) return [];
    const found = `${value} again, as in ${formatKey(before)} on line ${lineOf(before)}`;
    return [{ path, found, wanted: `each ${key} once` }];
  });
}
