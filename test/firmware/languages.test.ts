/** What scripts/firmware/languages.mjs leaves of the words in Node: the rest stays where it is. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const file = join(import.meta.dirname, "../../../scripts/firmware/languages.mjs");
const { dropLanguages } = (await import(pathToFileURL(file).href)) as {
  readonly dropLanguages: (program: Buffer) => number;
};

const HEADER_BYTES = 32;
const ITEM_BYTES = 16;
const BEFORE = Buffer.from("machine code, with CmnD in it by chance ");

/** A program with a file of ICU's in its middle; each item's bytes are a letter of its own. */
function programWith(names: readonly string[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16LE(HEADER_BYTES, 0);
  header.writeUInt16LE(0x27da, 2);
  header.write("CmnD", 12);
  const texts = names.map((name) => `icudt78l/${name}\0`);
  const namesAt = 4 + 8 * names.length;
  const dataAt = namesAt + texts.join("").length;
  const table = Buffer.alloc(namesAt);
  table.writeUInt32LE(names.length, 0);
  for (const index of names.keys()) {
    table.writeUInt32LE(namesAt + texts.slice(0, index).join("").length, 4 + 8 * index);
    table.writeUInt32LE(dataAt + ITEM_BYTES * index, 8 + 8 * index);
  }
  const data = names.map((_, index) => Buffer.alloc(ITEM_BYTES, 0x61 + index));
  return Buffer.concat([
    BEFORE,
    header,
    table,
    Buffer.from(texts.join("")),
    ...data,
    Buffer.from("more code"),
  ]);
}

/** As ICU finds it: by the table. */
function itemsOf(program: Buffer): ReadonlyMap<string, string> {
  const table = BEFORE.length + HEADER_BYTES;
  const items = Array.from({ length: program.readUInt32LE(table) }, (_, index) => {
    const nameAt = table + program.readUInt32LE(table + 4 + 8 * index);
    const dataAt = table + program.readUInt32LE(table + 8 + 8 * index);
    const name = program.toString("latin1", nameAt, program.indexOf(0, nameAt));
    return [name.replace("icudt78l/", ""), program.toString("latin1", dataAt, dataAt + ITEM_BYTES)] as const;
  });
  return new Map(items);
}

const rows = [
  { item: "en.res", stays: true, why: "English is what it speaks" },
  { item: "root.res", stays: true, why: "every language falls back to it" },
  { item: "coll/root.res", stays: true, why: "the order of letters" },
  { item: "coll/ucadata.icu", stays: true, why: "what that order is made of" },
  { item: "nfkc.nrm", stays: true, why: "what characters are is no language's" },
  { item: "supplementalData.res", stays: true, why: "a list, not a language" },
  { item: "zoneinfo64.res", stays: true, why: "time zones" },
  { item: "de.res", stays: false, why: "another language" },
  { item: "zh_Hant_HK.res", stays: false, why: "another place" },
  { item: "lang/de.res", stays: false, why: "names of languages in another one" },
  { item: "brkitr/thaidict.dict", stays: false, why: "a dictionary" },
  { item: "ibm-943.cnv", stays: false, why: "an old encoding" },
];

for (const { item, stays, why } of rows) {
  test(`${item} ${stays ? "stays" : "goes"}: ${why}`, () => {
    const names = ["brkitr/char.brk", item, "zzz.icu"];
    const program = programWith(names);
    const before = itemsOf(program);
    const length = program.length;
    assert.equal(dropLanguages(program), stays ? 0 : 1);
    const left = names.filter((name) => stays || name !== item);
    assert.deepEqual(
      [...itemsOf(program)],
      left.map((name) => [name, before.get(name)]),
    );
    assert.equal(program.includes(before.get(item) ?? ""), stays, "its bytes");
    assert.equal(program.length, length);
    assert.ok(program.toString("latin1").endsWith("more code"));
  });
}

test("a Node without such data is refused: it is not the one we know", () => {
  assert.throws(() => dropLanguages(Buffer.from(BEFORE)), /found no data of ICU in it, wanted/);
});
