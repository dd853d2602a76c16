/**
 * What the lamps say, written as the label on the case would read: a view of
 * the board has a face, and a face has a pattern for each lamp. Pure; who
 * lights the lamps is for led.ts.
 */
import type { LampName } from "../board.js";

/** As the status shows it. A blink begins lit, and its steps come round again. */
export type Lamp =
  | { readonly pattern: "on" }
  | { readonly pattern: "off" }
  | { readonly pattern: "blink"; readonly stepsMs: readonly number[] };

export type Lamps = { readonly [L in LampName]?: Lamp };

/** The faces that a role has when there is nothing else to say. */
export type RoleFace = "starting" | "backup" | "master" | "mixed";
export type Face =
  | RoleFace
  | "handing-over"
  | "safe"
  | "no-taker"
  | "fault"
  /** The button has been held long enough: let go. */
  | "power-off"
  | "identify";

/** What a face depends on: a part of the snapshot. */
export interface View {
  readonly role: "init" | "backup" | "master" | "mixed";
  readonly carp: readonly {
    readonly role: "init" | "backup" | "master";
    /** It is no master, nobody else is known to be one, and it may be about to. */
    readonly undecided: boolean;
  }[];
  readonly maintenance: {
    readonly on: boolean;
    readonly handover: { readonly state: "none" | "asking" | "handing-over" | "handed-over" | "no-taker" };
  };
  readonly identify: boolean;
  /** The program is on its way out, whoever asked for it, and still serves. */
  readonly leaving: boolean;
  readonly faults: readonly string[];
}

const on: Lamp = { pattern: "on" };
const off: Lamp = { pattern: "off" };
/** Alive, standing by. */
const wink = blink(50, 1950);
/** Can be told from a wink by a glance at one lamp. */
const doubleWink = blink(50, 150, 50, 1750);
const quick = blink(100, 100);

type Shown = Lamp | "as role";
type Row<L extends LampName> = { readonly [N in L]: Shown };

/** The label of a case with one, two or three lamps. */
type Label<L extends LampName> = { readonly [F in Face]: Row<L> };

/** The label: DESIGN, section 3.4. */
export const label: Label<"role" | "maintenance" | "fault"> = {
  starting: { role: blink(200, 200), maintenance: off, fault: off },
  backup: { role: wink, maintenance: off, fault: off },
  master: { role: on, maintenance: off, fault: off },
  mixed: { role: blink(1000, 1000), maintenance: off, fault: off },
  "handing-over": { role: "as role", maintenance: quick, fault: off },
  safe: { role: wink, maintenance: on, fault: off },
  "no-taker": { role: on, maintenance: blink(100, 900), fault: on },
  fault: { role: "as role", maintenance: off, fault: blink(50, 50) },
  "power-off": { role: blink(500, 500), maintenance: blink(500, 500), fault: blink(500, 500) },
  identify: { role: quick, maintenance: quick, fault: quick },
};

/** A case without a red lamp: the amber one says what the red one would. */
export const labelWithoutFault: Label<"role" | "maintenance"> = {
  ...label,
  fault: { role: "as role", maintenance: blink(50, 50) },
};

/**
 * A case without an amber lamp. What asks for patience is quick and red; safe
 * winks twice, because red would mean the contrary.
 */
export const labelWithoutMaintenance: Label<"role" | "fault"> = {
  ...label,
  "handing-over": { role: "as role", fault: quick },
  safe: { role: doubleWink, fault: off },
};

/** A case with one lamp. Lit, with or without gaps, it serves; in quick motion it wants to be left alone. */
export const labelOfOne: Label<"role"> = {
  ...label,
  "handing-over": { role: quick },
  safe: { role: doubleWink },
  "no-taker": { role: blink(900, 100) },
  fault: { role: blink(50, 50) },
};

/**
 * The face of a view. Whether the plug may be pulled comes before what is
 * wrong: a fault can wait until the board is back, a hand on the plug cannot.
 */
