/**
 * From edges to presses: `step(button, event, now)` answers with the next state
 * and the press that has come to its end, if one has. Pure, and without a timer:
 * deadlines are fields, and whoever runs this says `wake` at `nextDeadline`.
 *
 * Nothing happens while a finger is on the button but that the lamps change:
 * `held` is when they do.
 */

/** Milliseconds of a clock that never jumps. */
type Instant = number;

/** Short: released within a second. Long: held until the lamps changed. What is between is a change of mind. */
export type Press = "short" | "long";

export interface Button {
  readonly debounceMs: number;
  /** The level that counts: the one before the contact began to bounce. */
  readonly pressed: boolean;
  /** What the contact says now. */
  readonly contact: boolean;
  /** When the contact left the level that counts; Infinity: it has not. */
  readonly leftAt: Instant;
  /** When the contact changed last. */
  readonly changedAt: Instant;
  readonly pressedAt: Instant;
  /** When it has been held for long enough. */
  readonly holdAt: Instant;
  /** Long enough for a long press; the lamps say so. */
  readonly held: boolean;
  /** No finger stays for so long. */
  readonly stuck: boolean;
  readonly presses: number;
}

export type ButtonEvent = { readonly kind: "edge"; readonly pressed: boolean } | { readonly kind: "wake" };

export interface ButtonStep {
  readonly button: Button;
  readonly press: Press | undefined;
}

export const SHORT_MS = 1_000;
export const HOLD_MS = 5_000;
export const STUCK_MS = 30_000;
/** A wake that is late by more than this may have overtaken the news that the finger has left. */
const LATE_MS = 100;

/**
 * A button at rest, before the first look at its contact. A finger that is
 * there at that look, during the boot, counts from then on.
 */
export function createButton(debounceMs: number): Button {
  return {
    debounceMs,
    pressed: false,
    contact: false,
    leftAt: Number.POSITIVE_INFINITY,
    changedAt: Number.NEGATIVE_INFINITY,
    pressedAt: Number.NEGATIVE_INFINITY,
    holdAt: Number.POSITIVE_INFINITY,
    held: false,
    stuck: false,
    presses: 0,
  };
}

/** A wake, an edge, or the same level again from whoever looks now and then. */
export function step(button: Button, event: ButtonEvent, now: Instant): ButtonStep {
  const { button: settled, press } = settle(button, now);
  const changed = event.kind === "edge" && event.pressed !== settled.contact;
  return { button: wait(changed ? turn(settled, now) : settled, now), press };
}

/** When to say `wake`; infinity when nothing is due. */
export function nextDeadline(button: Button): Instant {
  const { pressed, contact, leftAt, changedAt, debounceMs, held, stuck } = button;
  const settlesAt = leftAt === Number.POSITIVE_INFINITY ? leftAt : changedAt + debounceMs;
  if (!pressed || !contact || stuck) return settlesAt;
  return Math.min(settlesAt, held ? button.pressedAt + STUCK_MS : button.holdAt);
}

/** The contact opens or closes; whether that counts, the next milliseconds tell. */
function turn(button: Button, now: Instant): Button {
  const { contact, pressed, leftAt } = button;
  return {
    ...button,
    contact: !contact,
    leftAt: contact === pressed ? Math.min(leftAt, now) : leftAt,
    changedAt: now,
  };
}

/** The contact has been quiet for long enough: what it says counts, since it left the level before. */
function settle(button: Button, now: Instant): ButtonStep {
  const { contact, pressed, leftAt, changedAt, debounceMs } = button;
  if (leftAt === Number.POSITIVE_INFINITY || now < changedAt + debounceMs) return unchanged(button);
  const quiet = { ...button, leftAt: Number.POSITIVE_INFINITY };
  // It came back by itself: a glitch.
  if (contact === pressed) return unchanged(quiet);
  return contact ? unchanged(begin(quiet, leftAt)) : end(quiet, leftAt);
}

function begin(button: Button, at: Instant): Button {
  return { ...button, pressed: true, pressedAt: at, holdAt: at + HOLD_MS, presses: button.presses + 1 };
}

/** A press that was long is one whose lamps had changed when the finger left: see `wait`. */
function end(button: Button, at: Instant): ButtonStep {
  const { held, stuck, pressedAt } = button;
  const short = at - pressedAt < SHORT_MS;
  const press = stuck ? undefined : held ? "long" : short ? "short" : undefined;
  return { button: { ...button, pressed: false, held: false, stuck: false }, press };
}

/**
 * The finger stays. A program that was late looks again before it believes so:
 * nobody is to power a board off by letting go while it was busy.
 */
function wait(button: Button, now: Instant): Button {
  const { pressed, contact, pressedAt, holdAt, held, stuck } = button;
  if (!pressed || !contact || stuck || now < holdAt) return button;
  const isFirstLook = holdAt === pressedAt + HOLD_MS;
  if (!held && isFirstLook && now > holdAt + LATE_MS) return { ...button, holdAt: now + LATE_MS };
  if (!held) return { ...button, held: true };
  return now < pressedAt + STUCK_MS ? button : { ...button, held: false, stuck: true };
}

function unchanged(button: Button): ButtonStep {
  return { button, press: undefined };
}
