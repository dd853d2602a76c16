/**
 * The panel on an arm64 board with a real kernel: onoff drives lines of a
 * PL061 that are read from outside the machine, and a press is a level that is
 * set there. Nothing of sysfs is pretended.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Machine, type Reading } from "./machine.js";

const [ROLE, MAINTENANCE, FAULT] = [1, 2, 4] as const;
const status = ["[status]", 'listen = "127.0.0.1:8080"'];
const group = [
  "[[carp]]",
  "vhid = 7",
  'interface = "eth0"',
  'password = "x"',
  'addresses = ["192.0.2.1/24"]',
];
/** What an emulated processor may be late by, on a machine with other things to do. */
const LATE_MS = 40;

interface Panel {
  readonly face: string;
  readonly button: { readonly pressed: boolean; readonly presses: number };
}

async function panelOf(machine: Machine): Promise<Panel | undefined> {
  const { panel } = await machine.status().catch(() => ({ panel: undefined }));
  return panel as Panel | undefined;
}

/** Asks for what is wrong as well, so that it is in the message. */
async function waitForFace(machine: Machine, face: string): Promise<void> {
  const ask = async () => {
    const { panel, faults } = await machine.status().catch(() => ({ panel: undefined, faults: undefined }));
    return { face: (panel as Panel | undefined)?.face, faults };
  };
  await machine.until(ask, { holds: (seen) => seen.face === face, what: `the face ${face}` });
}

async function waitForLamps(machine: Machine, bits: number): Promise<void> {
  // Lamps that blink pass through it: it has to stay for longer than any of them.
  await machine.until(() => machine.watchLamps(1_200), {
    holds: (readings) => readings.length === 1 && readings[0]?.bits === bits,
    what: `lamps that show ${bits.toString(2)} and nothing else`,
  });
}

async function faultsOf(machine: Machine): Promise<readonly string[]> {
  return (await machine.status())["faults"] as readonly string[];
}

/** How long one lamp was lit and dark, in turn; the first and the last are cut off. */
function stepsOf(readings: readonly Reading[], bit: number): { lit: number[]; dark: number[] } {
  const changes = readings.filter(
    ({ bits }, i) => i === 0 || (bits & bit) !== ((readings[i - 1]?.bits ?? 0) & bit),
  );
  const steps = { lit: [] as number[], dark: [] as number[] };
  for (const [i, { atMs, bits }] of changes.slice(1, -1).entries()) {
    steps[bits & bit ? "lit" : "dark"].push((changes[i + 2]?.atMs ?? 0) - atMs);
  }
  return steps;
}

/** Waits for a look at which half of the steps are as long as they should be: other programs get in between. */
async function blinks(machine: Machine, bit: number, onMs: number, offMs: number): Promise<void> {
  const median = (steps: readonly number[]) => steps.toSorted((a, b) => a - b)[steps.length >> 1] ?? 0;
  const fits = (steps: readonly number[], wantedMs: number) => Math.abs(median(steps) - wantedMs) < LATE_MS;
  await machine.until(() => machine.watchLamps(Math.max(1_500, 4 * (onMs + offMs))), {
    holds(readings) {
      const { lit, dark } = stepsOf(readings, bit);
      return fits(lit, onMs) && fits(dark, offMs);
    },
    what: `lamp ${bit} ${onMs} ms lit and ${offMs} ms dark`,
    deadlineMs: 15_000,
  });
}

