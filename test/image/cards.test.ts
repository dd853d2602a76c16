/**
 * Cards as people make them: untouched, without a carpio.toml, with a broken
 * one, with one for another board; and as time makes them: full, or with sectors
 * that nobody can read any more. Each board comes up, and says what is wrong on
 * its lamps, its page and its serial line, which are as they were shipped.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import { type Blinks, group, untilStatus, waitForBlinks, waitForLamps } from "../emulated/board.js";
import { FAULT, ROLE } from "../emulated/lamps.js";
import { Appliance } from "./appliance.js";
import { copyCard, fillUp, imageOf, putText, removeFile, takeFile } from "./card.js";
import { middleSector } from "./fat.js";
import { offer } from "./sender.js";

type Face = Snapshot["panel"]["face"];

interface Case {
  readonly why: string;
  readonly prepare: (card: string) => void;
  /** In the middle of this file is a sector that cannot be read. */
  readonly unreadable?: string;
  readonly face: Face;
  /** What is wrong; without it, nothing is. */
  readonly tells?: readonly RegExp[];
  /** Whether it serves all the same. */
  readonly serves?: true;
  readonly name: RegExp;
}

const write = (name: string, lines: readonly string[]) => (card: string) =>
  putText(card, name, lines.join("\n"));
const MINE = ['name = "mine"', ...group(), ""];
const BROKEN = [...MINE, "vhid = 700", ""];
const ownName = /^carpio-[0-9a-f]{4}$/;
const mine = /^mine$/;
const cases: readonly Case[] = [
  { why: "as it comes out of the box", prepare: () => {}, face: "starting", name: ownName },
  {
    why: "without a carpio.toml",
    prepare: (card) => removeFile(card, "carpio.toml"),
    face: "fault",
    tells: [/carpio\.toml: found no such file/],
    name: ownName,
  },
  {
    why: "with one that is broken",
    prepare: write("carpio.toml", BROKEN),
    face: "fault",
    tells: [/carpio\.toml:\d+/],
    name: ownName,
  },
  {
    why: "with one that names another board's interface",
    prepare: write(
      "carpio.toml",
      MINE.map((line) => line.replace("eth0", "eth7")),
    ),
    face: "fault",
    tells: [/eth7/],
    name: mine,
  },
  {
    why: "with one that Windows has written, beside the card's own and under a name that its owner never saw",
    prepare: (card) => putText(card, "carpio.toml.txt", `\uFEFF${MINE.join("\r\n")}\r\n`),
    face: "master",
    name: mine,
  },
  {
    why: "with two that both say something",
    prepare: (card) => {
      write("carpio.toml", MINE)(card);
      putText(card, "carpio.toml.txt", BROKEN.join("\n"));
    },
    face: "fault",
    tells: [
      /the card: carpio\.toml\.txt is on it beside a carpio\.toml that says something, and is not read/,
    ],
    serves: true,
    name: mine,
  },
  {
    why: "with one that is broken, and without room to say so beside it",
    prepare: (card) => {
      write("carpio.toml", BROKEN)(card);
      fillUp(card);
    },
    face: "fault",
    tells: [/carpio\.toml:\d+/, /the card: carpio-errors\.txt cannot be written to it: no space left/],
    name: ownName,
  },
  {
    why: "with one that cannot be read",
    prepare: write("carpio.toml", MINE),
    unreadable: "carpio.toml",
    face: "fault",
    tells: [/the card: carpio\.toml is on it, and cannot be read/, /carpio\.toml: found no such file/],
    name: ownName,
  },
  {
    why: "that is new, and whose slot a cannot be read",
    prepare: write("carpio.toml", MINE),
    unreadable: "slot-a.sqf",
    face: "fault",
    tells: [/slot a: found another sha256 than it says/],
    serves: true,
    name: mine,
  },
];

const QUICK: Blinks = { onMs: 50, offMs: 50 };
const WAITING: Blinks = { onMs: 200, offMs: 200, beside: 0 };
const TOKEN = "sesame";

describe("a card", { timeout: 1_800_000 }, () => {
  let directory: string;
  const newCard = () => copyCard(imageOf("virt"), join(directory, "card.img"));
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "carpio-cards-"));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const { why, prepare, unreadable, face, tells = [], serves, name } of cases) {
    test(`${why}: the board comes up as ${face}`, async () => {
      const card = newCard();
      prepare(card);
      const sectors = unreadable === undefined ? [] : [middleSector(card, unreadable)];
      await using board = await Appliance.powerOn({ kind: "virt", card, unreadable: sectors });
      const status = await untilStatus(
        board,
        `the face ${face}`,
        ({ panel, role }) => panel.face === face && (!serves || role === "master"),
      );
      assert.match(status.name, name);
      const shown = await page(board);
      assert.equal(status.faults.length, tells.length);
      for (const wrong of tells) {
        assert.match(status.faults.join("\n"), wrong);
        // Where it is the first thing that is wrong, it begins with a capital.
        assert.match(shown, new RegExp(wrong.source, "i"));
        await board.untilLine(new RegExp(`carpio: .*${wrong.source}`));
      }
      await shows(board, face);
    });
  }

  test("that is full, and without its other slot: the board serves, says that an update has no room, and serves on", async () => {
    const card = newCard();
    const payload = readFileSync(takeFile(card, "slot-a.sqf", directory));
    putText(card, "token", `${TOKEN}\n`);
    const open = ["[status]", 'token_file = "token"', "[update]", "unsigned = true", ""];
    write("carpio.toml", [...MINE, ...open])(card);
    removeFile(card, "slot-b.sqf");
    fillUp(card);
    await using board = await Appliance.powerOn({ kind: "virt", card });
    const { events, faults } = await untilStatus(board, "a master", ({ role }) => role === "master");
    assert.deepEqual(faults, []);
    const { status, said } = await offer(board, TOKEN, payload);
    assert.equal(status, 422);
    assert.match(said, /the card is full/);
    const later = await untilStatus(board, "an answer", () => true);
    assert.deepEqual([later.role, later.events, later.faults], ["master", events, []]);
  });
});

/** As a browser gets it. */
async function page(board: Appliance): Promise<string> {
  const answer = await fetch(`http://${board.host}/`, { headers: { accept: "text/html" } });
  assert.equal(answer.status, 200);
  return answer.text();
}

function shows(board: Appliance, face: Face): Promise<void> {
  if (face === "master") return waitForLamps(board, ROLE);
  return face === "fault" ? waitForBlinks(board, FAULT, QUICK) : waitForBlinks(board, ROLE, WAITING);
}
