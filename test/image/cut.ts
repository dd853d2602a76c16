/**
 * What a power cut leaves of a card's records, whichever moment it takes: all
 * that it could be, from the log of what was written.
 */
import assert from "node:assert/strict";
import { askBase, type Found, findRecords, RECORDS_END, readRecordsPart } from "./records.js";
import { readData, readEntries, SECTOR, type Write } from "./write-log.js";

/**
 * What carpio finds after each write of a log. On the way every cut is tried, and
 * has to leave the old or the new: one in the middle of a write, or in a sector that
 * is garbage then; and one of a card that has kept nothing of what was not yet
 * flushed but the last write. The base has to find the same.
 */
export async function findAlong(card: string, log: string, folder: string): Promise<readonly Found[]> {
  const find = (part: Buffer) => findRecords(part, folder);
  let part = readRecordsPart(card);
  let flushed = part;
  let found = await find(part);
  let sinceFlush = [found];
  const story = [found];
  for (const entry of readEntries(log)) {
    if (entry.kind === "flush") {
      flushed = part;
      sinceFlush = [found];
    } else if (entry.at < RECORDS_END) {
      const data = readData(log, entry);
      const before = { part, found };
      part = written(part, entry, data);
      found = await find(part);
      sinceFlush.push(found);
      story.push(found);
      for (const torn of tornBy(before.part, entry, data)) isOneOf(await find(torn), [before.found, found]);
      isOneOf(await find(written(flushed, entry, data)), sinceFlush);
      assert.equal(askBase(part, folder).slots, found.slots);
    }
  }
  return story;
}

/** The writes that a cut has stopped: between two sectors, in a sector, and in one that is garbage then. */
function* tornBy(before: Buffer, { at, length }: Write, data: Buffer): Generator<Buffer> {
  for (let end = 0; end < length; end += SECTOR) {
    for (const bytes of [0, 1, 9, 100, SECTOR - 1]) {
      yield written(before, { at }, data.subarray(0, end + bytes));
    }
    yield written(before, { at }, Buffer.concat([data.subarray(0, end), Buffer.alloc(SECTOR, 0xa5)]));
  }
}

function written(part: Buffer, { at }: Pick<Write, "at">, data: Buffer): Buffer {
  const after = Buffer.from(part);
  data.copy(after, at);
  return after;
}

function isOneOf(found: Found, wanted: readonly Found[]): void {
  const texts = wanted.map((it) => JSON.stringify(it));
  assert.ok(texts.includes(JSON.stringify(found)), `${JSON.stringify(found)}, wanted one of ${texts}`);
}
