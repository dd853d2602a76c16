/**
 * How the settings of a board's own system are written in a text. Addresses and
 * names that the daemon's settings have as well are read by notation.ts.
 */
import { isIP, isIPv6 } from "node:net";
import { type Address, parseAddress } from "../wire/address.js";
import { formatMac, isUnicast, parseMac } from "../wire/mac.js";
import type { Refuse } from "./notation.js";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export const HOSTNAME = 'a host name without dots, such as "left"';
export const ADDRESS = "an address, such as 192.0.2.53 or 2001:db8::53";
export const MAC = "six octets of a unicast address, such as b8:27:eb:12:34:56";
export const SERVER = "the name or the address of a server";
export const SYSLOG = "a name or an address, with or without :PORT, such as 192.0.2.9:514";
export const SSH_KEY = "the line of a .pub file, such as ssh-ed25519 AAAA… somebody";
export const SSH_KEYS = `${SSH_KEY}, or a list of them`;

const SYSLOG_PORT = 514;
/** What dropbear takes. */
const KEY_KINDS = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-\S+@openssh\.com)$/;

export function readHostname(text: string, refuse: Refuse): string {
  return isHostname(text) ? text : refuse(`${HOSTNAME}: 1 to 63 letters, digits and hyphens`);
}

export function isHostname(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(text);
}

export function readAddress(text: string, refuse: Refuse): Address {
  const address = text.includes("%") ? undefined : parseAddress(text);
  return address ?? refuse(`${ADDRESS}, without prefix length, port and zone`);
}

/** As a label has it. The value is what Linux shows. */
export function readMac(text: string, refuse: Refuse): string {
  if (!/^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}$/i.test(text)) return refuse(MAC);
  const mac = parseMac(text.replaceAll("-", ":"));
  return isUnicast(mac) ? formatMac(mac) : refuse(MAC);
}

/** A word in a command line, and never one of its options. */
export function readServer(text: string, refuse: Refuse): string {
  return isServer(text) ? text : refuse(SERVER);
}

export function readSyslog(text: string, refuse: Refuse): Endpoint {
  if (isIPv6(text)) return { host: text, port: SYSLOG_PORT };
  const [, v6, other = "", digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = v6 ?? other;
  const port = Number(digits ?? SYSLOG_PORT);
  const fits = v6 === undefined ? isServer(other) : isIPv6(v6);
  return fits && port >= 1 && port <= 65_535 ? { host, port } : refuse(SYSLOG);
}

/** In one text, several keys stand on a line each. Options before a key are a program's business, and dropbear has few of them. */
export function readSshKeys(text: string, refuse: Refuse): readonly string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const wrong = keys.find((line) => !isSshKey(line));
  if (wrong?.includes("PRIVATE KEY"))
    return refuse("the public key, from the .pub file: this one is private");
  return keys.length > 0 && wrong === undefined ? keys : refuse(SSH_KEY);
}

function isSshKey(line: string): boolean {
  const [kind = "", body = ""] = line.split(/\s+/);
  return !/\p{Cc}/u.test(line) && KEY_KINDS.test(kind) && /^[A-Za-z0-9+/]{40,}={0,2}$/.test(body);
}

function isServer(text: string): boolean {
  if (isIP(text) !== 0) return true;
  return /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(text);
}
