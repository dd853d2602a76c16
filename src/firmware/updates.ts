/**
 * Payloads that come over HTTP, on their way to `carpio update`, which runs as a
 * service: it may mount the card, which the daemon may not, and it may take its
 * time, which the daemon has not. Two FIFOs lie between them; the service reads
 * a payload from one and says in the other how far it is, a line of JSON each time.
 */
import { closeSync, constants, openSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { systemReason } from "../config/text-file.js";
import { systemDirectory } from "../runtime.js";
import { UPDATE_SILENCE_MS, type UpdateSnapshot, type Updates } from "../status/update.js";
import { runningIn } from "./card.js";
import { MOST_BYTES } from "./payload.js";
import { PAYLOADS, PROGRESS } from "./plan.js";
import type { UpdateLine } from "./slot-commands.js";

/** The service of the last update has just ended, and the next one starts; or the board has just started. */
const READY_MS = 5_000;
const LOOK_MS = 50;

export interface UpdatesOptions {
  /** Hears how each of them has ended. */
  readonly onEnd: (end: UpdateSnapshot) => void;
  readonly runtime?: string;
  readonly silenceMs?: number;
}

/** `undefined` on a computer that no base has started. */
export function openUpdates({
  onEnd,
  runtime = systemDirectory(),
  silenceMs = UPDATE_SILENCE_MS,
}: UpdatesOptions): Updates | undefined {
  if (runningIn(runtime) === undefined) return undefined;
  let now: UpdateSnapshot = { state: "none" };
  let busy = false;

  const pass = async (payload: IncomingMessage, ofBytes: number | null): Promise<UpdateSnapshot> => {
    now = { state: "writing", bytes: 0, ofBytes };
    const [said, sink] = await openPipes(runtime);
    const lines = createInterface({ input: said });
    let end: UpdateSnapshot = { state: "failed", error: "the update service ended without a word" };
    const giveUp = () => {
      end = { state: "failed", error: `the update service has said nothing for ${silenceMs / 1000} s` };
      sink.destroy();
      lines.close();
    };
    const silence = setTimeout(giveUp, silenceMs);
    try {
      // Whatever ends it early: what is yet to come is read and thrown away, so that the answer is heard.
      sink.on("error", () => {});
      sink.once("close", () => payload.unpipe(sink).resume());
      payload.once("close", () => sink.end());
      // A client may be slow. Nothing more flows to a service that takes nothing.
      payload.on("data", () => silence.refresh());
      payload.pipe(sink);
      // While nobody listened the client may have gone.
      if (payload.destroyed) sink.end();
      for await (const line of lines) {
        silence.refresh();
        const read = readLine(line, ofBytes);
        if (read.state !== "done" && read.state !== "failed") now = read;
        else {
          end = read;
          // It may have more to throw away, and says nothing of that.
          clearTimeout(silence);
        }
      }
      if (!payload.complete && !payload.destroyed) await drained(payload);
      return end;
    } finally {
      clearTimeout(silence);
      said.destroy();
      sink.destroy();
    }
  };

  return {
    mostBytes: MOST_BYTES,
    snapshot: () => now,
    take(payload, ofBytes) {
      if (busy) return undefined;
      busy = true;
      return pass(payload, ofBytes)
        .catch((error: Error): UpdateSnapshot => ({ state: "failed", error: error.message }))
        .then((end) => {
          busy = false;
          now = end;
          onEnd(end);
          return end;
        });
    },
  };
}

/** The reading end first: nobody may speak into a pipe that nobody hears. */
async function openPipes(runtime: string): Promise<readonly [Socket, Socket]> {
  const until = performance.now() + READY_MS;
  for (;;) {
    const heard = openPipe(join(runtime, PROGRESS), constants.O_RDONLY);
    const spoken = typeof heard === "number" ? openPipe(join(runtime, PAYLOADS), constants.O_WRONLY) : heard;
    if (typeof heard === "number" && typeof spoken === "number") {
      return [
        new Socket({ fd: heard, readable: true, writable: false }),
        new Socket({ fd: spoken, readable: false, writable: true }),
      ];
    }
    if (typeof heard === "number") closeSync(heard);
    if (performance.now() > until) throw new Error(`the update service does not listen: ${spoken}`);
    await sleep(LOOK_MS);
  }
}

/** At once, or why not: no end of a pipe waits for the other. */
function openPipe(path: string, flags: number): number | string {
  try {
    return openSync(path, flags | constants.O_NONBLOCK);
  } catch (error) {
    return `${path}: ${systemReason(error)}`;
  }
}

function drained(payload: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    payload.once("close", resolve);
    payload.once("end", resolve);
    payload.resume();
  });
}

function readLine(line: string, ofBytes: number | null): UpdateSnapshot {
  try {
    const said = JSON.parse(line) as UpdateLine;
    if ("error" in said) return { state: "failed", error: said.error };
    if ("updated" in said) return { state: "done", ...said.updated };
    return { state: said.step, bytes: said.bytes, ofBytes };
  } catch {
    return { state: "failed", error: `the update service said ${JSON.stringify(line.slice(0, 200))}` };
  }
}
