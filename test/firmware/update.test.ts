/**
 * Payloads into slots, on a folder that stands for the card; and the power cut
 * at every tenth of it, by what lies in the folder at that moment.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type BootRecord, begin, type SlotName, type SlotState } from "../../src/firmware/boot-record.js";
import { type Card, findCard, openRecord, slotFile, watchSlot } from "../../src/firmware/card.js";
import { formatTrailer, judgePayload, type Trust } from "../../src/firmware/payload.js";
import { orderSlot, readTrust } from "../../src/firmware/slot-commands.js";
import { chooseSlot, giveUpRunning, proveRunning, slotTable, viewSlots } from "../../src/firmware/slots.js";
import { judgeFile, readSlot, update } from "../../src/firmware/update.js";

const MAIN = join(import.meta.dirname, "../../src/main.js");
const root = mkdtempSync(join(tmpdir(), "carpio-update-"));
after(() => rmSync(root, { recursive: true }));

const keys = generateKeyPairSync("ed25519");
const trust: Trust = { key: keys.publicKey };
const MIB = 1 << 20;

function payload(version: string, bytes = 3 * MIB, key: KeyObject | "nobody" = keys.privateKey): Buffer {
  const squashfs = Buffer.alloc(bytes, version);
  squashfs.write("hsqs");
  const sha256 = createHash("sha256").update(squashfs).digest("hex");
  return Buffer.concat([
    squashfs,
    formatTrailer({ version, size: bytes, sha256 }, key === "nobody" ? undefined : key),
  ]);
}

let cards = 0;

/** A board that runs version 1 from slot a, which has proven itself. */
async function newCard(): Promise<{ card: Card; folder: string; runtime: string }> {
  const folder = join(root, `card-${++cards}`);
  const runtime = join(root, `run-${cards}`);
  for (const each of [folder, runtime]) mkdirSync(each);
  writeFileSync(join(runtime, "slot"), "a\n");
  writeFileSync(slotFile(folder, "a"), payload("1"));
  await openRecord(folder).write({ next: "a", tries: 0, a: "good", b: "new" });
  return { card: findCard(folder, runtime), folder, runtime };
}

/** What the base would do with a card: the slot, and whether what is in it is whole. */
async function started(folder: string): Promise<{ slot: SlotName; whole: boolean }> {
  const { next: slot } = begin(await openRecord(folder).read());
  const passed = await readSlot(slotFile(folder, slot)).catch(() => undefined);
  return { slot, whole: passed !== undefined && judgePayload(passed, trust).ok };
}

async function* inPieces(bytes: Buffer, size = 65_536): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

for (const [how, size] of [
  ["in pieces", 65_536],
  ["in odd pieces", 100_003],
  ["in one", 16 * MIB],
] as const) {
  test(`a payload that comes ${how} is in the other slot, and started next`, async () => {
    const { card, folder } = await newCard();
    const steps = new Set<string>();
    const updated = await update(card, inPieces(payload("2"), size), trust, (step) => steps.add(step));
    assert.deepEqual(updated, { slot: "b", version: "2", bytes: 3 * MIB });
    assert.deepEqual(await started(folder), { slot: "b", whole: true });
    assert.deepEqual([...steps], ["writing", "reading back"]);
  });
}

test("a smaller payload leaves nothing of a larger one behind it", async () => {
  const { card, folder } = await newCard();
  await update(card, inPieces(payload("2")), trust);
  await update(card, inPieces(payload("3", MIB)), trust);
  assert.equal(readFileSync(slotFile(folder, "b")).length, MIB + 512);
  assert.deepEqual(await started(folder), { slot: "b", whole: true });
});

test("a cut at every tenth of the writes leaves the running slot chosen and whole", async () => {
  const { card, folder } = await newCard();
  // The slot that is written is the one that would be started next.
  await update(card, inPieces(payload("1.5", MIB)), trust);
  const bytes = payload("2", 10 * MIB - 512);
  const cuts: string[] = [];
  const cut = (): void => {
    cuts.push(join(root, `cut-${cards}-${cuts.length}`));
    cpSync(folder, cuts.at(-1) ?? "", { recursive: true });
  };
  async function* watched(): AsyncGenerator<Buffer> {
    for await (const piece of inPieces(bytes, MIB)) {
      cut();
      yield piece;
    }
    cut();
  }
  let readingBack = false;
  await update(card, watched(), trust, (step) => {
    if (step === "reading back" && !readingBack) cut();
    readingBack = step === "reading back";
  });
  assert.equal(cuts.length, 12);
  for (const [tenth, at] of cuts.entries()) {
    // Before the first byte was there, nothing was given up.
    const slot = tenth === 0 ? "b" : "a";
    assert.deepEqual(await started(at), { slot, whole: true }, `cut after ${tenth} tenths`);
  }
  assert.deepEqual(await started(folder), { slot: "b", whole: true });
});