describe("by onoff", () => {
  let board: Machine;
  before(async () => {
    board = await Machine.boot({ name: "left", config: ['board = "auto"', ...status, ...group] });
    await board.start();
    await waitForFace(board, "master");
  });
  after(() => board?.close());

  test("the board is found, and its lines, whatever the kernel numbers them", async () => {
    assert.equal(await board.run("cat /sys/class/gpio/gpiochip*/label"), "9030000.pl061");
    assert.deepEqual(await faultsOf(board), []);
  });

  test("master: the role lamp is lit, and stays so", () => waitForLamps(board, ROLE));

  test("a press turns maintenance on: nobody takes over, so amber blinks beside red", async () => {
    await board.press(200);
    await waitForFace(board, "no-taker");
    await blinks(board, MAINTENANCE, 100, 900);
    const { bits } = (await board.watchLamps(50))[0] as Reading;
    assert.equal(bits & (ROLE | FAULT), ROLE | FAULT);
  });

  test("another press takes it back", async () => {
    await board.press(200);
    await waitForFace(board, "master");
    await waitForLamps(board, ROLE);
    assert.equal((await panelOf(board))?.button.presses, 2);
  });

  test("a finger that stays for two seconds has changed its mind", async () => {
    await board.press(2_000);
    await board.until(async () => (await panelOf(board))?.button, {
      holds: (button) => button?.pressed === false && button.presses === 3,
      what: "three presses",
    });
    await waitForLamps(board, ROLE);
  });

  test("a finger that stays for five sees all lamps change", async () => {
    await board.setButton(true);
    try {
      await waitForFace(board, "power-off");
      await blinks(board, ROLE, 500, 500);
      await blinks(board, FAULT, 500, 500);
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
  const config = [...status, "[panel]", 'driver = "onoff"'];
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
      const faults = await board.until(() => faultsOf(board).catch(() => []), {
        holds: (all) => all.some((fault) => says.test(fault)),
        what: `a fault like ${says}`,
      });
      // The daemon serves its status all the same.
      assert.ok(faults.length > 0);
      await board.run("kill $(cat /run/pid); while [ -d /proc/$(cat /run/pid) ]; do sleep 0.1; done");
    });
  }
});

describe("by the LED class", () => {
  let board: Machine;
  before(async () => {
    board = await Machine.boot({ name: "left", config: ['board = "auto"', ...status, ...group], leds: true });
  });
  after(() => board?.close());

  const trigger = (lamp: string) => board.run(`cat /sys/class/leds/carpio:${lamp}/trigger`);

  test("it is preferred where the device tree has the lamps", async () => {
    await board.start();
    await waitForFace(board, "master");
    assert.deepEqual(await faultsOf(board), []);
    await waitForLamps(board, ROLE);
  });

  test("the kernel blinks, and goes on while the program stands still", async () => {
    await board.press(200);
    await waitForFace(board, "no-taker");
    assert.match(await trigger("amber:maintenance"), /\[timer\]/);
    await blinks(board, MAINTENANCE, 100, 900);
    await board.run("kill -STOP $(cat /run/pid)");
    await blinks(board, MAINTENANCE, 100, 900);
    await board.run("kill -CONT $(cat /run/pid)");
  });

  test("a program that is killed leaves the whole fault face", async () => {
    await board.run("kill -9 $(cat /run/pid)");
    await board.until(() => trigger("red:fault"), {
      holds: (it) => it.includes("[timer]"),
      what: "the fault face",
    });
    await blinks(board, FAULT, 50, 50);
    const seen = await board.watchLamps(300);
    assert.ok(
      seen.every(({ bits }) => (bits & (ROLE | MAINTENANCE)) === 0),
      JSON.stringify(seen),
    );
  });

  test("a pattern of two winks is the kernel's as well", async () => {
    const lamp = ["[lamps.role]", "led = 'carpio:green:role'"];
    const button = ["[button]", "line = 3", "active = 'high'"];
    const head = ["title = 'one lamp'", "driver = 'led-class'", "chip = '9030000.pl061'"];
    await board.write("/etc/board.toml", [...head, ...lamp, ...button]);
    await board.write("/etc/carpio.toml", ['board = "/etc/board.toml"', ...status]);
    await board.start();
    // The wish of the press before outlives the program; without a group nothing is served.
    await waitForFace(board, "safe");
    assert.match(await trigger("green:role"), /\[pattern\]/);
    const { lit, dark } = stepsOf(await board.watchLamps(8_000), ROLE);
    const near = (steps: readonly number[], wantedMs: number) =>
      steps.filter((ms) => Math.abs(ms - wantedMs) < LATE_MS);
    assert.ok(near(lit, 50).length >= 5, `${lit.map(Math.round)}`);
    assert.ok(near(dark, 150).length >= 2 && near(dark, 1750).length >= 2, `${dark.map(Math.round)}`);
  });
});
