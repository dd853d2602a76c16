/**
 * The dead man's switch: a shell that waits for our end of a pipe to close.
 *
 * However the daemon dies, the kernel closes the pipe, and the shell takes the
 * addresses off the board. It ignores the signals that end a daemon, and lives
 * in a session of its own.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

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
  let commands: readonly string[] = [];
  let dismissed = false;

  const start = () => {
    const shell = spawn("sh", ["-c", SCRIPT, NAME], { stdio: ["pipe", "ignore", "ignore"], detached: true });
    const ended = new Promise<void>((resolve) => {
      shell.once("error", () => resolve());
      shell.once("close", () => resolve());
    });
    ended.then(() => {
      if (!dismissed) setTimeout(restart, RESTART_MS);
    });
    shell.stdin.on("error", () => {});
    return { shell, ended };
  };
  let current = start();
  const tell = () => current.shell.stdin.write(`${commands.join(";")}\n`);
  const restart = () => {
    if (dismissed) return;
    current = start();
    tell();
    onStart(current.shell.pid);
  };
  onStart(current.shell.pid);

  return {
    protect(wanted) {
      commands = wanted;
      tell();
    },
    async dismiss() {
      dismissed = true;
      current.shell.stdin.end("dismissed\n");
      await current.ended;
    },
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
