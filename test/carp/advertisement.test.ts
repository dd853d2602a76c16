import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Advertisement,
  decodeAdvertisement,
  encodeAdvertisement,
  HEADER_BYTES,
  isVrrp,
  mayBeVrrp,
  readFields,
} from "../../src/carp/advertisement.js";
import { checksum } from "../../src/wire/checksum.js";

const advertisement = fc.record(
  {
    vhid: fc.nat(255),
    advbase: fc.nat(255),
    advskew: fc.nat(255),
    demote: fc.nat(255),
    counter: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    digest: fc.uint8Array({ minLength: 20, maxLength: 20 }),
  },
  { noNullPrototype: true },
);

const sample: Advertisement = {
  vhid: 7,
  advbase: 1,
  advskew: 100,
  demote: 3,
  counter: 0x0123456789abcdefn,
  digest: new Uint8Array(20).fill(0xaa),
};

test("every field has its place, and nothing else is in the header", () => {
  const header = encodeAdvertisement(sample);
  assert.equal(
    Buffer.from(header.subarray(0, 6)).toString("hex") + Buffer.from(header.subarray(8)).toString("hex"),
    `2107640703010123456789abcdef${"aa".repeat(20)}`,
  );
  assert.equal(checksum(header), 0);
});

test("what is written is what is read, with a pseudo header or without", () => {
  const pseudo = fc.constantFrom(undefined, new Uint8Array(40).fill(0x5a));
  fc.assert(
    fc.property(advertisement, pseudo, (ad, summed) => {
      const header = encodeAdvertisement(ad, summed);
      assert.equal(header.length, HEADER_BYTES);
      assert.deepEqual(decodeAdvertisement(header, summed), { ok: true, advertisement: ad });
    }),
  );
});

test("a sum with the pseudo header is wrong without it", () => {
  const header = encodeAdvertisement(sample, new Uint8Array(40).fill(1));
  assert.deepEqual(decodeAdvertisement(header), { ok: false, drop: "badsum" });
});

test("what was read keeps nothing of the buffer it was read from", () => {
  const buffer = Buffer.from(encodeAdvertisement(sample));
  const read = readFields(buffer);
  buffer.fill(0);
  assert.deepEqual(read, sample);
});

test("a header may lie anywhere in a larger buffer, and bytes may follow it", () => {
  const buffer = Buffer.concat([Buffer.alloc(5, 0xff), encodeAdvertisement(sample), Buffer.alloc(3, 0xff)]);
  assert.deepEqual(decodeAdvertisement(buffer.subarray(5)), { ok: true, advertisement: sample });
});

test("one byte too few is badlen, whatever is in it", () => {
  const short = encodeAdvertisement(sample).subarray(0, HEADER_BYTES - 1);
  assert.deepEqual(decodeAdvertisement(short), { ok: false, drop: "badlen" });
  assert.deepEqual(decodeAdvertisement(new Uint8Array()), { ok: false, drop: "badlen" });
});

test("no CARP header of ours is taken for VRRP", () => {
  fc.assert(
    fc.property(advertisement, (ad) => {
      const header = encodeAdvertisement(ad);
      assert.equal(isVrrp(header), false);
      assert.equal(mayBeVrrp(header), false);
    }),
  );
});

test("arbitrary bytes are an answer, never an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      assert.equal(typeof decodeAdvertisement(bytes).ok, "boolean");
      assert.equal(typeof mayBeVrrp(bytes), "boolean");
    }),
  );
});
