/**
 * What a board's own system may be told, key by key: its network, and what runs
 * beside the daemon. A daemon on another computer reads it and leaves it alone.
 */
import * as v from "valibot";
import { oneOf, table, textThat, wholeNumber } from "./kind.js";
import { readInterface, readPath, readPrefix } from "./notation.js";
import {
  ADDRESS,
  HOSTNAME,
  MAC,
  readAddress,
  readHostname,
  readMac,
  readServer,
  readSshKeys,
  readSyslog,
  SERVER,
  SSH_KEY,
  SSH_KEYS,
  SYSLOG,
} from "./system-notation.js";
import type { Tables } from "./unknown-keys.js";

const PREFIXES = 'a list of addresses with their prefix lengths, such as ["192.0.2.2/24"]';
const INTERFACES = "[[network.interface]], with two brackets, for each interface";
const FLAG = "true or false";

const interfaceEntries = {
  name: textThat("an interface name", readInterface),
  mac: v.optional(textThat(MAC, readMac)),
  /** No default here: without addresses it is true. */
  dhcp: v.optional(v.boolean(FLAG)),
  addresses: v.optional(v.array(textThat(PREFIXES, readPrefix), PREFIXES), []),
  gateways: v.optional(v.array(textThat(ADDRESS, readAddress), `a list of ${ADDRESS}`), []),
  mtu: v.optional(wholeNumber(576, 9216)),
  vlan: v.optional(wholeNumber(1, 4094)),
  parent: v.optional(textThat("an interface name", readInterface)),
};

const networkEntries = {
  hostname: v.optional(textThat(HOSTNAME, readHostname)),
  dns: v.optional(v.array(textThat(ADDRESS, readAddress), `a list of ${ADDRESS}`), []),
  interface: v.optional(v.array(table(interfaceEntries), INTERFACES), []),
};

const sshKeys = textThat(SSH_KEYS, readSshKeys);
const sshKeyList = v.pipe(
  v.array(textThat(SSH_KEY, readSshKeys), SSH_KEYS),
  v.minLength(1, SSH_KEYS),
  v.transform((keys) => keys.flat()),
);
/** One of the two, so that what is wrong in a list is said of the key that is wrong. */
const sshEntries = { key: v.lazy((written) => (Array.isArray(written) ? sshKeyList : sshKeys)) };
const ntpEntries = { servers: v.array(textThat(SERVER, readServer), `a list of ${SERVER}`) };
const logEntries = { remote: textThat(SYSLOG, readSyslog) };
const consoleEntries = { serial: v.optional(oneOf("log", "shell"), "log") };
const routerEntries = {
  ipv4: v.optional(v.boolean(FLAG), false),
  ipv6: v.optional(v.boolean(FLAG), false),
  nftables: v.optional(textThat("the path of a file for nft", readPath)),
};
const updateEntries = { unsigned: v.optional(v.boolean(FLAG), false) };

/** Beside the daemon's, in the same file. */
export const systemEntries = {
  network: v.optional(table(networkEntries), {}),
  ssh: v.optional(table(sshEntries)),
  ntp: v.optional(table(ntpEntries)),
  log: v.optional(table(logEntries)),
  console: v.optional(table(consoleEntries), {}),
  router: v.optional(table(routerEntries), {}),
  update: v.optional(table(updateEntries), {}),
};

const systemTable = v.object(systemEntries);
export type SystemTable = v.InferOutput<typeof systemTable>;
export type InterfaceTable = SystemTable["network"]["interface"][number];

export const SYSTEM_TABLES: Tables = {
  network: Object.keys(networkEntries),
  "network.interface": Object.keys(interfaceEntries),
  ssh: Object.keys(sshEntries),
  ntp: Object.keys(ntpEntries),
  log: Object.keys(logEntries),
  console: Object.keys(consoleEntries),
  router: Object.keys(routerEntries),
  update: Object.keys(updateEntries),
};
