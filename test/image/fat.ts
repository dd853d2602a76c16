/**
 * Where the files of a card lie in its FAT32: their clusters, by mtools, the
 * sectors of those, and the chain by which the FAT goes from one to the next.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { mtools, partitionAt } from "./card.js";
import { SECTOR } from "./write-log.js";

/** Of an entry of the FAT. */
const BYTES = 4;
/** The upper four bits of an entry are not part of it. */
const ENTRY = 0x0fffffff;
const FREE = 0;
/** Clusters are counted from here. */
const FIRST = 2;

/** What the first sector of the partition says; all in bytes of the card. */
interface Layout {
  readonly cluster: number;
  readonly fats: readonly number[];
  readonly fatLength: number;
  readonly data: number;
}

/** The sector of the card, counted from its beginning, in the middle of a file. */
export function middleSector(card: string, name: string): number {
  const { cluster, data } = layoutOf(card);
  return (data + (middleCluster(card, name) - FIRST) * cluster) / SECTOR;
}

/** Of the copy of the FAT that is read: the sector that it begins with, and the chain of the root's folder. */
export function firstOfFat(card: string): number {
  return (layoutOf(card).fats[0] ?? 0) / SECTOR;
}

/**
 * The chain of a file leads from its middle into a cluster that is free, as after a power
 * cut that came between two sectors of the FAT.
 */
export function breakChain(card: string, name: string): void {
  const middle = middleCluster(card, name);
  const { fats, fatLength } = layoutOf(card);
  const handle = openSync(card, "r+");
  try {
    const fat = Buffer.alloc(fatLength);
    readSync(handle, fat, 0, fatLength, fats[0] ?? 0);
    const entryOf = (cluster: number) => fat.readUInt32LE(cluster * BYTES) & ENTRY;
    let free = FIRST;
    while (entryOf(free) !== FREE) free++;
    const entry = Buffer.alloc(BYTES);
    entry.writeUInt32LE(free);
    for (const at of fats) writeSync(handle, entry, 0, BYTES, at + middle * BYTES);
  } finally {
    closeSync(handle);
  }
}

/** mtools shows them in order: `::/carpio.toml <123-130> <140>`. */
function middleCluster(card: string, name: string): number {
  const shown = mtools("mshowfat", card, [`::${name}`]);
  const clusters = [...shown.matchAll(/<(\d+)(?:-(\d+))?>/g)].flatMap(([, first, last = first]) => {
    const [from, to] = [Number(first), Number(last)];
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
  const middle = clusters[clusters.length >> 1];
  if (middle === undefined) throw new Error(`${card}: found no cluster of ${name}`);
  return middle;
}

function layoutOf(card: string): Layout {
  const at = partitionAt(card);
  const sector = Buffer.alloc(SECTOR);
  const handle = openSync(card, "r");
  try {
    readSync(handle, sector, 0, SECTOR, at);
  } finally {
    closeSync(handle);
  }
  const reserved = sector.readUInt16LE(14) * SECTOR;
  const fatLength = sector.readUInt32LE(36) * SECTOR;
  const fats = Array.from({ length: sector.readUInt8(16) }, (_, i) => at + reserved + i * fatLength);
  const data = at + reserved + fats.length * fatLength;
  return { cluster: sector.readUInt8(13) * SECTOR, fats, fatLength, data };
}
