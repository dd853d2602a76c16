/**
 * A router's rules as people write them on their computers, with the files beside them that
 * they include by name. What nft makes of them is its own affair.
 */
import { dirname, join } from "node:path";
import { readText } from "../config/text-file.js";
import type { Rules } from "./plan.js";

export interface ReadRules extends Rules {
  /** The names of those that cannot be read. Nft complains of one, unless it is a pattern. */
  readonly missing: readonly string[];
}

/** Or why there are none. */
export function readRules(path: string): ReadRules | { readonly found: string } {
  const rules = readLines(path);
  if ("found" in rules) return rules;
  const folder = dirname(path);
  const included = new Map<string, string>();
  const missing = new Set<string>();
  const names = includedBy(rules.text);
  for (const name of names) {
    if (included.has(name)) continue;
    const read = readLines(join(folder, name));
    if ("found" in read) missing.add(name);
    else {
      included.set(name, read.text);
      names.push(...includedBy(read.text));
    }
  }
  return { text: rules.text, folder, included, missing: [...missing] };
}

/** To nft the end of a line is one character alone. */
function readLines(path: string): { readonly text: string } | { readonly found: string } {
  const read = readText(path);
  return "found" in read ? read : { text: read.text.replace(/^\ufeff/, "").replaceAll("\r\n", "\n") };
}

function includedBy(rules: string): string[] {
  return [...rules.matchAll(/\binclude\s+"([^"/]+)"/g)].map(([, name = ""]) => name);
}
