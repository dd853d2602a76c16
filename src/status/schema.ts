/**
 * The snapshot as a JSON Schema, for programs that read it: `/schema.json`. The
 * compiler holds it against the types in snapshot.ts.
 */
import {
  count,
  described,
  either,
  flag,
  list,
  moment,
  number,
  object,
  only,
  orNull,
  type Schema,
  text,
  word,
} from "./json-schema.js";
import type { EventSnapshot, GroupSnapshot, MaintenanceSnapshot, Snapshot } from "./snapshot.js";
import { drops, faces, handovers, overallRoles, roles } from "./vocabulary.js";

type Panel = Snapshot["panel"];
type Lamp = NonNullable<Panel["lamps"]["role"]>;
type Counters = GroupSnapshot["counters"];
type Prefilter = NonNullable<Snapshot["prefilter"]>;

const tick = described("1/256 s", count);
const why = described("the reason, in words", text);
const dropped = <W extends keyof typeof drops>(reason: W) => described(`ignored: ${drops[reason]}`, count);

const counterProperties = {
  sent: described("advertisements sent", count),
  received: described("advertisements accepted", count),
  badttl: dropped("badttl"),
  badlen: dropped("badlen"),
  badver: dropped("badver"),
  badsum: dropped("badsum"),
  badauth: dropped("badauth"),
  badvhid: dropped("badvhid"),
  looped: dropped("looped"),
  foreign: dropped("foreign"),
};

const group = object<GroupSnapshot>({
  vhid: described("which group of hosts shares the addresses, 1 to 255", count),
  interface: text,
  role: word(roles),
  why,
  since: moment,
  transitions: described(
    "how often each role was entered since the start",
    object<GroupSnapshot["transitions"]>({ init: count, backup: count, master: count }),
  ),
  addresses: described("with their prefix lengths", list(text)),
  holding: described("the kernel confirmed that the addresses are on this board", flag),
  mac: text,
  advbase: described("seconds between advertisements", count),
  advskew: described("on top of advbase, in 1/256 s", tick),
  advertisedAdvskew: described("with what demotes it", tick),
  preempt: described("takes over from a slower master that is alive", flag),
  master: described(
    "for whom a backup stands by",
    orNull(
      object<NonNullable<GroupSnapshot["master"]>>({
        address: text,
        advbase: count,
        advskew: tick,
        heardSecondsAgo: number,
      }),
    ),
  ),
  counters: object<Counters>(counterProperties),
  faults: list(text),
});

const maintenance = object<MaintenanceSnapshot>({
  on: flag,
  since: orNull(moment),
  until: orNull(moment),
  handover: object<MaintenanceSnapshot["handover"]>({
    state: word(handovers),
    to: described("whose advertisement was heard", orNull(text)),
    tookMs: orNull(number),
  }),
});

const lamp: Schema<Lamp> = either(
  object<Extract<Lamp, { pattern: "on" }>>({ pattern: only("on") }),
  object<Extract<Lamp, { pattern: "off" }>>({ pattern: only("off") }),
  object<Extract<Lamp, { pattern: "blink" }>>({
    pattern: only("blink"),
    stepsMs: described("lit, dark, lit, …; then from the beginning", list(number)),
  }),
);

const panel = object<Panel>({
  face: word(faces),
  lamps: object<Panel["lamps"]>(
    { role: lamp, maintenance: lamp, fault: lamp },
    { optional: ["role", "maintenance", "fault"] },
  ),
  button: object<Panel["button"]>({
    pressed: flag,
    held: described("long enough for a long press", flag),
    presses: count,
  }),
});

const event = object<EventSnapshot>({
  at: moment,
  vhid: count,
  interface: text,
  from: word(roles),
  to: word(roles),
  why,
});

const snapshot = object<Snapshot>({
  name: text,
  version: text,
  board: text,
  uptimeSeconds: number,
  role: word(overallRoles),
  maintenance,
  identify: object<Snapshot["identify"]>({
    until: described("as long as the panel shows which box this is", orNull(moment)),
  }),
  demotion: object<Snapshot["demotion"]>({ advskew: tick, reasons: list(text) }),
  carp: list(group),
  panel,
  dropped: described(
    "packets that no group is to blame for",
    object<Snapshot["dropped"]>(counterProperties, { optional: keysOf(counterProperties) }),
  ),
  prefilter: described(
    "what the kernel dropped; null without a prefilter",
    orNull(
      object<Prefilter>({
        badttl: dropped("badttl"),
        badvhid: dropped("badvhid"),
        flooded: dropped("flooded"),
      }),
    ),
  ),
  faults: described("what is wrong now, in words", list(text)),
  events: described("the latest changes of role, newest first", list(event)),
});

export const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "carpio's status",
  ...snapshot,
};

function keysOf<T extends object>(of: T): readonly (keyof T)[] {
  return Object.keys(of) as (keyof T)[];
}
