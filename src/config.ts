/**
 * What the operator wrote: text to `Config`, or a list of everything wrong
 * with it. The first half says what each key may hold, the second what keys
 * may not be together. Nothing is looked up on the machine but the files that
 * the text names for secrets; whether an interface exists is for the daemon.
 */
import { isUtf8 } from "node:buffer";
import { existsSync, readFileSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { getSystemErrorMap } from "node:util";
import * as v from "valibot";
import { KEY_BYTES, keyOfPassphrase, PASSPHRASE_BYTES } from "./carp/digest.js";
import { ADVSKEW_MAX, type MasterDownRule, TICKS_PER_SECOND } from "./carp/interval.js";
import { findLines, formatKey, type KeyPath, type LineOf, readToml, type Table } from "./toml-lines.js";
import {
  type Address,
  type Family,
  formatAddress,
  isLinkLocal,
  isMulticast,
  type Prefix,
  parseAddress,
  sameAddress,
} from "./wire/address.js";

export interface Config {
  readonly name: string;
  /** `auto`, a board's name, or a path to a board.toml. */
  readonly board: string;
  readonly groups: readonly GroupConfig[];
  readonly maintenance: { readonly advskew: number };
  readonly status: StatusConfig;
  readonly panel: { readonly driver: "onoff" | "led-class" | "simulated" | "none" };
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
  readonly peers: readonly string[];
}

/** One thing that is wrong, or odd, in the file. */
export interface Problem {
  /** 1 is the first line; `undefined` when it is about the whole file. */
  readonly line: number | undefined;
  /** As people write it: `carp[2].advskew`. */
  readonly key: string;
  readonly found: string;
  readonly wanted: string;
}

export type Parsed =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

export interface ParseOptions {
  /** The name of a board whose file gives none. */
  readonly hostname: string;
  /** The text of a `password_file`; throws when there is none. */
  readonly readSecret: (path: string) => string;
}

export function parseConfig(text: string, options: ParseOptions): Parsed {
  const source = readToml(text);
  if (!source.table) return { ok: false, problems: source.problems, warnings: [] };

  const lineOf = findLines(source.text);
  const locate = ({ path, found, wanted }: Fault): Problem => {
    return { line: lineOf(path), key: formatKey(path), found, wanted };
  };
  const result = v.safeParse(fileTable, source.table, { abortPipeEarly: true });
  const sketch = withoutBroken(result.output, result.issues ?? []);
  const { keys, faults } = readKeys(sketch.carp ?? [], options.readSecret);

  const wrong = [
    ...unknownKeys(source.table, []),
    ...(result.issues ?? []).map(faultOf),
    ...faults,
    ...contradictions(sketch, lineOf),
  ];
  const problems = inFileOrder([...source.problems, ...wrong.map(locate)]);
  const warnings = inFileOrder(oddities(sketch).map(locate));
  if (!result.success || problems.length > 0) return { ok: false, problems, warnings };
  return { ok: true, config: toConfig(result.output, keys, options.hostname), warnings };
}

/** Reads a file and those it names; relative names start from the folder it is in. */
export function readConfig(path: string): Parsed {
  const beside = (name: string) => resolve(dirname(path), name);
  const text = readText(path);
  if ("found" in text) {
    return { ok: false, problems: [{ ...text, key: path, wanted: "a text file in UTF-8" }], warnings: [] };
  }
  const readSecret = (name: string) => {
    const secret = readText(beside(name));
    if ("found" in secret) throw new Error(secret.found);
    return secret.text;
  };
  const parsed = parseConfig(text.text, { hostname: hostname(), readSecret });
  if (!parsed.ok) return parsed;

  const { board, status } = parsed.config;
  const tokenFile = status.tokenFile === undefined ? undefined : beside(status.tokenFile);
  const config = { ...parsed.config, board: isPath(board) ? beside(board) : board };
  return { ...parsed, config: { ...config, status: { ...status, tokenFile } } };
}

/** A board's own file lies on its boot partition, where any computer can edit it. */
export function defaultConfigPath(exists: (path: string) => boolean = existsSync): string {
  return exists("/boot/carpio.toml") ? "/boot/carpio.toml" : "/etc/carpio.toml";
}

/** One line: `carpio.toml:7: carp[0].vhid: found 300, wanted a whole number from 1 to 255`. */
export function describeProblem(path: string, { line, key, found, wanted }: Problem): string {
  const place = line === undefined ? path : `${path}:${line}`;
  const about = key === "" || key === path ? "" : `${key}: `;
  return `${place}: ${about}found ${found}, wanted ${wanted}`;
}

// What each key may hold

/** A problem that does not know its line yet. */
interface Fault {
  readonly path: KeyPath;
  readonly found: string;
  readonly wanted: string;
}

const BOARDS = ["auto", "raspberrypi", "virt", "simulated", "none"] as const;
/** Their values are never shown, whatever is wrong with them. */
const SECRETS = ["password", "key"];
/** Of these a group has one, or none. */
const KEY_SOURCES = ["password", "password_file", "key"] as const;
const PREFIX_LIST = 'a list of addresses with their prefix lengths, such as ["192.0.2.1/24"]';
const LISTEN = "host:port, such as 0.0.0.0:8080 or [::]:8080, or none";
const BOARD_URL = "http://HOST:PORT and nothing after it, such as http://192.0.2.3:8080";

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

const fileTable = table(fileEntries);

type FileTable = v.InferOutput<typeof fileTable>;
type GroupTable = FileTable["carp"][number];

/** Every table by its header. */
const TABLES: { readonly [header: string]: readonly string[] } = {
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

/** Says what was wanted instead; a reader returns what it gives. */
type Refuse = (wanted: string) => never;

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

function readName(text: string, refuse: Refuse): string {
  const valid = /^\P{Cc}{1,63}$/u.test(text) && text.trim() !== "";
  return valid ? text : refuse("1 to 63 characters on one line");
}

function readBoard(text: string, refuse: Refuse): string {
  if (isPath(text) || BOARDS.some((board) => board === text)) return text;
  return refuse(`${alternatives(BOARDS)}, or the path of a board.toml`);
}

function readPath(text: string, refuse: Refuse): string {
  return text === "" || text.includes("\0") ? refuse("the path of a file") : text;
}

/** The names Linux takes (`dev_valid_name`), and that can have neighbours. */
function readInterface(text: string, refuse: Refuse): string {
  const valid =
    /^[^\p{Cc}\s/:]+$/u.test(text) && Buffer.byteLength(text) <= 15 && text !== "." && text !== "..";
  if (!valid) return refuse('a name of 1 to 15 bytes without spaces, "/" and ":"');
  return text === "lo" ? refuse("an interface with other hosts on it") : text;
}

/** Only 19 bytes count everywhere, and UCARP refuses more (specification, section 2.1). */
function readPassphrase(text: string, refuse: Refuse): Uint8Array {
  const wanted = passphraseFault(text);
  return wanted === undefined ? keyOfPassphrase(text) : refuse(wanted);
}

function passphraseFault(text: string): string | undefined {
  if (text === "") return "1 to 19 bytes; for the BSDs' empty key, leave it out";
  if (text.includes("\0")) return "no zero byte in it: the others stop there";
  const tooLong = Buffer.byteLength(text) > PASSPHRASE_BYTES;
  return tooLong ? `at most ${PASSPHRASE_BYTES} bytes: only ${PASSPHRASE_BYTES} count everywhere` : undefined;
}

function readHexKey(text: string, refuse: Refuse): Uint8Array {
  const digits = 2 * KEY_BYTES;
  const valid = text.length === digits && /^[0-9a-f]*$/i.test(text);
  return valid ? Uint8Array.from(Buffer.from(text, "hex")) : refuse(`${digits} hex digits`);
}

function readPrefix(text: string, refuse: Refuse): Prefix {
  const [host = "", bits, ...more] = text.split("/");
  const address = parseAddress(host);
  if (host.includes("%")) return refuse("no zone: interface says where the address belongs");
  if (!address || more.length > 0) return refuse("an address with its prefix length, such as 192.0.2.1/24");

  const [bitsMax, example] = address.family === 4 ? [32, 24] : [128, 64];
  if (bits === undefined) return refuse(`the prefix length as well, such as ${host}/${example}`);
  const length = /^\d{1,3}$/.test(bits) ? Number(bits) : 0;
  if (length < 1 || length > bitsMax) return refuse(`a prefix length from 1 to ${bitsMax}`);

  const kind = notAHost(address) ?? notInNetwork({ address, length });
  return kind === undefined ? { address, length } : refuse(`an address that a host can have, not ${kind}`);
}

function readPeer(text: string, refuse: Refuse): Address {
  const address = parseAddress(text);
  if (!address) return refuse("an IPv4 or IPv6 address without prefix length, port and zone");
  const kind = notAHost(address);
  return kind === undefined ? address : refuse(`the address of another host, not ${kind}`);
}

function notAHost(address: Address): string | undefined {
  const text = formatAddress(address);
  if (isMulticast(address)) return "a multicast address";
  if (text === "0.0.0.0" || text === "::") return "the unspecified address";
  if (text === "255.255.255.255") return "the broadcast address";
  if (text === "::1" || (address.family === 4 && address.bytes[0] === 127)) return "a loopback address";
  return /^::ffff:[^:]+:[^:]+$/.test(text) ? "IPv4 written as IPv6" : undefined;
}

/** The first address of a network is its own, the last in IPv4 its broadcast; networks of two have neither. */
function notInNetwork({ address: { family, bytes }, length }: Prefix): string | undefined {
  if (length > 8 * bytes.length - 2) return undefined;
  const hostMask = (i: number) => 0xff >> Math.min(8, Math.max(0, length - 8 * i));
  if (bytes.every((byte, i) => (byte & hostMask(i)) === 0)) return "its network's own address";
  const last = bytes.every((byte, i) => (byte & hostMask(i)) === hostMask(i));
  return family === 4 && last ? "its network's broadcast address" : undefined;
}

function readLladdr(text: string, refuse: Refuse): Uint8Array | undefined {
  if (text === "") return undefined;
  const wanted = "six octets of a unicast address, such as 00:11:22:33:44:55, or nothing";
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return refuse(wanted);
  const bytes = Uint8Array.from(text.split(":"), (octet) => Number.parseInt(octet, 16));
  const unicast = ((bytes[0] ?? 0) & 1) === 0 && bytes.some((byte) => byte !== 0);
  return unicast ? bytes : refuse(wanted);
}

function readListen(text: string, refuse: Refuse): NonNullable<StatusConfig["listen"]> | "off" {
  if (text === "" || text === "none") return "off";
  const [, v6, other = "", digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const isName = /^(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*$/i.test(other);
  const hostFits = v6 === undefined ? isIPv4(other) || isName : isIPv6(v6);
  if (!hostFits) return refuse(isIPv6(text) ? `brackets around IPv6: ${LISTEN}` : LISTEN);
  const port = Number(digits);
  return port < 1 || port > 65535 ? refuse("a port from 1 to 65535") : { host: v6 ?? other, port };
}

function readBoardUrl(text: string, refuse: Refuse): string {
  if (!/^http:\/\/[^/@?#\s]+\/?$/i.test(text) || !URL.canParse(text)) return refuse(BOARD_URL);
  return new URL(text).origin;
}

// What is wrong with a value, and with a key

function faultOf(issue: v.BaseIssue<unknown>): Fault {
  const path = pathOf(issue);
  const found = SECRETS.includes(String(path.at(-1))) ? describeSecret(issue.input) : describe(issue.input);
  return { path, found, wanted: issue.message };
}

function pathOf(issue: v.BaseIssue<unknown>): KeyPath {
  return (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));
}

function unknownKeys(value: unknown, path: KeyPath): Fault[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => unknownKeys(item, [...path, i]));
  const header = path.filter((part) => typeof part === "string").join(".");
  const known = TABLES[header];
  if (!isTable(value) || !known) return [];

  return Object.entries(value).flatMap(([key, inner]) => {
    if (known.includes(key)) return unknownKeys(inner, [...path, key]);
    return [{ path: [...path, key], found: "a key that means nothing here", wanted: meant(key, known) }];
  });
}

/** Keys below a header belong to it, so a key is often right but for its place. */
function meant(key: string, known: readonly string[]): string {
  const elsewhere = Object.keys(TABLES).filter((header) => TABLES[header]?.includes(key));
  if (elsewhere.length > 0) return `it ${elsewhere.map(placeOf).join(" or ")}`;

  const near = known.map((name) => ({ name, letters: distance(key.toLowerCase(), name) }));
  const [nearest] = near.filter(({ letters }) => letters <= 2).sort((a, b) => a.letters - b.letters);
  return nearest?.name ?? `one of ${known.join(", ")}`;
}

function placeOf(header: string): string {
  if (header === "") return "above the first table";
  return header === "carp" ? "in [[carp]]" : `in [${header}]`;
}

/** How many letters to add, leave out or change (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

// What keys may not be together

/** What can be relied on while other values are wrong: those are `undefined` here. */
type Sketch = Partial<Omit<FileTable, "carp" | "maintenance" | "status">> & {
  readonly carp?: readonly (GroupSketch | undefined)[];
  readonly maintenance?: Partial<FileTable["maintenance"]>;
  readonly status?: StatusSketch;
};

type StatusSketch = Partial<Omit<FileTable["status"], "peers">> & {
  readonly peers?: readonly (string | undefined)[];
};

type GroupSketch = Partial<Omit<GroupTable, "addresses" | "peers" | "compat">> & {
  readonly addresses?: readonly (Prefix | undefined)[];
  readonly peers?: readonly (Address | undefined)[];
  readonly compat?: Partial<GroupTable["compat"]>;
};

/** The output of a schema keeps the input where it is wrong; this takes it out. */
function withoutBroken(output: unknown, issues: readonly v.BaseIssue<unknown>[]): Sketch {
  for (const path of issues.map(pathOf)) {
    const parent = path.slice(0, -1).reduce<unknown>((at, part) => (at as Table | undefined)?.[part], output);
    if (parent) Object.assign(parent, { [path.at(-1) ?? ""]: undefined });
  }
  return output as Sketch;
}

function contradictions(sketch: Sketch, lineOf: LineOf): Fault[] {
  const groups = sketch.carp ?? [];
  const ours = new Set(groups.map((group) => (group?.mac === "virtual" ? `carp${group.vhid}` : "")));
  const each = groups.flatMap((group, i) => (group ? groupFaults(group, ["carp", i], ours) : []));
  return [...each, ...statusFaults(sketch.status), ...repeats(sketch, lineOf)];
}

function groupFaults(group: GroupSketch, path: KeyPath, devices: ReadonlySet<string>): Fault[] {
  const faults: Fault[] = [];
  const [first, ...others] = KEY_SOURCES.filter((name) => name in group);
  for (const name of others) {
    const wanted = "one of password, password_file and key";
    faults.push({ path: [...path, name], found: `${name} beside ${first}`, wanted });
  }
  if (group.interface !== undefined && devices.has(group.interface)) {
    const wanted = "the interface below: carpio makes this one itself";
    faults.push({ path: [...path, "interface"], found: describe(group.interface), wanted });
  }
  return [...faults, ...peerFaults(group, path), ...compatFaults(group, [...path, "compat"])];
}

function peerFaults(group: GroupSketch, path: KeyPath): Fault[] {
  const addresses = wellFormed(group.addresses);
  if (!addresses) return [];
  return (group.peers ?? []).flatMap((peer, i) => {
    if (!peer) return [];
    const fault = { path: [...path, "peers", i], found: describe(formatAddress(peer)) };
    if (!hasFamily(addresses, peer.family)) {
      return [
        { ...fault, wanted: `no IPv${peer.family} peer, as the group has no IPv${peer.family} address` },
      ];
    }
    const isOwn = addresses.some(({ address }) => sameAddress(address, peer));
    return isOwn ? [{ ...fault, wanted: "the other host's own address, not one that both share" }] : [];
  });
}

/** What would be ignored is refused, so that nobody counts on it. */
function compatFaults({ vhid, advbase, compat, ...group }: GroupSketch, path: KeyPath): Fault[] {
  const faults: Fault[] = [];
  const refuse = (key: keyof GroupTable["compat"], wanted: string, found = describe(compat?.[key])) => {
    faults.push({ path: [...path, key], found, wanted });
  };
  const addresses = wellFormed(group.addresses);
  if (compat?.checksum6 === "pseudo-header" && addresses && !hasFamily(addresses, 6)) {
    refuse("checksum6", '"plain", or an IPv6 address in addresses');
  }
  if (compat?.link_local === "with" && addresses && !addresses.some(({ address }) => isLinkLocal(address))) {
    refuse("link_local", '"auto", or a link-local address (fe80::/10) in addresses');
  }
  if (compat?.master_down === "classic" && advbase === 0) {
    refuse("master_down", '"scaled" or nothing: with advbase 0 the time is always scaled');
  }
  const lladdr = compat?.lladdr && formatLladdr(compat.lladdr);
  if (lladdr !== undefined && vhid !== undefined && lladdr === virtualMac(vhid)) {
    refuse("lladdr", `"": OpenBSD does not sign the default of vhid ${vhid}`, describe(lladdr));
  }
  return faults;
}

function statusFaults(status: StatusSketch = {}): Fault[] {
  if (status.listen !== "off" || status.token_file === undefined) return [];
  const found = `${describe(status.token_file)} without a status server`;
  return [{ path: ["status", "token_file"], found, wanted: "status.listen, or no token_file" }];
}

/** Something that may be there once, and what tells it from others. */
interface Entry {
  readonly id: string;
  readonly path: KeyPath;
  readonly shown: string;
  readonly wanted: string;
}

function repeats(sketch: Sketch, lineOf: LineOf): Fault[] {
  const groups = sketch.carp ?? [];
  const urls = (sketch.status?.peers ?? []).flatMap((url, i): Entry[] => {
    return url === undefined
      ? []
      : [{ id: url, path: ["status", "peers", i], shown: url, wanted: "each board once" }];
  });
  const first = new Map<string, KeyPath>();
  const entries = [...groups.flatMap((group, i) => (group ? entriesOf(group, ["carp", i]) : [])), ...urls];
  return entries.flatMap(({ id, path, shown, wanted }) => {
    const before = first.get(id);
    if (!before) first.set(id, path);
    if (!before) return [];
    return [{ path, found: `${shown} again, as in ${formatKey(before)} on line ${lineOf(before)}`, wanted }];
  });
}

function entriesOf(group: GroupSketch, path: KeyPath): Entry[] {
  const { vhid, interface: name, addresses = [], peers = [] } = group;
  const entries: Entry[] = [];
  if (vhid !== undefined && name !== undefined) {
    const wanted = `another vhid: ${name} has a group with this one`;
    entries.push({ id: `${vhid} ${name}`, path: [...path, "vhid"], shown: `${vhid} on ${name}`, wanted });
  }
  addresses.forEach((prefix, i) => {
    if (!prefix) return;
    const shown = formatAddress(prefix.address);
    // A link-local address means something else on each interface: routers like to be fe80::1 on all.
    const scope = isLinkLocal(prefix.address) ? (name ?? formatKey(path)) : "";
    entries.push({
      id: `${shown}%${scope}`,
      path: [...path, "addresses", i],
      shown,
      wanted: "each address once",
    });
  });
  peers.forEach((peer, i) => {
    if (!peer) return;
    const shown = formatAddress(peer);
    const id = `peer ${shown} of ${formatKey(path)}`;
    entries.push({ id, path: [...path, "peers", i], shown, wanted: "each peer once" });
  });
  return entries;
}

/** What works, but hardly as meant. */
function oddities(sketch: Sketch): Fault[] {
  const raised = sketch.maintenance?.advskew ?? Infinity;
  const each = (sketch.carp ?? []).flatMap((group, i) =>
    group ? groupOddities(group, ["carp", i], raised) : [],
  );
  if (sketch.carp?.length !== 0) return each;
  const wanted = 'at least one [[carp]]: until then the lamps show "starting"';
  return [{ path: ["carp"], found: "no group", wanted }, ...each];
}

function groupOddities(group: GroupSketch, path: KeyPath, maintenanceAdvskew: number): Fault[] {
  const { interface: name = "", mac, advbase = 1, advskew = 0 } = group;
  const faults: Fault[] = [];
  if (!KEY_SOURCES.some((source) => source in group)) {
    faults.push({ path, found: "no password", wanted: "a password: anybody on the link can be master" });
  }
  // Specification, section 5.4: 3 x 86 s is more than the 255.996 s that a bow-out claims.
  if (advbase >= 86) {
    const wanted = "at most 85: above it, nobody who bows out is noticed";
    faults.push({ path: [...path, "advbase"], found: String(advbase), wanted });
  }
  if (advbase === 0 && advskew >= TICKS_PER_SECOND / 2) {
    const found = `${advskew} with advbase 0, half a second and more`;
    const wanted = "less, or advbase 1, which not only OpenBSD understands";
    faults.push({ path: [...path, "advskew"], found, wanted });
  }
  if (advskew >= maintenanceAdvskew) {
    const wanted = `less than maintenance.advskew, ${maintenanceAdvskew}: the button changes nothing`;
    faults.push({ path: [...path, "advskew"], found: String(advskew), wanted });
  }
  if (mac === "virtual" && name.startsWith("wl")) {
    const found = `${describe(name)} with mac = "virtual"`;
    faults.push({
      path: [...path, "interface"],
      found,
      wanted: 'mac = "interface": Wi-Fi carries one MAC a station',
    });
  }
  return faults;
}

// Config

/** The key of every group, or why its file gives none. No password is the BSDs' empty key. */
function readKeys(groups: readonly (GroupSketch | undefined)[], readSecret: ParseOptions["readSecret"]) {
  const faults: Fault[] = [];
  const keys = groups.map((group, i) => {
    const inText = group?.key ?? group?.password;
    if (inText || group?.password_file === undefined) return inText ?? new Uint8Array(KEY_BYTES);

    const secret = readPasswordFile(group.password_file, readSecret);
    if ("key" in secret) return secret.key;
    faults.push({ path: ["carp", i, "password_file"], ...secret });
    return new Uint8Array(KEY_BYTES);
  });
  return { keys, faults };
}

function readPasswordFile(path: string, readSecret: ParseOptions["readSecret"]) {
  let text: string;
  try {
    text = readSecret(path);
  } catch (error) {
    return {
      found: `${describe(path)}: ${systemReason(error)}`,
      wanted: "a file whose first line is the password",
    };
  }
  const [passphrase = ""] = text.replace(/^\ufeff/, "").split(/\r?\n/, 1);
  const wanted = passphraseFault(passphrase);
  if (wanted === undefined) return { key: keyOfPassphrase(passphrase) };
  return { found: `${describeSecret(passphrase)} in the first line of ${describe(path)}`, wanted };
}

function toConfig(file: FileTable, keys: readonly Uint8Array[], hostname: string): Config {
  const { listen, token_file: tokenFile, peers } = file.status;
  return {
    name: file.name ?? hostname,
    board: file.board,
    groups: file.carp.map((group, i) => toGroup(group, keys[i] ?? new Uint8Array(KEY_BYTES))),
    maintenance: file.maintenance,
    status: { listen: listen === "off" ? undefined : listen, tokenFile, peers },
    panel: file.panel,
  };
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

// Files, and values as text

/** The text of a file, or what was found instead. */
function readText(
  path: string,
): { readonly text: string } | { readonly line: number | undefined; readonly found: string } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return { line: undefined, found: systemReason(error) };
  }
  if (isUtf8(bytes)) return { text: bytes.toString("utf8") };
  const lines = bytes.toString("latin1").split("\n");
  const line = 1 + lines.findIndex((text) => !isUtf8(Buffer.from(text, "latin1")));
  return { line, found: "bytes that are not UTF-8" };
}

/** As the system puts it: `no such file or directory (ENOENT)`. */
function systemReason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  const [name, reason] = getSystemErrorMap().get(errno ?? 0) ?? [];
  return name === undefined ? message : `${reason} (${name})`;
}

function inFileOrder(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (value instanceof Date) return "a date or time";
  return typeof value === "object" ? "a table" : String(value);
}

function describeSecret(value: unknown): string {
  if (typeof value === "string") return value === "" ? "an empty text" : `${Buffer.byteLength(value)} bytes`;
  return typeof value === "object" || value === undefined ? describe(value) : `a ${typeof value}`;
}

/** Shortened, on one line, and without what a terminal would obey or what a URL keeps secret. */
function quote(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 59)}…` : text;
  const tame = JSON.stringify(short).replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return tame.replace(/\/\/[^/@]*@/, "//…@");
}

function alternatives(options: readonly string[]): string {
  const quoted = options.map((option) => `"${option}"`);
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function isPath(board: string): boolean {
  return board.includes("/");
}

function hasFamily(addresses: readonly Prefix[], family: Family): boolean {
  return addresses.some(({ address }) => address.family === family);
}

/** A list without gaps, or `undefined`: nothing can be said about what a broken one lacks. */
function wellFormed<T>(list: readonly (T | undefined)[] | undefined): readonly T[] | undefined {
  return list?.every((item) => item !== undefined) ? list : undefined;
}

function formatLladdr(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function virtualMac(vhid: number): string {
  return formatLladdr(Uint8Array.of(0, 0, 0x5e, 0, 1, vhid));
}
