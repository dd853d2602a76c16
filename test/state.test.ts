/**
 * The wish for maintenance, and every byte at which the power may fail while it
 * is written.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { crc32, decodeSlot, encodeSlot, newestSlot, RECORD_BYTES, SLOT_BYTES } from "../src/slot.js";
import { openState, type Wish } from "../src/state.js";

const directory = mkdtempSync(join(tmpdir(), "carpio-state-"));
after(() => rmSync(directory, { recursive: true }));

const on: Wish = { maintenance: true, since: "2026-11-22T08:00:00.000Z", forSeconds: 7200 };
const off: Wish = { maintenance: false, since: null, forSeconds: null };

test("what was written is read, again and again, in a folder that was not there", async () => {
  const folder = join(directory, "new/deeper");
  const state = openState(folder);
  assert.equal(await state.read(), undefined);
  for (const wish of [on, off, on, on, off]) {
    await state.write(wish);
    assert.deepEqual(await state.read(), wish);
    assert.deepEqual(await openState(folder).read(), wish);
  }
  for (const file of ["state-a", "state-b"]) assert.equal(statSync(join(folder, file)).size, SLOT_BYTES);
});

test("writes that overlap happen in the order in which they were asked for", async () => {
  const state = openState(join(directory, "together"));
  await Promise.all([on, off, on].map((wish) => state.write(wish)));
  assert.deepEqual(await state.read(), on);
});

test("a power cut at any byte of any write leaves the wish of before or of after", async () => {
  const folder = join(directory, "cut");
  const state = openState(folder);
  const files = ["state-a", "state-b"].map((name) => join(folder, name));
  const contents = () => files.map((file) => readFileSync(file));
  await state.write(off);
  await state.write(on);
  for (const [before, after] of [
    [on, off],
    [off, on],
  ] as const) {
    const old = contents();
    await state.write(after);
    const whole = contents();
    const written = whole.findIndex((bytes, i) => !bytes.equals(old[i] ?? Buffer.alloc(0)));
    const [from = Buffer.alloc(0), to = Buffer.alloc(0)] = [old[written], whole[written]];
    for (let cut = 0; cut <= SLOT_BYTES; cut++) {
      // Either order: a card may write a sector from wherever it likes.
      for (const torn of [
        Buffer.concat([to.subarray(0, cut), from.subarray(cut)]),
        Buffer.concat([from.subarray(0, cut), to.subarray(cut)]),
      ]) {
        writeFileSync(files[written] ?? "", torn);
        const found = await openState(folder).read();
        assert.deepEqual(found, torn.equals(to) ? after : before, `cut at ${cut}`);
      }
    }
    writeFileSync(files[written] ?? "", to);
  }
});

test("a first write that is cut short, and an empty file, are no wish", async () => {
  const folder = join(directory, "first");
  await openState(folder).write(on);
  const bytes = readFileSync(join(folder, "state-a"));
  for (let cut = 0; cut < SLOT_BYTES; cut++) {
    writeFileSync(join(folder, "state-a"), bytes.subarray(0, cut));
    assert.equal(await openState(folder).read(), undefined);
  }
});

test("after a cut the next write is kept, and the one before it too until then", async () => {
  const folder = join(directory, "again");
  const state = openState(folder);
  await state.write(off);
  await state.write(on);
  writeFileSync(join(folder, "state-a"), Buffer.alloc(SLOT_BYTES, 0xff));
  assert.deepEqual(await state.read(), on);
  await state.write(off);
  assert.deepEqual(await state.read(), off);
});

test("a folder that cannot be made is an error with its name", async () => {
  writeFileSync(join(directory, "file"), "");
  await assert.rejects(openState(join(directory, "file/below")).write(on), /ENOTDIR.*below/);
});

test("a slot comes back as it was, and one changed bit is noticed", () => {
  fc.assert(
    fc.property(
      fc.nat(2 ** 32 - 1),
      fc.string({ unit: "binary", maxLength: 80 }),
      fc.nat(SLOT_BYTES * 8 - 1),
      (sequence, text, bit) => {
        fc.pre(Buffer.byteLength(text) <= RECORD_BYTES && Buffer.from(text).toString() === text);
        const bytes = encodeSlot({ sequence, text });
        assert.deepEqual(decodeSlot(bytes), { sequence, text });
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.equal(decodeSlot(bytes), undefined);
      },
    ),
  );
  assert.throws(
    () => encodeSlot({ sequence: 1, text: "x".repeat(RECORD_BYTES + 1) }),
    /found 499 bytes, wanted at most 498/,
  );
});

test("the checksum is the CRC-32 that everybody knows, by its check value", () => {
  assert.equal(crc32(Buffer.from("123456789")), 0xcbf43926);
  assert.equal(crc32(new Uint8Array(0)), 0);
});

test("the later slot counts, also where the numbers begin anew", () => {
  const slot = (sequence: number) => ({ sequence, text: "" });
  assert.equal(newestSlot([slot(1), slot(2)]), 1);
  assert.equal(newestSlot([slot(3), slot(2)]), 0);
  assert.equal(newestSlot([slot(2 ** 32 - 1), slot(0)]), 1);
  assert.equal(newestSlot([undefined, slot(2)]), 1);
  assert.equal(newestSlot([slot(2), undefined]), 0);
  assert.equal(newestSlot([undefined, undefined]), undefined);
});
