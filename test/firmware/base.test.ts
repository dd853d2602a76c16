/**
 * The base of a board is a shell script and follows the same rules as the system
 * that it starts: its functions go through every record there can be, and what
 * one of the two writes the other reads.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  type BootRecord,
  begin,
  condemn,
  formatRecord,
  parseRecord,
  SLOT_STATES,
} from "../../src/firmware/boot-record.js";
import { decodeSlot, encodeSlot, RECORD_BYTES } from "../../src/slot.js";

const base = join(import.meta.dirname, "../../../board/base");
const folder = mkdtempSync(join(tmpdir(), "carpio-base-"));
after(() => rmSync(folder, { recursive: true }));

const records = (["a", "b"] as const).flatMap((next) =>
  [0, 1, 2, 3].flatMap((tries) =>
    SLOT_STATES.flatMap((a) => SLOT_STATES.map((b): BootRecord => ({ next, tries, a, b }))),
  ),
);

/** What the base's functions make of texts, each with `parse_choice` before and `format_choice` after. */
function inShell(functions: string, texts: readonly string[]): readonly string[] {
  const script = `. "$0"; while read -r text; do parse_choice "$text"; ${functions}; format_choice; done`;
  const input = texts.map((text) => `${text}\n`).join("");
  return execFileSync("sh", ["-c", script, join(base, "slots")], { input, encoding: "utf8" })
    .trimEnd()
    .split("\n");
}

const rules: readonly { what: string; functions: string; step: (record: BootRecord) => BootRecord }[] = [
  { what: "a start", functions: "begin", step: begin },
  { what: "a damaged a", functions: "condemn a", step: (record) => condemn(record, "a") },
  { what: "a damaged b", functions: "condemn b", step: (record) => condemn(record, "b") },
];
for (const { what, functions, step } of rules) {
  test(`${what} is the same to the base as to the running system, at every record`, () => {
    assert.deepEqual(
      inShell(functions, records.map(formatRecord)),
      records.map((record) => formatRecord(step(record))),
    );
  });
}

test("texts are the same to both", () => {
  const texts = [
    "b=good a=bad tries=2 next=b",
    " next=b  a=good",
    "next=b since=1970 a=good",
    "next=c tries=9 a=fine b",
    "tries=22 a=goods next=ab c=good",
    "",
  ];
  assert.deepEqual(
    inShell(":", texts),
    texts.map((text) => formatRecord(parseRecord(text))),
  );
});

/** Its sectors are taken apart by busybox, whose shell does not everywhere prefer its own programs. */
const noBusybox = spawnSync("busybox", ["true"]).error && "found no busybox";
const applets = join(folder, "applets");
mkdirSync(applets);
if (!noBusybox) execFileSync("busybox", ["--install", "-s", applets]);
const sectors = [join(folder, "a"), join(folder, "b")] as const;

function record(...words: readonly string[]): string {
  const [verb = "", ...rest] = words;
  return execFileSync("busybox", ["sh", join(base, "record"), verb, ...sectors, ...rest], {
    encoding: "utf8",
    env: { PATH: `${applets}:${process.env["PATH"]}` },
  });
}

function layOut(a: Uint8Array, b: Uint8Array): void {
  writeFileSync(sectors[0], a);
  writeFileSync(sectors[1], b);
}

const never = new Uint8Array(512);
const slot = (sequence: number, text: string) => encodeSlot({ sequence, text });
const readings: readonly { why: string; a: Uint8Array; b: Uint8Array; is: string | undefined }[] = [
  { why: "there is none", a: never, b: never, is: undefined },
  { why: "the first alone was written", a: slot(1, "next=a"), b: never, is: "next=a" },
  { why: "the second is newer", a: slot(1, "next=a"), b: slot(2, "next=b"), is: "next=b" },
  { why: "the first is newer", a: slot(3, "next=a"), b: slot(2, "next=b"), is: "next=a" },
  { why: "their numbers have wrapped", a: slot(0xffffffff, "old"), b: slot(0, "new"), is: "new" },
  {
    why: "the newer one was cut short",
    a: slot(1, "next=a"),
    b: slot(2, "next=b").fill(0, 12),
    is: "next=a",
  },
];
for (const { why, a, b, is } of readings) {
  test(`the base reads what the running system wrote: ${why}`, { skip: noBusybox }, () => {
    layOut(a, b);
    if (is === undefined) assert.throws(() => record("read"));
    else assert.equal(record("read"), `${is}\n`);
  });
}

test("the running system reads what the base wrote, in turn", { skip: noBusybox }, () => {
  layOut(never, never);
  const texts = ["next=a tries=1 a=new b=new", "next=b tries=0 a=bad b=good", "x".repeat(RECORD_BYTES)];
  const [first, second, third] = texts.map((text, i) => ({ sequence: i + 1, text }));
  const written = texts.map((text) => {
    record("write", text);
    return sectors.map((path) => decodeSlot(readFileSync(path)));
  });
  assert.deepEqual(written, [
    [first, undefined],
    [first, second],
    [third, second],
  ]);
});
