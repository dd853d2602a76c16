import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checksum } from "../../src/wire/checksum.js";

const sums = [
  { of: "", is: 0xffff, why: "the complement of nothing" },
  { of: "0001f203f4f5f6f7", is: 0x220d, why: "the example of RFC 1071" },
  { of: "ffff0001", is: 0xfffe, why: "a carry goes around" },
  { of: "ffffffff0001", is: 0xfffe, why: "a carry of the carry too" },
  { of: "01", is: 0xfeff, why: "an odd byte is the upper half of a word" },
  { of: "4510003810014000ff70c926c000020be0000012", is: 0, why: "a header with its sum in it" },
];

for (const { of, is, why } of sums) {
  test(`checksum of ${of || "nothing"}: ${why}`, () => assert.equal(checksum(Buffer.from(of, "hex")), is));
}

test("parts of even length sum as one piece, in any order", () => {
  const words = fc.uint8Array({ maxLength: 40 }).filter((bytes) => bytes.length % 2 === 0);
  fc.assert(
    fc.property(words, fc.uint8Array({ maxLength: 41 }), (front, back) => {
      assert.equal(checksum(front, back), checksum(Uint8Array.of(...front, ...back)));
    }),
  );
});

test("data that carries its own sum has the sum 0, but data of zeros alone", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 64 }), (bytes) => {
      bytes.fill(0, 0, 2);
      const sum = checksum(bytes);
      bytes.set([sum >> 8, sum & 0xff]);
      assert.equal(checksum(bytes), 0);
    }),
  );
});

test("a long packet of ones does not overflow", () => {
  assert.equal(checksum(new Uint8Array(65536).fill(0xff)), 0);
});
