import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { createSigner, keyOfPassphrase, type Signature, sign, verifyDigest } from "../../src/carp/digest.js";
import { addressOf, hexOf } from "../spec.js";

const plain: Signature = {
  key: keyOfPassphrase("mekmitasdigoat"),
  addresses: [],
  order: "sorted",
  linkLocal: "auto",
  lladdr: undefined,
};

/** The signed addresses, as hex, between vhid 7 and the counter. */
function signed(change: Partial<Signature>, addresses: readonly string[]): string {
  const { forms } = createSigner(7, { ...plain, ...change, addresses: addresses.map(addressOf) });
  const hex = hexOf(forms[0].message);
  assert.equal(hex.slice(0, 6), "020107");
  return hex.slice(6);
}

const lists = [
  { given: ["10.0.0.2", "9.0.0.1"], signs: "090000010a000002", why: "ascending" },
  { given: ["200.0.0.1", "10.0.0.1"], signs: "0a000001c8000001", why: "bytes are unsigned" },
  { given: ["10.0.0.1", "10.0.0.1"], signs: "0a000001", why: "once each" },
  { given: ["0.0.0.0", "255.255.255.255", "::"], signs: "", why: "nothing but zeros or ones is never met" },
  {
    given: ["2001:db8::1", "10.0.0.1"],
    signs: "0a00000120010db8000000000000000000000001",
    why: "IPv4 before IPv6",
  },
  { given: ["fe80::1", "10.0.0.1"], signs: "0a000001", why: "link-local addresses are left out" },
];

for (const { given, signs, why } of lists) {
  test(`${given.join(" ")} sorted: ${why}`, () => assert.equal(signed({}, given), signs));
}

test("interface order keeps order and duplicates, but IPv4 comes first", () => {
  const given = ["2001:db8::2", "10.0.0.2", "10.0.0.1", "10.0.0.2", "2001:db8::1"];
  const v6 = "20010db80000000000000000000000";
  assert.equal(signed({ order: "interface" }, given), `0a0000020a0000010a000002${v6}02${v6}01`);
});

test("the scope of a link-local address is not signed", () => {
  assert.equal(signed({ linkLocal: "with" }, ["fe80:7::1"]), "fe800000000000000000000000000001");
});

test("a link-layer address set by hand comes between type and vhid", () => {
  const lladdr = Uint8Array.of(2, 0, 0, 0, 0, 0xaa);
  const { forms } = createSigner(7, { ...plain, lladdr });
  assert.equal(hexOf(forms[0].message), "02010200000000aa07");
  assert.equal(forms[0].name, "lladdr");
});

const forms = [
  { linkLocal: "auto", addresses: ["10.0.0.1"], accepts: ["plain"] },
  { linkLocal: "auto", addresses: ["10.0.0.1", "fe80::1"], accepts: ["plain", "link-local"] },
  { linkLocal: "with", addresses: ["10.0.0.1", "fe80::1"], accepts: ["link-local"] },
  { linkLocal: "without", addresses: ["10.0.0.1", "fe80::1"], accepts: ["plain"] },
  { linkLocal: "with", addresses: ["10.0.0.1"], accepts: ["plain"] },
] as const;

for (const { linkLocal, addresses, accepts } of forms) {
  test(`${addresses.join(" ")} with link_local = "${linkLocal}" accepts ${accepts.join(" and ")}`, () => {
    const signer = createSigner(7, { ...plain, linkLocal, addresses: addresses.map(addressOf) });
    assert.deepEqual(
      signer.forms.map(({ name }) => name),
      accepts,
    );
  });
}

const passphrases = [
  { typed: "", key: "00".repeat(20), why: "none is twenty zeros" },
  { typed: "abc", key: `616263${"00".repeat(17)}`, why: "zeros behind it" },
  { typed: "a".repeat(19), key: `${"61".repeat(19)}00`, why: "19 bytes count" },
  { typed: "a".repeat(20), key: `${"61".repeat(19)}00`, why: "the 20th does not" },
  { typed: `${"a".repeat(18)}ä`, key: `${"61".repeat(18)}c300`, why: "the cut may split a character" },
];

for (const { typed, key, why } of passphrases) {
  test(`passphrase ${JSON.stringify(typed)}: ${why}`, () => assert.equal(hexOf(keyOfPassphrase(typed)), key));
}

test("the digest is an ordinary HMAC-SHA1 with the counter at the end", () => {
  const counter = 0x0123456789abcdefn;
  const expected = createHmac("sha1", "mekmitasdigoat").update("0201070123456789abcdef", "hex").digest("hex");
  assert.equal(hexOf(sign(createSigner(7, plain), counter)), expected);
});

test("a digest of any wrong length or content fits nothing, and throws nothing", () => {
  const signer = createSigner(7, plain);
  const good = sign(signer, 1n);
  const ad = { vhid: 7, advbase: 1, advskew: 0, demote: 0, counter: 1n, digest: good };
  assert.equal(verifyDigest(signer, ad), "plain");
  assert.equal(verifyDigest(signer, { ...ad, counter: 2n }), undefined);
  for (let length = 0; length < 20; length++) {
    assert.equal(verifyDigest(signer, { ...ad, digest: good.subarray(0, length) }), undefined);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (digest) => {
      assert.equal(verifyDigest(signer, { ...ad, digest }), undefined);
    }),
  );
});

test("printing a signer does not print its key", () => {
  const printed = inspect(createSigner(7, plain), { depth: 9 });
  assert.ok(
    !printed.includes("mekmitasdigoat") && !printed.includes("6d 65 6b") && !printed.includes("109, 101"),
  );
});
