/**
 * What goes into a slot: a squashfs, and behind it one sector of text that says
 * what it is. Pure: the bytes are somebody else's.
 *
 *   carpio-slot 1
 *   version=0.1.0
 *   size=40112128
 *   sha256=9f86d081884c7d65…
 *   signature=…
 *
 * `size` and `sha256` are those of the squashfs. `signature` is Ed25519, in
 * base64, over all lines before it with their ends; it may be left out, and
 * whether such a payload is taken is the board's decision. Line ends fill the
 * sector, and behind a signature is nothing else: nobody has signed that. None of
 * these lines comes twice: board/base/slots reads them as well, and the two of them must
 * not choose differently. Lines that mean nothing here are passed over: another carpio may know more.
 */
import { type KeyObject, sign, verify } from "node:crypto";

/** The length of the text, and so where it begins: at this many bytes from the end. */
export const TRAILER_BYTES = 512;
/** Far more than any payload of ours; what goes on for ever is to end. */
export const MOST_BYTES = 512 << 20;
const MAGIC = "carpio-slot";
const FORMAT = "1";
const KEYS = ["version", "size", "sha256", "signature"] as const;
/** With which a squashfs begins. */
const SQUASHFS = "hsqs";

export interface Contents {
  readonly version: string;
  /** Of the squashfs, in bytes. */
  readonly size: number;
  readonly sha256: string;
}

export interface Trailer extends Contents {
  /** What is signed, and by what; `undefined` when nobody has signed. */
  readonly signed: { readonly text: string; readonly signature: Uint8Array } | undefined;
}

export type Judged<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string };

/** What is known of a payload when all of it has passed by. */
export interface Passed {
  /** All of it, trailer and all. */
  readonly bytes: number;
  /** Of all but the trailer. */
  readonly sha256: string;
  readonly trailer: Uint8Array;
}

/** Who must have signed: whoever has this key, or nobody has to. */
export type Trust = { readonly key: KeyObject } | "unsigned";

export function formatTrailer({ version, size, sha256 }: Contents, key?: KeyObject): Uint8Array {
  const lines = `${MAGIC} ${FORMAT}\nversion=${version}\nsize=${size}\nsha256=${sha256}\n`;
  const signature = key ? `signature=${sign(null, Buffer.from(lines), key).toString("base64")}\n` : "";
  const text = Buffer.from(`${lines}${signature}`);
  if (text.length > TRAILER_BYTES) {
    throw new RangeError(`found ${text.length} bytes, wanted at most ${TRAILER_BYTES}`);
  }
  return Buffer.concat([text, Buffer.alloc(TRAILER_BYTES - text.length, "\n")]);
}

/** Nothing here throws: whatever was sent or lies on a card is data. */
export function parseTrailer(bytes: Uint8Array): Judged<Trailer> {
  const text = Buffer.from(bytes).toString("latin1");
  if (bytes.length !== TRAILER_BYTES)
    return no(`found ${bytes.length} bytes of trailer, wanted ${TRAILER_BYTES}`);
  if (!text.startsWith(`${MAGIC} `)) return no(`found no "${MAGIC}" in the last ${TRAILER_BYTES} bytes`);
  const [first = "", ...lines] = text.split("\n");
  const format = first.slice(MAGIC.length + 1);
  if (format !== FORMAT)
    return no(`found format ${shown(format)}, wanted ${FORMAT}: another carpio understands it`);

  const all = (key: string) => lines.filter((line) => line.startsWith(`${key}=`));
  const twice = KEYS.find((key) => all(key).length > 1);
  if (twice) return no(`${twice}: found twice, wanted once`);
  const [version, size, sha256, signature] = KEYS.map((key) => all(key)[0]?.slice(key.length + 1));
  if (!/^[\x21-\x7e]{1,64}$/.test(version ?? "")) return wrong("version", version, "1 to 64 characters");
  if (!/^[1-9]\d{0,11}$/.test(size ?? "")) return wrong("size", size, "a number of bytes");
  if (!/^[0-9a-f]{64}$/.test(sha256 ?? "")) return wrong("sha256", sha256, "64 hex digits");
  if (signature !== undefined && !/^[A-Za-z0-9+/]{86}==$/.test(signature)) {
    return wrong("signature", signature, "64 bytes in base64");
  }
  const behind = signature === undefined ? [] : lines.slice(lines.indexOf(`signature=${signature}`) + 1);
  const added = behind.find((line) => line !== "");
  if (added !== undefined) return no(`signature: found ${shown(added)} behind it, wanted nothing`);
  const signed = signature === undefined ? undefined : signedPart(text, signature);
  return { ok: true, value: { version: version ?? "", size: Number(size), sha256: sha256 ?? "", signed } };
}

/** Whether a payload is whole, and from somebody we trust. */
export function judgePayload(passed: Passed, trust: Trust): Judged<Trailer> {
  const judged = judgeEnd(passed, trust);
  if (!judged.ok || judged.value.sha256 === passed.sha256) return judged;
  return no(`sha256: found ${passed.sha256}, wanted ${judged.value.sha256}`);
}

/** The same, without what lies before its end: whether that is what was signed is not known yet. */
export function judgeEnd(
  { bytes, trailer }: Pick<Passed, "bytes" | "trailer">,
  trust: Trust,
): Judged<Trailer> {
  const parsed = parseTrailer(trailer);
  if (!parsed.ok) return no(`the end is missing: ${parsed.why}`);
  const { value: said } = parsed;
  const found = bytes - TRAILER_BYTES;
  if (said.size !== found) return no(`size: found ${found} bytes, wanted ${said.size}`);
  return trust === "unsigned" ? parsed : judgeSignature(parsed, said, trust.key);
}

/** Of the first bytes: whether it is worth reading on. */
export function judgeBeginning(bytes: Uint8Array): string | undefined {
  const magic = Buffer.from(bytes.subarray(0, SQUASHFS.length)).toString("latin1");
  if (magic === SQUASHFS) return undefined;
  return `found ${shown(magic)} at its beginning, wanted a payload of a slot, which begins with ${SQUASHFS}`;
}

function judgeSignature(parsed: Judged<Trailer>, { signed }: Trailer, key: KeyObject): Judged<Trailer> {
  if (!signed)
    return no("signature: found none, wanted one by the key in this image, or [update] unsigned = true");
  const holds = verify(null, Buffer.from(signed.text, "latin1"), key, signed.signature);
  return holds ? parsed : no("signature: found one by another key, or of something else");
}

function signedPart(text: string, signature: string) {
  const end = text.indexOf("\nsignature=") + 1;
  return { text: text.slice(0, end), signature: Buffer.from(signature, "base64") };
}

function no(why: string) {
  return { ok: false, why } as const;
}

function wrong(key: string, found: string | undefined, wanted: string) {
  return no(`${key}: found ${found === undefined ? "nothing" : shown(found)}, wanted ${wanted}`);
}

function shown(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 39)}…` : text).replace(
    /[\x7f-\xff]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16)}`,
  );
}
