/**
 * The records of a card, which lie before its partition: where each of them is,
 * as scripts/firmware/card.mjs lays them out, and what they say, to carpio's own
 * code and to the base's.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type BootRecord, formatRecord } from "../../src/firmware/boot-record.js";
import { openRecord } from "../../src/firmware/card.js";
import { encodeSlot, SLOT_BYTES } from "../../src/slot.js";
import { openState } from "../../src/state.js";

export const PLACES = {
  "state-a": 256 << 10,
  "state-b": 384 << 10,
  "slots-a": 512 << 10,
  "slots-b": 640 << 10,
} as const;
/** Before the partition: all that is read here. */
export const RECORDS_END = 1 << 20;
const base = join(import.meta.dirname, "../../../board/base");

/** The part of a card that has its records. */
export function readRecordsPart(card: string): Buffer {
  const part = Buffer.alloc(RECORDS_END);
  const handle = openSync(card, "r");
  readSync(handle, part, 0, part.length, 0);
  closeSync(handle);
  return part;
}

/** As if the board had a past. */
export function putRecord(card: string, record: BootRecord): void {
  const handle = openSync(card, "r+");
  writeSync(
    handle,
    encodeSlot({ sequence: 1, text: formatRecord(record) }),
    0,
    SLOT_BYTES,
    PLACES["slots-a"],
  );
  closeSync(handle);
}

/** What a board would find on such a card: whether it is to stand aside, and which slot is started. */
export interface Found {
  readonly maintenance: boolean | undefined;
  readonly slots: string;
}

/** Carpio's own code reads files, as the base shows them; they are left in `folder`. */
export async function findRecords(part: Buffer, folder: string): Promise<Found> {
  layOut(part, folder);
  const wish = await openState(folder).read();
  return { maintenance: wish?.maintenance, slots: formatRecord(await openRecord(folder).read()) };
}

/** The same, of the base's own programs: the slots as it reads them, and as it would then start. */
export function askBase(part: Buffer, folder: string): { readonly slots: string; readonly next: string } {
  layOut(part, folder);
  const applets = join(folder, "applets");
  if (mkdirSync(applets, { recursive: true }) !== undefined) {
    execFileSync("busybox", ["--install", "-s", applets]);
  }
  const script = `
    . "$0/slots"
    parse_choice "$(busybox sh "$0/record" read slots-a slots-b)"
    format_choice
    begin
    echo $next`;
  const said = execFileSync("busybox", ["sh", "-c", script, base], {
    encoding: "utf8",
    cwd: folder,
    env: { PATH: `${applets}:${process.env["PATH"]}` },
  });
  const [slots = "", next = ""] = said.split("\n");
  return { slots, next };
}

function layOut(part: Buffer, folder: string): void {
  for (const [name, at] of Object.entries(PLACES)) {
    writeFileSync(join(folder, name), part.subarray(at, at + SLOT_BYTES));
  }
}
