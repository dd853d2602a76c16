/**
 * What the operator wrote: text to `Config`, or a list of everything wrong
 * with it. Tells how a text becomes one; what a key may hold, and what keys may
 * not be together, is in config/. Nothing is looked up on the machine but the
 * files that the text names for secrets; whether an interface exists is for the
 * daemon.
 */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { type Driver, readBoardFile } from "./board.js";
import { KEY_BYTES, type Signature } from "./carp/digest.js";
import type { MasterDownRule } from "./carp/interval.js";
import { type NamedFile, namedFiles } from "./config/named-files.js";
import { isPath } from "./config/notation.js";
import type { Fault, Problem } from "./config/problem.js";
import { repeats } from "./config/repeats.js";
import { contradictions, oddities } from "./config/rules.js";
import { type FileTable, type GroupTable, type Happening, type HookTable, TABLES } from "./config/schema.js";
import { type ReadSecret, readKeys } from "./config/secrets.js";
import { checkValues } from "./config/sketch.js";
import { type SystemConfig, toSystem } from "./config/system.js";
import { interfaceFaults } from "./config/system-rules.js";
import { readText } from "./config/text-file.js";
import { readToml, type Table } from "./config/toml.js";
import { findLines, formatKey } from "./config/toml-lines.js";
import { unknownKeys } from "./config/unknown-keys.js";
import type { Address, Prefix } from "./wire/address.js";

export interface Config {
  readonly name: string;
  /** `auto`, a board's name, or a path to a board.toml. */
  readonly board: string;
  readonly groups: readonly GroupConfig[];
  readonly maintenance: { readonly advskew: number };
  readonly status: StatusConfig;
  readonly panel: PanelConfig;
  readonly hooks: readonly HookConfig[];
  /** For a board's own system; a daemon on another computer leaves it alone. */
  readonly system: SystemConfig;
}

/** One `[[carp]]` table: a vhid on an interface. */
export interface GroupConfig {
  readonly vhid: number;
  readonly interface: string;
  /** 20 bytes. */
  readonly key: Uint8Array;
  readonly addresses: readonly Prefix[];
  /** Seconds. */
  readonly advbase: number;
  /** 1/256 s. */
  readonly advskew: number;
  readonly preempt: boolean;
  readonly mac: "virtual" | "interface";
  /** Unicast peers; empty means multicast. */
  readonly peers: readonly Address[];
  readonly compat: Compat;
}

export interface Compat {
  readonly order: "sorted" | "interface";
  readonly linkLocal: "auto" | "with" | "without";
  /** 6 bytes. */
  readonly lladdr: Uint8Array | undefined;
  readonly checksum6: "plain" | "pseudo-header";
  readonly masterDown: MasterDownRule;
  readonly demote: "advskew" | "byte";
}

export interface StatusConfig {
  /** `undefined`: no status server. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly tokenFile: string | undefined;
  /** What the board is called, beside its own name. */
  readonly names: readonly string[];
  readonly peers: readonly string[];
}

export interface PanelConfig {
  /** `undefined`: the board's own. */
  readonly driver: Driver | undefined;
  /** What a press of five seconds ends with, for a shell; `undefined`: with the handover. */
  readonly powerOff: string | undefined;
}

/** One `[[hook]]` table: whom to tell, and of what. */
export interface HookConfig {
  /** A program with its arguments, or where to POST. */
  readonly call: { readonly run: readonly string[] } | { readonly url: string };
  readonly on: readonly Happening[];
  readonly timeoutSeconds: number;
}

export type Parsed =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly files: readonly NamedFile[];
      readonly warnings: readonly Problem[];
    }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

export interface ParseOptions {
  /** The name of a board whose file gives none. */
  readonly hostname: string;
  readonly readSecret: ReadSecret;
}

/**
 * The values are checked one by one and then together. What is wrong with one
 * does not end the search: the operator is to hear everything at once.
 */
