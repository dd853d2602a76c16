/**
 * A slot: the system that runs on every board, as a squashfs with one sector
 * of text behind it that says what it is. The same file is an update.
 *
 *   carpio-slot 1
 *   version=0.1.0
 *   size=41234432        of the squashfs
 *   sha256=…             of the squashfs
 *
 * filled up with newlines to 512 bytes. A signature may follow as another line:
 * `signature=`, Ed25519 over the lines before it, in base64.
 */
import { createHash } from "node:crypto";
import { appendFileSync, cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { bundleFile } from "../addons.mjs";
import { root } from "./inputs.mjs";
import { installPrograms } from "./programs.mjs";
import { packSquashfs, settle } from "./tree.mjs";

const TRAILER_BYTES = 512;

/** Those of busybox that are started by their names; its own shell needs no links. */
const applets = [
  ...["cat", "chmod", "cp", "cut", "dd", "dmesg", "env", "false", "free", "head", "hostname", "kill", "ln"],
  ...["logger", "losetup", "ls", "lsmod", "mkdir", "mount", "mv", "nc", "nslookup", "ping"],
  ...[
    "printf",
    "ps",
    "readlink",
    "rm",
    "sed",
    "seq",
    "sleep",
    "sync",
    "tail",
    "test",
    "timeout",
    "top",
    "touch",
  ],
  ...[
    "tr",
    "traceroute",
    "true",
    "udhcpc",
    "umount",
    "uname",
    "uptime",
    "usleep",
    "vi",
    "wc",
    "wget",
    "xargs",
  ],
];
const systemApplets = ["halt", "init", "modprobe", "poweroff", "reboot"];
/** What is written while the board runs lies in memory. */
const links = [
  ["usr/lib/modules", "../../run/modules"],
  ["etc/resolv.conf", "../run/resolv.conf"],
  ["var/run", "../run"],
  ["var/tmp", "../tmp"],
];
const mountPoints = ["dev", "proc", "run", "sys", "tmp", "root"];

/** Makes the slot's file; gives its sha256 and the packages inside. */
export function makeSlot({ folder, file, version, seconds }, say) {
  say("the system: programs, libraries, Node and the bundle");
  for (const name of [...mountPoints, "etc", "var", "usr/sbin"])
    mkdirSync(join(folder, name), { recursive: true });
  const packages = installPrograms(folder, say);
  for (const name of applets) symlinkSync("busybox", join(folder, "usr/bin", name));
  for (const name of systemApplets) symlinkSync("../bin/busybox", join(folder, "usr/sbin", name));
  for (const [name, to] of links) symlinkSync(to, join(folder, name));
  cpSync(join(root, "board/payload"), folder, { recursive: true });
  cpSync(join(root, bundleFile("guest")), join(folder, "usr/bin/carpio"));
  settle(folder, seconds);

  say("packing it");
  packSquashfs(folder, file);
  const trailer = trailerOf(readFileSync(file), version);
  appendFileSync(file, trailer);
  return packages;
}

export function trailerOf(squashfs, version) {
  const sha256 = createHash("sha256").update(squashfs).digest("hex");
  const lines = ["carpio-slot 1", `version=${version}`, `size=${squashfs.length}`, `sha256=${sha256}`, ""];
  return lines.join("\n").padEnd(TRAILER_BYTES, "\n");
}
