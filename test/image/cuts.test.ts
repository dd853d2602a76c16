/**
 * Updates that are interrupted, and the power cut at every write of a board.
 *
 * One board lives through it all, and QEMU keeps what it writes to its card:
 *
 *   a first start      the base counts a try, the board keeps its key, carpio says that slot a is good
 *   four presses       the wish for maintenance, each time the other one
 *   three payloads     the first one's sender goes away, of the second the daemon is
 *                      killed, the third is whole
 *   a second start     the base starts slot b, carpio says that it is good
 *
 * From that comes the card as a cut would have left it, at any moment of the story.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { group, untilStatus } from "../emulated/board.js";
import { Appliance } from "./appliance.js";
import {
  copyCard,
  imageOf,
  listFiles,
  putText,
  readText,
  removeFile,
  showNotices,
  takeFile,
} from "./card.js";
import { findAlong } from "./cut.js";
import { breakChain } from "./fat.js";
import { askBase, PLACES, RECORDS_END, readRecordsPart } from "./records.js";
import { beginUpdate, LONG_MS, untilUpdate, update } from "./sender.js";
import { type Entry, readEntries, replay, SECTOR } from "./write-log.js";

const TOKEN = "sesame";
const OWNER = "AAAAC3NzaC1lZDI1NTE5AAAAI".padEnd(68, "A");
const CONFIG = [
  'name = "cut"',
  ...group(),
  ...["[status]", 'token_file = "token"'],
  ...["[update]", "unsigned = true"],
  ...["[console]", 'serial = "shell"'],
  // Whose it is does not matter: with one, the board makes a key of its own.
  ...["[ssh]", `key = "ssh-ed25519 ${OWNER} you@home"`],
  "",
].join("\n");
const PRESSES = [true, false, true, false];
/** What the kernel writes at once. */
const PAGE = 4096;
/** At the beginning of the partition, as scripts/firmware/card.mjs formats it. */
const FAT_RESERVED = 32 * SECTOR;
/** Of the writes of an update. */
const TENTHS = Array.from({ length: 11 }, (_, tenth) => tenth);
/** After so many of them it is updated again. */
const UPDATED = 6;
const MEGABYTE = 1 << 20;

