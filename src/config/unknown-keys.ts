/**
 * Keys that mean nothing where they stand, and which one was probably meant.
 * Knows the names of the keys only; their values are others' business.
 */
import type { Fault } from "./problem.js";
import { isTable } from "./toml.js";
import type { KeyPath } from "./toml-lines.js";

/** The keys of every table, by its header. */
export type Tables = { readonly [header: string]: readonly string[] };

/** Headers with two brackets. */
const LISTS = ["carp", "hook", "network.interface"];

export function unknownKeys(value: unknown, tables: Tables, path: KeyPath = []): Fault[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => unknownKeys(item, tables, [...path, i]));
  const header = path.filter((part) => typeof part === "string").join(".");
  const known = tables[header];
  if (!isTable(value) || !known) return [];

  return Object.entries(value).flatMap(([key, inner]) => {
    if (known.includes(key)) return unknownKeys(inner, tables, [...path, key]);
    return [
      { path: [...path, key], found: "a key that means nothing here", wanted: meant(key, known, tables) },
    ];
  });
}

/** Keys below a header belong to it, so a key is often right but for its place. */
function meant(key: string, known: readonly string[], tables: Tables): string {
  const elsewhere = Object.keys(tables).filter((header) => tables[header]?.includes(key));
  if (elsewhere.length > 0) return `it ${elsewhere.map(placeOf).join(" or ")}`;

  const near = known.map((name) => ({ name, letters: distance(key.toLowerCase(), name) }));
  const [nearest] = near.filter(({ letters }) => letters <= 2).sort((a, b) => a.letters - b.letters);
  return nearest?.name ?? `one of ${known.join(", ")}`;
}

function placeOf(header: string): string {
  if (header === "") return "above the first table";
  return LISTS.includes(header) ? `in [[${header}]]` : `in [${header}]`;
}

/** How many letters to add, leave out or change (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
