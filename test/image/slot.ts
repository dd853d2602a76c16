/**
 * A slot's file, from a card, made worse as a test wants it: still whole for
 * the base, with another content.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, rmSync, statSync } from "node:fs";
import { formatTrailer } from "../../src/firmware/payload.js";

/** Takes it apart, has the folder of its files changed, and puts it together again. */
export function remake(slot: string, change: (folder: string) => void): void {
  const folder = `${slot}.d`;
  execFileSync("unsquashfs", ["-quiet", "-no-progress", "-dest", folder, slot], { stdio: "ignore" });
  change(folder);
  const packing = ["-comp", "lz4", "-all-root", "-noappend", "-no-progress", "-quiet"];
  execFileSync("mksquashfs", [folder, slot, ...packing], { stdio: "ignore" });
  rmSync(folder, { recursive: true });
  const size = statSync(slot).size;
  const sha256 = createHash("sha256").update(readFileSync(slot)).digest("hex");
  appendFileSync(slot, formatTrailer({ version: "0.0.1", size, sha256 }));
}
