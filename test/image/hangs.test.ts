/**
 * Slots that hang: nothing in them ends, and so nobody is told that anything is
 * wrong; one whose daemon never lasts, one whose daemon hears nobody, and one that
 * the card gives too slowly. Each was put beside one that is known to be good, as by
 * an update, and each time the board comes back serving on that one, by itself.
 *
 * A minute and more of each is waiting, so they wait side by side.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type SlotFault, TRIES } from "../../src/firmware/boot-record.js";
import { untilStatus } from "../emulated/board.js";
import { Appliance } from "./appliance.js";
import { middleSector } from "./fat.js";
import { askBase, putRecord, readRecordsPart } from "./records.js";
import { cardWith, remake } from "./slot.js";
import { openStuckCard } from "./stuck-card.js";
import { SECTOR } from "./write-log.js";

interface Hang {
  readonly why: string;
  /** What becomes of the files of the slot. */
  readonly change: (folder: string) => void;
  /** How often it was tried before. */
  readonly tries: number;
  /** Who has the board started again, and why. */
  readonly says: RegExp;
  /** What the card remembers of it. */
  readonly fault: SlotFault;
}

const AGAIN_MS = 600_000;
/** Too little for the first few records, let alone for the FAT, in the three minutes that the base gives itself. */
const STUCK = 100;
/** Enough for those, and not for a slot of 36 MB in a minute. */
const SLOW = 300_000;
const FAST = 1_000_000_000;
const BEGUN = /carpio: the base begins/;
const LATE = /carpio: slot a: the card did not give it within 60 s/;
/** The base's last words. */
const STARTED = /carpio: slot ([ab]), version/;
const GIVEN_UP = /starts again in 30 s/;
const AGAIN = /the board starts again/;

const hangs: readonly Hang[] = [
  {
    why: "its daemon was stopped before it said a word",
    change: (folder) => runInstead(folder, 'process.kill(process.pid, "SIGSTOP");'),
    tries: 0,
    says: /the daemon has said nothing for 60 s: the board starts again/,
    fault: "silent",
  },
  {
    why: "its daemon crashes whenever it is started",
    change: (folder) => runInstead(folder, "process.exit(9);"),
    tries: 0,
    says: /the daemon has said nothing for 60 s: the board starts again/,
    fault: "silent",
  },
  {
    why: "its daemon says that it is alive, and never that it is ready",
    change: (folder) => {
      const say = 'require("node:fs").appendFileSync(process.env.CARPIO_HEARTBEAT, "alive\\n")';
      runInstead(folder, `setInterval(() => ${say}, 2000);`);
    },
    tries: 0,
    says: /this slot has not proven itself within 140 s, and the other one is good: the board starts again/,
    fault: "unready",
  },
  {
    why: "its daemon says that it is ready, and dies soon after, whenever it is started",
    change: (folder) => {
      const say =
        'require("node:fs").appendFileSync(process.env.CARPIO_HEARTBEAT, "alive soon\\nready -\\n")';
      runInstead(folder, `${say}; setTimeout(() => process.exit(9), 5000);`);
    },
    tries: 0,
    says: /this slot has not proven itself within 140 s, and the other one is good: the board starts again/,
    fault: "unready",
  },
  {
    why: "its addon for raw sockets is damaged, and its daemon runs without hearing anybody",
    change: (folder) => rewrite(folder, damageRawAddon),
    tries: 0,
    says: /the other one is good \(cannot listen for IPv4 on \S+: .+\): the board starts again/,
    fault: "unready",
  },
  {
    why: "nothing of it does anything, and the hardware's watchdog is all there is",
    change: (folder) => {
      const init = join(folder, "usr/sbin/init");
      rmSync(init);
      writeFileSync(init, "#!/usr/bin/busybox sh\nwhile :; do sleep 1000; done\n");
      chmodSync(init, 0o755);
    },
    // Nobody is left who could say that it has failed; this is the last of its tries.
    tries: TRIES - 1,
    says: /^nobody$/,
    fault: "unproven",
  },
];

