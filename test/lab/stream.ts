/**
 * A TCP connection that is never idle, for two hosts of the lab:
 *
 *   node stream.js echo PORT              sends back whatever comes
 *   node stream.js talk ADDRESS PORT      sends numbered bytes, and reads them again
 *
 * The talker says `returned N` now and then, when more has come back. SIGTERM makes it
 * wait for the rest and say how it went, as JSON: `Stream`. A byte that is not
 * the one that was due, or a connection that breaks, is an error.
 */
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { now } from "./child.js";

export interface Stream {
  readonly sentBytes: number;
  readonly returnedBytes: number;
  /** Between two arrivals of something. */
  readonly longestSilenceMs: number;
}

const EVERY_MS = 2;
const SAY_EVERY_MS = 100;
const WORDS = 64;

const [, , role, ...rest] = process.argv;
if (role === "echo") echo(Number(rest[0]));
else await talk(rest[0] ?? "", Number(rest[1]));

function echo(port: number): void {
  createServer((socket) => {
    socket.setNoDelay();
    socket.pipe(socket);
  }).listen(port, () => console.log("listening"));
}

async function talk(host: string, port: number): Promise<void> {
  const socket = connect({ host, port, noDelay: true });
  let sentBytes = 0;
  let returnedBytes = 0;
  let longestSilenceMs = 0;
  let heardAt = now();
  let saidAt = 0;
  let isOver = false;
  const ended = new Promise<void>((resolve, reject) => {
    socket.once("end", resolve);
    socket.once("error", reject);
  });
  socket.on("data", (bytes) => {
    for (const byte of bytes as Buffer) {
      if (byte !== dueAt(returnedBytes))
        throw new Error(`byte ${returnedBytes} is not the one that was sent`);
      returnedBytes++;
    }
    if (now() > saidAt + SAY_EVERY_MS) {
      saidAt = now();
      console.log(`returned ${returnedBytes}`);
    }
    longestSilenceMs = Math.max(longestSilenceMs, now() - heardAt);
    heardAt = now();
  });
  process.once("SIGTERM", () => {
    isOver = true;
  });
  while (!isOver) {
    socket.write(numbered(sentBytes));
    sentBytes += 4 * WORDS;
    await Promise.race([sleep(EVERY_MS), ended]);
  }
  socket.end();
  await ended;
  const result: Stream = { sentBytes, returnedBytes, longestSilenceMs };
  console.log(JSON.stringify(result));
}

/** Counts words of four bytes, the high byte first. */
function numbered(fromByte: number): Buffer {
  const bytes = Buffer.alloc(4 * WORDS);
  for (let i = 0; i < WORDS; i++) bytes.writeUInt32BE(fromByte / 4 + i, 4 * i);
  return bytes;
}

function dueAt(index: number): number {
  return (Math.floor(index / 4) >>> (8 * (3 - (index % 4)))) & 0xff;
}
