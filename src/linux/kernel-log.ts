/**
 * The kernel's log: a ring in memory, where a board of an image keeps all its
 * lines, the daemon's and its supervisor's as well.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";

const DEVICE = "/dev/kmsg";
/** A record with all that belongs to it. */
const MOST_RECORD_BYTES = 8 << 10;
/** More than there is room for: who writes while we read does not keep us for ever. */
const MOST_RECORDS = 20_000;

/** All that is still in it, a line each, with the seconds since the start. Rejects with what the kernel said. */
export async function readKernelLog(path = DEVICE): Promise<string> {
  const device = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    let records = "";
    for (let i = 0; i < MOST_RECORDS; i++) {
      const record = await readRecord((buffer) => device.read(buffer, 0, buffer.length, null));
      if (record === undefined) break;
      records += record;
    }
    return linesOf(records);
  } finally {
    await device.close();
  }
}

type Read = (buffer: Buffer) => Promise<{ readonly bytesRead: number }>;

/** One record a time, as the kernel gives them; `undefined` when there are no more now. */
async function readRecord(read: Read): Promise<string | undefined> {
  try {
    const buffer = Buffer.alloc(MOST_RECORD_BYTES);
    const { bytesRead } = await read(buffer);
    return bytesRead === 0 ? undefined : buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN") return undefined;
    // It was overwritten before we came to it: the next one is there.
    if (code === "EPIPE") return "";
    throw error;
  }
}

/** `6,339,5140900,-;text`, and below it lines with a space before them about the device that it is of. */
function linesOf(records: string): string {
  return [...records.matchAll(/^\d+,\d+,(\d+),[^;\n]*;(.*)$/gm)]
    .map(([, micros, text]) => `[${(Number(micros) / 1e6).toFixed(6).padStart(12)}] ${text}\n`)
    .join("");
}
