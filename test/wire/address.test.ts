import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Address,
  canonicalAddress,
  compareBytes,
  formatAddress,
  formatPrefix,
  inPrefix,
  isLinkLocal,
  isMulticast,
  parseAddress,
  sameAddress,
} from "../../src/wire/address.js";
import { addressOf, hexOf } from "../spec.js";

const texts = [
  { text: "192.0.2.1", bytes: "c0000201" },
  { text: "::", bytes: "00".repeat(16) },
  { text: "::1", bytes: `${"00".repeat(15)}01` },
  { text: "1::", bytes: `0001${"00".repeat(14)}` },
  { text: "2001:db8::1", bytes: `20010db8${"00".repeat(11)}01` },
  { text: "2001:DB8:0:0:0:0:0:1", bytes: `20010db8${"00".repeat(11)}01`, canonical: "2001:db8::1" },
  { text: "1:2:3:4:5:6:7:8", bytes: "00010002000300040005000600070008" },
  { text: "1:2:3:4:5:6:7::", bytes: "00010002000300040005000600070000", canonical: "1:2:3:4:5:6:7:0" },
  { text: "1:0:0:4:0:0:0:8", bytes: "00010000000000040000000000000008", canonical: "1:0:0:4::8" },
  { text: "1:0:0:4:5:0:0:8", bytes: "00010000000000040005000000000008", canonical: "1::4:5:0:0:8" },
  { text: "::ffff:192.0.2.1", bytes: "00000000000000000000ffffc0000201", canonical: "::ffff:c000:201" },
  { text: "64:ff9b::1.2.3.4", bytes: "0064ff9b000000000000000001020304", canonical: "64:ff9b::102:304" },
];

for (const { text, bytes, canonical = text } of texts) {
  test(`${text} is ${bytes}, and is written ${canonical}`, () => {
    const address = addressOf(text);
    assert.equal(hexOf(address.bytes), bytes);
    assert.equal(formatAddress(address), canonical);
    assert.equal(canonicalAddress(text), canonical);
  });
}

const nonsense = [
  "",
  "1.2.3",
  "1.2.3.256",
  "01.2.3.4",
  "1.2.3.4/24",
  ":",
  "1::2::3",
  "12345::",
  "fe80::1%eth0",
  "x",
];
for (const text of nonsense) {
  test(`"${text}" is no address, and stays as it is`, () => {
    assert.equal(parseAddress(text), undefined);
    assert.equal(canonicalAddress(text), text);
  });
}

test("every address is what its text is read as", () => {
  const address = fc
    .constantFrom(4, 16)
    .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
  fc.assert(
    fc.property(address, (bytes) => {
      const written: Address = { family: bytes.length === 4 ? 4 : 6, bytes };
      assert.deepEqual(parseAddress(formatAddress(written)), written);
    }),
  );
});

test("arbitrary text is an address or not, and never an exception", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.ipV4()), (text) => void parseAddress(text)));
});

test("order is that of unsigned bytes", () => {
  const sorted = ["9.255.255.255", "10.0.0.1", "126.0.0.1", "128.0.0.1"].map(addressOf);
  const shuffled = [sorted[3], sorted[1], sorted[0], sorted[2]] as Address[];
  assert.deepEqual(
    shuffled.sort((a, b) => compareBytes(a.bytes, b.bytes)),
    sorted,
  );
  assert.ok(sameAddress(addressOf("::1"), addressOf("0::1")));
  assert.ok(!sameAddress(addressOf("0.0.0.0"), addressOf("::")));
});

const networks = [
  { address: "192.0.2.200", network: "192.0.2.1/24", inside: true },
  { address: "192.0.3.1", network: "192.0.2.1/24", inside: false },
  { address: "192.0.2.129", network: "192.0.2.1/25", inside: false },
  { address: "198.51.100.1", network: "192.0.2.1/0", inside: true },
  { address: "192.0.2.1", network: "192.0.2.1/32", inside: true },
  { address: "192.0.2.2", network: "192.0.2.1/32", inside: false },
  { address: "2001:db8::f:1", network: "2001:db8::/64", inside: true },
  { address: "2001:db8:0:1::1", network: "2001:db8::/64", inside: false },
  { address: "2001:db8::1", network: "2001:db8::1/128", inside: true },
  { address: "::1", network: "0.0.0.0/0", inside: false },
];

for (const { address, network, inside } of networks) {
  test(`${address} is ${inside ? "" : "not "}in ${network}`, () => {
    const [text = "", length] = network.split("/");
    const prefix = { address: addressOf(text), length: Number(length) };
    assert.equal(inPrefix(addressOf(address), prefix), inside);
    assert.equal(formatPrefix(prefix), network);
  });
}

test("link-local is fe80::/10, and multicast 224.0.0.0/4 and ff00::/8", () => {
  assert.deepEqual(
    ["fe80::1", "febf::1", "fec0::1", "254.128.0.1"].map((a) => isLinkLocal(addressOf(a))),
    [true, true, false, false],
  );
  assert.deepEqual(
    ["224.0.0.18", "239.255.255.255", "223.0.0.1", "240.0.0.1"].map((a) => isMulticast(addressOf(a))),
    [true, true, false, false],
  );
  assert.deepEqual(
    ["ff02::12", "fe80::1"].map((a) => isMulticast(addressOf(a))),
    [true, false],
  );
});
