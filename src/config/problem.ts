/**
 * What is wrong, or odd, in a configuration file: where, what was found and
 * what was wanted. Finding it is the business of the files beside this one.
 */
import type { KeyPath } from "./toml-lines.js";

/** One thing that is wrong, or odd, in the file. */
export interface Problem {
  /** When it is another file than the one that was asked about. */
  readonly file?: string;
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

/** One line: `carpio.toml:7: carp[0].vhid: found 300, wanted a whole number from 1 to 255`. */
export function describeProblem(path: string, { file = path, line, key, found, wanted }: Problem): string {
  const place = line === undefined ? file : `${file}:${line}`;
  const about = key === "" || key === file ? "" : `${key}: `;
  return `${place}: ${about}found ${found}, wanted ${wanted}`;
}
