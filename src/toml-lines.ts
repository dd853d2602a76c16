/**
 * TOML text: what is in it, where it is not TOML, and on which line a key
 * stands. The last the reader of the values (smol-toml) does not tell, so we
 * walk the text a second time, beside it: we follow names and brackets, skip
 * over values, and judge nothing. What the keys mean is for others.
 */
import { parse, TomlError } from "smol-toml";
import type { Problem } from "./config.js";

export type Table = { readonly [key: string]: unknown };

/** What was read, and the text as it was read; no table when the text could not be. */
export interface Source {
  readonly table: Table | undefined;
  readonly text: string;
  readonly problems: readonly Problem[];
}

/** Names of keys, and positions in lists, from the top of the file down. */
export type KeyPath = readonly (string | number)[];

/** 1 is the first line. A key that is not there stands where the table does that lacks it. */
export type LineOf = (path: KeyPath) => number | undefined;

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

const BARE_KEY = /^[A-Za-z0-9_-]+$/;

const BLANK = /(?:[ \t\r\n]|#[^\n]*)+/y;
const NAME = /[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*/y;
/** A multi-line text may end in five quotes: two of its own, and the three that close it. */
const TEXT = /"""(?:[^\\]|\\[\s\S])*?"{3,5}|'''[\s\S]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y;
const BARE_VALUE = /[^,\]}#\n]+/y;

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

/** On which lines the keys of a text stand. Text that is not TOML gives some lines, too. */
export function findLines(text: string): LineOf {
  const root = walkText(text);
  return (path) => {
    let place = root;
    for (const part of path) {
      const next = place.inner.get(part);
      if (!next) break;
      place = next;
    }
    return place === root ? undefined : place.line;
  };
}

/** As people write it: `carp[2].advskew`. */
export function formatKey(path: KeyPath): string {
  const parts = path.map((part) => {
    if (typeof part === "number") return `[${part}]`;
    return BARE_KEY.test(part) ? `.${part}` : `.${JSON.stringify(part)}`;
  });
  return parts.join("").replace(/^\./, "");
}

// Text that is not TOML

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

// The lines of keys

/** A key, table or list element, and what is in it. */
interface Place {
  readonly line: number;
  readonly inner: Map<string | number, Place>;
}

/** Where we are; lines are counted when somebody asks. */
interface Walk {
  readonly text: string;
  at: number;
  line: number;
  counted: number;
}

function walkText(text: string): Place {
  const walk: Walk = { text, at: 0, line: 1, counted: 0 };
  const root: Place = { line: 1, inner: new Map() };
  let table = root;
  skip(walk, BLANK);
  for (let start = -1; start !== walk.at && walk.at < text.length; skip(walk, BLANK)) {
    start = walk.at;
    if (text[start] === "[") table = walkHeader(walk, root);
    else walkPair(walk, table);
  }
  return root;
}

/** `[carp.compat]` belongs to the last `[[carp]]`: a name that is a list stands for its last table. */
function walkHeader(walk: Walk, root: Place): Place {
  const opensList = walk.text[walk.at + 1] === "[";
  const brackets = opensList ? 2 : 1;
  walk.at += brackets;
  const names = walkNames(walk);
  const place = names.reduce((outer, name, i) => {
    const named = enter(walk, outer, name);
    const elements = named.inner.size;
    if (opensList && i === names.length - 1) return enter(walk, named, elements);
    return named.inner.has(0) ? enter(walk, named, elements - 1) : named;
  }, root);
  walk.at += brackets;
  return place;
}

function walkPair(walk: Walk, table: Place): void {
  const place = walkNames(walk).reduce((outer, name) => enter(walk, outer, name), table);
  if (walk.text[walk.at] !== "=") return;
  walk.at++;
  skip(walk, BLANK);
  walkValue(walk, place);
}

function walkValue(walk: Walk, place: Place): void {
  const open = walk.text[walk.at];
  if (open !== "[" && open !== "{") {
    if (!skip(walk, TEXT)) skip(walk, BARE_VALUE);
    return;
  }
  const close = open === "[" ? "]" : "}";
  walk.at++;
  skip(walk, BLANK);
  for (let start = -1; start !== walk.at && walk.text[walk.at] !== close; skip(walk, BLANK)) {
    start = walk.at;
    if (open === "{") walkPair(walk, place);
    else walkValue(walk, enter(walk, place, place.inner.size));
    skip(walk, BLANK);
    if (walk.text[walk.at] === ",") walk.at++;
  }
  if (walk.text[walk.at] === close) walk.at++;
}

/** The names of a dotted key. */
function walkNames(walk: Walk): string[] {
  const names: string[] = [];
  for (;;) {
    NAME.lastIndex = walk.at;
    const name = NAME.exec(walk.text)?.[1];
    if (name === undefined) return names;
    names.push(unquote(name));
    walk.at = NAME.lastIndex;
    if (walk.text[walk.at] !== ".") return names;
    walk.at++;
  }
}

function unquote(name: string): string {
  if (BARE_KEY.test(name)) return name;
  try {
    return String(parse(`name = ${name}`)["name"]);
  } catch {
    return name;
  }
}

function skip(walk: Walk, token: RegExp): boolean {
  token.lastIndex = walk.at;
  if (!token.test(walk.text)) return false;
  walk.at = token.lastIndex;
  return true;
}

/** What was there first keeps its line: a table without a header of its own stands where its first key does. */
function enter(walk: Walk, outer: Place, part: string | number): Place {
  const known = outer.inner.get(part);
  if (known) return known;
  const place: Place = { line: lineHere(walk), inner: new Map() };
  outer.inner.set(part, place);
  return place;
}

function lineHere(walk: Walk): number {
  for (; walk.counted < walk.at; walk.counted++) {
    if (walk.text[walk.counted] === "\n") walk.line++;
  }
  return walk.line;
}
