/**
 * What led.ts and button.ts want of a driver. The drivers are onoff.ts,
 * led-class.ts and simulated.ts.
 */
import type { ButtonWiring, LampName, LampWiring } from "../board.js";
import type { Lamp } from "./lamp.js";

/** One lamp, opened. */
export interface Led {
  /** Whether it blinks without the program. Otherwise it is only told `on` and `off`. */
  readonly blinks: boolean;
  /** Rejects with a sentence. */
  show(lamp: Lamp): Promise<void>;
  /** The same in files, for somebody who acts when this program cannot. */
  writes(lamp: Lamp): readonly FileWrite[];
  /** Leaves the lamp as it was shown last, or dark where it has to be given back. */
  close(options: { readonly stays: boolean }): void;
}

export interface FileWrite {
  readonly path: string;
  readonly text: string;
}

/** The contact of a button, opened. */
export interface Contact {
  readonly read: () => Promise<boolean>;
  close(): void;
}

export interface PanelDriver {
  /** Rejects with a sentence that names the board file. */
  openLed(wiring: LampWiring, name: LampName): Promise<Led>;
  /** `onEdge` is told what the contact says after it has changed; it may be told the same twice. */
  openContact(wiring: ButtonWiring, onEdge: (pressed: boolean) => void): Promise<Contact>;
}
