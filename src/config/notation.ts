/**
 * How addresses, names, keys and paths are written in a text: each reader gives
 * the value, or refuses with what it wanted. Knows one text at a time; which
 * key holds it is the schema's business.
 */
import { isIPv4, isIPv6 } from "node:net";
import { KEY_BYTES, keyOfPassphrase, PASSPHRASE_BYTES } from "../carp/digest.js";
import { carriedBoards } from "../carried-boards.js";
import { type Address, formatAddress, isMulticast, type Prefix, parseAddress } from "../wire/address.js";
import { isUnicast, parseMac } from "../wire/mac.js";
import { alternatives } from "./values.js";

/** Says what was wanted instead; a reader returns what it gives. */
export type Refuse = (wanted: string) => never;

/** `off`: no status server. */
type Listen = { readonly host: string; readonly port: number } | "off";

/** A family stands for whichever of its boards this is. */
const BOARDS = [
  "auto",
  ...new Set(carriedBoards.flatMap(({ name }) => [familyOf(name), name])),
  "none",
] as const;

export const HOST_NAME = 'a host name, such as "left.example.org"';
export const LISTEN = "host:port, such as 0.0.0.0:8080 or [::]:8080, or none";
export const BOARD_URL = "http://HOST:PORT and nothing after it, such as http://192.0.2.3:8080";
export const HOOK_URL = "a URL that begins with https:// or http://";

export function readName(text: string, refuse: Refuse): string {
  const valid = /^\P{Cc}{1,63}$/u.test(text) && text.trim() !== "";
  return valid ? text : refuse("1 to 63 characters on one line");
}

export function readBoard(text: string, refuse: Refuse): string {
  if (isPath(text) || BOARDS.includes(text)) return text;
  return refuse(`${alternatives(BOARDS)}, or the path of a board.toml`);
}

/** For a shell; nothing at all means that nothing is to be done. */
export function readCommand(text: string, refuse: Refuse): string {
  return /\p{Cc}/u.test(text) ? refuse("a command on one line") : text;
}

/** Handed to a program as it is. */
export function readArgument(text: string, refuse: Refuse): string {
  return /\p{Cc}/u.test(text) ? refuse("a text on one line") : text;
}

export function readPath(text: string, refuse: Refuse): string {
  return text === "" || text.includes("\0") ? refuse("the path of a file") : text;
}

/** The names Linux takes (`dev_valid_name`), and that can have neighbours. */
export function readInterface(text: string, refuse: Refuse): string {
  const valid =
    /^[^\p{Cc}\s/:]+$/u.test(text) && Buffer.byteLength(text) <= 15 && text !== "." && text !== "..";
  if (!valid) return refuse('a name of 1 to 15 bytes without spaces, "/" and ":"');
  return text === "lo" ? refuse("an interface with other hosts on it") : text;
}

/** Only 19 bytes count everywhere, and UCARP refuses more (specification, section 2.1). */
export function readPassphrase(text: string, refuse: Refuse): Uint8Array {
  const wanted = passphraseFault(text);
  return wanted === undefined ? keyOfPassphrase(text) : refuse(wanted);
}

/** What is wrong with a passphrase; `undefined` when nothing is. */
export function passphraseFault(text: string): string | undefined {
  if (text === "") return "1 to 19 bytes; for the BSDs' empty key, leave it out";
  if (text.includes("\0")) return "no zero byte in it: the others stop there";
  const tooLong = Buffer.byteLength(text) > PASSPHRASE_BYTES;
  return tooLong ? `at most ${PASSPHRASE_BYTES} bytes: only ${PASSPHRASE_BYTES} count everywhere` : undefined;
}

export function readHexKey(text: string, refuse: Refuse): Uint8Array {
  const digits = 2 * KEY_BYTES;
  const valid = text.length === digits && /^[0-9a-f]*$/i.test(text);
  return valid ? Uint8Array.from(Buffer.from(text, "hex")) : refuse(`${digits} hex digits`);
}

export function readPrefix(text: string, refuse: Refuse): Prefix {
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

export function readPeer(text: string, refuse: Refuse): Address {
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

export function readLladdr(text: string, refuse: Refuse): Uint8Array | undefined {
  if (text === "") return undefined;
  const wanted = "six octets of a unicast address, such as 00:11:22:33:44:55, or nothing";
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return refuse(wanted);
  const bytes = parseMac(text);
  return isUnicast(bytes) ? bytes : refuse(wanted);
}

export function readListen(text: string, refuse: Refuse): Listen {
  if (text === "" || text === "none") return "off";
  const [, v6, other = "", digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const isName = /^(?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*$/i.test(other);
  const hostFits = v6 === undefined ? isIPv4(other) || isName : isIPv6(v6);
  if (!hostFits) return refuse(isIPv6(text) ? `brackets around IPv6: ${LISTEN}` : LISTEN);
  const port = Number(digits);
  return port < 1 || port > 65535 ? refuse("a port from 1 to 65535") : { host: v6 ?? other, port };
}

/** As a browser or a monitoring system calls the board: without a port. */
export function readHostName(text: string, refuse: Refuse): string {
  const valid = text.length <= 253 && /^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/i.test(text);
  return valid ? text : refuse(HOST_NAME);
}

export function readBoardUrl(text: string, refuse: Refuse): string {
  if (!/^http:\/\/[^/@?#\s]+\/?$/i.test(text) || !URL.canParse(text)) return refuse(BOARD_URL);
  return new URL(text).origin;
}

export function readHookUrl(text: string, refuse: Refuse): string {
  return /^https?:\/\/[^/\s]/i.test(text) && URL.canParse(text) ? new URL(text).href : refuse(HOOK_URL);
}

/** A board is a name, or the path of its file. */
export function isPath(board: string): boolean {
  return board.includes("/");
}

/** `raspberrypi-4` is one of the `raspberrypi`. */
export function familyOf(board: string): string {
  return board.split("-")[0] ?? board;
}
