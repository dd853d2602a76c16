/**
 * The card that a board was started from: where it is, which slot runs, and the
 * record of which is started next. The base leaves word of all three, as
 * boot-record.ts says.
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { withMounted } from "../linux/mount.js";
import { runtimeDirectory } from "../runtime.js";
import { openSlotFiles, type SlotFiles } from "../slot-files.js";
import { type BootRecord, formatRecord, parseRecord, SLOT_NAMES, type SlotName } from "./boot-record.js";

export interface Card {
  /** What tells it from others. */
  readonly name: string;
  /** `undefined` where no base has started this system. */
  readonly running: SlotName | undefined;
  /** Which slot is started. Needs no mounted card. */
  readonly record: RecordFiles;
  /** What is done with its folder is on the card when this resolves, and the card may be pulled again. */
  use<T>(work: (folder: string) => Promise<T>): Promise<T>;
}

export const USUAL_FOLDER = "/boot/carpio";
/** Sectors of the card's, each as a file of the base's. */
export const RECORDS = "/run/records";

/** A device that the base has left word of is mounted for each use; else the folder is the card, as somebody mounted it. */
export function findCard(folder: string = USUAL_FOLDER, runtime: string = runtimeDirectory()): Card {
  const [device, letter] = ["card", "slot"].map((name) => readWord(join(runtime, name)));
  const running = SLOT_NAMES.find((name) => name === letter);
  if (device) {
    const use: Card["use"] = (work) => withMounted(device, join(runtime, "card-"), work);
    return { name: device, running, record: openRecord(RECORDS), use };
  }
  return { name: resolve(folder), running, record: openRecord(folder), use: (work) => work(folder) };
}

export function slotFile(folder: string, name: SlotName): string {
  return join(folder, `slot-${name}.sqf`);
}

/** The record of which slot is started. */
export interface RecordFiles {
  read(): Promise<BootRecord>;
  write(record: BootRecord): Promise<void>;
}

export function openRecord(folder: string): RecordFiles {
  const files: SlotFiles = openSlotFiles([join(folder, "slots-a"), join(folder, "slots-b")]);
  return {
    read: async () => parseRecord((await files.read()) ?? ""),
    write: (record) => files.write(formatRecord(record)),
  };
}

function readWord(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