test("a stream that ends at any tenth is refused, and the next one is taken", async () => {
  const { card, folder } = await newCard();
  const bytes = payload("2");
  for (let tenth = 0; tenth < 10; tenth++) {
    const part = bytes.subarray(0, (bytes.length * tenth) / 10);
    await assert.rejects(update(card, inPieces(part), trust), /the end is missing|wanted a payload/);
    assert.deepEqual(await started(folder), { slot: "a", whole: true });
  }
  await update(card, inPieces(bytes), trust);
  assert.deepEqual(await started(folder), { slot: "b", whole: true });
});

const refusals: readonly { is: string; bytes: Buffer; says: RegExp; keeps: "2" | undefined }[] = [
  {
    is: "unsigned",
    bytes: Buffer.concat([payload("3").subarray(0, -512), unsigned("3")]),
    says: /signature: found none/,
    keeps: undefined,
  },
  {
    is: "signed by another",
    bytes: payload("3", MIB, generateKeyPairSync("ed25519").privateKey),
    says: /another key/,
    keeps: undefined,
  },
  { is: "damaged", bytes: flipped(payload("3")), says: /sha256: found/, keeps: undefined },
  { is: "a whole image", bytes: Buffer.alloc(MIB), says: /wanted a payload of a slot/, keeps: "2" },
  { is: "nothing", bytes: Buffer.alloc(0), says: /wanted a payload of a slot/, keeps: "2" },
];
for (const { is, bytes, says, keeps } of refusals) {
  test(`a payload that is ${is} is refused${keeps ? ", and costs the other slot nothing" : ""}`, async () => {
    const { card, folder } = await newCard();
    await update(card, inPieces(payload("2")), trust);
    await assert.rejects(update(card, inPieces(bytes), trust), says);
    assert.deepEqual(await started(folder), keeps ? { slot: "b", whole: true } : { slot: "a", whole: true });
  });
}

const standings: readonly { why: string; record: BootRecord; says: RegExp | undefined }[] = [
  {
    why: "the one that runs is on trial, and the other one good",
    record: { next: "a", tries: 1, a: "new", b: "good" },
    says: /^slot a, which runs, is still on trial: wait until it has proven itself, or say `carpio slot good`$/,
  },
  {
    why: "the one that runs was given up for a good one",
    record: { next: "b", tries: 0, a: "bad", b: "good" },
    says: /^slot a, which runs, was given up: start b first, or say `carpio slot good`$/,
  },
  {
    why: "neither has proven itself, as on a fresh card",
    record: { next: "a", tries: 1, a: "new", b: "new" },
    says: undefined,
  },
  {
    why: "the one that runs is on trial, and the other one no better",
    record: { next: "a", tries: 2, a: "new", b: "silent" },
    says: undefined,
  },
  { why: "both are good", record: { next: "a", tries: 0, a: "good", b: "good" }, says: undefined },
];
for (const { why, record, says } of standings) {
  test(`an update is ${says ? "refused, and costs nothing" : "taken"} when ${why}`, async () => {
    const { card, folder } = await newCard();
    const before = payload("0");
    writeFileSync(slotFile(folder, "b"), before);
    await openRecord(folder).write(record);
    const updated = update(card, inPieces(payload("2")), trust);
    if (!says) {
      assert.equal((await updated).version, "2");
      return;
    }
    await assert.rejects(updated, ({ message }: Error) => says.test(message));
    assert.deepEqual(await openRecord(folder).read(), record);
    assert.ok(readFileSync(slotFile(folder, "b")).equals(before));
  });
}

