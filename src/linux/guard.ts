/**
 * The dead man's switch for addresses: however the daemon dies, a shell takes
 * them off the board. It ignores the signals that end a daemon.
 */
import { readFileSync } from "node:fs";
import { openDeadMan } from "./dead-man.js";

export interface Guard {
  /** Replaces what is to be done at the end: lines for `ip -batch`. */
  protect(commands: readonly string[]): void;
  /** Ends it without anything being done. */
  dismiss(): Promise<void>;
}

/** A word in its command line, by which a later start knows it. */
const NAME = "carpio-guard";
/** Reads one line for each change, commands apart by semicolons, and acts on the last at the end. */
const SCRIPT = `trap '' HUP INT TERM
while IFS= read -r line; do commands=$line; done
[ "$commands" = dismissed ] || printf '%s\\n' "$commands" | tr ';' '\\n' | ip -force -batch - 2>/dev/null`;
/** It needs some 20 ms; longer than this it hangs. */
const FINISH_MS = 3_000;
const LOOK_EVERY_MS = 5;
const RESTART_MS = 100;

/** Starts a guard, and another whenever one is lost; `onStart` is told its process each time. */
export function openGuard(onStart: (pid: number | undefined) => void): Guard {
  const onRestart = () => onStart(shell.pid);
  const shell = openDeadMan({ name: NAME, script: SCRIPT, restartMs: RESTART_MS, onRestart });
  onStart(shell.pid);
  return {
    protect: (commands) => shell.arm(commands.join(";")),
    dismiss: shell.dismiss,
  };
}

/** Waits until the guard of a daemon that died has done its work, so that it cannot undo ours. */
export async function waitForGuard(pid: number): Promise<void> {
  for (let waitedMs = 0; isGuard(pid) && waitedMs < FINISH_MS; waitedMs += LOOK_EVERY_MS) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

function isGuard(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(NAME);
  } catch {
    return false;
  }
}
