/**
 * A slot: the system that runs on every board, as a squashfs with one sector of
 * text behind it that says what it is (src/firmware/payload.ts). The same file
 * is an update.
 */
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { appendFileSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatTrailer } from "../../build/src/firmware/payload.js";
import { bundleFile } from "../addons.mjs";
import { formatFilter } from "./filter.mjs";
import { root } from "./inputs.mjs";
import { essential, installPrograms } from "./programs.mjs";
import { readFirst } from "./read-first.mjs";
import { packSquashfs, settle } from "./tree.mjs";

/** Beside those that the daemon needs: what src/firmware/plan.ts and board/payload start. */
const services = [
  "usr/sbin/losetup",
  "usr/sbin/dropbear",
  "usr/bin/dropbearkey",
  "usr/sbin/chronyd",
  "usr/sbin/mdnsd",
];

/** Those of busybox that are started by their names; its own shell needs no links. */
const applets = [
  ...["cat", "chmod", "cp", "cut", "date", "dd", "df", "dmesg", "env", "false", "find", "free", "grep"],
  ...["head", "hostname", "kill", "klogd", "less", "ln", "logger", "losetup", "ls", "lsmod", "mkdir"],
  ...["mkfifo", "mount", "mv", "nc", "netstat", "nslookup", "ping", "printf", "ps", "readlink", "rm"],
  ...["rmdir", "sed", "seq", "setsid", "sleep", "sort", "sync", "syslogd", "tail", "test", "timeout"],
  ...["top", "touch", "tr", "traceroute", "true", "udhcpc", "umount", "uname", "uptime", "usleep"],
  ...["vi", "wc", "wget", "xargs"],
];
const systemApplets = ["halt", "init", "modprobe", "poweroff", "reboot"];
/** What is written while the board runs lies in memory; and ip is where other programs look for it. */
const links = [
  ["usr/lib/modules", "../../run/modules"],
  ["boot", "run/boot"],
  ["etc/resolv.conf", "../run/carpio/resolv.conf"],
  ["usr/sbin/ip", "../bin/ip"],
  ["var/run", "../run"],
  ["var/tmp", "../tmp"],
];
const mountPoints = ["dev", "proc", "run", "sys", "tmp", "root"];

/**
 * Makes the slot's file; gives the packages inside. `key` is an Ed25519 key of
 * those whose updates a board takes: its public half goes in, and the private
 * one signs. Without one, a board takes none unless its operator says so.
 */
export function makeSlot({ folder, file, version, seconds, key }, say) {
  say("the system: programs, libraries, Node and the bundle");
  for (const name of [...mountPoints, "etc/carpio", "var", "usr/sbin"])
    mkdirSync(join(folder, name), { recursive: true });
  const packages = installPrograms(folder, [...essential, ...services], say);
  for (const name of applets) symlinkSync("busybox", join(folder, "usr/bin", name));
  for (const name of systemApplets) symlinkSync("../bin/busybox", join(folder, "usr/sbin", name));
  for (const [name, to] of links) symlinkSync(to, join(folder, name));
  cpSync(join(root, "board/payload"), folder, { recursive: true });
  cpSync(join(root, bundleFile("guest")), join(folder, "usr/bin/carpio"));
  if (key) writeFileSync(join(folder, "etc/carpio/update.pub"), publicHalf(key));
  writeFileSync(join(folder, "usr/lib/carpio/filter"), formatFilter());
  writeFileSync(join(folder, "usr/lib/carpio/first"), readFirst(folder));
  settle(folder, seconds);

  say("packing it");
  packSquashfs(folder, file);
  const squashfs = readFileSync(file);
  const sha256 = createHash("sha256").update(squashfs).digest("hex");
  const contents = { version, size: squashfs.length, sha256 };
  appendFileSync(file, formatTrailer(contents, key?.type === "private" ? key : undefined));
  return packages;
}

/** Reads a key that somebody names; a public one puts its half in, and signs nothing. */
export function readKey(path) {
  const text = readFileSync(path, "utf8");
  const key = text.includes("PRIVATE KEY") ? createPrivateKey(text) : createPublicKey(text);
  if (key.asymmetricKeyType === "ed25519") return key;
  throw new Error(`${path}: found a key of ${key.asymmetricKeyType}, wanted one of ed25519`);
}

function publicHalf(key) {
  const half = key.type === "private" ? createPublicKey(key) : key;
  return half.export({ type: "spki", format: "pem" });
}
