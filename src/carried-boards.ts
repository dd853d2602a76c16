/**
 * The boards this program knows: here those in board/, for programs that run
 * from build/. In the bundle rollup.config.js puts a module with the same
 * exports in this one's place, with the texts in it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";

export interface CarriedBoard {
  /** Of its folder, which is how a configuration names it. */
  readonly name: string;
  /** Its board.toml. */
  readonly text: string;
}

const folder = new URL("../../board/", import.meta.url);

export const carriedBoards: readonly CarriedBoard[] = existsSync(folder)
  ? readdirSync(folder).sort().flatMap(inFolder)
  : [];

function inFolder(name: string): readonly CarriedBoard[] {
  const file = new URL(`${name}/board.toml`, folder);
  return existsSync(file) ? [{ name, text: readFileSync(file, "utf8") }] : [];
}
