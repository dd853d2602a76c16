/**
 * The card: a table of partitions with one entry, a FAT32 that every computer
 * reads. Before it, where no file system moves them, lie the records that are
 * written while the board runs: one sector each, at these places.
 *
 *   256 KiB  state-a    what the daemon keeps: the wish for maintenance
 *   384 KiB  state-b
 *   512 KiB  slots-a    which slot is started, and which is known to be good
 *   640 KiB  slots-b
 *     1 MiB  the partition
 *
 * They are far apart, so that a card that spoils a page while it writes spoils
 * one record. board/base/init knows the same places.
 */
import {
  closeSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { run } from "./inputs.mjs";

const MIB = 1 << 20;
/** A power of two, which QEMU wants of a card; room for two slots, and for one that grows. */
const CARD_BYTES = 256 * MIB;
const PARTITION_AT = MIB;
const LABEL = "CARPIO";
/** Fixed, because a number by chance would differ with every build: "CARP", and "carp". */
const DISC_ID = "0x43415250";
const VOLUME_ID = "63617270";

/** Writes an image with the files of a folder, which is settled. */
export function makeCard(folder, file) {
  const unfinished = `${file}.${process.pid}`;
  const partition = `${file}.${process.pid}.fat`;
  try {
    empty(partition, CARD_BYTES - PARTITION_AT);
    const format = ["-F", "32", "-s", "4", "-R", "32", "--invariant", "-n", LABEL, "-i", VOLUME_ID];
    run("mkfs.vfat", [...format, partition]);
    const files = readdirSync(folder).sort();
    run("mcopy", ["-m", "-i", partition, ...files.map((name) => join(folder, name)), "::"]);

    empty(unfinished, CARD_BYTES);
    const table = `label: dos\nlabel-id: ${DISC_ID}\nstart=${PARTITION_AT / 512}, type=c, bootable\n`;
    run("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", unfinished], {
      input: table,
      stdio: ["pipe", "pipe", "inherit"],
    });
    copyInto(partition, unfinished, PARTITION_AT);
    renameSync(unfinished, file);
  } finally {
    for (const each of [unfinished, partition]) rmSync(each, { force: true });
  }
}

function empty(file, bytes) {
  const handle = openSync(file, "w");
  ftruncateSync(handle, bytes);
  closeSync(handle);
}

/** What is zero stays a hole. */
function copyInto(from, to, at) {
  const [source, target] = [openSync(from, "r"), openSync(to, "r+")];
  const buffer = Buffer.alloc(MIB);
  for (let offset = 0; ; offset += MIB) {
    const length = readSync(source, buffer, 0, MIB, offset);
    if (length === 0) break;
    const part = buffer.subarray(0, length);
    if (part.some((byte) => byte !== 0)) writeSync(target, part, 0, length, at + offset);
  }
  closeSync(source);
  closeSync(target);
}
