/**
 * What each key may hold, what it is when nobody wrote it, and what is said
 * when it holds something else. Every key is looked at alone here: what keys
 * may not be together is for the rules.
 */
import * as v from "valibot";
import { KEY_BYTES, PASSPHRASE_BYTES } from "../carp/digest.js";
import { ADVSKEW_MAX } from "../carp/interval.js";
import {
  BOARD_URL,
  LISTEN,
  type Refuse,
  readBoard,
  readBoardUrl,
  readHexKey,
  readInterface,
  readListen,
  readLladdr,
  readName,
  readPassphrase,
  readPath,
  readPeer,
  readPrefix,
} from "./notation.js";
import { isTable, type Table } from "./toml.js";
import { alternatives } from "./values.js";

const PREFIX_LIST = 'a list of addresses with their prefix lengths, such as ["192.0.2.1/24"]';

const compatEntries = {
  order: v.optional(oneOf("sorted", "interface"), "sorted"),
  link_local: v.optional(oneOf("auto", "with", "without"), "auto"),
  lladdr: v.optional(textThat("a link-layer address", readLladdr), ""),
  checksum6: v.optional(oneOf("plain", "pseudo-header"), "plain"),
  /** No default here: whether it was written makes a difference. */
  master_down: v.optional(oneOf("classic", "scaled")),
  demote: v.optional(oneOf("advskew", "byte"), "advskew"),
};

const groupEntries = {
  vhid: wholeNumber(1, 255),
  interface: textThat("an interface name", readInterface),
  password: v.optional(textThat(`a text of 1 to ${PASSPHRASE_BYTES} bytes`, readPassphrase)),
  password_file: v.optional(textThat("the path of a file", readPath)),
  key: v.optional(textThat(`a text of ${2 * KEY_BYTES} hex digits`, readHexKey)),
  addresses: v.pipe(
    v.array(textThat(PREFIX_LIST, readPrefix), PREFIX_LIST),
    v.minLength(1, "at least one address"),
  ),
  advbase: v.optional(wholeNumber(0, 255), 1),
  advskew: v.optional(wholeNumber(0, ADVSKEW_MAX), 0),
  preempt: v.optional(v.boolean("true or false"), true),
  mac: v.optional(oneOf("virtual", "interface"), "virtual"),
  peers: v.optional(v.array(textThat("an address", readPeer), "a list of addresses"), []),
  compat: v.optional(table(compatEntries), {}),
};

const maintenanceEntries = { advskew: v.optional(wholeNumber(1, ADVSKEW_MAX), 240) };

const statusEntries = {
  listen: v.optional(textThat(LISTEN, readListen), "0.0.0.0:8080"),
  token_file: v.optional(textThat("the path of a file", readPath)),
  peers: v.optional(v.array(textThat(BOARD_URL, readBoardUrl), `a list of ${BOARD_URL}`), []),
};

const panelEntries = { driver: v.optional(oneOf("onoff", "led-class", "simulated", "none"), "onoff") };

const fileEntries = {
  name: v.optional(textThat("a text", readName)),
  board: v.optional(textThat("a text", readBoard), "auto"),
  carp: v.optional(v.array(table(groupEntries), "[[carp]], with two brackets, for each group"), []),
  maintenance: v.optional(table(maintenanceEntries), {}),
  status: v.optional(table(statusEntries), {}),
  panel: v.optional(table(panelEntries), {}),
};

export const fileTable = table(fileEntries);

export type FileTable = v.InferOutput<typeof fileTable>;
export type GroupTable = FileTable["carp"][number];

/** Every table by its header. */
export const TABLES: { readonly [header: string]: readonly string[] } = {
  "": Object.keys(fileEntries),
  carp: Object.keys(groupEntries),
  "carp.compat": Object.keys(compatEntries),
  maintenance: Object.keys(maintenanceEntries),
  status: Object.keys(statusEntries),
  panel: Object.keys(panelEntries),
};

/** A table with these keys. The message of a missing one is what its own schema would say of nothing. */
function table<E extends v.ObjectEntries>(entries: E) {
  const ofMissing = (issue: v.ObjectIssue) => {
    const missing = entries[String(issue.path?.[0]?.key)];
    return (missing && v.safeParse(missing, undefined).issues?.[0].message) ?? "a table";
  };
  return v.pipe(v.custom<Table>(isTable, "a table"), v.object(entries, ofMissing));
}

function wholeNumber(from: number, to: number) {
  const wanted = `a whole number from ${from} to ${to}`;
  return v.pipe(v.number(wanted), v.integer(wanted), v.minValue(from, wanted), v.maxValue(to, wanted));
}

function oneOf<const T extends string>(...options: readonly T[]) {
  return v.picklist(options, alternatives(options));
}

/** A text that `read` understands. */
function textThat<T>(wanted: string, read: (text: string, refuse: Refuse) => T) {
  const transform = v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
    const refuse = (message: string) => {
      addIssue({ message });
      return NEVER;
    };
    return read(dataset.value, refuse);
  });
  return v.pipe(v.string(wanted), transform);
}
