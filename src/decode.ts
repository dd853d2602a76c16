/**
 * `carpio decode`: says of each advertisement in a capture, in hex or on the
 * wire what it claims, whether we would act on it, and if not, why.
 *
 * Knows input and output. Packets are judged by `inspect`, as in the daemon,
 * and wrong digests explained by `diagnose`; files, configuration and the live
 * wire are handed in by the caller.
 */
import { parseArgs } from "node:util";
import {
  type Advertisement,
  type Drop,
  decodeAdvertisement,
  HEADER_BYTES,
  mayBeVrrp,
  readFields,
} from "./carp/advertisement.js";
import { createSigner, type Signer } from "./carp/digest.js";
import { type Arrival, inspect, inspectHeader } from "./carp/inspect.js";
import { isBowOut } from "./carp/interval.js";
import { describeProblem, type GroupConfig, readConfig, signatureOf } from "./config.js";
import { diagnose, diagnoseVhid, type Theory } from "./diagnose.js";
import { type Address, type Family, formatAddress } from "./wire/address.js";
import { decodePacket, type Packet } from "./wire/packet.js";
import { ethernet, readPcap } from "./wire/pcap.js";

/** A packet, and what the capture knows about it. A decoded `Packet` is one. */
export interface Sighting {
  /** `undefined` when only the 36 bytes were given, without an IP header. */
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  readonly ttl: number | undefined;
  readonly payload: Uint8Array;
  /** Milliseconds since 1970. */
  readonly at?: number;
  readonly sourceMac?: string;
}

/** One advertisement, as `--json` prints it. What could not be read is null. */
export interface Explained {
  readonly at: string | null;
  readonly source: string | null;
  readonly destination: string | null;
  readonly family: Family | null;
  readonly vhid: number | null;
  readonly advbase: number | null;
  readonly advskew: number | null;
  readonly demote: number | null;
  /** 16 hex digits. */
  readonly counter: string | null;
  readonly verdict: "ok" | Drop;
  /** The form it was signed in, `not checked` without a configuration, null when none fits. */
  readonly digest: string | null;
  /** What the operator should change, or know. */
  readonly hint: string | null;
}

/** What was found in an input, and why there is not more. */
export interface Decoding {
  readonly advertisements: readonly Explained[];
  readonly problem?: string;
}

/** `undefined`: there is no configuration, so digests cannot be verified. */
export type Groups = readonly GroupConfig[] | undefined;

/** What `runDecode` needs of the world. */
export interface DecodeIo {
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** `undefined` when there is no such file. */
  readonly readFile: (path: string) => Promise<Uint8Array | undefined>;
  /** The configuration to read when none is named; `undefined` when there is none. */
  readonly defaultConfig: string | undefined;
  /** Resolves when the user has seen enough, rejects with what the kernel says. */
  readonly listen: (interfaceName: string, onPacket: (packet: Packet) => void) => Promise<void>;
}

const USAGE = "usage: carpio decode FILE.pcap|HEX|-i INTERFACE [--json] [--config FILE]\n";
const NOT_CHECKED = "not checked";
/** A mistake that was not found is searched for again when somebody could have changed something. */
const SEARCH_AGAIN_MS = 10_000;
/** More than can be on a link in earnest. Of a flood with invented sources each would be a search. */
const PEERS_REMEMBERED = 64;
/** Stands in for the source of 36 bytes without an IP header. */
const NOWHERE: Address = { family: 4, bytes: new Uint8Array(4) };

/** The command. Answers with the exit status: 0 done, 1 failed, 64 usage, 78 configuration. */
export async function runDecode(args: readonly string[], io: DecodeIo): Promise<number> {
  const order = readArguments(args);
  if (typeof order === "string") {
    io.writeError(`carpio decode: ${order}\n${USAGE}`);
    return 64;
  }
  const path = order.config ?? io.defaultConfig;
  const parsed = path === undefined ? undefined : { path, ...readConfig(path) };
  if (parsed?.ok === false) {
    for (const problem of parsed.problems) io.writeError(`${describeProblem(parsed.path, problem)}\n`);
    return 78;
  }
  const problem = await decodeAndPrint(order, parsed?.config.groups, io);
  if (problem !== undefined) io.writeError(`carpio decode: ${problem}\n`);
  return problem === undefined ? 0 : 1;
}

