/**
 * The operator's files that go onto a card beside the configuration: those that
 * it names, and those that the rules it names include. On the board they lie in
 * one folder, and the names are to find them there. Knows what a board takes
 * from its card; what a configuration may say at all is src/config's.
 */
import { accessSync, constants, statSync } from "node:fs";
import { dirname, normalize, resolve } from "node:path";
import type { NamedFile } from "../../src/config/named-files.js";
import type { Problem } from "../../src/config/problem.js";
import { systemReason } from "../../src/config/text-file.js";
import { describe } from "../../src/config/values.js";
import { readRules } from "../../src/firmware/rules.js";

export interface CardFile {
  readonly from: string;
  /** On the card. */
  readonly name: string;
}

type Refusal = Pick<Problem, "found" | "wanted">;

export const CONFIG_NAME = "carpio.toml";

/** The key whose file may include others. */
const RULES = "router.nftables";
/** Files of this length are left on the card: see `take_files` in board/payload/usr/lib/carpio/system. */
const TOO_MANY_BYTES = 1 << 20;
/** What starts the board is not to be written over, and some of it is left on the card by its ending. */
const OF_THE_START = /\.(bin|dat|dtb|elf|img|sqf)$|^(config|cmdline)\.txt$/i;
/** What a board looks for there, or writes. */
const OF_THE_BOARD = /^(carpio\.toml(\.txt)?|carpio-errors\.txt|ssh_host_key(\.new)?)$/i;
/** What is the same name on Linux, in a FAT and for mtools. */
const PLAIN = /^[\w .-]*[\w-]$/;

/** What goes onto the card beside the configuration, or everything that cannot be there as that wants it. */
export function cardFiles(config: string, named: readonly NamedFile[]) {
  const folder = dirname(config);
  const all = named.flatMap(({ name, ...place }) => {
    const names = place.key === RULES ? [name, ...includedBy(resolve(folder, name))] : [name];
    return names.map((each) => ({ name: each, place }));
  });
  const beside: CardFile[] = [];
  const problems: Problem[] = [];
  for (const { name, place } of all) {
    const file = { from: resolve(folder, name), name: normalize(name) };
    // To a FAT capitals are the same, and the last one would be all that is there.
    const twin = beside.find((each) => each.name.toLowerCase() === file.name.toLowerCase());
    const fault = faultOf(file, describe(name)) ?? (twin && mistaken(file, twin));
    if (fault) problems.push({ ...place, ...fault });
    else if (!twin) beside.push(file);
  }
  return { beside, problems };
}

/** By name alone, and so beside the rules, which are beside the configuration. */
function includedBy(path: string): readonly string[] {
  const rules = readRules(path);
  return "found" in rules ? [] : [...rules.included.keys(), ...rules.missing];
}

/** Unless it is the same file, named twice. */
function mistaken({ from, name }: CardFile, other: CardFile): Refusal | undefined {
  if (other.from === from) return undefined;
  return {
    found: describe(name),
    wanted: `another name: a card cannot tell it from ${describe(other.name)}`,
  };
}

function faultOf({ from, name }: CardFile, found: string): Refusal | undefined {
  if (!PLAIN.test(name)) {
    const wanted = `a plain name of letters, digits, spaces, ".", "-" and "_": on the card it lies beside ${CONFIG_NAME}`;
    return { found, wanted };
  }
  if (OF_THE_START.test(name)) {
    return { found, wanted: "another name: one such as this is of what starts the board" };
  }
  if (OF_THE_BOARD.test(name)) return { found, wanted: "another name: this one is the board's own" };
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
