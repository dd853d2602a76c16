/**
 * The button at work: its contact is opened, its edges become presses by
 * press.ts, and what is wrong with it is a fault. Owns the timer that press.ts
 * does without.
 */
import type { ButtonWiring } from "../board.js";
import type { Contact, PanelDriver } from "./driver.js";
import { createButton, nextDeadline, type Press, STUCK_MS, step } from "./press.js";

export interface ButtonView {
  readonly pressed: boolean;
  /** Long enough for a long press: let go. */
  readonly held: boolean;
  readonly presses: number;
}

export interface PanelButton {
  readonly view: ButtonView;
  readonly fault: string | undefined;
  close(): void;
}

export interface ButtonListeners {
  readonly onPress: (press: Press) => void;
  /** `view` or `fault` have changed. */
  readonly onChange: () => void;
}

const AGAIN_MS = 5_000;
/** Lines without interrupts, and an edge that was lost, are found by looking. */
const LOOK_EVERY_MS = 100;

export function openButton(
  wiring: ButtonWiring,
  driver: PanelDriver,
  { onPress, onChange }: ButtonListeners,
): PanelButton {
  let button = createButton(wiring.debounceMs);
  let contact: Contact | undefined;
  let refused: string | undefined;
  let closed = false;
  let looking = false;
  let alarm: NodeJS.Timeout | undefined;
  let again: NodeJS.Timeout | undefined;

  const happen = (event: Parameters<typeof step>[1]) => {
    if (closed) return;
    const before = button;
    const { button: after, press } = step(button, event, performance.now());
    button = after;
    rearm();
    const seen = ["pressed", "held", "stuck", "presses"] as const;
    if (seen.some((key) => before[key] !== after[key])) onChange();
    if (press) onPress(press);
  };
  const rearm = () => {
    clearTimeout(alarm);
    const at = nextDeadline(button);
    if (at === Number.POSITIVE_INFINITY) return;
    alarm = setTimeout(() => happen({ kind: "wake" }), Math.max(0, Math.ceil(at - performance.now())));
  };
  const refuse = (error: unknown) => {
    contact?.close();
    contact = undefined;
    setRefused(error instanceof Error ? error.message : String(error));
    if (!closed) again = setTimeout(open, AGAIN_MS);
  };
  const setRefused = (said: string | undefined) => {
    if (refused === said) return;
    refused = said;
    onChange();
  };
  const open = () => {
    const onEdge = (pressed: boolean) => happen({ kind: "edge", pressed });
    driver.openContact(wiring, onEdge).then((opened) => {
      if (closed) return opened.close();
      contact = opened;
      setRefused(undefined);
      look();
    }, refuse);
  };
  const look = () => {
    if (!contact || looking) return;
    looking = true;
    contact
      .read()
      .then((pressed) => happen({ kind: "edge", pressed }), refuse)
      .finally(() => {
        looking = false;
      });
  };
  open();
  const looks = setInterval(look, LOOK_EVERY_MS);

  return {
    get view() {
      const { pressed, held, presses } = button;
      return { pressed, held, presses };
    },
    get fault() {
      if (refused !== undefined) return `button: ${refused}`;
      if (!button.stuck) return undefined;
      return `button: ${wiring.place}: pressed for more than ${STUCK_MS / 1000} s: it is stuck, or wired the other way round`;
    },
    close() {
      closed = true;
      clearInterval(looks);
      clearTimeout(alarm);
      clearTimeout(again);
      contact?.close();
    },
  };
}
