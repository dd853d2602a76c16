/**
 * The board, as far as HTTP may ask something of it.
 */
import type { IdentifySnapshot, MaintenanceSnapshot, Snapshot } from "./snapshot.js";
import type { Updates } from "./update.js";

export interface Board {
  /** Resolves when a snapshot can be taken that waits for nothing. */
  readonly ready: () => Promise<void>;
  readonly snapshot: () => Snapshot;
  /** Resolves when it is known what came of it. */
  readonly setMaintenance: (on: boolean, forSeconds: number | undefined) => Promise<MaintenanceSnapshot>;
  /** Makes the panel say which box this is. */
  readonly identify: (forSeconds: number) => IdentifySnapshot;
  /** Whoever has it may change something from another host. */
  readonly token: () => string | undefined;
  /** What the board is called, beside its addresses. */
  readonly names: () => readonly string[];
  /** `undefined` where there are no slots to update. */
  readonly updates: Updates | undefined;
  /** Resolves when the board's end has begun, or with why not; `undefined` where that is not ours to do. */
  readonly startAgain: (() => Promise<string | undefined>) | undefined;
  /** Lines of text; `undefined` where others keep them. */
  readonly readLog: (() => Promise<string>) | undefined;
}