const ends: readonly { is: string; bytes: Buffer; says: RegExp | undefined }[] = [
  { is: "whole", bytes: payload("3"), says: undefined },
  { is: "cut", bytes: payload("3").subarray(0, -1), says: /the end is missing/ },
  {
    is: "without its middle",
    bytes: Buffer.concat([payload("3").subarray(0, MIB), payload("3").subarray(-512)]),
    says: /size: found 1048576 bytes, wanted 3145728/,
  },
  { is: "unsigned", bytes: payload("3", MIB, "nobody"), says: /signature: found none/ },
  {
    is: "signed by another",
    bytes: payload("3", MIB, generateKeyPairSync("ed25519").privateKey),
    says: /another key/,
  },
  { is: "a whole image", bytes: Buffer.alloc(MIB), says: /wanted a payload of a slot/ },
  { is: "short", bytes: Buffer.from("hsqs"), says: /the end is missing/ },
  { is: "empty", bytes: Buffer.alloc(0), says: /wanted a payload of a slot/ },
];
for (const { is, bytes, says } of ends) {
  test(`a file that is ${is} is ${says ? "refused" : "taken"} by its beginning and its end`, async () => {
    const file = join(root, "ends.payload");
    writeFileSync(file, bytes);
    if (says) await assert.rejects(judgeFile(file, trust), says);
    else await judgeFile(file, trust);
  });
}

test("both slots are shown, and one is chosen", async () => {
  const { card, folder } = await newCard();
  assert.equal(
    slotTable(await viewSlots(card)),
    "a  1             running, next  good\nb  -                            nothing whole in it\n",
  );
  await assert.rejects(chooseSlot(card, "b"), /slot b has nothing whole in it/);
  await update(card, inPieces(payload("2")), trust);
  const record = openRecord(folder);
  await record.write(begin(await record.read()));
  assert.equal(
    slotTable(await viewSlots(card)),
    "a  1             running        good\nb  2             next           new: started 1 of 3 times without proving itself\n",
  );
  await chooseSlot(card, "a");
  assert.deepEqual(await started(folder), { slot: "a", whole: true });
});

const shown: readonly { why: string; state: SlotState; bytes: Buffer | undefined; line: string }[] = [
  {
    why: "whose update was cut shows no older payload's version",
    state: "unfinished",
    bytes: payload("1.5", MIB),
    line: "b  -                            bad: its update was not finished",
  },
  {
    why: "whose first update was cut has that for its reason",
    state: "unfinished",
    bytes: payload("2").subarray(0, MIB),
    line: "b  -                            bad: its update was not finished",
  },
  {
    why: "that was found damaged, without an end, says so",
    state: "damaged",
    bytes: payload("2").subarray(0, MIB),
    line: "b  -                            bad: it was found damaged",
  },
  {
    why: "that was given up shows which version that was",
    state: "bad",
    bytes: payload("2", MIB),
    line: "b  2                            bad: it was given up by hand",
  },
  {
    why: "that nothing was ever written to says so",
    state: "new",
    bytes: undefined,
    line: "b  -                            nothing whole in it",
  },
  {
    why: "that was good, and whose file is gone, says so",
    state: "good",
    bytes: undefined,
    line: "b  -                            nothing whole in it",
  },
];
for (const { why, state, bytes, line } of shown) {
  test(`a slot ${why}`, async () => {
    const { card, folder } = await newCard();
    if (bytes) writeFileSync(slotFile(folder, "b"), bytes);
    await openRecord(folder).write({ next: "a", tries: 0, a: "good", b: state });
    assert.equal(slotTable(await viewSlots(card)).split("\n")[1], line);
  });
}

test("a slot that runs proves itself, once", async () => {
  const { folder, runtime, card } = await newCard();
  await update(card, inPieces(payload("2")), trust);
  writeFileSync(join(runtime, "slot"), "b");
  writeFileSync(join(runtime, "trial"), "good");
  const [now, shown] = [findCard(folder, runtime), watchSlot(runtime)];
  assert.deepEqual(shown(), { name: "b", onTrial: true });
  await proveRunning(now);
  assert.deepEqual(await openRecord(folder).read(), { next: "b", tries: 0, a: "good", b: "good" });
  // Said by hand as well: nobody gives it up any more.
  assert.deepEqual(shown(), { name: "b", onTrial: false });
  const before = readFileSync(join(folder, "slots-a"));
  await proveRunning(now);
  assert.deepEqual(readFileSync(join(folder, "slots-a")), before);
});

test("a computer that no base has started shows no slot", () => {
  assert.equal(watchSlot(root)(), null);
});

