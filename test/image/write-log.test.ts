/** The log of writes is read as QEMU leaves it, also when it was killed in the middle of a write. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Entry, readData, readEntries, replay, SECTOR } from "./write-log.js";

const folder = mkdtempSync(join(tmpdir(), "carpio-write-log-"));
after(() => rmSync(folder, { recursive: true }));
const log = join(folder, "log");

const MAGIC = 0x6a736677736872n;
const FLAGS = { flush: 1n, fua: 2n, discard: 4n, mark: 8n };

function sectorOf(...fields: readonly bigint[]): Buffer {
  const sector = Buffer.alloc(SECTOR);
  for (const [index, field] of fields.entries()) sector.writeBigUInt64LE(field, index * 8);
  return sector;
}

/** QEMU counts its entries later, or never. */
const beginning = sectorOf(MAGIC, 1n, 0n, BigInt(SECTOR));
const flush = sectorOf(0n, 0n, FLAGS.flush, 0n);

function write(sector: number, text: string, flags = 0n): Buffer {
  const data = Buffer.alloc(SECTOR * text.length);
  for (const [index, letter] of [...text].entries()) data.fill(letter, index * SECTOR, (index + 1) * SECTOR);
  return Buffer.concat([sectorOf(BigInt(sector), BigInt(text.length), flags, 0n), data]);
}

function readParts(...parts: readonly Buffer[]): readonly Entry[] {
  writeFileSync(log, Buffer.concat(parts));
  return readEntries(log);
}

test("writes and flushes come in order, each with where it went", () => {
  assert.deepEqual(readParts(beginning, write(3, "ab"), flush, write(0, "c")), [
    { kind: "write", at: 3 * SECTOR, length: 2 * SECTOR, dataAt: 2 * SECTOR },
    { kind: "flush" },
    { kind: "write", at: 0, length: SECTOR, dataAt: 6 * SECTOR },
  ]);
});

test("replayed, they leave the card as the board left it", () => {
  const card = join(folder, "card");
  writeFileSync(
    card,
    "....".replace(/./g, (letter) => letter.repeat(SECTOR)),
  );
  const entries = readParts(beginning, write(1, "ab"), flush, write(2, "c"));
  replay(log, entries, card);
  assert.equal(readFileSync(card, "latin1").replace(/(.)\1{511}/g, "$1"), ".ac.");
  const [first] = entries;
  assert.equal(first?.kind === "write" && readData(log, first).toString("latin1", 511, 513), "ab");
});

const ends: readonly { what: string; end: Buffer }[] = [
  { what: "nothing more", end: Buffer.alloc(0) },
  { what: "a part of an entry", end: flush.subarray(0, 100) },
  { what: "an entry without its data", end: write(9, "z").subarray(0, SECTOR) },
  { what: "an entry with a part of its data", end: write(9, "zz").subarray(0, -1) },
];
for (const { what, end } of ends) {
  test(`a log that ends with ${what} has what is whole before`, () => {
    assert.equal(readParts(beginning, write(1, "a"), flush, end).length, 2);
  });
}

const refused: readonly { what: string; parts: readonly Buffer[]; says: RegExp }[] = [
  { what: "of nothing", parts: [], says: /wanted a log of writes/ },
  { what: "of something else", parts: [Buffer.alloc(SECTOR, "x")], says: /wanted a log of writes/ },
  {
    what: "with other sectors",
    parts: [sectorOf(MAGIC, 1n, 0n, 4096n)],
    says: /wanted a log of writes in sectors of 512 bytes/,
  },
  {
    what: "in which something is discarded",
    parts: [beginning, sectorOf(5n, 8n, FLAGS.discard, 0n)],
    says: /found 8 sectors, flags 4 and a note of 0 bytes at 512, wanted a write or a flush/,
  },
  {
    what: "with somebody's mark",
    parts: [beginning, sectorOf(0n, 0n, FLAGS.mark, 5n)],
    says: /flags 8 and a note of 5 bytes/,
  },
  {
    what: "with a write that is on the card at once",
    parts: [beginning, flush, write(5, "a", FLAGS.fua)],
    says: /flags 2 and a note of 0 bytes at 1024/,
  },
];
for (const { what, parts, says } of refused) {
  test(`a log ${what} is refused`, () => {
    assert.throws(() => readParts(...parts), says);
  });
}
