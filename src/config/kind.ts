/**
 * The kinds of values that schemas are made of, each with the words for what
 * is wanted. Which key is of which kind, the schemas know.
 */
import * as v from "valibot";
import type { Refuse } from "./notation.js";
import { isTable, type Table } from "./toml.js";
import { alternatives } from "./values.js";

/** A table with these keys. The message of a missing one is what its own schema would say of nothing. */
export function table<E extends v.ObjectEntries>(entries: E) {
  const ofMissing = (issue: v.ObjectIssue) => {
    const missing = entries[String(issue.path?.[0]?.key)];
    return (missing && v.safeParse(missing, undefined).issues?.[0].message) ?? "a table";
  };
  return v.pipe(v.custom<Table>(isTable, "a table"), v.object(entries, ofMissing));
}

export function wholeNumber(from: number, to: number) {
  const wanted = `a whole number from ${from} to ${to}`;
  return v.pipe(v.number(wanted), v.integer(wanted), v.minValue(from, wanted), v.maxValue(to, wanted));
}

export function oneOf<const T extends string>(...options: readonly T[]) {
  return v.picklist(options, alternatives(options));
}

/** A text that `read` understands. */
export function textThat<T>(wanted: string, read: (text: string, refuse: Refuse) => T) {
  const transform = v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
    const refuse = (message: string) => {
      addIssue({ message });
      return NEVER;
    };
    return read(dataset.value, refuse);
  });
  return v.pipe(v.string(wanted), transform);
}