describe("a slot that hangs", { timeout: 1_200_000, concurrency: 4 }, () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "carpio-hangs-"));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  test("a card that gives so little that a start would take for ever: the watchdog starts the board again", async () => {
    const card = cardWith(directory, "stuck", () => {});
    await using board = await Appliance.powerOn({ kind: "virt", card, bytesPerSecond: STUCK });
    const begun = () => board.lines.filter((line) => BEGUN.test(line)).length;
    await board.until(begun, {
      holds: (starts) => starts === 2,
      what: "a second start",
      deadlineMs: AGAIN_MS,
    });
    // Nor has the base given up by itself.
    assert.deepEqual(
      board.lines.filter((line) => STARTED.test(line) || GIVEN_UP.test(line)),
      [],
    );
  });

  test("a card that gives a good slot too slowly: the other one is started", async () => {
    const card = cardWith(directory, "slow", () => {});
    putRecord(card, { next: "a", tries: 0, a: "good", b: "good" });
    const board = await Appliance.powerOn({ kind: "virt", card, bytesPerSecond: SLOW });
    try {
      await board.untilLine(LATE, AGAIN_MS);
      await board.changeCardSpeed(FAST);
      await untilStatus(board, "an answer", ({ role }) => role === "master");
      assert.deepEqual(
        board.lines.flatMap((line) => STARTED.exec(line)?.[1] ?? []),
        ["b"],
      );
    } finally {
      await board.close();
    }
    // It was not the slot's fault.
    assert.equal(remembered(card), "next=a tries=0 a=good b=good");
  });

  test("a card that never gives one part of a good slot: the other one is started, with its operator's file", async () => {
    const card = cardWith(directory, "deaf", () => {});
    putRecord(card, { next: "a", tries: 0, a: "good", b: "good" });
    const from = middleSector(card, "slot-a.sqf") * SECTOR;
    const cardSocket = join(directory, "deaf.sock");
    await using _ = await openStuckCard(card, cardSocket, { from, to: from + SECTOR });
    await using board = await Appliance.powerOn({ kind: "virt", card, cardSocket });
    await board.untilLine(LATE, AGAIN_MS);
    await untilStatus(board, "an answer", ({ role, name }) => role === "master" && name === "deaf");
    assert.deepEqual(
      board.lines.flatMap((line) => STARTED.exec(line)?.[1] ?? []),
      ["b"],
    );
  });

  for (const [index, { why, change, tries, says, fault }] of hangs.entries()) {
    test(`${why}: the board starts again, on the other one`, async () => {
      const card = cardWith(directory, `hang-${index}`, (slot) => remake(slot, change));
      putRecord(card, { next: "a", tries, a: "new", b: "good" });
      const board = await Appliance.powerOn({ kind: "virt", card });
      try {
        const started = () => board.lines.flatMap((line) => STARTED.exec(line)?.[1] ?? []);
        const twice = (slots: readonly string[]) => slots.length === 2;
        await board.until(started, { holds: twice, what: "a second start", deadlineMs: AGAIN_MS });
        assert.deepEqual(started(), ["a", "b"]);
        assert.match(board.lines.find((line) => AGAIN.test(line)) ?? "nobody", says);
        await untilStatus(board, "an answer", ({ role }) => role === "master");
      } finally {
        await board.close();
      }
      assert.equal(remembered(card), `next=b tries=0 a=${fault} b=good`);
    });
  }

  function remembered(card: string): string {
    return askBase(readRecordsPart(card), mkdtempSync(join(directory, "asked-"))).slots;
  }
});

/** In the place of the daemon, and of no other command of carpio's. */
function runInstead(folder: string, line: string): void {
  const instead = `if (process.argv[2] === "run") { ${line} return; }`;
  rewrite(folder, (bundle) => bundle.replace("\n", () => `\n${instead}\n`));
}

/** It is there as packed text, which nobody can unpack any more. */
function damageRawAddon(bundle: string): string {
  const damaged = bundle.replace(/(name: "raw",.*unpack\(")/g, "$1AAAA");
  assert.notEqual(damaged, bundle);
  return damaged;
}

function rewrite(folder: string, change: (bundle: string) => string): void {
  const bundle = join(folder, "usr/bin/carpio");
  writeFileSync(bundle, change(readFileSync(bundle, "utf8")));
}
