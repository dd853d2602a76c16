/**
 * Which of two slots a board starts from, and for how long one that is new may
 * go without proving itself. Pure: values in, values out.
 *
 * Two programs keep this record on the card: the base, which is a shell script
 * and starts a slot, and the system that runs in the slot. So it is a text that
 * a shell takes apart at its spaces:
 *
 *   next=b tries=1 a=good b=new
 *
 *   next   the slot to start, a or b
 *   tries  how often it was started since it is new, 0 to 3
 *   a, b   good:       a daemon was ready in it, and for a while
 *          new:        whole when it was written, and not yet proven
 *          damaged:    the base found that it is not what it says
 *          unproven:   was started three times, and no daemon was
 *          silent:     its daemon said nothing any more, beside a good slot
 *          unready:    its daemon was not ready in time, or not for long, beside a good slot
 *          unfinished: is being written, or was when the power went
 *          bad:        somebody gave it up by hand
 *
 * Words that one of them does not know are left out by it, in any order they
 * come. The text lies in two sectors before the card's partition, which the base
 * shows as the files `slots-a` and `slots-b` in /run/records, in the format of
 * slot.ts. Whoever writes writes the one that is not the newest, in place, and
 * syncs; the newest that is whole counts. No record, or none that can be read,
 * stands for `next=a tries=0 a=new b=new`. In the partition lie `slot-a.sqf` and
 * `slot-b.sqf`, as payload.ts describes them.
 *
 * What the base does: it takes `begin` for the record (board/base/slots is the
 * same as here, and a test compares them), writes it when it has changed, and
 * starts that slot. When its payload is not whole it takes `condemn` and `begin`
 * again, once; when neither is, it says so. One that the card does not give in time
 * is passed over for that start alone. For the running system it leaves in
 * /run/carpio/slot the letter, in /run/carpio/card the device of the card, and
 * while the slot is on trial in /run/carpio/trial how the other one stands. A good
 * slot costs no write at a start, and is not given up by somebody who pulls the
 * plug three times.
 */
export type SlotName = "a" | "b";
/** Why a slot that runs is given up: what its keeper saw, or what somebody thinks of it. */
export type RunningFault = "silent" | "unready" | "bad";
/** Why a slot is not started. */
export type SlotFault = RunningFault | "damaged" | "unproven" | "unfinished";
export type SlotState = "good" | "new" | SlotFault;

export interface BootRecord {
  readonly next: SlotName;
  readonly tries: number;
  readonly a: SlotState;
  readonly b: SlotState;
}

export const SLOT_NAMES: readonly SlotName[] = ["a", "b"];
/** So often a new slot is started; then it is the other's turn. */
export const TRIES = 3;
/** Of a card that was just written. */
export const FIRST_RECORD: BootRecord = { next: "a", tries: 0, a: "new", b: "new" };

export const RUNNING_FAULTS: readonly RunningFault[] = ["silent", "unready", "bad"];
export const SLOT_STATES: readonly SlotState[] = [
  "good",
  "new",
  "damaged",
  "unproven",
  "unfinished",
  ...RUNNING_FAULTS,
];

export function formatRecord({ next, tries, a, b }: BootRecord): string {
  return `next=${next} tries=${tries} a=${a} b=${b}`;
}

/** What is not there, or means nothing, is as on a new card. */
export function parseRecord(text: string): BootRecord {
  const words = new Map(
    [...text.matchAll(/(?<!\S)(\w+)=(\S+)/g)].map(([, key = "", value = ""]) => [key, value]),
  );
  const stateOf = (name: SlotName) =>
    SLOT_STATES.find((state) => state === words.get(name)) ?? FIRST_RECORD[name];
  const tries = words.get("tries") ?? "";
  return {
    next: SLOT_NAMES.find((name) => name === words.get("next")) ?? FIRST_RECORD.next,
    tries: /^[0-3]$/.test(tries) ? Number(tries) : 0,
    a: stateOf("a"),
    b: stateOf("b"),
  };
}

export function otherSlot(name: SlotName): SlotName {
  return name === "a" ? "b" : "a";
}

/**
 * The base starts the `next` of what this gives. Where neither slot has ever
 * proven itself they take turns, because a board that gives up serves nobody.
 */
export function begin(record: BootRecord): BootRecord {
  const { next, tries } = record;
  if (record[next] === "good") return record;
  if (record[next] === "new" && tries < TRIES) return { ...record, tries: tries + 1 };
  const other = otherSlot(next);
  const why = record[next] === "new" ? "unproven" : record[next];
  const given: BootRecord = { ...record, [next]: why, next: other };
  if (record[other] === "good") return { ...given, tries: 0 };
  return { ...given, [other]: "new", tries: 1 };
}

/** The payload of this slot is not whole. */
export function condemn(record: BootRecord, name: SlotName): BootRecord {
  return { ...record, [name]: "damaged" };
}

/** The daemon answers in this slot. */
export function prove(record: BootRecord, name: SlotName): BootRecord {
  return { ...record, [name]: "good", tries: record.next === name ? 0 : record.tries };
}

/** Whatever happens now, the other one is started: before the first byte of a payload goes to this slot, or when it has failed. */
export function vacate(record: BootRecord, name: SlotName, why: SlotFault): BootRecord {
  return { ...record, [name]: why, next: otherSlot(name), tries: 0 };
}

/** A whole payload was written. It is started next, and has to prove itself. */
export function install(record: BootRecord, name: SlotName): BootRecord {
  return { ...record, [name]: "new", next: name, tries: 0 };
}

/** Somebody wants this one; when it was given up, it has its tries again. */
export function choose(record: BootRecord, name: SlotName): BootRecord {
  return { ...record, [name]: record[name] === "good" ? "good" : "new", next: name, tries: 0 };
}
