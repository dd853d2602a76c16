/**
 * The text behind a payload: printed, read, and each way in which it, or the
 * payload, can be wrong.
 */
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  formatTrailer,
  judgeBeginning,
  judgePayload,
  parseTrailer,
  TRAILER_BYTES,
  type Trust,
} from "../../src/firmware/payload.js";

const squashfs = Buffer.from("hsqs and what is in it");
const sha256 = createHash("sha256").update(squashfs).digest("hex");
const contents = { version: "0.2.0", size: squashfs.length, sha256 };
const ours = generateKeyPairSync("ed25519");
const theirs = generateKeyPairSync("ed25519");
const whole = { bytes: squashfs.length + TRAILER_BYTES, sha256 };

/** The text, with one part of it another; padded to its length again. */
function edited(
  from: string | RegExp,
  to: string,
  trailer = formatTrailer(contents, ours.privateKey),
): Uint8Array {
  const text = Buffer.from(trailer).toString("latin1").trimEnd().replace(from, to);
  return Buffer.from(`${text}\n`.padEnd(TRAILER_BYTES, "\n"), "latin1");
}

test("what is printed fills a sector, and is read as it was", () => {
  const trailer = formatTrailer(contents, ours.privateKey);
  assert.equal(trailer.length, 512);
  assert.match(
    Buffer.from(trailer).toString(),
    /^carpio-slot 1\nversion=0\.2\.0\nsize=22\nsha256=[0-9a-f]{64}\nsignature=[^\n]{88}\n+$/,
  );
  const parsed = parseTrailer(trailer);
  assert.ok(parsed.ok);
  const { signed, ...rest } = parsed.value;
  assert.deepEqual(rest, contents);
  assert.ok(signed);
});

describe("a text", () => {
  const rows: readonly { is: string; bytes: Uint8Array; says: RegExp }[] = [
    { is: "of nothing", bytes: new Uint8Array(), says: /found 0 bytes of trailer, wanted 512/ },
    { is: "cut short", bytes: formatTrailer(contents).subarray(1), says: /found 511 bytes/ },
    { is: "of zeros", bytes: new Uint8Array(512), says: /found no "carpio-slot" in the last 512 bytes/ },
    { is: "with another word", bytes: edited("carpio-slot", "carpio-sl0t"), says: /found no "carpio-slot"/ },
    {
      is: "of a later carpio",
      bytes: edited("slot 1", "slot 2"),
      says: /found format "2", wanted 1: another carpio/,
    },
    { is: "without a version", bytes: edited(/version.*\n/, ""), says: /^version: found nothing, wanted/ },
    {
      is: "with a version that a terminal obeys",
      bytes: edited("0.2.0", "\x1b[2J"),
      says: /^version: found "\\u001b/,
    },
    {
      is: "with a version too long",
      bytes: edited("0.2.0", "9".repeat(65)),
      says: /^version: found "9{39}…"/,
    },
    { is: "without a size", bytes: edited(/size.*\n/, ""), says: /^size: found nothing/ },
    {
      is: "with a negative size",
      bytes: edited("size=22", "size=-22"),
      says: /^size: found "-22", wanted a number/,
    },
    {
      is: "with half a digest",
      bytes: edited(/(sha256=.{32}).*/, "$1"),
      says: /^sha256: found .*, wanted 64 hex/,
    },
    {
      is: "with half a signature",
      bytes: edited(/(signature=.{20}).*/, "$1"),
      says: /^signature: .*64 bytes in base64/,
    },
    ...["version", "size", "sha256", "signature"].map((key) => ({
      is: `with its ${key} twice`,
      bytes: edited(new RegExp(`${key}=.*`), "$&\n$&"),
      says: new RegExp(`^${key}: found twice, wanted once$`),
    })),
    {
      is: "with one size to be signed and another one behind the signature",
      bytes: edited(/$/, "\nsize=99"),
      says: /^size: found twice/,
    },
    {
      is: "with a line that we do not know behind its signature",
      bytes: edited(/$/, "\n\nboard=virt"),
      says: /^signature: found "board=virt" behind it, wanted nothing$/,
    },
    {
      is: "with zeros behind its signature",
      bytes: edited(/$/, "\n\0"),
      says: /^signature: found "\\u0000" behind it/,
    },
  ];
  for (const { is, bytes, says } of rows) {
    test(`${is} is refused`, () => {
      const parsed = parseTrailer(bytes);
      assert.match(parsed.ok ? "taken" : parsed.why, says);
    });
  }

  test("with lines that we do not know is read all the same", () => {
    assert.ok(parseTrailer(edited("size=", "board=virt\nboard=virt\nsize=")).ok);
    assert.ok(parseTrailer(edited(/$/, "\nboard=virt", formatTrailer(contents))).ok);
  });

  test("of any bytes makes nothing throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), (bytes) => {
        bytes.set(Buffer.from("carpio-slot 1\n"));
        assert.equal(parseTrailer(bytes).ok, false);
      }),
    );
  });

  test("longer than a sector is not printed", () => {
    assert.throws(() => formatTrailer({ ...contents, version: "9".repeat(450) }), /wanted at most 512/);
  });
});