export function parseConfig(text: string, options: ParseOptions): Parsed {
  const source = readToml(text);
  if (!source.table) return { ok: false, problems: source.problems, warnings: [] };

  const { file, sketch, faults: wrongValues } = checkValues(source.table);
  const { keys, faults: wrongSecrets } = readKeys(sketch.carp ?? [], options.readSecret);

  const lineOf = findLines(source.text);
  const locate = ({ path, found, wanted }: Fault): Problem => {
    return { line: lineOf(path), key: formatKey(path), found, wanted };
  };
  const faults = [
    ...unknownKeys(source.table, TABLES),
    ...wrongValues,
    ...wrongSecrets,
    ...contradictions(sketch),
    ...interfaceFaults(sketch.network?.interface ?? []),
    ...repeats(sketch, lineOf),
  ];
  const problems = inFileOrder([...source.problems, ...faults.map(locate)]);
  const warnings = inFileOrder(oddities(sketch).map(locate));
  if (!file || problems.length > 0) return { ok: false, problems, warnings };
  const config = toConfig(file, source.table, keys, options.hostname);
  const files = namedFiles(file).map(({ path, name }) => ({
    line: lineOf(path),
    key: formatKey(path),
    name,
  }));
  return { ok: true, config, files, warnings };
}

/** Reads a file and those it names; relative names start from the folder it is in. */
export function readConfig(path: string): Parsed {
  const beside = (name: string) => resolve(dirname(path), name);
  const text = readText(path);
  if ("found" in text) {
    return { ok: false, problems: [{ ...text, key: "", wanted: "a text file in UTF-8" }], warnings: [] };
  }
  const readSecret = (name: string) => {
    const secret = readText(beside(name));
    if ("found" in secret) throw new Error(secret.found);
    return secret.text;
  };
  const parsed = parseConfig(text.text, { hostname: hostname(), readSecret });
  if (!parsed.ok) return parsed;

  const { status } = parsed.config;
  const tokenFile = status.tokenFile === undefined ? undefined : beside(status.tokenFile);
  const board = isPath(parsed.config.board) ? beside(parsed.config.board) : parsed.config.board;
  const read = isPath(board) ? readBoardFile(board) : undefined;
  if (read?.ok === false) return { ok: false, problems: read.problems, warnings: parsed.warnings };
  const config = { ...parsed.config, board };
  return { ...parsed, config: { ...config, status: { ...status, tokenFile } } };
}

/** What an empty file means: no groups, and everything else as usual. */
export function emptyConfig(): Config {
  const parsed = parseConfig("", { hostname: hostname(), readSecret: () => "" });
  if (!parsed.ok) throw new Error("an empty configuration is a good one");
  return parsed.config;
}

/** A board's own file lies on its boot partition, where any computer can edit it. */
export function defaultConfigPath(exists: (path: string) => boolean = existsSync): string {
  return exists("/boot/carpio.toml") ? "/boot/carpio.toml" : "/etc/carpio.toml";
}

export { describeProblem } from "./config/problem.js";
export type { Happening } from "./config/schema.js";

/** What a group's digests are made of. */
export function signatureOf({ key, addresses, compat }: GroupConfig): Signature {
  const { order, linkLocal, lladdr } = compat;
  return { key, addresses: addresses.map(({ address }) => address), order, linkLocal, lladdr };
}

function toConfig(file: FileTable, written: Table, keys: readonly Uint8Array[], hostname: string): Config {
  const { listen, token_file: tokenFile, names, peers } = file.status;
  return {
    name: file.name ?? hostname,
    board: file.board,
    groups: file.carp.map((group, i) => toGroup(group, keys[i] ?? new Uint8Array(KEY_BYTES))),
    maintenance: file.maintenance,
    status: { listen: listen === "off" ? undefined : listen, tokenFile, names, peers },
    panel: { driver: file.panel.driver, powerOff: file.panel.power_off || undefined },
    hooks: file.hook.map(toHook),
    system: toSystem(file, file.name, written),
  };
}

function toHook({ run = [], url, on, timeout_seconds: timeoutSeconds }: HookTable): HookConfig {
  return { call: url === undefined ? { run } : { url }, on, timeoutSeconds };
}

function toGroup(group: GroupTable, key: Uint8Array): GroupConfig {
  const { vhid, addresses, advbase, advskew, preempt, mac, peers, compat } = group;
  return {
    vhid,
    interface: group.interface,
    key,
    addresses,
    advbase,
    advskew,
    preempt,
    mac,
    peers,
    compat: {
      order: compat.order,
      linkLocal: compat.link_local,
      lladdr: compat.lladdr,
      checksum6: compat.checksum6,
      masterDown: compat.master_down ?? "classic",
      demote: compat.demote,
    },
  };
}

function inFileOrder(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
}
