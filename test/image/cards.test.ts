/**
 * Cards as people make them: untouched, without a carpio.toml, with a broken
 * one, with one for another board; and as time makes them: full, or with sectors
 * that nobody can read any more. Each board comes up, and says what is wrong on
 * its lamps, its page and its serial line, which are as they were shipped; but
 * for one whose FAT itself cannot be read, which has its serial line alone.
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
import { firstOfFat, middleSector } from "./fat.js";
import { PLACES } from "./records.js";
import { offer } from "./sender.js";
import { SECTOR } from "./write-log.js";

type Face = Snapshot["panel"]["face"];

interface Case {
  readonly why: string;
  readonly prepare: (card: string) => void;
  /** A sector that nobody can read any more. */
  readonly unreadable?: (card: string) => number;
  readonly face: Face;
  /** What is wrong; without it, nothing is. */
  readonly tells?: readonly RegExp[];
  /** Whether it serves all the same. */
  readonly serves?: true;
  readonly name: RegExp;
}

const write = (name: string, lines: readonly string[]) => (card: string) =>
  putText(card, name, lines.join("\n"));
const middleOf = (name: string) => (card: string) => middleSector(card, name);
const record = (name: keyof typeof PLACES) => () => PLACES[name] / SECTOR;
const MINE = ['name = "mine"', ...group(), ""];
const RULES = ["table ip mine {", "}", ""].join("\n");
const TOKEN = "sesame";
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
    unreadable: middleOf("carpio.toml"),
    face: "fault",
    tells: [/the card: carpio\.toml is on it, and cannot be read/, /carpio\.toml: found no such file/],
    name: ownName,
  },
  {
    why: "with somebody's pictures beside it, more than are taken into memory",
    prepare: (card) => {
      write("carpio.toml", [...MINE, "[status]", 'token_file = "token"', ""])(card);
      for (let i = 10; i < 30; i++) putText(card, `picture-${i}.jpg`, "x".repeat(1_000_000));
      // It lies behind them.
      putText(card, "token", `${TOKEN}\n`);
    },
    face: "fault",
    tells: [/the card: it has too many small files: picture-\d+\.jpg and those after it are not taken/],
    serves: true,
    name: mine,
  },
  {
    why: "that is new, and whose slot a cannot be read",
    prepare: write("carpio.toml", MINE),
    unreadable: middleOf("slot-a.sqf"),
    face: "fault",
    tells: [/slot a: found another sha256 than it says/],
    serves: true,
    name: mine,
  },
  {
    why: "whose rules for its router cannot be read",
    prepare: (card) => {
      write("carpio.toml", [...MINE, "[router]", "ipv4 = true", 'nftables = "nftables.conf"', ""])(card);
      putText(card, "nftables.conf", RULES);
    },
    unreadable: middleOf("nftables.conf"),
    face: "fault",
    tells: [
      /the card: nftables\.conf is on it, and cannot be read/,
      /router\.nftables: found no such file .*: nothing is forwarded/,
    ],
    serves: true,
    name: mine,
  },
  {
    why: "whose token cannot be read",
    prepare: (card) => {
      write("carpio.toml", [...MINE, "[status]", 'token_file = "token"', ""])(card);
      putText(card, "token", `${TOKEN}\n`);
    },
    unreadable: middleOf("token"),
    face: "fault",
    tells: [/the card: token is on it, and cannot be read/, /status\.token_file: .*found no such file/],
    serves: true,
    name: mine,
  },
  {
    why: "whose record of what is started cannot be read",
    prepare: write("carpio.toml", MINE),
    unreadable: record("slots-a"),
    face: "fault",
    tells: [/the card: its record slots-a cannot be read, so replace the card: i\/o error \(EIO\)/],
    serves: true,
    name: mine,
  },
  {
    why: "whose record of maintenance cannot be read",
    prepare: write("carpio.toml", MINE),
    unreadable: record("state-b"),
    face: "fault",
    tells: [/the card: its record state-b cannot be read, so replace the card: i\/o error \(EIO\)/],
    serves: true,
    name: mine,
  },
];

const UNUSABLE =
  /carpio: \/dev\/vda1 cannot be read: write the card again, or another one: starts again in 30 s/;
const QUICK: Blinks = { onMs: 50, offMs: 50 };
const WAITING: Blinks = { onMs: 200, offMs: 200, beside: 0 };

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
      const sectors = unreadable ? [unreadable(card)] : [];
      await using board = await Appliance.powerOn({ kind: "virt", card, unreadable: sectors });
      const status = await untilStatus(
        board,
        `the face ${face}`,
        // What setup finds last is told last.
        ({ panel, role, faults }) =>
          panel.face === face && (!serves || role === "master") && faults.length >= tells.length,
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

  // Linux reads one copy of a FAT. Nothing that could light a lamp or answer is in memory yet.
  test("whose FAT cannot be read at its beginning: the board says what to do, and starts again", async () => {
    const card = newCard();
    await using board = await Appliance.powerOn({ kind: "virt", card, unreadable: [firstOfFat(card)] });
    await board.untilLine(UNUSABLE);
    const begun = () => board.lines.filter((line) => /carpio: the base begins/.test(line)).length;
    await board.until(begun, { holds: (starts) => starts === 2, what: "a second start" });
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
