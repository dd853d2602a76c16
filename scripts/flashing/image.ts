/**
 * An image as a stream of its bytes, packed or not, and its size and digest
 * before a byte of it is written anywhere.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";

export interface Measure {
  readonly bytes: number;
  readonly sha256: string;
  /** The first sector, where the partitions are told. */
  readonly head: Buffer;
}

const READ_BYTES = 1 << 20;
const SECTOR_BYTES = 512;

export async function* readImage(path: string): AsyncGenerator<Buffer> {
  if (!path.endsWith(".zst")) return yield* createReadStream(path, { highWaterMark: READ_BYTES });
  const zstd = spawn("zstd", ["--decompress", "--stdout", "--quiet", "--", path], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = text(zstd.stderr);
  const ended = once(zstd, "close") as Promise<[number | null]>;
  try {
    yield* zstd.stdout as AsyncIterable<Buffer>;
    const [status] = await ended;
    if (status !== 0) throw new Error(`${path}: ${(await said).trim() || "zstd failed"}`);
  } finally {
    zstd.kill();
  }
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
    throw new Error(`${path}: found no partition table in its first sector, wanted an image of a card`);
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
