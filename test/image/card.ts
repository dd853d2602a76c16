/**
 * A card, as a file: an image from dist/, or a copy of one that a test writes
 * to as a person or bad luck would. It knows the table of partitions, the
 * FAT's files (by mtools) and what a boot loader would start of them.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

export type Kind = "virt" | "raspberrypi";

/** What a boot loader starts. */
export interface Start {
  readonly kernel: string;
  readonly initramfs: string;
  /** The kernel's command line. */
  readonly line: string;
}

const root = join(import.meta.dirname, "../../..");
const SECTOR = 512;
const FIRST_ENTRY = 446;
const MARK = 0xaa55;
const FAT32 = 0x0c;

/** Where scripts/image leaves it. */
export function imageOf(kind: Kind): string {
  const image = join(root, "dist", `carpio-${kind}.img`);
  if (!existsSync(image)) throw new Error(`found no ${image}: scripts/image ${kind} makes it`);
  return image;
}

/** As sha256sum says it. */
export function digestOf(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** A copy to write on. What is empty stays a hole. */
export function copyCard(image: string, file: string): string {
  execFileSync("cp", ["--sparse=always", image, file]);
  return file;
}

/** The one partition, in bytes from the beginning. */
export function partitionAt(card: string): number {
  const sector = Buffer.alloc(SECTOR);
  const handle = openSync(card, "r");
  readSync(handle, sector, 0, SECTOR, 0);
  closeSync(handle);
  const type = sector.readUInt8(FIRST_ENTRY + 4);
  if (sector.readUInt16LE(SECTOR - 2) !== MARK || type !== FAT32)
    throw new Error(`${card}: found type ${type} in its table of partitions, wanted ${FAT32}, a FAT32`);
  return sector.readUInt32LE(FIRST_ENTRY + 8) * SECTOR;
}

export function listFiles(card: string): readonly string[] {
  const listed = mtools("mdir", card, ["-b", "::"]);
  return listed
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => basename(line.trim()));
}

export function readText(card: string, name: string): string {
  return mtools("mtype", card, [`::${name}`]);
}

/** Takes a file off the card into a directory; gives where it lies. */
export function takeFile(card: string, name: string, directory: string): string {
  const file = join(directory, name);
  mtools("mcopy", card, ["-n", `::${name}`, file]);
  return file;
}

/** As if it were edited on another computer. */
export function putFile(card: string, file: string, name = basename(file)): void {
  mtools("mcopy", card, ["-o", file, `::${name}`]);
}

export function putText(card: string, name: string, text: string): void {
  const file = join(tmpdir(), `carpio-${process.pid}-${name}`);
  writeFileSync(file, text);
  try {
    putFile(card, file, name);
  } finally {
    rmSync(file, { force: true });
  }
}

export function removeFile(card: string, name: string): void {
  mtools("mdel", card, [`::${name}`]);
}

/** Nothing more fits into the partition. */
export function fillUp(card: string): void {
  const [, free = ""] = /([\d ]+) bytes free/.exec(mtools("mdir", card, ["::"])) ?? [];
  const filler = join(tmpdir(), `carpio-${process.pid}-photos.zip`);
  writeFileSync(filler, "");
  try {
    truncateSync(filler, Number(free.replaceAll(" ", "")));
    putFile(card, filler, "photos.zip");
  } finally {
    rmSync(filler);
  }
}

/** On the serial console, from the kernel's start on; as shipped it begins quietly. */
export function showNotices(card: string): void {
  putText(card, "cmdline.txt", readText(card, "cmdline.txt").replace("quiet", "loglevel=6"));
}

/** As config.txt and cmdline.txt say it. We follow what ours use; anything else is an error. */
export function startOf(card: string): Start {
  const settings = new Map<string, string>();
  for (const line of readText(card, "config.txt").split(/\r?\n/)) {
    const said = line.replace(/#.*/, "").trim();
    if (said === "") continue;
    const [, key, value] = /^(\w+)(?:=| )(\S+)( followkernel)?$/.exec(said) ?? [];
    if (key === undefined || value === undefined)
      throw new Error(`config.txt: found "${line}", wanted KEY=VALUE`);
    settings.set(key, value);
  }
  const wanted = (key: string): string => {
    const value = settings.get(key);
    if (value === undefined) throw new Error(`config.txt: found no ${key}`);
    return value;
  };
  const line = readText(card, "cmdline.txt").trimEnd();
  if (line.includes("\n")) throw new Error("cmdline.txt: found several lines, wanted one");
  return { kernel: wanted("kernel"), initramfs: wanted("initramfs"), line };
}

/** One of mtools, in the card's partition. */
export function mtools(tool: string, card: string, parameters: readonly string[]): string {
  return execFileSync(tool, ["-i", `${card}@@${partitionAt(card)}`, ...parameters], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
}
