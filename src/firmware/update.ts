/**
 * A payload into the slot that does not run, so that a cut at any byte leaves
 * the running one chosen: the record gives the other slot up before its first
 * byte is written, and takes it again when it was read back whole. Whether it
 * works there, its first start has to prove.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { type BootRecord, install, otherSlot, type SlotName, vacate } from "./boot-record.js";
import { type Card, slotFile } from "./card.js";
import {
  judgeBeginning,
  judgeEnd,
  judgePayload,
  MOST_BYTES,
  type Passed,
  TRAILER_BYTES,
  type Trailer,
  type Trust,
} from "./payload.js";

export interface Updated {
  readonly slot: SlotName;
  readonly version: string;
  readonly bytes: number;
}

export type UpdateStep = "writing" | "reading back";
export type OnStep = (step: UpdateStep, bytes: number) => void;

export const CHUNK_BYTES = 1 << 20;
/** Small steps, so that the card never has much to catch up on. */
const SYNC_BYTES = 8 << 20;

/** Throws a sentence; the running slot is started again then, as before. */
export async function update(
  card: Card,
  source: AsyncIterable<Uint8Array>,
  trust: Trust,
  onStep: OnStep = () => {},
): Promise<Updated> {
  const { running, record } = card;
  if (running === undefined)
    throw new Error("no slot runs here: a board's own system is updated, and no other");
  const slot = otherSlot(running);
  mustBeSpare(await record.read(), running);
  const trailer = await card.use(async (folder) => {
    // Not before there is something: a mistaken file costs nobody a slot.
    const passing = beginning(source);
    const first = await passing.next();
    await record.write(vacate(await record.read(), slot, "unfinished"));
    const passed = await writeSlot(slotFile(folder, slot), chained(first, passing), onStep);
    return mustBe(judgePayload(passed, trust));
  });
  // The card was let go in between, so it is the card that is read, and not what the kernel remembers.
  await card.use(async (folder) => {
    const passed = await readSlot(slotFile(folder, slot), onStep);
    mustBe(judgePayload(passed, trust), "what was read back is not what was written: another card? ");
  });
  await record.write(install(await record.read(), slot));
  return { slot, version: trailer.version, bytes: trailer.size };
}

/**
 * A file's beginning and end, before anything is given up for it: one that is cut or that nobody we trust has
 * signed costs no slot. A stream has its end too late for that. Throws a sentence.
 */
export async function judgeFile(path: string, trust: Trust): Promise<void> {
  const found = await stat(path);
  if (!found.isFile()) return;
  const [beginning, trailer] = await withFile(path, constants.O_RDONLY, async (file) => [
    await readSector(file, 0),
    await readSector(file, Math.max(0, found.size - TRAILER_BYTES)),
  ]);
  const problem = judgeBeginning(beginning);
  if (problem !== undefined) throw new Error(problem);
  mustBe(judgeEnd({ bytes: found.size, trailer }, trust));
}

/** What lies in a slot's file, read to its end. Throws when it cannot be read. */
export async function readSlot(path: string, onStep: OnStep = () => {}): Promise<Passed> {
  return withFile(path, constants.O_RDONLY, (file) =>
    pass(chunksOf(file), async (_, bytes) => onStep("reading back", bytes)),
  );
}

/** What a slot's file says of itself at its end; `undefined` when there is none, or it cannot be read. */
export async function readTrailer(path: string): Promise<Uint8Array | undefined> {
  const { size } = await stat(path).catch(() => ({ size: 0 }));
  if (size < TRAILER_BYTES) return undefined;
  return withFile(path, constants.O_RDONLY, (file) => readSector(file, size - TRAILER_BYTES)).catch(
    () => undefined,
  );
}

/**
 * The only slot that has proven itself is nobody's to write: should the one that runs fail
 * in the middle of it, its keeper starts the board again, and nothing good is left. Throws a sentence.
 */
function mustBeSpare(record: BootRecord, running: SlotName): void {
  const state = record[running];
  const other = otherSlot(running);
  if (state === "good" || record[other] !== "good") return;
  const stands =
    state === "new"
      ? "is still on trial: wait until it has proven itself"
      : `was given up: start ${other} first`;
  throw new Error(`slot ${running}, which runs, ${stands}, or say \`carpio slot good\``);
}

/**
 * In place, so that an old file's blocks are used again and need no others. But a FAT lists a file's blocks in
 * a chain, and a power cut in the middle of an update may have left one that leads nowhere: whoever cannot get
 * to its end cannot write it either, and it is made anew.
 */
async function writeSlot(path: string, source: AsyncIterable<Uint8Array>, onStep: OnStep): Promise<Passed> {
  if (!(await readTrailer(path))) await rm(path, { force: true });
  return withFile(path, constants.O_RDWR | constants.O_CREAT, async (file) => {
    let synced = 0;
    const passed = await pass(source, async (chunk, bytes) => {
      if (bytes > MOST_BYTES) throw new Error(`found more than ${MOST_BYTES} bytes, wanted at most that`);
      await writeAt(file, chunk, bytes - chunk.length);
      if (bytes - synced >= SYNC_BYTES) {
        await file.datasync();
        synced = bytes;
      }
      onStep("writing", bytes);
    });
    await file.truncate(passed.bytes);
    await file.sync();
    return passed;
  });
}

/** What there is of it. */
async function readSector(file: FileHandle, at: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(TRAILER_BYTES), 0, TRAILER_BYTES, at);
  return buffer.subarray(0, bytesRead);
}

async function withFile<T>(path: string, flags: number, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Counts and digests what goes by; the last sector is held back from the digest, as it may be the trailer. */
async function pass(
  source: AsyncIterable<Uint8Array>,
  each: (chunk: Uint8Array, bytes: number) => Promise<void>,
): Promise<Passed> {
  const hash = createHash("sha256");
  let trailer = Buffer.alloc(0);
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    await each(chunk, bytes);
    const held = Buffer.concat([trailer, chunk]);
    const end = Math.max(0, held.length - TRAILER_BYTES);
    hash.update(held.subarray(0, end));
    trailer = Buffer.from(held.subarray(end));
  }
  return { bytes, sha256: hash.digest("hex"), trailer };
}

async function writeAt(file: FileHandle, chunk: Uint8Array, at: number): Promise<void> {
  try {
    for (let from = 0; from < chunk.length; ) {
      const { bytesWritten } = await file.write(chunk, from, chunk.length - from, at + from);
      from += bytesWritten;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    throw new Error(`the card is full: only ${at} bytes of it had room`);
  }
}

async function* chunksOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Refuses at its first bytes what is no payload at all. */
async function* beginning(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let first: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of source) {
    if (!first) {
      yield chunk;
      continue;
    }
    first = Buffer.concat([first, chunk]);
    if (first.length < TRAILER_BYTES) continue;
    const problem = judgeBeginning(first);
    if (problem !== undefined) throw new Error(problem);
    yield first;
    first = undefined;
  }
  if (first) throw new Error(judgeBeginning(first) ?? `found ${first.length} bytes, wanted a whole payload`);
}

async function* chained(
  first: IteratorResult<Uint8Array>,
  rest: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (!first.done) yield first.value;
  yield* rest;
}

function mustBe(judged: ReturnType<typeof judgePayload>, before = ""): Trailer {
  if (judged.ok) return judged.value;
  throw new Error(`${before}${judged.why}`);
}
