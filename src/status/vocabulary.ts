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

export const slots: Meanings<NonNullable<Snapshot["slot"]>["name"]> = {
  a: "slot-a.sqf",
  b: "slot-b.sqf",
};

export type FamilyWord = NonNullable<Snapshot["carp"][number]["silentFamily"]>;

export const families: Meanings<FamilyWord> = {
  IPv4: "advertisements to 224.0.0.18",
  IPv6: "advertisements to ff02::12",
};

export const handovers: Meanings<Snapshot["maintenance"]["handover"]["state"]> = {
  none: "nothing was to be handed over",
  asking: "the other boards are asked; do not unplug",
  "handing-over": "until the successor is heard; do not unplug",
  "handed-over": "somebody else serves; safe to unplug",
  "no-taker": "nobody took over, and this board still serves; do not unplug",
};

/** What the label on the case says, short enough to stand beside the lamps. */
export const faces: Meanings<Snapshot["panel"]["face"]> = {
  starting: "no link yet, or no configuration",
  backup: "alive, standing by",
  master: "serving",
  mixed: "serving some groups and not others",
  "handing-over": "handing over: do not unplug",
  safe: "somebody else serves: safe to unplug",
  "no-taker": "nobody took over: do not unplug",
  fault: "something is wrong: see /status",
  "power-off": "held for 5 s: let go to power off",
  identify: "this is the box you look for",
};

/** Of a check. */
export const states: Meanings<Snapshot["diagnosis"]["checks"][number]["state"]> = {
  ok: "nothing is wrong",
  broken: "something is wrong",
  unknown: "it cannot be known here",
};

/** What is looked at, each with what is so while nothing is wrong. */
export const checks: Meanings<Snapshot["diagnosis"]["checks"][number]["check"]> = {
  configuration: "what was written for the board is in force",
  card: "nothing was found wrong with a board's card at its start",
  interface: "every interface is there and can be listened on",
  link: "every interface has a link",
  address: "no floating address belongs to an interface itself",
  "kernel settings": "the kernel's settings are as CARP needs them",
  "addresses held": "the kernel has the addresses on, or off, as it should",
  addresses: "what this board serves is on its interface",
  sending: "advertisements leave the board",
  digest: "everybody who speaks of our groups has their password and addresses",
  vrrp: "no VRRP uses the number of a group",
  loop: "nothing that this board sent comes back to it",
  "peer's configuration": "the boards agree on vhids, addresses and advbase",
  heard: "no two boards serve the same addresses",
  families: "who is heard in IPv4 is heard in IPv6 as well",
  standby: "somebody could take over what this board serves",
  peers: "the boards in status.peers answer",
  advskews: "one board is preferred",
  clock: "the clock is set",
  disc: "what must outlive a restart can be written",
  prefilter: "floods and forwarded packets are dropped in the kernel",
  "status port": "status is answered over HTTP",
  token: "the token of status.token_file is read",
  panel: "lamps and button work, as far as the board has them",
  hooks: "hooks are told what happens",
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
