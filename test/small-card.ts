/**
 * A card that is as small as one can be, for what writes cards: a partition
 * table, and one FAT file system with nothing in it.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";

export const MIB = 1 << 20;
const FAT_BYTES = 32 * MIB;
export const SMALL_CARD_BYTES = MIB + FAT_BYTES;

/** Root may write what nobody may, until that is taken from it. */
export const POWERLESS =
  process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];

export function makeSmallCard(path: string): void {
  const fat = `${path}.fat`;
  writeFileSync(fat, "");
  truncateSync(fat, FAT_BYTES);
  execFileSync("mkfs.vfat", ["-i", "12345678", fat], { stdio: "ignore" });
  const head = Buffer.alloc(MIB);
  const entry = head.subarray(446, 462);
  entry[4] = 0x0c;
  entry.writeUInt32LE(2048, 8);
  entry.writeUInt32LE(FAT_BYTES / 512, 12);
  head.writeUInt16LE(0xaa55, 510);
  writeFileSync(path, Buffer.concat([head, readFileSync(fat)]));
  rmSync(fat);
}

export function onCard(card: string, name: string): string {
  return execFileSync("mtype", ["-i", `${card}@@${MIB}`, `::${name}`], { encoding: "utf8" });
}
