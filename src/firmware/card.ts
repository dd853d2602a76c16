/**
 * The card that a board was started from: where it is, which slot runs, and the
 * record of which is started next. The base leaves word of all three, as
 * boot-record.ts says.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { withMounted } from "../linux/mount.js";
import { systemDirectory } from "../runtime.js";
import { openSlotFiles, type SlotFiles } from "../slot-files.js";
import type { SlotSnapshot } from "../status/snapshot.js";
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
  /** The slot that runs need not prove itself any more: nobody gives it up. */
  endTrial(): void;
}

export const USUAL_FOLDER = "/boot/carpio";
/** Sectors of the card's, each as a file of the base's. */
export const RECORDS = "/run/records";
/** In the system's directory: the letter of the slot that runs. */
const RUNNING = "slot";
/** There until that slot has proven itself. */
const TRIAL = "trial";

/** A device that the base has left word of is mounted for each use; else the folder is the card, as somebody mounted it. */
export function findCard(folder: string = USUAL_FOLDER, runtime: string = systemDirectory()): Card {
  const device = readWord(join(runtime, "card"));
  const running = runningIn(runtime);
  const endTrial = () => rmSync(join(runtime, TRIAL), { force: true });
  if (device) {
    const use: Card["use"] = (work) => withMounted(device, join(runtime, "card-"), work);
    return { name: device, running, record: openRecord(RECORDS), use, endTrial };
  }
  const use: Card["use"] = (work) => work(folder);
  return { name: resolve(folder), running, record: openRecord(folder), use, endTrial };
}

/** For the snapshot: looks each time whether the trial has ended. Finds `null` where no base has started this system. */
export function watchSlot(runtime: string = systemDirectory()): () => SlotSnapshot | null {
  const name = runningIn(runtime);
  return () => (name === undefined ? null : { name, onTrial: existsSync(join(runtime, TRIAL)) });
}

/** `undefined` where no base has started this system. */
export function runningIn(runtime: string): SlotName | undefined {
  const letter = readWord(join(runtime, RUNNING));
  return SLOT_NAMES.find((name) => name === letter);
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
