/**
 * A shell that outlives this program: it waits for our end of a pipe to close,
 * as the kernel sees to however we die, and acts then on the last line that it
 * was armed with. What the line means, its script knows.
 *
 * It lives in a session of its own, and another takes its place when it is lost.
 */
import { startBeside } from "./beside.js";

export interface DeadMan {
  readonly pid: number | undefined;
  /** What is to be done at the end, in place of what was before. */
  arm(line: string): void;
  /** Says something that is not kept for the next shell. */
  say(line: string): void;
  /** Ends it with the line `dismissed`, at which its script does nothing. */
  dismiss(): Promise<void>;
}

export interface DeadManOptions {
  /** A word in its command line. */
  readonly name: string;
  readonly script: string;
  readonly restartMs: number;
  /** Another has taken the place of one that was lost, and is armed. */
  readonly onRestart: () => void;
}

export function openDeadMan({ name, script, restartMs, onRestart }: DeadManOptions): DeadMan {
  let armed = "";
  let dismissed = false;

  const start = () => {
    const shell = startBeside(["sh", "-c", script, name], ["pipe", "ignore", "ignore"]);
    shell.ended.then(() => {
      if (!dismissed) setTimeout(restart, restartMs);
    });
    return shell;
  };
  let current = start();
  const say = (line: string): void => void current.child?.stdin?.write(`${line}\n`);
  const restart = () => {
    if (dismissed) return;
    current = start();
    if (!current.child) return;
    say(armed);
    onRestart();
  };

  return {
    get pid() {
      return current.child?.pid;
    },
    arm(line) {
      armed = line;
      say(line);
    },
    say,
    async dismiss() {
      dismissed = true;
      current.child?.stdin?.end("dismissed\n");
      await current.ended;
    },
  };
}
