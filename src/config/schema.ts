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
  HOOK_URL,
  HOST_NAME,
  LISTEN,
  readArgument,
  readBoard,
  readBoardUrl,
  readCommand,
  readHexKey,
  readHookUrl,
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
import { SYSTEM_TABLES, systemEntries } from "./system-schema.js";
import type { Tables } from "./unknown-keys.js";
import { alternatives } from "./values.js";

const PREFIX_LIST = 'a list of addresses with their prefix lengths, such as ["192.0.2.1/24"]';

/** What somebody may want to be told of: a role that is entered, and two kinds of trouble. */
export const HAPPENINGS = ["master", "backup", "init", "maintenance", "fault"] as const;
export type Happening = (typeof HAPPENINGS)[number];

const RUN = 'the program and its arguments in a list, such as ["/usr/local/bin/notify", "left"]';
const HAPPENING_LIST = `a list of ${alternatives(HAPPENINGS)}`;
const HOOK_LIST = "[[hook]], with two brackets, for each program or URL";
/** Each has a shell at hand. */
const HOOKS_AT_MOST = 8;

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

const hookEntries = {
  run: v.optional(v.pipe(v.array(textThat(RUN, readArgument), RUN), v.minLength(1, RUN))),
  url: v.optional(textThat(HOOK_URL, readHookUrl)),
  on: v.optional(
    v.pipe(v.array(oneOf(...HAPPENINGS), HAPPENING_LIST), v.minLength(1, HAPPENING_LIST)),
    HAPPENINGS,
  ),
  timeout_seconds: v.optional(wholeNumber(1, 300), 10),
};

const fileEntries = {
  name: v.optional(textThat("a text", readName)),
  board: v.optional(textThat("a text", readBoard), "auto"),
  carp: v.optional(v.array(table(groupEntries), "[[carp]], with two brackets, for each group"), []),
  maintenance: v.optional(table(maintenanceEntries), {}),
  status: v.optional(table(statusEntries), {}),
  panel: v.optional(table(panelEntries), {}),
  hook: v.optional(
    v.pipe(
      v.array(table(hookEntries), HOOK_LIST),
      v.maxLength(HOOKS_AT_MOST, `at most ${HOOKS_AT_MOST} of them`),
    ),
    [],
  ),
  ...systemEntries,
};

export const fileTable = table(fileEntries);

export type FileTable = v.InferOutput<typeof fileTable>;
export type GroupTable = FileTable["carp"][number];
export type HookTable = FileTable["hook"][number];

export const TABLES: Tables = {
  "": Object.keys(fileEntries),
  carp: Object.keys(groupEntries),
  "carp.compat": Object.keys(compatEntries),
  maintenance: Object.keys(maintenanceEntries),
  status: Object.keys(statusEntries),
  panel: Object.keys(panelEntries),
  hook: Object.keys(hookEntries),
  ...SYSTEM_TABLES,
};
