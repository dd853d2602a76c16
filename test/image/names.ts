/**
 * DNS as far as tests speak it (RFC 1035, and 6762 for names that end in
 * .local): a question for the addresses of a name, and an answer. Pure.
 */
import { formatAddress, parseAddress } from "../../src/wire/address.js";

export interface Question {
  readonly name: string;
  readonly kind: Kind;
}

export type Kind = "A" | "AAAA";

const TYPES: { readonly [K in Kind]: number } = { A: 1, AAAA: 28 };
const INTERNET = 1;
const HEADER_BYTES = 12;
/** Of a question behind its name, and of a record behind its own. */
const QUESTION_BYTES = 4;
const RECORD_BYTES = 10;
/** An answer, to one who asks for recursion. */
const ANSWER_FLAGS = 0x8180;
const TTL_SECONDS = 60;
/** The first two bits of a name that goes on elsewhere in the message. */
const POINTER = 0xc0;

export function formatQuestion({ name, kind }: Question): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(1, 4);
  const labels = name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`));
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, TYPES[kind], 0, INTERNET])]);
}

/** `undefined`: it asks for something else. */
export function readQuestion(message: Buffer): Question | undefined {
  const end = afterName(message, HEADER_BYTES);
  const labels: string[] = [];
  for (let at = HEADER_BYTES; at < end - 1; at += 1 + message.readUInt8(at))
    labels.push(message.toString("latin1", at + 1, at + 1 + message.readUInt8(at)));
  const kind = kindOf(message.readUInt16BE(end));
  return kind && { name: labels.join("."), kind };
}

/** To a question, with the addresses of its family. */
export function formatAnswer(question: Buffer, addresses: readonly string[]): Buffer {
  const end = afterName(question, HEADER_BYTES);
  const type = question.readUInt16BE(end);
  const bodies = addresses
    .map((text) => Buffer.from(parseAddress(text)?.bytes ?? []))
    .filter(({ length }) => type === (length === 4 ? TYPES.A : TYPES.AAAA));
  const header = Buffer.from(question.subarray(0, HEADER_BYTES));
  header.writeUInt16BE(ANSWER_FLAGS, 2);
  header.writeUInt16BE(bodies.length, 6);
  header.fill(0, 8);
  const records = bodies.map((body) => {
    const record = Buffer.alloc(2 + RECORD_BYTES);
    record.writeUInt16BE((POINTER << 8) | HEADER_BYTES, 0);
    record.writeUInt16BE(type, 2);
    record.writeUInt16BE(INTERNET, 4);
    record.writeUInt32BE(TTL_SECONDS, 6);
    record.writeUInt16BE(body.length, 10);
    return Buffer.concat([record, body]);
  });
  return Buffer.concat([header, question.subarray(HEADER_BYTES, end + QUESTION_BYTES), ...records]);
}

/** All that an answer names, also beside what was asked for. */
export function addressesIn(message: Buffer): readonly string[] {
  const counts = [4, 6, 8, 10].map((at) => message.readUInt16BE(at));
  const [questions = 0, ...records] = counts;
  let at = HEADER_BYTES;
  for (let i = 0; i < questions; i++) at = afterName(message, at) + QUESTION_BYTES;
  const found: string[] = [];
  for (let i = records.reduce((sum, count) => sum + count, 0); i > 0; i--) {
    at = afterName(message, at);
    const kind = kindOf(message.readUInt16BE(at));
    const from = at + RECORD_BYTES;
    at = from + message.readUInt16BE(from - 2);
    const bytes = message.subarray(from, at);
    if (kind) found.push(formatAddress({ family: kind === "A" ? 4 : 6, bytes }));
  }
  return found;
}

function kindOf(type: number): Kind | undefined {
  return type === TYPES.A ? "A" : type === TYPES.AAAA ? "AAAA" : undefined;
}

function afterName(message: Buffer, from: number): number {
  for (let at = from; ; ) {
    const length = message.readUInt8(at);
    if (length >= POINTER) return at + 2;
    at += 1 + length;
    if (length === 0) return at;
  }
}
