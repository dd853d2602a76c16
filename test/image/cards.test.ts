/**
 * Cards as people make them: untouched, without a carpio.toml, with a broken
 * one, with one for another board. Each board comes up, and says what is wrong
 * on its lamps and in its status.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import { type Blinks, group, untilStatus, waitForBlinks, waitForLamps } from "../emulated/board.js";
import { FAULT, ROLE } from "../emulated/lamps.js";
import { Appliance } from "./appliance.js";
import { copyCard, imageOf, putText, removeFile } from "./card.js";

type Face = Snapshot["panel"]["face"];

interface Case {
  readonly why: string;
  readonly prepare: (card: string) => void;
  readonly face: Face;
  /** What is to be looked at first; without it, nothing is wrong. */
  readonly tells?: RegExp;
  readonly name: RegExp;
}

const write = (name: string, lines: readonly string[]) => (card: string) =>
  putText(card, name, lines.join("\n"));
const MINE = ['name = "mine"', ...group()];
const ownName = /^carpio-[0-9a-f]{4}$/;
const cases: readonly Case[] = [
  { why: "as it comes out of the box", prepare: () => {}, face: "starting", name: ownName },
  {
    why: "without a carpio.toml",
    prepare: (card) => removeFile(card, "carpio.toml"),
    face: "fault",
    tells: /carpio\.toml/,
    name: ownName,
  },
  {
    why: "with one that is broken",
    prepare: write("carpio.toml", [...MINE, "vhid = 700", ""]),
    face: "fault",
    tells: /carpio\.toml:\d+/,
    name: ownName,
  },
  {
    why: "with one that names another board's interface",
    prepare: write("carpio.toml", [...MINE.map((line) => line.replace("eth0", "eth7")), ""]),
    face: "fault",
    tells: /eth7/,
    name: /^mine$/,
  },
  {
    why: "with one that Windows has written, under a name that its owner never saw",
    prepare: (card) => {
      removeFile(card, "carpio.toml");
      putText(card, "carpio.toml.txt", `\uFEFF${MINE.join("\r\n")}\r\n`);
    },
    face: "master",
    name: /^mine$/,
  },
];

const QUICK: Blinks = { onMs: 50, offMs: 50 };
const WAITING: Blinks = { onMs: 200, offMs: 200, beside: 0 };

describe("a card", { timeout: 1_200_000 }, () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "carpio-cards-"));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const { why, prepare, face, tells, name } of cases) {
    test(`${why}: the board comes up as ${face}`, async () => {
      const card = copyCard(imageOf("virt"), join(directory, "card.img"));
      prepare(card);
      await using board = await Appliance.powerOn({ kind: "virt", card });
      const status = await untilStatus(board, `the face ${face}`, (it) => it.panel.face === face);
      assert.match(status.name, name);
      const { broken } = status.diagnosis;
      if (tells) assert.match(broken?.says ?? "nothing", tells);
      else assert.deepEqual(status.faults, []);
      await shows(board, face);
    });
  }
});

function shows(board: Appliance, face: Face): Promise<void> {
  if (face === "master") return waitForLamps(board, ROLE);
  return face === "fault" ? waitForBlinks(board, FAULT, QUICK) : waitForBlinks(board, ROLE, WAITING);
}
