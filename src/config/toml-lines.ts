/**
 * On which line of a TOML text a key stands. The reader of the values
 * (smol-toml) does not tell, so we walk the text a second time, beside it: we
 * follow names and brackets, skip over values, and judge nothing.
 */
import { parse } from "smol-toml";

/** Names of keys, and positions in lists, from the top of the file down. */
export type KeyPath = readonly (string | number)[];

/** 1 is the first line. A key that is not there stands where the table does that lacks it. */
export type LineOf = (path: KeyPath) => number | undefined;

const BARE_KEY = /^[A-Za-z0-9_-]+$/;

const BLANK = /(?:[ \t\r\n]|#[^\n]*)+/y;
const NAME = /[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*/y;
/** A multi-line text may end in five quotes: two of its own, and the three that close it. */
const TEXT = /"""(?:[^\\]|\\[\s\S])*?"{3,5}|'''[\s\S]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y;
const BARE_VALUE = /[^,\]}#\n]+/y;

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
