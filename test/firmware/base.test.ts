/**
 * The base of a board is a shell script and follows the same rules as the system
 * that it starts: its functions go through every record there can be, what
 * one of the two writes the other reads, and both take the same from a slot's end.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
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
import { formatTrailer, parseTrailer, TRAILER_BYTES } from "../../src/firmware/payload.js";
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

const { privateKey } = generateKeyPairSync("ed25519");
const contents = { version: "0.2.0", size: 22, sha256: "0123456789abcdef".repeat(4) };
const [plain, signed] = [formatTrailer(contents), formatTrailer(contents, privateKey)].map((bytes) =>
  Buffer.from(bytes).toString("latin1").trimEnd(),
) as [string, string];
/** One part of a text becomes another. The forms of version, digest and signature are left to the running system. */
const trailers: readonly {
  is: string;
  text: string;
  fill?: string;
  taken: Partial<typeof contents> | "refused";
}[] = [
  { is: "nobody has signed", text: plain, taken: {} },
  { is: "somebody has signed", text: signed, taken: {} },
  { is: "has its lines in another order", text: plain.replace(/(version.*)\n(size.*)/, "$2\n$1"), taken: {} },
  {
    is: "has lines of another carpio",
    text: signed.replace("size=", "board=virt\nboard=\xff\x81'$(false)\nsize\nxsize=9\n size=9\n\nsize="),
    taken: {},
  },
  { is: "has such a line at its end", text: `${plain}\nboard=virt`, taken: {} },
  { is: "is full of such a line", text: `${plain}\nboard=`, fill: "x", taken: {} },
  { is: "is filled with zeros", text: `${plain}\n`, fill: "\0", taken: {} },
  {
    is: "has a size with a zero in its name",
    text: signed.replace("sha256=", "si\0ze=9\nsha256="),
    taken: {},
  },
  {
    is: "has a strange version",
    text: plain.replace("0.2.0", "=\\1'$(false)*="),
    taken: { version: "=\\1'$(false)*=" },
  },
  {
    is: "has the longest size",
    text: plain.replace("size=22", "size=999999999999"),
    taken: { size: 999999999999 },
  },
  { is: "has no version", text: plain.replace(/version=.*\n/, ""), taken: "refused" },
  { is: "has no sha256", text: plain.replace(/sha256=.*/, ""), taken: "refused" },
  { is: "has no size", text: plain.replace("size=22\n", ""), taken: "refused" },
  { is: "has an octal size", text: plain.replace("size=22", "size=022"), taken: "refused" },
  { is: "has a size that is no number", text: plain.replace("size=22", "size=22k"), taken: "refused" },
  { is: "has a size too long", text: plain.replace("size=22", "size=1000000000000"), taken: "refused" },
  { is: "is of format 10", text: plain.replace("slot 1", "slot 10"), taken: "refused" },
  { is: "is of format 1 and a zero", text: plain.replace("slot 1", "slot 1\0"), taken: "refused" },
  { is: "has CRLF", text: plain.replaceAll("\n", "\r\n"), taken: "refused" },
  { is: "begins one line late", text: `\n${plain}`, taken: "refused" },
  ...["version=9", "size=9", "size=", `sha256=${"9".repeat(64)}`].flatMap((line) => {
    const named = line.slice(0, 9);
    return [
      {
        is: `has ${named} before its own`,
        text: signed.replace("\n", `\n${line}\n`),
        taken: "refused" as const,
      },
      { is: `has ${named} behind its own`, text: `${plain}\n${line}`, taken: "refused" as const },
      { is: `has ${named} behind its signature`, text: `${signed}\n${line}`, taken: "refused" as const },
    ];
  }),
  { is: "has two signatures", text: signed.replace(/signature.*/, "$&\n$&"), taken: "refused" },
  { is: "has an unknown line behind its signature", text: `${signed}\n\nboard=virt`, taken: "refused" },
  { is: "has a space behind its signature", text: `${signed}\n `, taken: "refused" },
  { is: "has zeros behind its signature", text: `${signed}\n`, fill: "\0", taken: "refused" },
];
for (const { is, text, fill = "\n", taken } of trailers) {
  test(`the end of a slot that ${is} is the same to both`, () => {
    const trailer = Buffer.from(text.padEnd(TRAILER_BYTES, fill), "latin1");
    const wanted = taken === "refused" ? taken : { ...contents, ...taken };
    assert.deepEqual(takenBySystem(trailer), wanted);
    assert.deepEqual(takenByBase(trailer), wanted);
  });
}

const endings = [
  { of: "a whole slot", chosen: true, hanging: "", says: /^starts$/ },
  { of: "a whole slot, the other one too late", chosen: true, hanging: "1", says: /^starts$/ },
  { of: "two damaged slots", chosen: false, hanging: "", says: /^found no whole slot .*: write it again$/ },
  {
    of: "one too late, the other one damaged",
    chosen: false,
    hanging: "1",
    says: /^found no whole slot .*: replace the card$/,
  },
];
for (const { of, chosen, hanging, says } of endings) {
  test(`the base's last words of a card with ${of}`, () => {
    const [, ending = ""] = readFileSync(join(base, "init"), "utf8").split(/(?=^if choose; )/m);
    const around = `
      hanging=${hanging}
      choose() { return ${chosen ? 0 : 1}; }
      start() { echo starts; exit; }
      give_up() { echo "$1"; exit; }`;
    const said = execFileSync("sh", ["-c", `${around}\n${ending}`], { encoding: "utf8" });
    assert.match(said.trimEnd(), says);
  });
}

function takenBySystem(trailer: Uint8Array): typeof contents | "refused" {
  const parsed = parseTrailer(trailer);
  if (!parsed.ok) return "refused";
  const { version, size, sha256 } = parsed.value;
  return { version, size, sha256 };
}

function takenByBase(trailer: Uint8Array): typeof contents | "refused" {
  const file = join(folder, "slot.sqf");
  writeFileSync(file, Buffer.concat([Buffer.from("hsqs and what is in it"), trailer]));
  const script = `. "$0"; read_trailer "$1" && printf '%s\\n' "$size" "$sha256" "$version" || echo refused`;
  const shell = noBusybox ? ["sh"] : ["busybox", "sh"];
  const [program = "", ...rest] = [...shell, "-c", script, join(base, "slots"), file];
  const [size, sha256 = "", version = ""] = execFileSync(program, rest, { encoding: "latin1" }).split("\n");
  return size === "refused" ? size : { version, size: Number(size), sha256 };
}
