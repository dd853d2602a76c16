/**
 * The wish for maintenance as a board keeps it: on its disc first, in the two
 * slots of the real format, and done when it is there. The power may fail at any
 * byte; whoever starts again does what the disc says.
 */
import type { VhostEvent } from "../../src/carp/vhost.js";
import { decodeSlot, encodeSlot, newestSlot, SLOT_BYTES, type Slot } from "../../src/slot.js";
import { plan } from "../agenda.js";
import { demote, type Host, type World } from "../world.js";
import { noteKept, type Referee, saw } from "./referee.js";
import type { Chance } from "./scene.js";

/** How a board keeps a wish. Tests of the tests have others than the real way. */
export interface Keeping {
  /** When it acts: `kept` is right, and a power cut makes a liar of whoever acts `asked`. */
  readonly acts: "kept" | "asked";
  /** Which slot the next wish goes to. */
  readonly nextSlot: (slots: Slots) => 0 | 1;
  /** What a board does that starts with this on its disc. */
  readonly resume: (slots: Slots) => readonly VhostEvent[];
}

type Slots = readonly [Uint8Array, Uint8Array];

export interface Disc {
  readonly slots: [Uint8Array, Uint8Array];
  /** In the order in which they were asked for; the first of them is being written. */
  readonly writes: Write[];
}

interface Write {
  readonly on: boolean;
  readonly tookMs: number;
  readonly life: number;
  beganAt: number;
  isDone: boolean;
}

/** What the disc and its wish need of a run. */
export interface Desk {
  readonly world: World;
  readonly referee: Referee;
  readonly chance: Chance;
  readonly discs: Map<Host, Disc>;
  readonly keeping: Keeping;
}

export const MAINTENANCE = "maintenance";
const ADVSKEW = 240;
/** A card that is tidying up takes its time. */
const SLOW_MS = 500;
const QUICK_MS = 20;

export const realKeeping: Keeping = {
  acts: "kept",
  nextSlot: (slots) => (newestSlot(read(slots)) === 0 ? 1 : 0),
  resume: (slots) => (wishOn(slots) ? [event(true)] : []),
};

/** Somebody asks a board to stand aside, or calls it back; without power nobody hears. */
export function ask(desk: Desk, host: Host, on: boolean): void {
  if (!host.machine) return;
  if (host.spec.kind !== "carpio") {
    act(desk, host, on);
    return;
  }
  if (desk.keeping.acts === "asked") act(desk, host, on);
  const { chance, world } = desk;
  const { writes } = discOf(desk, host);
  const tookMs = chance.between(0, chance.maybe(0.1) ? SLOW_MS : QUICK_MS);
  writes.push({ on, tookMs, life: host.life, beganAt: world.now, isDone: false });
  if (writes.length === 1) write(desk, host);
}

/** True while a wish is on its way to the disc. */
export function isWriting(desk: Desk, host: Host): boolean {
  return discOf(desk, host).writes.length > 0;
}

/** What a board that started now would want. */
export function isKept(desk: Desk, host: Host): boolean {
  return wishOn(discOf(desk, host).slots);
}

/** What a daemon does about its disc before it has a link. */
export function resume(desk: Desk, host: Host): readonly VhostEvent[] {
  goOn(desk, host);
  return host.spec.kind === "carpio" ? desk.keeping.resume(discOf(desk, host).slots) : [];
}

/** The power fails: of what was being written the first bytes are there. */
export function cutShort(desk: Desk, host: Host): void {
  const disc = discOf(desk, host);
  const [current] = disc.writes.splice(0);
  if (!current || current.isDone) return;
  const done = current.tookMs > 0 ? (desk.world.now - current.beganAt) / current.tookMs : 0;
  const bytes = Math.floor(done * SLOT_BYTES);
  saw(desk.referee, "a wish was cut short");
  store(desk, host, current.on, bytes);
}

function write(desk: Desk, host: Host): void {
  const { world } = desk;
  const disc = discOf(desk, host);
  const [current] = disc.writes;
  if (!current) return;
  current.beganAt = world.now;
  plan(world.agenda, world.now + current.tookMs, () => {
    if (disc.writes[0] !== current) return;
    store(desk, host, current.on, SLOT_BYTES);
    current.isDone = true;
    if (!host.frozen) goOn(desk, host);
  });
}

/** The daemon, if it is not frozen, hears that its wish is on the disc. */
export function goOn(desk: Desk, host: Host): void {
  const { writes } = discOf(desk, host);
  const [current] = writes;
  if (!current?.isDone) return;
  writes.shift();
  // What the daemon had not handed to the kernel died with it.
  const isAlive = host.life === current.life;
  if (!isAlive) writes.splice(0);
  const isLatest = writes.length === 0;
  if (isAlive && isLatest && desk.keeping.acts === "kept") act(desk, host, current.on);
  write(desk, host);
}

/** So many bytes of a wish reach the disc. */
function store(desk: Desk, host: Host, on: boolean, length: number): void {
  const { slots } = discOf(desk, host);
  const newest = Math.max(0, ...read(slots).map((slot) => slot?.sequence ?? 0));
  const bytes = encodeSlot({ sequence: newest + 1, text: on ? "on" : "off" });
  slots[desk.keeping.nextSlot(slots)].set(bytes.subarray(0, length));
  if (length === SLOT_BYTES) noteKept(desk.referee, host, on);
}

function act({ world }: Desk, host: Host, on: boolean): void {
  if (on) demote(world, host, MAINTENANCE, ADVSKEW, true);
  else demote(world, host, MAINTENANCE, 0);
}

function event(standAside: boolean): VhostEvent {
  return { kind: "demote", reason: MAINTENANCE, advskew: ADVSKEW, standAside };
}

function wishOn(slots: Slots): boolean {
  const newest = newestSlot(read(slots));
  return newest !== undefined && read(slots)[newest]?.text === "on";
}

function read([a, b]: Slots): [Slot | undefined, Slot | undefined] {
  return [decodeSlot(a), decodeSlot(b)];
}

function discOf({ discs }: Desk, host: Host): Disc {
  const known = discs.get(host);
  if (known) return known;
  const created: Disc = { slots: [new Uint8Array(SLOT_BYTES), new Uint8Array(SLOT_BYTES)], writes: [] };
  discs.set(host, created);
  return created;
}
