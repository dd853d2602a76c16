/**
 * What must outlive the power: the wish for maintenance. Kept in two files of
 * a sector each, written in turn and in place, so that a cut loses at most what
 * was being written. They are made when first needed, and that is on the disc
 * as well before a wish is kept.
 */
import { join } from "node:path";
import { openSlotFiles } from "./slot-files.js";

/** What somebody asked for, and how long it is to last. */
export interface Wish {
  readonly maintenance: boolean;
  /** Wall-clock time, for people. */
  readonly since: string | null;
  /** `null`: until it is taken back. */
  readonly forSeconds: number | null;
}

export interface State {
  /** `undefined` when nothing was ever kept. */
  read(): Promise<Wish | undefined>;
  /** Resolves when it is on the disc. Throws what the kernel said. */
  write(wish: Wish): Promise<void>;
}

export function stateDirectory(): string {
  // systemd gives several directories as one value, with colons between.
  return process.env["STATE_DIRECTORY"]?.split(":")[0] || "/var/lib/carpio";
}

export function openState(directory: string): State {
  const files = openSlotFiles([join(directory, "state-a"), join(directory, "state-b")]);
  return {
    async read() {
      const text = await files.read();
      return text === undefined ? undefined : parseWish(text);
    },
    write: (wish) => files.write(JSON.stringify(wish)),
  };
}

function parseWish(text: string): Wish | undefined {
  try {
    const { maintenance, since, forSeconds } = JSON.parse(text);
    if (typeof maintenance !== "boolean") return undefined;
    return {
      maintenance,
      since: typeof since === "string" ? since : null,
      forSeconds: typeof forSeconds === "number" ? forSeconds : null,
    };
  } catch {
    return undefined;
  }
}
