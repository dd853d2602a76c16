/**
 * Tells whoever keeps this program that it is alive: a line into the FIFO that
 * `$CARPIO_HEARTBEAT` names, every two seconds, from the loop that also sends
 * advertisements. One that hangs says nothing.
 *
 *   alive [WHY]         it runs, and is not ready: why, in words
 *   ready URL           it also does what it is configured to; its status is there
 *   ready -             the same, and the configuration wants no status
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";

export interface Heartbeat {
  stop(): void;
}

const EVERY_MS = 2_000;
/** In characters. A FIFO takes a line of 4096 bytes whole, whoever else writes. */
const LONGEST = 1_000;

/** `say` answers with the line of the moment. Without the variable there is nobody to tell. */
export function beat(say: () => string, fifo = process.env["CARPIO_HEARTBEAT"]): Heartbeat {
  if (!fifo) return { stop() {} };
  const tell = () => tellOnce(fifo, `${asOneLine(say()).slice(0, LONGEST)}\n`);
  const timer = setInterval(tell, EVERY_MS);
  timer.unref();
  tell();
  return { stop: () => clearInterval(timer) };
}

/** A reason of several lines, as a refused addon has, would be as many beats to whoever reads. */
function asOneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}

/** Nobody may be reading, or too slowly: that is not this program's trouble. */
function tellOnce(fifo: string, line: string): void {
  try {
    const handle = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(handle, line);
    } finally {
      closeSync(handle);
    }
  } catch {}
}
