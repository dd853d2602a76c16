/**
 * An image as a stream of its bytes, packed or not, and its size and digest
 * before a byte of it is written anywhere.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { systemReason } from "../../src/config/text-file.js";

export interface Measure {
  readonly bytes: number;
  readonly sha256: string;
  /** The first sector, where the partitions are told. */
  readonly head: Buffer;
}

const READ_BYTES = 1 << 20;
const SECTOR_BYTES = 512;
const WANTED = "a whole image of a card";

/** Throws a sentence where it cannot. */
export async function* readImage(path: string): AsyncGenerator<Buffer> {
  try {
    if (!path.endsWith(".zst")) return yield* createReadStream(path, { highWaterMark: READ_BYTES });
    await using packed = await open(path);
    yield* unpack(packed);
  } catch (error) {
    throw new Error(`${path}: found ${systemReason(error)}, wanted ${WANTED}`);
  }
}

async function* unpack({ fd }: FileHandle): AsyncGenerator<Buffer> {
  const zstd = spawn("zstd", ["--decompress", "--stdout", "--quiet"], { stdio: [fd, "pipe", "pipe"] });
  assert.ok(zstd.stdout && zstd.stderr);
  const said = text(zstd.stderr);
  const ended: Promise<readonly (number | null)[]> = once(zstd, "close").catch(() => {
    throw new Error("no zstd to unpack it with");
  });
  // It may come before anybody waits for it.
  ended.catch(() => {});
  try {
    yield* zstd.stdout as AsyncIterable<Buffer>;
    const [status] = await ended;
    if (status !== 0) throw new Error(`what zstd cannot unpack (${firstOf(await said)})`);
  } finally {
    zstd.kill();
  }
}

/** The first thing that zstd said, without its own name and what it calls a file that has none for it. */
function firstOf(said: string): string {
  const [line = ""] = said.split("\n");
  return line.replace(/^(zstd: )?(\/\*stdin\*\\ ?: ?)?/, "").trim() || "it does not say why";
}

/** Reads it to its end, so that what is damaged costs no card. Throws a sentence. */
export async function measure(path: string): Promise<Measure> {
  const hash = createHash("sha256");
  let head = Buffer.alloc(0);
  let bytes = 0;
  for await (const chunk of readImage(path)) {
    hash.update(chunk);
    bytes += chunk.length;
    if (head.length < SECTOR_BYTES) head = Buffer.concat([head, chunk.subarray(0, SECTOR_BYTES)]);
  }
  if (head.length < SECTOR_BYTES || head.readUInt16LE(SECTOR_BYTES - 2) !== 0xaa55) {
    throw new Error(`${path}: found no partition table in its first sector, wanted ${WANTED}`);
  }
  return { bytes, sha256: hash.digest("hex"), head };
}

/** Where the first FAT partition begins, in bytes; the table of four is at the end of the first sector. */
export function fatOffset(head: Buffer): number | undefined {
  const entries = [0, 1, 2, 3].map((i) => head.subarray(446 + 16 * i, 462 + 16 * i));
  const fat = entries.find((entry) => FAT_TYPES.includes(entry[4] ?? 0));
  return fat && fat.readUInt32LE(8) * SECTOR_BYTES;
}

const FAT_TYPES = [0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e];
