/**
 * Writing to a card, and reading back what is on it then. A card may be a file.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import type { CardFile } from "./card-files.js";

export type Progress = (bytes: number) => void;

const run = promisify(execFile);
const CHUNK_BYTES = 1 << 20;
/** What waits in memory would make the progress a lie, and its end a long silence. */
const SYNC_BYTES = 16 << 20;

/** A block device that somebody uses is not opened: the kernel's own word on what is mounted. */
export function openCard(path: string, isDevice: boolean): Promise<FileHandle> {
  return open(path, isDevice ? constants.O_RDWR | constants.O_EXCL : constants.O_RDWR | constants.O_CREAT);
}

/** Writes all of it from the start on, and waits until it is on the card. */
export async function writeCard(
  card: FileHandle,
  image: AsyncIterable<Buffer>,
  onProgress: Progress,
): Promise<void> {
  let at = 0;
  let synced = 0;
  for await (const chunk of image) {
    for (let from = 0; from < chunk.length; ) {
      const { bytesWritten } = await card.write(chunk, from, chunk.length - from, at);
      from += bytesWritten;
      at += bytesWritten;
    }
    if (at - synced >= SYNC_BYTES) {
      await card.datasync();
      synced = at;
    }
    onProgress(at);
  }
  await card.sync();
}

/** The digest of so many bytes of it. */
export async function readBack(card: FileHandle, bytes: number, onProgress: Progress): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(CHUNK_BYTES);
  for (let at = 0; at < bytes; ) {
    const { bytesRead } = await card.read(buffer, 0, Math.min(CHUNK_BYTES, bytes - at), at);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
    onProgress(at);
  }
  return hash.digest("hex");
}

/** What the kernel remembers of it is dropped, so that it is the card that is read. */
export async function forgetCached(path: string): Promise<void> {
  await run("blockdev", ["--flushbufs", path]);
}

/** For the desktop, which may be shown partitions that are no more. */
export async function showPartitions(path: string): Promise<void> {
  await run("blockdev", ["--rereadpt", path]).catch(() => {});
}

/** Puts a file into the FAT file system that begins there, and looks whether it is in it. */
export async function putFile(card: string, offset: number, { from, name }: CardFile): Promise<void> {
  const there = ["-i", `${card}@@${offset}`];
  await run("mcopy", ["-o", ...there, from, `::${name}`]);
  const [wanted, { stdout: found }] = await Promise.all([
    open(from).then(async (file) => {
      await using source = file;
      return source.readFile();
    }),
    run("mtype", [...there, `::${name}`], { encoding: "buffer" }),
  ]);
  if (!found.equals(wanted)) throw new Error(`${name} on the card is not what ${from} is`);
}