describe("a board that is interrupted", { timeout: 1_800_000 }, () => {
  let directory: string;
  /** As the board found it at its first start, and at its second. */
  let cards: readonly [string, string];
  let logs: readonly [string, string];
  let payload: Buffer;
  let board: Appliance;
  const entries = () => readEntries(logs[0]);
  /** How far the first log was when its key had been kept, when the first payload came, and the last one. */
  let keyAt: number;
  let payloadsAt: number;
  let updateAt: number;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "carpio-cuts-"));
    const fileOf = (name: string) => join(directory, name);
    cards = [fileOf("first.img"), fileOf("second.img")];
    logs = [fileOf("first.log"), fileOf("second.log")];
    copyCard(imageOf("virt"), cards[0]);
    // A file that has to grow is worth more cuts than one that is written over.
    removeFile(cards[0], "slot-b.sqf");
    putText(cards[0], "carpio.toml", CONFIG);
    putText(cards[0], "token", `${TOKEN}\n`);
    showNotices(cards[0]);
    payload = readFileSync(takeFile(cards[0], "slot-a.sqf", directory));
    const card = copyCard(cards[0], fileOf("card.img"));
    board = await Appliance.powerOn({ kind: "virt", card, writeLog: logs[0] });
    await board.untilLine(/carpio: slot a is good/, LONG_MS);
    keyAt = entries().length;
  });
  after(async () => {
    await board.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test("its button is pressed again and again, and each time it does as it is wished", async () => {
    for (const on of PRESSES) {
      await board.press();
      await untilStatus(board, `maintenance ${on}`, ({ maintenance }) => maintenance.on === on);
    }
    payloadsAt = entries().length;
  });

  test("whoever sends a payload goes away in the middle: it serves on", async () => {
    const sending = beginUpdate(board, TOKEN, payload);
    await untilUpdate(board, ({ state, bytes = 0 }) => state === "writing" && bytes > MEGABYTE);
    sending.destroy();
    const { error = "" } = await untilUpdate(board, ({ state }) => state === "failed");
    assert.match(error, /the end is missing/);
    await untilReleased(board);
    await untilStatus(board, "an answer", ({ role }) => role === "master");
  });

  test("its daemon is killed in the middle of an update: another one serves, and the card is let go", async () => {
    const sending = beginUpdate(board, TOKEN, payload);
    await untilUpdate(board, ({ state, bytes = 0 }) => state === "writing" && bytes > MEGABYTE);
    board.type("kill -9 $(cat /run/daemon.pid)");
    await board.untilLine(/daemon ended with status 137/, LONG_MS);
    sending.destroy();
    await untilReleased(board);
    await untilStatus(board, "an answer", ({ role }) => role === "master");
  });

  test("it takes the next payload, and starts from it", async () => {
    updateAt = entries().length;
    await update(board, TOKEN, payload);
    await board.close();
    copyCard(join(directory, "card.img"), cards[1]);
    board = await Appliance.powerOn({ kind: "virt", card: join(directory, "card.img"), writeLog: logs[1] });
    await board.untilLine(/carpio: slot b is good/, LONG_MS);
    await board.close();
  });

  test("at any cut the wish for maintenance is the old one or the new one, and so is the slot to start", async () => {
    const story = await findAlong(cards[0], logs[0], folderFor(directory, "found"));
    const wishes = [undefined, ...PRESSES];
    assert.deepEqual(changesOf(story.map(({ maintenance }) => maintenance)), wishes);
    assert.deepEqual(changesOf(story.map(({ slots }) => slots)), [
      "next=a tries=0 a=new b=new",
      "next=a tries=1 a=new b=new",
      "next=a tries=0 a=good b=new",
      "next=a tries=0 a=good b=unfinished",
      "next=b tries=0 a=good b=new",
    ]);
    const second = await findAlong(cards[1], logs[1], folderFor(directory, "found"));
    assert.deepEqual(changesOf(second.map(({ maintenance }) => maintenance)), [false]);
    assert.deepEqual(changesOf(second.map(({ slots }) => slots)), [
      "next=b tries=0 a=good b=new",
      "next=b tries=1 a=good b=new",
      "next=b tries=0 a=good b=good",
    ]);
  });

  test("what is remembered is written beside the partition, and nothing but its key and payloads into it", () => {
    const places = Object.values(PLACES);
    const strays = (entries: readonly Entry[]) =>
      entries.filter(
        (entry) =>
          entry.kind === "write" &&
          !places.some((place) => entry.at >= place && entry.at + entry.length <= place + PAGE),
      );
    assert.deepEqual(strays(entries().filter(isRecord)), []);
    assert.deepEqual(strays(entries().slice(keyAt, payloadsAt)), []);
    assert.deepEqual(strays(readEntries(logs[1])), []);
  });

  test("at any cut the key that it made for SSH is all of it, or not there", () => {
    const card = copyCard(cards[0], join(directory, "cut.img"));
    const key = (at: string) => readFileSync(takeFile(at, "ssh_host_key", folderFor(directory, "key")));
    const whole = key(join(directory, "card.img"));
    assert.ok(whole.length > 0);
    const found = entries()
      .slice(0, payloadsAt)
      .flatMap((entry) => {
        replay(logs[0], [entry], card);
        const isThere = entry.kind === "write" && listFiles(card).includes("ssh_host_key");
        return isThere ? [key(card)] : [];
      });
    assert.ok(found.length > 0 && found.every((bytes) => bytes.equals(whole)));
  });

  test("a slot is given up before it is written, and taken when all of it is on the card for good", () => {
    const ofPayloads = entries().slice(payloadsAt);
    const given = ofPayloads.findIndex(isRecord);
    const begun = ofPayloads.findIndex(isPayload);
    assert.ok(ofPayloads.slice(given, begun).some(isFlush), "given up, flushed, written");
    const ended = ofPayloads.findLastIndex(isPayload);
    const taken = ofPayloads.findLastIndex(isRecord);
    assert.ok(ofPayloads.slice(ended, taken).some(isFlush), "written, flushed, taken");
  });

  test("at every tenth of an update what would be started is whole, and the configuration as it was", () => {
    const all = entries();
    const ends = all.flatMap((entry, i) => (i >= updateAt && isPayload(entry) ? [i + 1] : []));
    const card = copyCard(cards[0], join(directory, "cut.img"));
    let done = 0;
    for (const tenth of TENTHS) {
      const end = ends[Math.round(((ends.length - 1) * tenth) / 10)] ?? 0;
      replay(logs[0], all.slice(done, end), card);
      done = end;
      assert.equal(readText(card, "carpio.toml"), CONFIG, `after ${tenth} tenths`);
      assert.deepEqual(askBase(readRecordsPart(card), folderFor(directory, "asked")), {
        slots: "next=a tries=0 a=good b=unfinished",
        next: "a",
      });
      const slot = readFileSync(takeFile(card, "slot-a.sqf", directory));
      assert.ok(slot.equals(payload), `after ${tenth} tenths`);
      copyCard(card, join(directory, `cut-${tenth}.img`));
    }
    replay(logs[0], all.slice(done), card);
    assert.equal(askBase(readRecordsPart(card), folderFor(directory, "asked")).next, "b");
    assert.ok(readFileSync(takeFile(card, "slot-b.sqf", directory)).equals(payload));
  });

  // The start of a board keeps one processor busy, and a computer has at least two.
  describe("after a cut", { concurrency: 2 }, () => {
    for (const tenth of TENTHS) {
      test(`at ${tenth} tenths of an update it comes back serving`, async () => {
        await using again = await powerOnAgain(tenth);
        // What the cut has left of the other slot's file is in nobody's way.
        if (tenth === UPDATED) await update(again, TOKEN, payload);
      });
    }

    test("that left a slot's chain of clusters with an end in a free one it takes the next update", async () => {
      const card = copyCard(join(directory, `cut-${UPDATED}.img`), join(directory, "cut-chain.img"));
      breakChain(card, "slot-b.sqf");
      {
        await using again = await powerOnAgain("chain");
        await update(again, TOKEN, payload);
      }
      assert.ok(readFileSync(takeFile(card, "slot-b.sqf", folderFor(directory, "chain"))).equals(payload));
    });

    /** On a card that a cut has left, from the slot that was good before. */
    const powerOnAgain = async (cut: number | string): Promise<Appliance> => {
      const again = await Appliance.powerOn({ kind: "virt", card: join(directory, `cut-${cut}.img`) });
      try {
        await untilStatus(again, "an answer", ({ role }) => role === "master");
        assert.match(await again.log(), /carpio: slot a, version/);
        assert.doesNotMatch(await again.log(), /carpio: slot b, version/);
        return again;
      } catch (error) {
        await again.close();
        throw error;
      }
    };
  });
});

/** Without what is as it was just before. */
function changesOf<T>(values: readonly T[]): readonly T[] {
  return values.filter((value, i) => i === 0 || value !== values[i - 1]);
}

function isRecord(entry: Entry): boolean {
  return entry.kind === "write" && entry.at < RECORDS_END;
}

/** In the partition, but for the sectors in which a FAT notes that it is mounted. */
function isPayload(entry: Entry): boolean {
  return entry.kind === "write" && entry.at >= RECORDS_END + FAT_RESERVED;
}

function isFlush({ kind }: Entry): boolean {
  return kind === "flush";
}

function folderFor(directory: string, name: string): string {
  const folder = join(directory, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** No update goes on, and the card could be pulled. */
async function untilReleased(board: Appliance): Promise<void> {
  const ask = async () => {
    const said = board.lines.length;
    board.type("grep -c vfat /proc/mounts | sed 's/^/mounted: /'");
    return board.until(() => board.lines.slice(said).find((line) => /mounted: \d/.test(line)), {
      holds: (line) => line !== undefined,
      what: "an answer from the shell",
    });
  };
  await board.until(ask, { holds: (line) => /mounted: 0/.test(line ?? ""), what: "a card that is let go" });
}
