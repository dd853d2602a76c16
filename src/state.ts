/**
 * What must outlive the power: the wish for maintenance. Kept in two files that
 * are written in turn and never grow, so that a cut loses at most what was
 * being written.
 */
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { decodeSlot, encodeSlot, newestSlot, SLOT_BYTES, type Slot } from "./slot.js";

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

const FILES = ["state-a", "state-b"] as const;

export function stateDirectory(): string {
  // systemd gives several directories as one value, with colons between.
  return process.env["STATE_DIRECTORY"]?.split(":")[0] || "/var/lib/carpio";
}

export function openState(directory: string): State {
  const paths = FILES.map((name) => join(directory, name)) as [string, string];
  let todo: Promise<unknown> = Promise.resolve();

  const readSlots = async (): Promise<[Slot | undefined, Slot | undefined]> => {
    const [a, b] = await Promise.all(paths.map(readSlot));
    return [a, b];
  };

  const writeNext = async (wish: Wish): Promise<void> => {
    await mkdir(directory, { recursive: true });
    const slots = await readSlots();
    const newest = newestSlot(slots);
    const sequence = newest === undefined ? 1 : ((slots[newest]?.sequence ?? 0) + 1) >>> 0;
    const bytes = encodeSlot({ sequence, text: JSON.stringify(wish) });
    await writeInPlace(paths[newest === 0 ? 1 : 0], bytes);
    await syncDirectory(directory);
  };

  return {
    async read() {
      const slots = await readSlots();
      const newest = newestSlot(slots);
      return newest === undefined ? undefined : parseWish(slots[newest]?.text ?? "");
    },
    write(wish) {
      const written = todo.then(() => writeNext(wish));
      todo = written.catch(() => {});
      return written;
    },
  };
}

async function readSlot(path: string): Promise<Slot | undefined> {
  try {
    const file = await open(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(SLOT_BYTES), 0, SLOT_BYTES, 0);
      return decodeSlot(buffer.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

/** Without truncating: a file that keeps its length needs no new blocks, and no change of its directory. */
async function writeInPlace(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "r+").catch(() => open(path, "w+", 0o600));
  try {
    await file.write(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  await directory
    .sync()
    .catch(() => {}) // not every file system can
    .finally(() => directory.close());
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
