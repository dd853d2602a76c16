/**
 * A finger on a simulated button: what it writes, `press` and `release` on a
 * line each, is `src/panel/simulated.ts`'s to know.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const DEADLINE_MS = 15_000;
const AGAIN_MS = 20;

/** Waits for the button to be there; the daemon may be about to open it. */
export async function touch(socketPath: string): Promise<Socket> {
  for (const deadlineAt = performance.now() + DEADLINE_MS; ; await sleep(AGAIN_MS)) {
    const finger = connect(socketPath);
    const touched = await new Promise<boolean>((resolve) => {
      finger.once("connect", () => resolve(true));
      finger.once("error", () => resolve(false));
    });
    // The board may go while the finger is on it.
    if (touched) return finger.on("error", () => undefined).resume();
    if (performance.now() > deadlineAt) throw new Error(`no button at ${socketPath}`);
  }
}

/** Presses; resolves when the board has felt it. */
export async function pressDown(finger: Socket): Promise<void> {
  const felt = once(finger, "data", { signal: AbortSignal.timeout(DEADLINE_MS) });
  finger.write("press\n");
  await felt;
}