/** Reads the bytes of a capture file, or the hex of one packet. */
export function decodeInput(input: string | Uint8Array, groups: Groups): Decoding {
  return typeof input === "string" ? decodeHex(input, groups) : decodeCapture(input, groups);
}

export function explain(sighting: Sighting, groups: Groups): Explained {
  return createExplainer(groups)(sighting);
}

export function formatLine(explained: Explained): string {
  const { at, source, destination, vhid, advbase, advskew, demote, counter } = explained;
  const { verdict, digest, hint } = explained;
  const bowOut = advbase !== null && advskew !== null && isBowOut({ advbase, advskew });
  const checked =
    digest === NOT_CHECKED ? ", digest not checked: no configuration" : digest && ` (${digest})`;
  return [
    at,
    source && `${source} > ${destination ?? "?"}`,
    vhid !== null && `vhid ${vhid}`,
    counter && `advbase ${advbase} advskew ${advskew} demote ${demote} counter ${counter}`,
    bowOut && "bow-out",
    `${verdict}${checked ?? ""}${hint ? `: ${hint}` : ""}`,
  ]
    .filter((part) => typeof part === "string")
    .join(" ");
}

export function formatJson(explained: Explained): string {
  return JSON.stringify(explained);
}

interface Order {
  readonly input: string;
  readonly interface: string | undefined;
  readonly config: string | undefined;
  readonly json: boolean;
}

/** What was asked for, or what is wrong with it. Hex may be given in several words. */
function readArguments(args: readonly string[]): Order | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        interface: { type: "string", short: "i" },
        config: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
    if (positionals.length === 0 && values.interface === undefined) return "what is to be decoded?";
    if (positionals.length > 0 && values.interface !== undefined) return "-i goes without a file or hex";
    const { json, config } = values;
    return { input: positionals.join(" "), interface: values.interface, config, json };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Prints as much as there is; answers with what prevented more. */