test("a slot that has failed is given up at once, but not when it had proven itself, or for one that is no better", async () => {
  const { folder, runtime, card } = await newCard();
  await assert.rejects(giveUpRunning(card, "bad"), /slot a has proven itself: it stays/);
  const record = openRecord(folder);
  await record.write({ next: "a", tries: 1, a: "new", b: "new" });
  await assert.rejects(giveUpRunning(card, "bad"), /slot b has not proven itself either: a stays/);
  await record.write({ next: "a", tries: 0, a: "good", b: "new" });
  await update(card, inPieces(payload("2")), trust);
  await record.write(begin(await record.read()));
  writeFileSync(join(runtime, "slot"), "b");
  assert.equal(await orderSlot("silent", findCard(folder, runtime)), "slot b is given up\n");
  assert.deepEqual(await record.read(), { next: "a", tries: 0, a: "good", b: "silent" });
  assert.match(slotTable(await viewSlots(card)), /^b {2}2 .* bad: its daemon said nothing any more$/m);
  assert.deepEqual(await started(folder), { slot: "a", whole: true });
});

test("the key of the image has to be one", () => {
  const path = join(root, "update.pub");
  assert.throws(() => readTrust(false, path), /update\.pub: found no such file.*unsigned = true/);
  assert.equal(readTrust(true, path), "unsigned");
  writeFileSync(path, "no key\n");
  assert.throws(() => readTrust(false, path), /wanted an Ed25519 public key in PEM/);
  writeFileSync(path, keys.publicKey.export({ type: "spki", format: "pem" }));
  assert.notEqual(readTrust(false, path), "unsigned");
});

test("carpio update and carpio slot, as somebody at a terminal has them", async () => {
  const { folder, runtime } = await newCard();
  const config = join(root, "carpio.toml");
  writeFileSync(config, "[update]\nunsigned = true\n");
  const carpio = (args: readonly string[], input?: Buffer) =>
    spawnSync(process.execPath, [MAIN, ...args, "--card", folder], {
      input,
      encoding: "utf8",
      env: { ...process.env, RUNTIME_DIRECTORY: runtime },
    });
  const file = join(root, "two.payload");
  writeFileSync(file, payload("2", MIB));

  const refused = carpio(["update", file, "--config", join(root, "none.toml")]);
  assert.match(refused.stderr, /\/etc\/carpio\/update\.pub: found no such file/);
  assert.equal(refused.status, 1);

  const piped = carpio(["update", "-", "--json", "--config", config], payload("2"));
  assert.match(piped.stdout, /^\{"step":"writing","bytes":\d+,"ofBytes":null\}\n/);
  assert.match(piped.stdout, /\{"updated":\{"slot":"b","version":"2","bytes":3145728\}\}\n$/);

  const done = carpio(["update", file, "--config", config]);
  assert.match(done.stdout, /^version 2, 1\.0 MB, is in slot b and started next; until it has proven itself/);
  assert.equal(done.status, 0);
  assert.match(carpio(["slot"]).stdout, /b {2}2 +next +new: not started yet/);

  const half = join(root, "half.payload");
  writeFileSync(half, payload("3").subarray(0, MIB));
  const cut = carpio(["update", half, "--config", config]);
  assert.match(cut.stderr, /^carpio: update: the end is missing/);
  assert.equal(cut.status, 1);
  assert.match(carpio(["slot"]).stdout, /b {2}2 +next +new: not started yet/);

  assert.match(carpio(["slot", "a"]).stdout, /a {2}1 +running, next +good/);
  assert.equal(carpio(["slot", "c"]).status, 64);

  rmSync(join(runtime, "slot"));
  assert.match(carpio(["update", file, "--config", config]).stderr, /no slot runs here/);
  assert.ok(existsSync(slotFile(folder, "a")));
});

test("an update goes on when nobody hears any more how far it is, as when a daemon dies that asked for it", async () => {
  const { folder, runtime } = await newCard();
  const config = join(root, "carpio.toml");
  writeFileSync(config, "[update]\nunsigned = true\n");
  const argv = [MAIN, "update", "-", "--json", "--config", config, "--card", folder];
  const child = spawn(process.execPath, argv, { env: { ...process.env, RUNTIME_DIRECTORY: runtime } });
  const ended = once(child, "exit");
  const bytes = payload("2", 10 * MIB);
  child.stdin.write(bytes.subarray(0, MIB));
  await once(child.stdout, "data");
  child.stdout.destroy();
  await once(child.stdout, "close");
  child.stdin.end(bytes.subarray(MIB));
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual(await started(folder), { slot: "b", whole: true });
});

function unsigned(version: string): Uint8Array {
  return payload(version, 3 * MIB, "nobody").subarray(-512);
}

function flipped(bytes: Buffer): Buffer {
  bytes[MIB] = (bytes[MIB] ?? 0) ^ 1;
  return bytes;
}
