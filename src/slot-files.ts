/**
 * The two slots of slot.ts as files that are written in turn, in place. What
 * their text means, and where they lie, is for others.
 */
import { type FileHandle, mkdir, open, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { decodeSlot, encodeSlot, newestSlot, SLOT_BYTES, type Slot } from "./slot.js";

export interface SlotFiles {
  /** The newest text that is whole; `undefined` when there is none. */
  read(): Promise<string | undefined>;
  /** Resolves when it is on the disc. Throws what the kernel said. */
  write(text: string): Promise<void>;
}

export function openSlotFiles(paths: readonly [string, string]): SlotFiles {
  let todo: Promise<unknown> = Promise.resolve();
  /** What is on the disc, as far as we know: somebody waits for the next write with a hand on the plug. */
  let known: [Slot | undefined, Slot | undefined] | undefined;

  const readSlots = async (): Promise<[Slot | undefined, Slot | undefined]> => {
    const [a, b] = await Promise.all(paths.map(readSlot));
    return [a, b];
  };

  const writeNext = async (text: string): Promise<void> => {
    const slots = known ?? (await readSlots());
    // Until it is written we do not know what is there.
    known = undefined;
    const newest = newestSlot(slots);
    const sequence = newest === undefined ? 1 : ((slots[newest]?.sequence ?? 0) + 1) >>> 0;
    const slot = { sequence, text };
    const next = newest === 0 ? 1 : 0;
    await writeInPlace(paths[next], encodeSlot(slot));
    slots[next] = slot;
    known = slots;
  };

  return {
    async read() {
      // One that is slow is not to say after a write what was there before it.
      const reading = todo.then(async () => {
        known = await readSlots();
        return known;
      });
      todo = reading;
      const slots = await reading;
      const newest = newestSlot(slots);
      return newest === undefined ? undefined : slots[newest]?.text;
    },
    write(text) {
      const written = todo.then(() => writeNext(text));
      todo = written.catch(() => {});
      return written;
    },
  };
}

/** What is there, whatever it means: a device goes on behind it. Throws what the kernel said. */
export async function readSlotBytes(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(SLOT_BYTES), 0, SLOT_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function readSlot(path: string): Promise<Slot | undefined> {
  try {
    return decodeSlot(await readSlotBytes(path));
  } catch {
    return undefined;
  }
}

/** Without truncating: a file that keeps its length needs no new blocks, and no change of its directory. */
async function writeInPlace(path: string, bytes: Uint8Array): Promise<void> {
  const existing = await open(path, "r+").catch(() => undefined);
  if (existing) return writeTo(existing, bytes);
  const directory = resolve(dirname(path));
  const made = await mkdir(directory, { recursive: true });
  // The name of a new folder is kept by the one above it.
  const highest = made === undefined ? directory : dirname(resolve(made));
  try {
    await writeTo(await open(path, "w+", 0o600), bytes);
    for (let each = directory; each.length >= highest.length; each = dirname(each)) {
      await syncDirectory(each);
      if (each === dirname(each)) return;
    }
  } catch (error) {
    // The next wish makes it anew, and does not take it for one that is kept.
    await unlink(path).catch(() => {});
    throw error;
  }
}

async function writeTo(file: FileHandle, bytes: Uint8Array): Promise<void> {
  try {
    await file.write(bytes, 0, bytes.length, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Not every file system can, and a folder that is not ours may not be open to us. */
async function syncDirectory(path: string): Promise<void> {
  const cannot = (error: NodeJS.ErrnoException) => {
    if (!["EACCES", "EINVAL", "ENOTSUP"].includes(error.code ?? "")) throw error;
  };
  const directory = await open(path, "r").catch(cannot);
  await directory
    ?.sync()
    .catch(cannot)
    .finally(() => directory.close());
}
