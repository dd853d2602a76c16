/**
 * What each key may hold, what it is when nobody wrote it, and what is said
 * when it holds something else. Every key is looked at alone here: what keys
 * may not be together is for the rules.
 */
import * as v from "valibot";
import { KEY_BYTES, PASSPHRASE_BYTES } from "../carp/digest.js";
import { ADVSKEW_MAX } from "../carp/interval.js";
import { DRIVERS } from "./board-schema.js";
import { oneOf, table, textThat, wholeNumber } from "./kind.js";
import {
  BOARD_URL,
  HOST_NAME,
  LISTEN,
  readBoard,
  readBoardUrl,
  readCommand,
  readHexKey,
  readHostName,
  readInterface,
  readListen,
  readLladdr,
  readName,
  readPassphrase,
  readPath,
  readPeer,
  readPrefix,
} from "./notation.js";
import type { Tables } from "./unknown-keys.js";

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
  names: v.optional(v.array(textThat(HOST_NAME, readHostName), "a list of host names"), []),
  peers: v.optional(v.array(textThat(BOARD_URL, readBoardUrl), `a list of ${BOARD_URL}`), []),
};

const panelEntries = {
  /** No default here: without it, the board's own. */
  driver: v.optional(oneOf(...DRIVERS)),
  power_off: v.optional(textThat("a command", readCommand), "poweroff"),
};

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

export const TABLES: Tables = {
  "": Object.keys(fileEntries),
  carp: Object.keys(groupEntries),
  "carp.compat": Object.keys(compatEntries),
  maintenance: Object.keys(maintenanceEntries),
  status: Object.keys(statusEntries),
  panel: Object.keys(panelEntries),
};
