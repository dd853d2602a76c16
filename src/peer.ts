/**
 * What another board says of itself, read out of its `/status`. It is somebody
 * else's word: what does not have the right shape is refused, what is long is
 * cut, and nothing in it is acted on but the election of who is asked.
 */
import * as v from "valibot";
import { plain } from "./status/plain.js";
import type { Snapshot } from "./status/snapshot.js";
import { type FamilyWord, faces, families, overallRoles, roles } from "./status/vocabulary.js";

/** What we read of another board's snapshot. */
export type Said = v.InferOutput<typeof said>;

const TEXT_AT_MOST = 120;
const LIST_AT_MOST = 256;
/** Each of its groups may have several. */
const FAULTS_AT_MOST = 1_024;
const FAULTS_READ = 8;

const text = v.pipe(
  v.string(),
  v.transform((raw) => plain(raw, TEXT_AT_MOST)),
);
const whole = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const stepMs = v.pipe(v.number(), v.minValue(1), v.maxValue(60_000));
const lamp = v.variant("pattern", [
  v.object({ pattern: v.literal("on") }),
  v.object({ pattern: v.literal("off") }),
  v.object({
    pattern: v.literal("blink"),
    stepsMs: v.pipe(few(16), v.minLength(2), v.array(stepMs)),
  }),
]);

const group = v.object({
  vhid: v.pipe(whole, v.maxValue(255)),
  interface: text,
  role: v.picklist(words(roles)),
  addresses: v.pipe(few(LIST_AT_MOST), v.array(text)),
  advbase: whole,
  advskew: whole,
  advertisedAdvskew: whole,
  preempt: v.boolean(),
  master: v.nullable(v.object({ address: text })),
  /** Older boards do not say. */
  silentFamily: v.exactOptional(v.nullable(v.picklist(words(families))), null),
  counters: v.object({ received: whole, badauth: whole }),
});

const said = v.object({
  name: text,
  role: v.picklist(words(overallRoles)),
  /** Older boards do not say when they took their snapshot. */
  at: v.exactOptional(
    v.pipe(
      v.string(),
      v.check((at) => !Number.isNaN(Date.parse(at))),
    ),
  ),
  maintenance: v.object({ on: v.boolean() }),
  panel: v.object({
    face: v.picklist(words(faces)),
    lamps: v.object({
      role: v.exactOptional(lamp),
      maintenance: v.exactOptional(lamp),
      fault: v.exactOptional(lamp),
    }),
  }),
  carp: v.pipe(few(LIST_AT_MOST), v.array(group)),
  faults: v.pipe(
    few(FAULTS_AT_MOST),
    v.transform((all) => all.slice(0, FAULTS_READ)),
    v.array(text),
  ),
});

/** `undefined` for something that is no snapshot we could read. */
export function readPeer(body: unknown): Said | undefined {
  const read = v.safeParse(said, body, { abortEarly: true });
  return read.success ? read.output : undefined;
}

/** Whether a board that says so would be master of a vhid if we were not. The interface's name need not be ours. */
export function canTakeOver(
  { maintenance, carp }: Pick<Said, "maintenance"> & { carp: readonly { vhid: number; role: string }[] },
  vhid: number,
): boolean {
  return !maintenance?.on && carp.some((group) => group.vhid === vhid && group.role === "backup");
}

/** Counted before it is read: a million wrong items would each be looked at, and the protocol would wait. */
function few(atMost: number) {
  return v.pipe(v.array(v.unknown()), v.maxLength(atMost));
}

function words<W extends Snapshot["role"] | Snapshot["panel"]["face"] | FamilyWord>(
  meanings: {
    readonly [word in W]: string;
  },
): W[] {
  return Object.keys(meanings) as W[];
}
