/**
 * What the page says of the words in a snapshot, to somebody who has never read
 * a manual: faces, roles, and each counter that is not zero.
 */
import type { Lamp } from "../panel/lamp.js";
import type { GroupSnapshot, Snapshot } from "../status/snapshot.js";

type Face = Snapshot["panel"]["face"];
export type Counter = keyof GroupSnapshot["counters"] | keyof NonNullable<Snapshot["prefilter"]>;

/** Whether a hand may go to the plug; `calm`: nothing is under way. */
export type Plug = "safe" | "wait" | "calm";

export interface FaceWords {
  /** What the lamps mean. */
  readonly means: string;
  readonly plug: Plug;
  /** Of the plug. */
  readonly says: string;
}

/** With `fault` and `identify` what the board is doing otherwise decides about the plug: see headline.ts. */
export const faceWords: { readonly [F in Face]: FaceWords } = {
  starting: {
    means: "It takes no part yet",
    plug: "calm",
    says: "It serves nothing: unplugging it interrupts nobody.",
  },
  backup: {
    means: "It stands by",
    plug: "calm",
    says: "Begin maintenance before you unplug it: then nobody counts on it.",
  },
  master: { means: "It serves", plug: "calm", says: "Hand over before you unplug it." },
  mixed: {
    means: "It serves some groups and stands by in others",
    plug: "calm",
    says: "Hand over before you unplug it.",
  },
  "handing-over": {
    means: "It is handing over",
    plug: "wait",
    says: "Do not unplug: it is handing over.",
  },
  safe: { means: "Somebody else serves", plug: "safe", says: "Safe to unplug." },
  "no-taker": {
    means: "Nobody took over, so it still serves",
    plug: "wait",
    says: "Do not unplug: it serves, and nobody else does.",
  },
  fault: { means: "Something is wrong", plug: "calm", says: "Look below before you unplug it." },
  "power-off": {
    means: "Its button is held: released, it hands over and powers off",
    plug: "wait",
    says: "Do not unplug: it has not handed over yet.",
  },
  identify: {
    means: "This is the box that you look for",
    plug: "calm",
    says: "Look what it is doing before you unplug it.",
  },
};

export const roleWords: { readonly [R in Snapshot["role"]]: string } = {
  master: "serves",
  backup: "stands by",
  init: "takes no part",
  mixed: "serves some",
};

/** Each goes on after a number. Only what somebody may have to act upon is alarming. */
export const counterWords: {
  readonly [C in Counter]: { readonly says: string; readonly alarming: boolean };
} = {
  sent: { says: "advertisements sent.", alarming: false },
  received: { says: "advertisements heard and accepted.", alarming: false },
  badttl: {
    says: "packets came through a router. CARP never leaves its link, so somebody forwards or forges them.",
    alarming: true,
  },
  badlen: { says: "packets were too short. Something else uses CARP's protocol number.", alarming: true },
  badver: { says: "packets were of another version of the protocol.", alarming: true },
  badsum: { says: "packets were damaged on the way. Look at cable and switch.", alarming: true },
  badauth: {
    says: "advertisements were signed with another password or for other addresses. Compare both on all boards: `carpio decode` names the likeliest difference.",
    alarming: true,
  },
  badvhid: {
    says: "advertisements were of a group that is not ours, as where others use CARP on this link.",
    alarming: false,
  },
  looped: {
    says: "of our own advertisements came back to us. A switch sends them back, or somebody repeats them.",
    alarming: true,
  },
  foreign: {
    says: "packets were VRRP, which shares CARP's number. Give it other group numbers than ours.",
    alarming: true,
  },
  flooded: { says: "packets were more than any host sends. Somebody floods this link.", alarming: true },
};

/** As the label on the case has it, for who cannot see a blink. */
export function lampWords(lamp: Lamp | undefined): string {
  if (lamp?.pattern !== "blink") return lamp?.pattern ?? "none";
  const [litMs = 0, ...rest] = lamp.stepsMs;
  const roundMs = rest.reduce((sum, each) => sum + each, litMs);
  if (litMs > 50 || roundMs < 1000) return `blinks ${lamp.stepsMs.join("/")} ms`;
  return lamp.stepsMs.length > 2 ? "winks twice" : "winks";
}

/** What runs, and on what: `carpio 0.1.0 on virt, slot b on trial`. One that is older than slots says nothing of them. */
export function programOf({ version, board, slot }: Snapshot): string {
  const place = slot ? `, slot ${slot.name}${slot.onTrial ? " on trial" : ""}` : "";
  return `carpio ${version} on ${board}${place}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} and ${last}`;
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
