/**
 * What goes wrong on a board: tools that are missing, slow or refuse, and
 * helpers of the daemon that somebody kills. Every board has a mount namespace
 * of its own, so that only its own programs are replaced.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf, now } from "./child.js";
import type { Host } from "./host.js";
import type { Daemon } from "./peers.js";

/** How long a process may take to notice that nobody needs it any more. */
const ENDING_MS = 10_000;

/** A word in the command line of each helper: the guard, the warm `ip`, and the watcher of links. */
export const HELPERS = { guard: "carpio-guard", ip: "-json", monitor: "monitor" } as const;
export type Helper = keyof typeof HELPERS;
/** For `ip`: every address is asked for with a lifetime that the kernel does not take. */
export const REFUSES_LEASES = `
  case "$*" in *-json*)
    sed -u '/^address replace/s/valid_lft [0-9]*/valid_lft 0/' | /run/real-ip "$@"
    exit
  esac`;

/** From now on the host looks as if the program were not installed. */
export async function uninstall(host: Host, program: string): Promise<void> {
  // It may be in several directories. A loop that cannot hide it must not go on for ever.
  const script = `
    for i in 1 2 3 4; do
      found=$(command -v "$0") || exit 0
      place=$(dirname "$found") && mkdir "/run/installed$i" "/run/others$i" &&
      mount --rbind "$place" "/run/installed$i" && mount -t tmpfs tmpfs "/run/others$i" || exit 1
      for each in "/run/installed$i"/*; do
        [ "\${each##*/}" = "$0" ] || ln -s "$each" "/run/others$i/\${each##*/}" || exit 1
      done
      mount --bind "/run/others$i" "$place" && echo "$place" >>/run/uninstalled || exit 1
    done
    ! command -v "$0"`;
  await host.run(["sh", "-c", script, program]);
}

/** What was uninstalled is there again. */
export async function reinstall(host: Host): Promise<void> {
  await host.run(["sh", "-c", "umount $(cat /run/uninstalled)"]);
}

/**
 * From now on the host runs these lines of shell before `program`; \`exit\` in
 * them refuses. Once more replaces them, also for those that run it already.
 */
export async function obstruct(host: Host, program: string, lines: string): Promise<void> {
  const wrapper = join(host.directory, `${program}-wrapper`);
  writeFileSync(wrapper, `#!/bin/sh\n${lines}\nexec /run/real-${program} "$@"\n`, { mode: 0o755 });
  const script = `
    [ -e "/run/real-$0" ] && exit
    place=$(readlink -f "$(command -v "$0")") && touch "/run/real-$0" &&
    mount --bind "$place" "/run/real-$0" && mount --bind "$1" "$place"`;
  await host.run(["sh", "-c", script, program, wrapper]);
}

/** A helper of a running daemon, as this computer counts processes. */
export async function pidOf(daemon: Daemon, helper: Helper): Promise<number> {
  const untilAt = now() + 5000;
  for (;;) {
    const found = childrenOf(await daemon.child.pid()).find((pid) => isHelper(pid, helper));
    if (found !== undefined) return found;
    if (now() > untilAt) throw new Error(`the daemon on ${daemon.host.name} has no ${helper}`);
    await sleep(5);
  }
}

/**
 * The processes on a host, as it counts them, without the one that holds it open
 * and the one that looks. Those that are about to end get time to do so: `ip
 * monitor` finds out when it has something to say that its reader is dead.
 */
export async function processesOn(host: Host): Promise<readonly string[]> {
  const others = /^\s*1 |\bps -e\b|\bip -tshort\b|<defunct>$|^\s*$/;
  for (const untilAt = now() + ENDING_MS; ; await sleep(50)) {
    const lines = (await host.run(["ps", "-e", "-o", "pid=,args="])).split("\n");
    const found = lines.filter((line) => !others.test(line)).map((line) => line.trim());
    if (found.length === 0 || now() > untilAt) return found;
  }
}

function isHelper(pid: number, helper: Helper): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(HELPERS[helper]);
  } catch {
    return false; // gone since
  }
}
