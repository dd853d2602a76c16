/**
 * A shell that sets the lamps when this program no longer can: it ends when our
 * end of a pipe closes, as the kernel sees to however we die, or, where the
 * shell can wait for a limited time, when we have been silent for too long.
 * Without it the lamps would go on saying what was true when we died.
 */
import { openDeadMan } from "../linux/dead-man.js";
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
  const shell = openDeadMan({ name: NAME, script: SCRIPT, restartMs: RESTART_MS, onRestart: onLost });
  const beats = setInterval(() => shell.say("beat"), BEAT_MS);
  return {
    arm: (writes) => shell.arm(writes.map(({ path, text }) => `${path} ${text}`).join(";")),
    async dismiss() {
      clearInterval(beats);
      await shell.dismiss();
    },
  };
}
