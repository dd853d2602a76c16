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
import type {
  EventSnapshot,
  GroupSnapshot,
  MaintenanceSnapshot,
  PeerGroupSnapshot,
  PeerSnapshot,
  Snapshot,
} from "./snapshot.js";
import {
  checks,
  drops,
  faces,
  families,
  handovers,
  overallRoles,
  roles,
  slots,
  states,
} from "./vocabulary.js";

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

const silentFamily = described(
  "of which nothing comes though advertisements of the other family do",
  orNull(word(families)),
);

const group = object<GroupSnapshot>({
  vhid: described("which group of hosts shares the addresses, 1 to 255", count),
  interface: text,
  role: word(roles),
  why,
  undecided: described("it is no master, nobody else is known to be one, and it may be about to", flag),
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
  silentFamily,
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

const lamps = object<Panel["lamps"]>(
  { role: lamp, maintenance: lamp, fault: lamp },
  { optional: ["role", "maintenance", "fault"] },
);

const panel = object<Panel>({
  face: word(faces),
  lamps,
  button: object<Panel["button"]>({
    pressed: flag,
    held: described("long enough for a long press", flag),
    presses: count,
  }),
});

const check = object<Snapshot["diagnosis"]["checks"][number]>({
  check: word(checks),
  subject: described("what it is about; empty where it is the whole board", text),
  state: word(states),
  says: described("a sentence for people", text),
  advice: described("what to do", orNull(text)),
});

const peer = object<PeerSnapshot>({
  url: text,
  name: orNull(text),
  reachable: flag,
  problem: described("why it does not answer", orNull(text)),
  askedSecondsAgo: described("since its last answer", orNull(number)),
  role: orNull(word(overallRoles)),
  maintenance: orNull(flag),
  face: orNull(word(faces)),
  lamps: orNull(lamps),
  willing: described(
    "would take over all that this board serves; null: nothing is served here, or it does not say",
    orNull(flag),
  ),
  faults: described("what is wrong there in its own words, the first of it", list(text)),
  carp: list(
    object<PeerGroupSnapshot>({
      vhid: count,
      interface: text,
      role: word(roles),
      addresses: list(text),
      advbase: count,
      advskew: tick,
      advertisedAdvskew: tick,
      preempt: flag,
      master: described("whom it hears", orNull(text)),
      silentFamily,
      counters: object<PeerGroupSnapshot["counters"]>({ received: count, badauth: count }),
    }),
  ),
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
  slot: described(
    "of the card from which this board was started; null elsewhere",
    orNull(
      object<NonNullable<Snapshot["slot"]>>({
        name: word(slots),
        onTrial: described("it has yet to prove itself, and gives way to the other one if it does not", flag),
      }),
    ),
  ),
  at: described("when this was so, by the board's clock", moment),
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
  diagnosis: object<Snapshot["diagnosis"]>({
    broken: described("the first thing to look at", orNull(check)),
    checks: described("in the order in which one would look", list(check)),
  }),
  peers: described("the other boards, as they say themselves", list(peer)),
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
