/**
 * The words that a snapshot uses, each with its meaning: for the schema, and
 * for metrics that have one series a word.
 */
import type { Snapshot } from "./snapshot.js";

type Meanings<W extends string> = { readonly [word in W]: string };

export const roles: Meanings<Snapshot["carp"][number]["role"]> = {
  init: "takes no part, such as without a link",
  backup: "stands by",
  master: "serves the addresses",
};

export const overallRoles: Meanings<Snapshot["role"]> = {
  ...roles,
  mixed: "the groups differ",
};

export const handovers: Meanings<Snapshot["maintenance"]["handover"]["state"]> = {
  none: "nothing was to be handed over",
  asking: "the other boards are asked; do not unplug",
  "handing-over": "until the successor is heard; do not unplug",
  "handed-over": "somebody else serves; safe to unplug",
  "no-taker": "nobody took over, and this board still serves; do not unplug",
};

export const faces: Meanings<Snapshot["panel"]["face"]> = {
  starting: "no link or no configuration yet",
  backup: "alive, standing by",
  master: "serving",
  mixed: "master of some groups",
  "handing-over": "do not unplug",
  safe: "safe to unplug",
  "no-taker": "nobody took over: do not unplug",
  fault: "something is wrong",
  "power-off": "the button was held: let go",
  identify: "this is the box",
};

/** Why packets were ignored. */
export const drops: Meanings<
  Exclude<keyof Snapshot["carp"][number]["counters"], "sent" | "received"> | "flooded"
> = {
  badttl: "came through a router",
  badlen: "too short",
  badver: "another version of the protocol",
  badsum: "damaged on the way",
  badauth: "another password, or other addresses",
  badvhid: "of a group that is not ours",
  looped: "our own, come back",
  foreign: "VRRP",
  flooded: "more than any host sends",
};
