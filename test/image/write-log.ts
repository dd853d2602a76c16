/**
 * All that a board wrote to its card, write by write, as QEMU's blklogwrites
 * keeps it. From it comes the card as it was when the power went, at any of them.
 *
 * The format is dm-log-writes' of the kernel: a row of sectors, with numbers of
 * eight bytes, the lowest first. The first sector says what it is, and then come
 * entries, each a sector and its data, filled up to whole sectors:
 *
 *   magic, version, entries, bytes of a sector
 *   sector on the card, how many, flags, bytes of a note, which is none
 *
 * The number of entries is brought up to date now and then only: a QEMU that
 * was killed leaves more. So it is read to its end, and what is not whole there is
 * as if it had not been written.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";

export const SECTOR = 512;
const MAGIC = 0x6a736677736872n;
const VERSION = 1n;
const WRITE = 0n;
const FLUSH = 1n;
const FIELD = 8;

export type Entry =
  | {
      readonly kind: "write";
      /** On the card, in bytes. */
      readonly at: number;
      readonly length: number;
      /** Where in the log its data lies. */
      readonly dataAt: number;
    }
  /** What was written before this is on the card for good. */
  | { readonly kind: "flush" };

export type Write = Extract<Entry, { kind: "write" }>;

/** Throws when it is no such log, or has what a board of ours does not do to its card. */
export function readEntries(log: string): readonly Entry[] {
  const handle = openSync(log, "r");
  try {
    const [magic, version, , sector] = fieldsAt(handle, 0) ?? [];
    if (magic !== MAGIC || version !== VERSION || sector !== BigInt(SECTOR)) {
      throw new Error(
        `${log}: found another beginning, wanted a log of writes in sectors of ${SECTOR} bytes`,
      );
    }
    const entries: Entry[] = [];
    for (let at = SECTOR; ; ) {
      const fields = fieldsAt(handle, at);
      const entry = fields && entryOf(fields, at + SECTOR);
      const end = at + SECTOR + (entry?.kind === "write" ? entry.length : 0);
      if (!entry || !reaches(handle, end)) return entries;
      entries.push(entry);
      at = end;
    }
  } finally {
    closeSync(handle);
  }
}

/** The data of a write. */
export function readData(log: string, { length, dataAt }: Write): Buffer {
  const handle = openSync(log, "r");
  try {
    const data = Buffer.alloc(length);
    readSync(handle, data, 0, length, dataAt);
    return data;
  } finally {
    closeSync(handle);
  }
}

/** Does to a card, as a file, what a board did. */
export function replay(log: string, entries: readonly Entry[], card: string): void {
  const handle = openSync(card, "r+");
  try {
    for (const entry of entries) {
      if (entry.kind === "write") writeSync(handle, readData(log, entry), 0, entry.length, entry.at);
    }
  } finally {
    closeSync(handle);
  }
}

function entryOf([sector = 0n, sectors = 0n, flags = 0n, bytes = 0n]: Fields, dataAt: number): Entry {
  const length = Number(sectors) * SECTOR;
  if (flags === FLUSH && length === 0) return { kind: "flush" };
  if (flags === WRITE && length > 0 && bytes === 0n) {
    return { kind: "write", at: Number(sector) * SECTOR, length, dataAt };
  }
  const found = `${sectors} sectors, flags ${flags} and a note of ${bytes} bytes`;
  throw new Error(`found ${found} at ${dataAt - SECTOR}, wanted a write or a flush`);
}

type Fields = readonly bigint[];

/** `undefined` at the end. */
function fieldsAt(handle: number, at: number): Fields | undefined {
  const bytes = Buffer.alloc(SECTOR);
  if (readSync(handle, bytes, 0, SECTOR, at) < SECTOR) return undefined;
  return [0, 1, 2, 3].map((index) => bytes.readBigUInt64LE(index * FIELD));
}

function reaches(handle: number, end: number): boolean {
  return readSync(handle, Buffer.alloc(1), 0, 1, end - 1) === 1;
}