export function face(view: View, button: { readonly held: boolean } = { held: false }): Face {
  if (button.held) return "power-off";
  if (view.identify) return "identify";
  const { state } = view.maintenance.handover;
  if (view.leaving || state === "asking" || state === "handing-over") return "handing-over";
  if (view.maintenance.on) return maintenanceFace(view);
  return view.faults.length > 0 ? "fault" : roleFace(view);
}

/**
 * Safe is what is so, and not what was agreed: whoever has become master again
 * serves alone, and a backup that has heard nobody yet is about to. While
 * nothing is decided, before the wish is kept or after a restart, patience.
 * Without a link nobody loses anything, once it is known that there is none.
 */
function maintenanceFace({ carp, maintenance }: View): Face {
  const isDecided = maintenance.handover.state !== "none";
  if (carp.some(({ role }) => role === "master")) return isDecided ? "no-taker" : "handing-over";
  return carp.some(({ undecided }) => undecided) ? "handing-over" : "safe";
}

function roleFace({ role }: View): RoleFace {
  return role === "init" ? "starting" : role;
}

/** What the lamps of a case with these names show. */
export function lampsOf(shown: Face, view: View, names: readonly LampName[]): Lamps {
  const table = labelOf(names);
  const asRole = label[roleFace(view)].role as Lamp;
  const pairs = names.map((name) => {
    const lamp = (table[shown] as Partial<Row<LampName>>)[name] ?? off;
    return [name, lamp === "as role" ? asRole : lamp] as const;
  });
  return Object.fromEntries(pairs);
}

/**
 * When the program stops nobody knows what the board is to the others, so the
 * lamps show the fault face. Without the program a lamp blinks only where the
 * kernel does it. Elsewhere the red lamp stays lit, and a case that has none
 * goes dark: any other lamp that stays lit would say that the board serves, or
 * that it is safe to unplug.
 */
export function lampsAfterStop(names: readonly LampName[], kernelBlinks: boolean): Lamps {
  const bearer = names.includes("fault") ? "fault" : (names.at(-1) ?? "role");
  const lit = kernelBlinks ? blink(50, 50) : bearer === "fault" ? on : off;
  return Object.fromEntries(names.map((name) => [name, name === bearer ? lit : off]));
}

/** The kernel halts, and pins stay as they are: amber for safe, and nothing that would have to blink. */
export function lampsAfterPowerOff(names: readonly LampName[]): Lamps {
  return Object.fromEntries(names.map((name) => [name, name === "maintenance" ? on : off]));
}

/** Whether a lamp is lit so long after it began to show this. */
export function isLit(lamp: Lamp, sinceMs: number): boolean {
  if (lamp.pattern !== "blink") return lamp.pattern === "on";
  return stepAt(lamp.stepsMs, sinceMs).index % 2 === 0;
}

/** When it changes next, counted from the same moment; never for one that does not blink. */
export function nextChangeMs(lamp: Lamp, sinceMs: number): number {
  return lamp.pattern === "blink" ? stepAt(lamp.stepsMs, sinceMs).endMs : Number.POSITIVE_INFINITY;
}

export function sameLamp(a: Lamp | undefined, b: Lamp | undefined): boolean {
  if (a?.pattern !== "blink" || b?.pattern !== "blink") return a?.pattern === b?.pattern;
  return a.stepsMs.join() === b.stepsMs.join();
}

function blink(...stepsMs: readonly number[]): Lamp {
  return { pattern: "blink", stepsMs };
}

function labelOf(names: readonly LampName[]): Label<never> {
  const [amber, red] = [names.includes("maintenance"), names.includes("fault")];
  if (amber) return red ? label : labelWithoutFault;
  return red ? labelWithoutMaintenance : labelOfOne;
}

function stepAt(stepsMs: readonly number[], sinceMs: number) {
  const roundMs = stepsMs.reduce((sum, stepMs) => sum + stepMs, 0);
  const roundsMs = Math.floor(sinceMs / roundMs) * roundMs;
  let endMs = roundsMs;
  for (const [index, stepMs] of stepsMs.entries()) {
    endMs += stepMs;
    if (sinceMs < endMs) return { index, endMs };
  }
  return { index: 0, endMs: roundsMs + roundMs };
}
