/**
 * What is wrong, or odd, in a configuration file: where, what was found and
 * what was wanted. Finding it is the business of the files beside this one.
 */
import type { KeyPath } from "./toml-lines.js";

/** One thing that is wrong, or odd, in the file. */
export interface Problem {
  /** 1 is the first line; `undefined` when it is about the whole file. */
  readonly line: number | undefined;
  /** As people write it: `carp[2].advskew`. */
  readonly key: string;
  readonly found: string;
  readonly wanted: string;
}

/** A problem that does not know its line yet. */
export interface Fault {
  readonly path: KeyPath;
  readonly found: string;
  readonly wanted: string;
}