describe("a payload", () => {
  const signed = formatTrailer(contents, ours.privateKey);
  const key: Trust = { key: ours.publicKey };
  const rows: readonly {
    is: string;
    passed?: Partial<typeof whole>;
    trailer?: Uint8Array;
    trust: Trust;
    says: RegExp | "taken";
  }[] = [
    { is: "signed by our key", trust: key, says: "taken" },
    {
      is: "unsigned, on a board that wants no signature",
      trailer: formatTrailer(contents),
      trust: "unsigned",
      says: "taken",
    },
    {
      is: "signed by another, on a board that wants no signature",
      trailer: formatTrailer(contents, theirs.privateKey),
      trust: "unsigned",
      says: "taken",
    },
    {
      is: "unsigned",
      trailer: formatTrailer(contents),
      trust: key,
      says: /^signature: found none, wanted one by/,
    },
    {
      is: "signed by another",
      trailer: formatTrailer(contents, theirs.privateKey),
      trust: key,
      says: /^signature: .*another key/,
    },
    {
      is: "whose version was changed",
      trailer: edited("0.2.0", "9.2.0"),
      trust: key,
      says: /^signature: .*something else/,
    },
    {
      is: "with a line after it was signed",
      trailer: edited("size=", "x=y\nsize="),
      trust: key,
      says: /something else/,
    },
    {
      is: "with a line behind its signature",
      trailer: edited(/$/, "\nsize=99"),
      trust: key,
      says: /^the end is missing: size: found twice/,
    },
    { is: "that ended early", passed: { bytes: 520 }, trust: key, says: /^size: found 8 bytes, wanted 22/ },
    {
      is: "with more behind it",
      passed: { bytes: 1000 },
      trust: "unsigned",
      says: /^size: found 488 bytes, wanted 22/,
    },
    {
      is: "with a changed byte",
      passed: { sha256: "00".repeat(32) },
      trust: "unsigned",
      says: /^sha256: found 0000/,
    },
    { is: "without its end", trailer: new Uint8Array(512), trust: key, says: /^the end is missing/ },
  ];
  for (const { is, passed, trailer = signed, trust, says } of rows) {
    test(`${is} is ${says === "taken" ? "taken" : "refused"}`, () => {
      const judged = judgePayload({ ...whole, ...passed, trailer }, trust);
      if (says === "taken") assert.ok(judged.ok);
      else assert.match(judged.ok ? "taken" : judged.why, says);
    });
  }

  test("is known by its first bytes", () => {
    assert.equal(judgeBeginning(squashfs), undefined);
    assert.match(
      judgeBeginning(Buffer.from([0x28, 0xb5, 0x2f, 0xfd])) ?? "",
      /found "\(\\xb5\/\\xfd" at its/,
    );
    assert.match(judgeBeginning(Buffer.alloc(0)) ?? "", /found "" at its beginning/);
  });
});
