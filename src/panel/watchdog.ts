/**
 * A shell that sets the lamps when this program no longer can: it ends when our
 * end of a pipe closes, as the kernel sees to however we die, or, where the
 * shell can wait for a limited time, when we have been silent for too long.
 * Without it the lamps would go on saying what was true when we died.
 */
import { spawn } from "node:child_process";
import type { FileWrite } from "./driver.js";

export interface Watchdog {
  /** Replaces what is to be written at the end. */
  arm(writes: readonly FileWrite[]): void;
  /** Ends it, and nothing is written. */
  dismiss(): Promise<void>;
}

const NAME = "carpio-lamps";
const BEAT_MS = 1_000;
/** Hundreds of groups keep the program busy for a second; longer than this it hangs. */
const SILENCE_SECONDS = 5;
const RESTART_MS = 1_000;

/** Debian's dash cannot wait for a limited time, and says so; busybox and bash can. */
const SCRIPT = `trap '' HUP INT TERM
(read -t 1 line </dev/null) 2>/dev/null
[ $? = 1 ] && patience='-t ${SILENCE_SECONDS}' || patience=
while IFS= read -r $patience line; do [ "$line" = beat ] || writes=$line; done
[ "$writes" = dismissed ] && exit
printf '%s\\n' "$writes" | tr ';' '\\n' | while read -r path text; do
  printf %s "$text" 2>/dev/null >"$path"
done 2>/dev/null`;

/** Starts a watchdog, and another when one is lost; `onLost` may find lamps that it has set. */
export function openWatchdog(onLost: () => void): Watchdog {
  let writes: readonly FileWrite[] = [];
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
  const restart = () => {
    if (dismissed) return;
    current = start();
    tell();
    onLost();
  };
  const tell = () => {
    current.shell.stdin.write(`${writes.map(({ path, text }) => `${path} ${text}`).join(";")}\n`);
  };
  let current = start();
  const beats = setInterval(() => current.shell.stdin.write("beat\n"), BEAT_MS);

  return {
    arm(wanted) {
      writes = wanted;
      tell();
    },
    async dismiss() {
      dismissed = true;
      clearInterval(beats);
      current.shell.stdin.end("dismissed\n");
      await current.ended;
    },
  };
}
