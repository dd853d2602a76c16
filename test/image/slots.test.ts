/**
 * Slots that a board cannot run: damaged, cut short, gone, or with a program
 * that dies. Each time it comes back serving on the other one.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { TRIES } from "../../src/firmware/boot-record.js";
import { untilStatus } from "../emulated/board.js";
import { Appliance } from "./appliance.js";
import { removeFile } from "./card.js";
import { askBase, readRecordsPart } from "./records.js";
import { cardWith, flipBit, remake } from "./slot.js";
import { SECTOR } from "./write-log.js";

const ANSWER_MS = 300_000;

describe("a slot that cannot be run", { timeout: 1_800_000 }, () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "carpio-slots-"));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  const damages: readonly { why: string; spoil: (slot: string) => void; says: RegExp }[] = [
    {
      why: "a byte of it is another one",
      spoil: flipByte,
      says: /slot a: found another sha256 than it says/,
    },
    { why: "it is cut short", spoil: cutShort, says: /slot a: found no end, wanted one/ },
    {
      why: "its end is there and its middle is not",
      spoil: loseMiddle,
      says: /slot a: found another size than it says/,
    },
  ];
  for (const { why, spoil, says } of damages) {
    test(`${why}: the other one is started, and says why`, async () => {
      const card = cardWith(directory, "damaged", spoil);
      await using board = await Appliance.powerOn({ kind: "virt", card });
      await comesUp(board, "b");
      assert.match(await board.log(), says);
      assert.equal(remembered(card), "next=b tries=0 a=damaged b=good");
    });
  }

  test("it is not there: the other one is started", async () => {
    const card = cardWith(directory, "removed", () => {});
    removeFile(card, "slot-a.sqf");
    await using board = await Appliance.powerOn({ kind: "virt", card });
    await comesUp(board, "b");
  });

  test(`its program dies: it is tried ${TRIES} times, power cuts and a start of its own among them`, async () => {
    const card = cardWith(directory, "dying", (slot) =>
      remake(slot, (folder) => writeFileSync(join(folder, "usr/bin/carpio"), "process.exit(9);\n")),
    );
    for (let tries = 1; tries < TRIES; tries++) {
      await using board = await Appliance.powerOn({ kind: "virt", card });
      await board.untilLine(/: daemon ended with status 9/, ANSWER_MS);
    }
    // The last one is left to itself: the board gives up waiting, and starts again.
    await using board = await Appliance.powerOn({ kind: "virt", card });
    await board.untilLine(/the board starts again/, ANSWER_MS);
    await comesUp(board, "b");
    assert.equal(remembered(card), "next=b tries=0 a=unproven b=good");
  });

  function remembered(card: string): string {
    return askBase(readRecordsPart(card), mkdtempSync(join(directory, "asked-"))).slots;
  }
});

/** Serves its group, and has said which slot is good. */
async function comesUp(board: Appliance, slot: "a" | "b"): Promise<void> {
  await board.untilLine(new RegExp(`carpio: slot ${slot} is good`), ANSWER_MS);
  await untilStatus(
    board,
    `a master on slot ${slot}, which has proven itself`,
    (it) => it.role === "master" && it.slot?.name === slot && !it.slot.onTrial,
  );
}

function flipByte(slot: string): void {
  const bytes = readFileSync(slot);
  writeFileSync(slot, flipBit(bytes, bytes.length >> 1));
}

function cutShort(slot: string): void {
  truncateSync(slot, statSync(slot).size >> 1);
}

function loseMiddle(slot: string): void {
  const bytes = readFileSync(slot);
  writeFileSync(slot, Buffer.concat([bytes.subarray(0, bytes.length >> 2), bytes.subarray(-SECTOR)]));
}
