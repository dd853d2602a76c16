/**
 * The operator's files that go onto a card: those that the configuration names,
 * and then itself. On the board they lie in one folder, and the names in the
 * configuration are to find them there. Knows what a board takes from its card;
 * what a configuration may say at all is src/config's.
 */
import { accessSync, constants, statSync } from "node:fs";
import { dirname, normalize, resolve } from "node:path";
import type { NamedFile } from "../../src/config/named-files.js";
import type { Problem } from "../../src/config/problem.js";
import { systemReason } from "../../src/config/text-file.js";
import { describe } from "../../src/config/values.js";

export interface CardFile {
  readonly from: string;
  /** On the card. */
  readonly name: string;
}

export const CONFIG_NAME = "carpio.toml";

/** Files of this length are left on the card: see `take_files` in board/payload/usr/lib/carpio/system. */
const TOO_MANY_BYTES = 1 << 20;
/** What starts the board is not to be written over, and some of it is left on the card by its ending. */
const OF_THE_START = /\.(bin|dat|dtb|elf|img|sqf)$|^(config|cmdline)\.txt$/i;
/** What is the same name on Linux, in a FAT and for mtools. */
const PLAIN = /^[\w .-]*[\w-]$/;

/** What goes onto the card beside the configuration, or everything that cannot be there as that wants it. */
export function cardFiles(config: string, named: readonly NamedFile[]) {
  const wanted = named.map(({ name, ...place }) => {
    const file = { from: resolve(dirname(config), name), name: normalize(name) };
    return { file, place, name };
  });
  const problems = wanted.flatMap(({ file, place, name }): readonly Problem[] => {
    const fault = faultOf(file, describe(name));
    return fault ? [{ ...place, ...fault }] : [];
  });
  return { beside: wanted.map(({ file }) => file), problems };
}

function faultOf({ from, name }: CardFile, found: string): Pick<Problem, "found" | "wanted"> | undefined {
  if (!PLAIN.test(name)) {
    const wanted = `a plain name of letters, digits, spaces, ".", "-" and "_": on the card it lies beside ${CONFIG_NAME}`;
    return { found, wanted };
  }
  if (OF_THE_START.test(name)) {
    return { found, wanted: "another name: one such as this is of what starts the board" };
  }
  const bytes = sizeOf(from);
  if (typeof bytes === "string") {
    return {
      found: `${found}: ${bytes}`,
      wanted: `a file beside ${CONFIG_NAME}, to go onto the card as well`,
    };
  }
  if (bytes < TOO_MANY_BYTES) return undefined;
  const wanted = `fewer than ${TOO_MANY_BYTES}: a board takes no larger file from its card`;
  return { found: `${found} of ${bytes} bytes`, wanted };
}

/** Or why it cannot be read. */
function sizeOf(path: string): number | string {
  try {
    accessSync(path, constants.R_OK);
    const found = statSync(path);
    return found.isFile() ? found.size : "no file";
  } catch (error) {
    return systemReason(error);
  }
}