async function decodeAndPrint(order: Order, groups: Groups, io: DecodeIo): Promise<string | undefined> {
  const format = order.json ? formatJson : formatLine;
  const print = (explained: Explained) => io.write(`${format(explained)}\n`);
  try {
    if (order.interface !== undefined) {
      const explain = createExplainer(groupsOn(order.interface, groups));
      await io.listen(order.interface, (packet) => print(explain({ ...packet, at: Date.now() })));
      return undefined;
    }
    const file = await io.readFile(order.input);
    const name = order.input.length > 40 ? `${order.input.slice(0, 40)}…` : order.input;
    const { advertisements, problem } = decodeInput(file ?? order.input, groups);
    advertisements.forEach(print);
    if (problem !== undefined)
      return file ? `${name}: ${problem}` : `${name}: no such file; as hex: ${problem}`;
    if (advertisements.length === 0) io.writeError(`carpio decode: ${name}: no CARP packet in it\n`);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Another interface may have the same vhid with another password. */
function groupsOn(interfaceName: string, groups: Groups): Groups {
  const there = groups?.filter((group) => group.interface === interfaceName);
  return there?.length === 0 ? groups : there;
}

function decodeCapture(bytes: Uint8Array, groups: Groups): Decoding {
  const explain = createExplainer(groups);
  const { packets, problem } = readPcap(bytes);
  const advertisements = packets.flatMap(({ ip, ...seen }) => {
    const packet = decodePacket(ip);
    return packet ? [explain({ ...packet, ...seen })] : [];
  });
  return problem === undefined ? { advertisements } : { advertisements, problem };
}

function decodeHex(text: string, groups: Groups): Decoding {
  const bytes = readHex(text);
  if (typeof bytes === "string") return { advertisements: [], problem: bytes };

  const alone = { source: undefined, destination: undefined, ttl: undefined, payload: bytes };
  const ip = isIp(bytes) ? bytes : bytes.length > HEADER_BYTES ? ethernet(bytes)?.ip : undefined;
  const sighting = ip ? decodePacket(ip) : alone;
  if (sighting) return { advertisements: [explain(sighting, groups)] };
  return { advertisements: [], problem: "an IP packet, but not a whole one of protocol 112, which is CARP" };
}

/** A CARP or VRRP header begins with version 1, 2 or 3. */
function isIp(bytes: Uint8Array): boolean {
  const version = (bytes[0] ?? 0) >> 4;
  return version === 4 || version === 6;
}

/** Hex as people paste it: with spaces, colons, `0x`, or the offsets of `tcpdump -x`. */
function readHex(text: string): Uint8Array | string {
  const digits = text.replace(/^\s*0x[0-9a-f]{4}:\s/gim, "").replace(/0x|[\s:]/gi, "");
  const wrong = /[^0-9a-f]/i.exec(digits);
  if (wrong) return `found ${JSON.stringify(wrong[0])}, wanted hex digits`;
  if (digits.length === 0) return "found nothing, wanted hex digits";
  if (digits.length % 2 === 1) return `found ${digits.length} hex digits, wanted two for each byte`;
  return new Uint8Array(Buffer.from(digits, "hex"));
}

/** Explains one packet after another, and remembers what was wrong with each peer. */
function createExplainer(groups: Groups): (sighting: Sighting) => Explained {
  const signers = new Map(groups?.map((group) => [group, createSigner(group.vhid, signatureOf(group))]));
  const search = createSearch();

  return (sighting) => {
    const { at, source, destination, payload } = sighting;
    const suspects = (groups ?? []).filter((group) => isFor(group, sighting));
    const judgement = groups ? judge(sighting, suspects, signers) : judgeHeader(sighting);
    const readable = payload.length >= HEADER_BYTES && judgement.verdict !== "foreign";
    const fields = readable ? readFields(payload) : undefined;
    const evidence = { sighting, fields, judgement, suspects, groups: groups ?? [], search };
    return {
      at: at === undefined ? null : new Date(at).toISOString(),
      source: source ? formatAddress(source) : null,
      destination: destination ? formatAddress(destination) : null,
      family: source?.family ?? null,
      vhid: payload[1] ?? null,
      advbase: fields?.advbase ?? null,
      advskew: fields?.advskew ?? null,
      demote: fields?.demote ?? null,
      counter: fields?.counter.toString(16).padStart(16, "0") ?? null,
      verdict: judgement.verdict,
      digest: judgement.digest,
      hint: hints[judgement.verdict](evidence) ?? null,
    };
  };
}

/** Whether a group would have to do with a packet: its vhid, and an address of its family. */
function isFor(group: GroupConfig, { source, payload }: Sighting): boolean {
  if (group.vhid !== payload[1]) return false;
  return !source || group.addresses.some(({ address }) => address.family === source.family);
}

interface Judgement {
  readonly verdict: "ok" | Drop;
  readonly digest: string | null;
  /** Against whose configuration it was judged. */
  readonly group?: GroupConfig;
}

/** Judges as the receiver of each suspect would: several interfaces can have the same vhid. */
function judge(sighting: Sighting, suspects: readonly GroupConfig[], signers: Signers): Judgement {
  const judgements = suspects.map((group) => ({ ...judgeFor(sighting, signers.get(group)), group }));
  return judgements.find(({ verdict }) => verdict === "ok") ?? judgements[0] ?? judgeFor(sighting, undefined);
}

type Signers = ReadonlyMap<GroupConfig, Signer>;

function judgeFor(sighting: Sighting, signer: Signer | undefined): Judgement {
  const verdict = inspect(arrivalOf(sighting), { signerOf: () => signer, isOurs: () => false });
  return verdict.ok ? { verdict: "ok", digest: verdict.form } : { verdict: verdict.drop, digest: null };
}

/** Without a configuration: everything but vhid and digest. */
function judgeHeader(sighting: Sighting): Judgement {
  const decoded = inspectHeader(arrivalOf(sighting));
  if (!decoded.ok) return { verdict: decoded.drop, digest: null };
  if (mayBeVrrp(sighting.payload)) return { verdict: "foreign", digest: null };
  return { verdict: "ok", digest: NOT_CHECKED };
}

function arrivalOf(sighting: Sighting): Arrival {
  return { ...sighting, source: sighting.source ?? NOWHERE };
}

/** All that a hint can be drawn from. */
interface Evidence {
  readonly sighting: Sighting;
  readonly judgement: Judgement;
  readonly fields: Advertisement | undefined;
  readonly suspects: readonly GroupConfig[];
  readonly groups: readonly GroupConfig[];
  readonly search: Search;
}

type Search = (evidence: Evidence) => string | undefined;

const hints: { readonly [V in "ok" | Drop]: (evidence: Evidence) => string | undefined } = {
  ok: hintForPeer,
  badauth: (evidence) => evidence.search(evidence),
  badvhid: hintForVhid,
  badsum: ({ sighting: { source } }) =>
    source ? "damaged on its way" : "damaged, or from NetBSD by IPv6: give the whole packet to tell",
  badttl: ({ sighting: { ttl } }) => `TTL ${ttl}, wanted 255: it came through a router, or is forged`,
  badlen: ({ sighting: { payload } }) => `${payload.length} bytes, wanted ${HEADER_BYTES}`,
  badver: ({ sighting: { payload } }) => `version ${(payload[0] ?? 0) >> 4}, wanted 2`,
  foreign: hintForVrrp,
  looped: () => undefined,
};

/** We accept more than some peers do: what they want must be configured. */
function hintForPeer({ sighting: { payload }, judgement: { digest, group } }: Evidence): string | undefined {
  if (group?.compat.linkLocal === "auto" && digest?.includes("link-local")) {
    return `for this peer to accept us, set link_local = "with" in [carp.compat]`;
  }
  if (group?.compat.checksum6 === "plain" && !decodeAdvertisement(payload).ok) {
    return `for this peer to accept us by IPv6, set checksum6 = "pseudo-header" in [carp.compat]`;
  }
  return undefined;
}

function hintForVhid({ sighting: { source }, fields, groups }: Evidence): string | undefined {
  const group = groups.find(({ vhid }) => vhid === fields?.vhid);
  if (group) return `vhid ${group.vhid} on ${group.interface} has no IPv${source?.family} address here`;
  return fields && (diagnoseVhid(fields, groups) ?? `no group here has vhid ${fields.vhid}`);
}

function hintForVrrp({ sighting: { payload }, groups }: Evidence): string {
  const group = groups.find(({ vhid }) => vhid === payload[1]);
  if (!group) return "VRRP, not CARP";
  const ours = `vhid ${group.vhid} on ${group.interface}`;
  return `VRRP, not CARP, and its number is that of ${ours}: both use the same MAC, so change one`;
}

/** Searches for a peer's mistake, beginning with the one it made before. */
function createSearch(): Search {
  const found = new Map<string, { readonly theory: Theory | undefined; readonly at: number }>();

  return ({ sighting, fields, suspects, groups }) => {
    if (!fields) return undefined;
    const { source, at = 0 } = sighting;
    const name = `${source ? formatAddress(source) : ""} ${fields.vhid}`;
    const peer = found.has(name) || found.size < PEERS_REMEMBERED ? name : `others ${fields.vhid}`;
    const earlier = found.get(peer);
    const waiting = earlier && !earlier.theory && Math.abs(at - earlier.at) < SEARCH_AGAIN_MS;
    const misfit = { advertisement: fields, source, sourceMac: sighting.sourceMac };
    const theory = waiting ? undefined : diagnose(misfit, suspects, groups, earlier?.theory);
    if (!waiting) found.set(peer, { theory, at });
    return theory?.hint ?? "no known variant fits: the password differs";
  };
}
