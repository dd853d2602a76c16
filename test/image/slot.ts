/**
 * Cards with two slots, one of which was made worse as a test wants it: its
 * file damaged, or still whole for the base and with another content.
 */
import { execFileSync } from "node:child_process";
import { createHash, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatTrailer } from "../../src/firmware/payload.js";
import { group } from "../emulated/board.js";
import { copyCard, imageOf, putFile, putText, showNotices, takeFile } from "./card.js";

/** Of a board that is alone in its group, and tells all that it knows. */
export function cardWith(directory: string, name: string, spoil: (slot: string) => void): string {
  const card = copyCard(imageOf("virt"), join(directory, `${name}.img`));
  addSlot(card, spoil);
  putText(card, "carpio.toml", [`name = "${name}"`, ...group(), ""].join("\n"));
  showNotices(card);
  return card;
}

/** Slot b becomes what slot a was shipped as, and slot a what `spoil` makes of that. */
export function addSlot(card: string, spoil: (slot: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "carpio-slot-"));
  try {
    const slot = takeFile(card, "slot-a.sqf", directory);
    putFile(card, slot, "slot-b.sqf");
    spoil(slot);
    putFile(card, slot, "slot-a.sqf");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Takes it apart, has the folder of its files changed, and puts it together again; nobody signs it. */
export function remake(slot: string, change: (folder: string) => void): void {
  const folder = `${slot}.d`;
  execFileSync("unsquashfs", ["-quiet", "-no-progress", "-dest", folder, slot], { stdio: "ignore" });
  change(folder);
  const packing = ["-comp", "lz4", "-all-root", "-noappend", "-no-progress", "-quiet"];
  execFileSync("mksquashfs", [folder, slot, ...packing], { stdio: "ignore" });
  rmSync(folder, { recursive: true });
  writeFileSync(slot, seal(readFileSync(slot), "0.0.1"));
}

/** A whole slot of a squashfs; `key` is of the one who signs it. */
export function seal(squashfs: Uint8Array, version: string, key?: KeyObject): Buffer {
  const sha256 = createHash("sha256").update(squashfs).digest("hex");
  return Buffer.concat([squashfs, formatTrailer({ version, size: squashfs.length, sha256 }, key)]);
}

/** With one bit of it the other way. */
export function flipBit(payload: Buffer, at: number): Buffer {
  const flipped = Buffer.from(payload);
  flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
  return flipped;
}
