/**
 * The card that a board was started from: where it is, and which slot runs. The
 * base leaves both in the run-time directory, as boot-record.ts says.
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
  /** What is done with its folder is on the card when this resolves, and the card may be pulled again. */
  use<T>(work: (folder: string) => Promise<T>): Promise<T>;
}

export const USUAL_FOLDER = "/boot/carpio";

/** A device that the base has left word of is mounted for each use; else the folder is the card, as somebody mounted it. */
export function findCard(folder: string = USUAL_FOLDER, runtime: string = runtimeDirectory()): Card {
  const [device, letter] = ["card", "slot"].map((name) => readWord(join(runtime, name)));
  const running = SLOT_NAMES.find((name) => name === letter);
  if (device) {
    return { name: device, running, use: (work) => withMounted(device, join(runtime, "card-"), work) };
  }
  return { name: resolve(folder), running, use: (work) => work(folder) };
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
  const files: SlotFiles = openSlotFiles([join(folder, "slot.0"), join(folder, "slot.1")]);
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
