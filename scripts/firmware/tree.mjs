/**
 * Folders that become archives with the same bytes wherever and whenever they
 * are made: who owns a file, when it was written and what the builder's umask
 * was are all forgotten.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, lstatSync, lutimesSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "./inputs.mjs";

/** How hard the packers try: as well as they can, or, for a look at a change, so that somebody can wait for it. */
const level = process.argv.includes("--quick") ? "3" : "19";

/** The moment all files are from: the commit's. Without a repository, the first that a FAT can say. */
export function moment() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return wholeSeconds(given);
  try {
    return wholeSeconds(
      run("git", ["log", "-1", "--format=%ct"], { stdio: ["ignore", "pipe", "ignore"] }).trim(),
    );
  } catch {
    return Date.UTC(1980, 0, 1) / 1000;
  }
}

/** A FAT counts in twos. */
function wholeSeconds(text) {
  if (!/^\d+$/.test(text)) throw new Error(`SOURCE_DATE_EPOCH: found ${text}, wanted seconds since 1970`);
  return Number(text) - (Number(text) % 2);
}

/** Gives everything below a folder, and itself, one moment, and modes that say only who may run it. */
export function settle(folder, seconds) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (lstatSync(path).isDirectory()) settle(path, seconds);
    else settleFile(path, seconds);
  }
  chmodSync(folder, 0o755);
  lutimesSync(folder, seconds, seconds);
}

function settleFile(path, seconds) {
  const it = lstatSync(path);
  if (!it.isSymbolicLink()) chmodSync(path, it.mode & 0o100 ? 0o755 : 0o644);
  lutimesSync(path, seconds, seconds);
}

/** A cpio archive as the kernel wants it, packed by zstd; `folder` is settled. */
export function packArchive(folder, file) {
  const names = namesBelow(folder).map((name) => `${name}\n`);
  const archive = execFileSync(
    "cpio",
    ["--create", "--reproducible", "--format=newc", "--owner=0:0", "--quiet"],
    {
      cwd: folder,
      input: names.join(""),
      maxBuffer: 1 << 30,
    },
  );
  execFileSync("zstd", [`-${level}`, "-q", "-c"], {
    input: archive,
    stdio: ["pipe", openSync(file, "w"), "inherit"],
  });
}

/** A squashfs; `folder` is settled. Blocks of 64 KiB: larger ones pack little better, and are unpacked whole for one page. */
export function packSquashfs(folder, file) {
  const packing = ["-comp", "zstd", "-Xcompression-level", level, "-b", "64K"];
  const forgetting = ["-all-root", "-mkfs-time", "0", "-all-time", "0", "-no-xattrs"];
  const quiet = ["-noappend", "-no-progress", "-quiet"];
  // It refuses to be told the time twice.
  run("mksquashfs", [folder, file, ...packing, ...forgetting, ...quiet], {
    env: { SOURCE_DATE_EPOCH: undefined },
  });
}

function namesBelow(folder, prefix = "") {
  return readdirSync(join(folder, prefix))
    .sort()
    .flatMap((name) => {
      const path = join(prefix, name);
      return lstatSync(join(folder, path)).isDirectory() ? [path, ...namesBelow(folder, path)] : [path];
    });
}

/**
 * Packs a file into one with `.zst` behind its name. What comes again within 128 MiB, as a card's second slot, takes
 * no room: that is as far as whoever unpacks it looks back without being told.
 */
export function packFile(file) {
  run("zstd", [`-${level}`, "--long=27", "-T0", "-q", file]);
}
