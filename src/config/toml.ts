/**
 * TOML text: the values in it, or where it is not TOML and what to write there
 * instead. What the keys mean is for others, and so is where they stand.
 */
import { parse, TomlError } from "smol-toml";
import type { Problem } from "./problem.js";

export type Table = { readonly [key: string]: unknown };

/** What was read, and the text as it was read; no table when the text could not be. */
export interface Source {
  readonly table: Table | undefined;
  readonly text: string;
  readonly problems: readonly Problem[];
}

/** Far above any real file, so that a wrong one cannot keep us busy. */
const TEXT_CHARACTERS_MAX = 1 << 20;
const REPAIRS_MAX = 100;
const tooLong: Problem = {
  line: undefined,
  key: "",
  found: "more than a million characters",
  wanted: "a configuration file in TOML",
};

/** What word processors and web pages put in the place of what TOML wants. */
const LOOKALIKES = [
  { looks: /[\u201c-\u201f\u2033]/g, name: "a curly quote", plain: '"', wanted: 'a straight quote "' },
  { looks: /[\u2018-\u201b\u2032]/g, name: "a curly quote", plain: "'", wanted: "a straight quote '" },
  { looks: /[\u00a0\u2007\u202f\u3000]/g, name: "an odd space", plain: " ", wanted: "a plain space" },
] as const;

/** Reads TOML. Lookalikes are reported and read as what they look like, so that other problems show too. */
export function readToml(original: string): Source {
  const problems: Problem[] = [];
  let text = original.replace(/^\ufeff/, "");
  if (text.length > TEXT_CHARACTERS_MAX) return { table: undefined, text, problems: [tooLong] };
  for (;;) {
    try {
      return { table: parse(text), text, problems };
    } catch (error) {
      const repair = problems.length < REPAIRS_MAX ? withoutLookalikes(text, error) : undefined;
      if (!repair) return { table: undefined, text, problems: [...problems, syntaxProblem(text, error)] };
      problems.push(repair.problem);
      text = repair.text;
    }
  }
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function withoutLookalikes(text: string, error: unknown) {
  if (!(error instanceof TomlError)) return undefined;
  const lines = text.split("\n");
  const line = lines[error.line - 1] ?? "";
  const at = isUnclosedText(line, error) ? line.search(/[\u2018-\u201f\u2032\u2033]/) : error.column - 1;
  const character = line.charAt(at);
  const kind = LOOKALIKES.find(({ looks }) => character.search(looks) === 0);
  if (!kind) return undefined;

  lines[error.line - 1] = LOOKALIKES.reduce((plain, { looks, plain: by }) => plain.replace(looks, by), line);
  const found = `${kind.name} ${codePoint(character)}`;
  return {
    text: lines.join("\n"),
    problem: { line: error.line, key: keyOn(line), found, wanted: kind.wanted },
  };
}

const SYNTAX_HINTS: readonly (readonly [RegExp, string])[] = [
  [/redefine/, "each key and table once; [[carp]], with two brackets, begins another group"],
  [/end-of-line/, "one key = value to a line"],
  [/control characters/, "printable characters"],
  [/escape/, "\\\\ for a backslash, or 'single quotes' around the text"],
  [/comma|unfinished array|unfinished table/, "a comma between values, and a closing bracket"],
  [/key/, "key = value, [table] or [[carp]]"],
  [
    /value|literal|leading zero|underscore|integer|date/,
    'a value: "text", a number, true, false or a [list]',
  ],
];

/** The reader's own message quotes the text around the error, where a password may be. */
function syntaxProblem(text: string, error: unknown): Problem {
  if (!(error instanceof TomlError)) return { ...tooLong, found: "text that is not TOML" };
  const line = text.split("\n")[error.line - 1] ?? "";
  const place = { line: error.line, key: keyOn(line) };
  if (isUnclosedText(line, error)) {
    return { ...place, found: "a text without its closing quote", wanted: "the same quote at both ends" };
  }
  const said = reasonOf(error);
  const character = line.charAt(error.column - 1);
  const shown = /[^\0-\x7f\p{L}]/u.test(character) ? ` ${codePoint(character)}` : "";
  const wanted = SYNTAX_HINTS.find(([message]) => message.test(said))?.[1] ?? "TOML";
  return { ...place, found: `an error in column ${error.column}${shown} (${said})`, wanted };
}

/** A text on one line that runs into the end of the line, or of the file. */
function isUnclosedText(line: string, error: TomlError): boolean {
  if (reasonOf(error) === "unfinished string") return true;
  return /strings$/.test(reasonOf(error)) && line.slice(error.column - 1).trim() === "";
}

function reasonOf(error: TomlError): string {
  return /^Invalid TOML document: ([^\n]*)/.exec(error.message)?.[1] ?? "not TOML";
}

function keyOn(line: string): string {
  return /^\s*([A-Za-z0-9_.-]+)\s*=/.exec(line)?.[1] ?? "";
}

function codePoint(character: string): string {
  const number = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return /\p{Zs}|\p{C}/u.test(character) ? `(U+${number})` : `${character} (U+${number})`;
}
