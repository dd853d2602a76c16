/**
 * The commands about slots, `carpio update` and `carpio slot`: what they do, and
 * what they print. How arguments are read is for the command line.
 */
import { createPublicKey } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { readText, systemReason } from "../config/text-file.js";
import { takeLock } from "../runtime.js";
import { RUNNING_FAULTS, type RunningFault, SLOT_NAMES, type SlotName } from "./boot-record.js";
import type { Card } from "./card.js";
import type { Trust } from "./payload.js";
import { chooseSlot, giveUpRunning, proveRunning, slotTable, viewSlots } from "./slots.js";
import { CHUNK_BYTES, judgeFile, type Updated, type UpdateStep, update } from "./update.js";

/** Made with the image; who has the other half of it can make payloads for its boards. */
export const UPDATE_KEY = "/etc/carpio/update.pub";

export type SlotOrder = SlotName | "good" | RunningFault;

export interface UpdateOrder {
  /** `-` is standard input. */
  readonly file: string;
  readonly card: Card;
  readonly unsigned: boolean;
  /** A line of JSON for each step, and one for the end: another program reads it. */
  readonly json: boolean;
}

export interface UpdateIo {
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  readonly isTerminal: boolean;
}

/** A line of what `--json` prints. The last one has `updated` or `error`. */
export type UpdateLine =
  | { readonly step: UpdateStep; readonly bytes: number; readonly ofBytes: number | null }
  | { readonly updated: Updated }
  | { readonly error: string };

/** The command. Answers whether the payload is in its slot. */
export async function runUpdate(order: UpdateOrder, io: UpdateIo): Promise<boolean> {
  const print = order.json ? (line: UpdateLine) => io.write(`${JSON.stringify(line)}\n`) : printerFor(io);
  try {
    print({ updated: await updateAlone(order, print) });
    return true;
  } catch (error) {
    print({ error: error instanceof Error ? error.message : String(error) });
    return false;
  }
}

/** One update goes on at a time. */
async function updateAlone(
  { file, card, unsigned }: UpdateOrder,
  print: (line: UpdateLine) => void,
): Promise<Updated> {
  const trust = readTrust(unsigned);
  const lock = await takeLock(`carpio-update ${card.name}`);
  if ("heldBy" in lock) throw new Error(`another update goes on, as ${lock.heldBy}`);
  try {
    const ofBytes = file === "-" ? null : sizeOf(file);
    if (file !== "-") await judgeFile(file, trust);
    const source = file === "-" ? process.stdin : createReadStream(file, { highWaterMark: CHUNK_BYTES });
    let said = 0;
    return await update(card, source as AsyncIterable<Buffer>, trust, (step, bytes) => {
      if (bytes > said && bytes - said < CHUNK_BYTES) return;
      said = bytes;
      print({ step, bytes, ofBytes });
    });
  } finally {
    lock.release();
  }
}

/** What somebody at a terminal wants to see, or reads in a log later. */
function printerFor({ write, writeError, isTerminal }: UpdateIo): (line: UpdateLine) => void {
  return (line) => {
    if ("error" in line) return writeError(`carpio: update: ${line.error}\n`);
    if ("step" in line) {
      const of = line.ofBytes === null ? "" : ` of ${inMegabytes(line.ofBytes)}`;
      if (isTerminal) writeError(`${line.step} ${inMegabytes(line.bytes)}${of} MB    \r`);
      return;
    }
    const { version, slot, bytes } = line.updated;
    write(
      `version ${version}, ${inMegabytes(bytes)} MB, is in slot ${slot} and started next; until it has proven itself, the running one stays at hand\n`,
    );
  };
}

function inMegabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/**
 * `a` or `b`: that one is started next; `good`, or what is wrong: the one that
 * runs has proven itself, or failed; nothing: how both stand. Answers with what to print.
 */
export async function orderSlot(order: SlotOrder | undefined, card: Card): Promise<string> {
  if (order === undefined) return slotTable(await viewSlots(card));
  if (order === "a" || order === "b") {
    await chooseSlot(card, order);
    return slotTable(await viewSlots(card));
  }
  // It would be a pity to mount a card for these.
  if (order === "good") return `slot ${await proveRunning(card)} is good\n`;
  return `slot ${await giveUpRunning(card, order)} is given up\n`;
}

const ORDERS: readonly SlotOrder[] = [...SLOT_NAMES, "good", ...RUNNING_FAULTS];

export function readSlotOrder(text: string): SlotOrder | undefined {
  return ORDERS.find((order) => order === text);
}

/** Whose payloads this board takes. Throws a sentence when it can take none. */
export function readTrust(unsigned: boolean, path = UPDATE_KEY): Trust {
  if (unsigned) return "unsigned";
  const read = readText(path);
  if ("found" in read) {
    throw new Error(
      `${path}: found ${read.found}, wanted the key of those who make payloads, or [update] unsigned = true`,
    );
  }
  try {
    const key = createPublicKey(read.text);
    if (key.asymmetricKeyType === "ed25519") return { key };
  } catch {
    // It is no key, and so not one that we want.
  }
  throw new Error(`${path}: found something else, wanted an Ed25519 public key in PEM`);
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    throw new Error(`${file}: ${systemReason(error)}`);
  }
}
