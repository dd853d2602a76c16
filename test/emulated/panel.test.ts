/**
 * The panel on an arm64 board with a real kernel: onoff drives lines of a
 * PL061 that are read from outside the machine, and a press is a level that is
 * set there. Nothing of sysfs is pretended.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { group, near, statusOf, untilStatus, waitForBlinks, waitForFace, waitForLamps } from "./board.js";
import { FAULT, MAINTENANCE, ROLE, stepsOf } from "./lamps.js";
import { Machine } from "./machine.js";

const ALONE = ['board = "auto"', ...group()];
const QUICK = { onMs: 50, offMs: 50, beside: 0 };
const NO_TAKER = { onMs: 100, offMs: 900, beside: ROLE | FAULT };
const LET_GO = { onMs: 500, offMs: 500 };

describe("by onoff", () => {
  let board: Machine;
  before(async () => {
    board = await Machine.boot({ name: "left", config: ALONE });
    await board.start();
    await waitForFace(board, "master");
  });
  after(() => board?.close());

  test("the board is found, and its lines, whatever the kernel numbers them", async () => {
    assert.equal(await board.run("cat /sys/class/gpio/gpiochip*/label"), "9030000.pl061");
    assert.deepEqual((await statusOf(board))?.faults, []);
  });

  test("master: the role lamp is lit, and stays so", () => waitForLamps(board, ROLE));

  test("a press turns maintenance on: nobody takes over, so amber blinks beside red", async () => {
    await board.press();
    await waitForFace(board, "no-taker");
    await waitForBlinks(board, MAINTENANCE, NO_TAKER);
  });

  test("another press takes it back", async () => {
    await board.press();
    await waitForFace(board, "master");
    await waitForLamps(board, ROLE);
    assert.equal((await statusOf(board))?.panel.button.presses, 2);
  });

  test("a finger that stays for two seconds has changed its mind", async () => {
    await board.press(2_000);
    await untilStatus(
      board,
      "three presses",
      ({ panel: { button } }) => !button.pressed && button.presses === 3,
    );
    await waitForLamps(board, ROLE);
  });

  test("a finger that stays for five sees all lamps change", async () => {
    await board.setButton(true);
    try {
      await waitForFace(board, "power-off");
      await waitForBlinks(board, ROLE, LET_GO);
      await waitForBlinks(board, FAULT, LET_GO);
    } finally {
      await board.setButton(false);
    }
  });

  test("a program that is killed leaves the red lamp, and nothing that says it serves", async () => {
    await board.run("kill -9 $(cat /run/pid)");
    await waitForLamps(board, FAULT);
  });

  test("a new start takes the lamps as they are, and a stop leaves red again", async () => {
    await board.start();
    await waitForFace(board, "master");
    await waitForLamps(board, ROLE);
    await board.run("kill $(cat /run/pid)");
    await waitForLamps(board, FAULT);
  });
});

describe("lines that are not to be had", () => {
  let board: Machine;
  const config = ["[panel]", 'driver = "onoff"'];
  before(async () => {
    // The LED class has the lamps' lines, and onoff is asked for.
    board = await Machine.boot({ name: "left", config: ['board = "auto"', ...config], leds: true });
  });
  after(() => board?.close());

  const wanted: readonly { why: string; board: readonly string[]; says: RegExp }[] = [
    {
      why: "in use by a driver",
      board: [],
      says: /^role lamp: board\/virt\/board\.toml:\d+: found line 0 of 9030000\.pl061 in use/,
    },
    {
      why: "beyond the chip's last",
      board: ["chip = '9030000.pl061'", "[lamps.role]", "line = 8"],
      says: /^role lamp: \/etc\/board\.toml:\d+: found line 8, wanted 0 to 7: 9030000\.pl061 has no more$/,
    },
    {
      why: "of a chip that is not there",
      board: ["chip = 'pinctrl-bcm2835'", "[lamps.role]", "line = 4"],
      says: /^role lamp: \/etc\/board\.toml:\d+: found no GPIO chip pinctrl-bcm2835, wanted one of .*: 9030000\.pl061$/,
    },
  ];
  for (const { why, board: lines, says } of wanted) {
    test(why, async () => {
      if (lines.length > 0) {
        await board.write("/etc/board.toml", ["title = 'mine'", ...lines]);
        await board.write("/etc/carpio.toml", ['board = "/etc/board.toml"', ...config]);
      }
      await board.start();
      // The daemon serves its status all the same.
      await untilStatus(board, `a fault like ${says}`, ({ faults }) =>
        faults.some((fault) => says.test(fault)),
      );
      await board.run("kill $(cat /run/pid); while [ -d /proc/$(cat /run/pid) ]; do sleep 0.1; done");
    });
  }
});

describe("by the LED class", () => {
  let board: Machine;
  before(async () => {
    board = await Machine.boot({ name: "left", config: ALONE, leds: true });
  });
  after(() => board?.close());

  const trigger = (lamp: string) => board.run(`cat /sys/class/leds/carpio:${lamp}/trigger`);

  test("it is preferred where the device tree has the lamps", async () => {
    await board.start();
    await waitForFace(board, "master");
    assert.deepEqual((await statusOf(board))?.faults, []);
    await waitForLamps(board, ROLE);
  });

  test("the kernel blinks, and goes on while the program stands still", async () => {
    await board.press();
    await waitForFace(board, "no-taker");
    assert.match(await trigger("amber:maintenance"), /\[timer\]/);
    await waitForBlinks(board, MAINTENANCE, NO_TAKER);
    await board.run("kill -STOP $(cat /run/pid)");
    await waitForBlinks(board, MAINTENANCE, NO_TAKER);
    await board.run("kill -CONT $(cat /run/pid)");
  });

  test("a program that is killed leaves the whole fault face", async () => {
    await board.run("kill -9 $(cat /run/pid)");
    await board.until(() => trigger("red:fault"), {
      holds: (it) => it.includes("[timer]"),
      what: "the fault face",
    });
    await waitForBlinks(board, FAULT, QUICK);
  });

  test("a pattern of two winks is the kernel's as well", async () => {
    const lamp = ["[lamps.role]", "led = 'carpio:green:role'"];
    const button = ["[button]", "line = 3", "active = 'high'"];
    const head = ["title = 'one lamp'", "driver = 'led-class'", "chip = '9030000.pl061'"];
    await board.write("/etc/board.toml", [...head, ...lamp, ...button]);
    await board.write("/etc/carpio.toml", ['board = "/etc/board.toml"']);
    await board.start();
    // The wish of the press before outlives the program; without a group nothing is served.
    await waitForFace(board, "safe");
    await board.until(() => trigger("green:role"), {
      holds: (it) => it.includes("[pattern]"),
      what: "the kernel's pattern",
    });
    const looked = async () => stepsOf(await board.lamps.watch(8_000), ROLE);
    const count = (steps: readonly number[], wantedMs: number) =>
      steps.filter((ms) => near(ms, wantedMs)).length;
    await board.until(looked, {
      holds: ({ lit, dark }) => count(lit, 50) >= 5 && count(dark, 150) >= 2 && count(dark, 1750) >= 2,
      what: "two winks of 50 ms, 150 ms apart, every two seconds",
    });
  });
});
