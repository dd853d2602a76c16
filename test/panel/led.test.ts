/**
 * Lamps at work, on a driver that remembers: what is written and when, lamps
 * that refuse or hang, and how they are left. Real lamps are in test/emulated.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Board, noBoard } from "../../src/board.js";
import type { Led, PanelDriver } from "../../src/panel/driver.js";
import type { Lamp, Lamps } from "../../src/panel/lamp.js";
import { type LampSet, openLamps } from "../../src/panel/led.js";
import { until } from "./until.js";

const wiring = { place: "board.toml:1", wire: undefined, led: undefined };
const threeLamps: Board = { ...noBoard, lamps: { role: wiring, maintenance: wiring, fault: wiring } };
const on: Lamp = { pattern: "on" };
const blink = (...stepsMs: readonly number[]): Lamp => ({ pattern: "blink", stepsMs });

interface Written {
  readonly name: string;
  readonly lamp: Lamp;
  readonly atMs: number;
}

/** Lamps in memory. Those in `broken` refuse, those in `hanging` never answer. */
function memory({ blinks = false } = {}) {
  const written: Written[] = [];
  const broken = new Set<string>();
  const hanging = new Set<string>();
  const closed: string[] = [];
  const openLed: PanelDriver["openLed"] = async (_, name): Promise<Led> => {
    if (broken.has(name)) throw new Error("board.toml:1: no such line");
    return {
      blinks,
      writes: () => [],
      async show(lamp) {
        if (hanging.has(name)) await new Promise(() => {});
        if (broken.has(name)) throw new Error("board.toml:1: the bus is stuck");
        written.push({ name, lamp, atMs: performance.now() });
      },
      close: ({ stays }) => void closed.push(`${name} ${stays ? "stays" : "dark"}`),
    };
  };
  const driver: PanelDriver = { openLed, openContact: () => Promise.reject(new Error("no button")) };
  const of = (name: string) => written.filter((each) => each.name === name);
  return { driver, written, broken, hanging, closed, of };
}

function open(t: TestContext, driver: PanelDriver, board = threeLamps): LampSet {
  const lamps = openLamps(board, driver, () => {});
  t.after(() => lamps.close("replaced"));
  return lamps;
}

test("a pattern is written step by step where nobody else blinks", async (t) => {
  const { driver, of } = memory();
  const lamps = open(t, driver);
  await until(() => of("role").length === 1, "the lamp starts dark");
  lamps.show({ role: blink(40, 80, 40, 160), fault: on });
  await until(() => of("role").length > 12, "twelve changes");

  const steps = of("role").slice(1);
  assert.deepEqual(
    steps.map(({ lamp }) => lamp.pattern),
    steps.map((_, i) => (i % 2 === 0 ? "on" : "off")),
  );
  // Late by what the machine pleases, and never early; what was late does not add up.
  const start = steps[0]?.atMs ?? 0;
  const wantedMs = [0, 40, 120, 160, 320, 360, 440, 480, 640, 680, 760, 800];
  for (const [i, wanted] of wantedMs.entries())
    assert.ok((steps[i]?.atMs ?? 0) - start > wanted - 15, `${i}`);
  assert.equal(of("fault").at(-1)?.lamp.pattern, "on");
  assert.deepEqual(of("maintenance").length, 1);
});

test("a pattern is written once where the kernel blinks, and not again when it is shown again", async (t) => {
  const { driver, of } = memory({ blinks: true });
  const lamps = open(t, driver);
  const shown: Lamps = { role: blink(30, 30) };
  await until(() => of("role").length === 1, "dark at first");
  lamps.show(shown);
  await until(() => of("role").length === 2, "off, and the pattern");
  lamps.show(structuredClone(shown));
  lamps.show({ role: on });
  await until(() => of("role").length === 3, "on");
  assert.deepEqual(
    of("role").map(({ lamp }) => lamp.pattern),
    ["off", "blink", "on"],
  );
});

test("the last of many wishes is what stays", async (t) => {
  const { driver, of } = memory();
  const lamps = open(t, driver);
  for (let i = 0; i < 1001; i++) lamps.show({ role: { pattern: i % 2 === 0 ? "on" : "off" } });
  await until(() => of("role").at(-1)?.lamp.pattern === "on", "the last");
  assert.ok(of("role").length < 10, `${of("role").length} writes`);
});

test("a lamp that refuses is a fault by name, the others go on, and it is tried again", async (t) => {
  const { driver, broken, of } = memory();
  broken.add("maintenance");
  const lamps = open(t, driver);
  lamps.show({ role: on, maintenance: on });
  await until(() => lamps.faults.length === 1, "the fault");
  assert.deepEqual(lamps.faults, ["maintenance lamp: board.toml:1: no such line"]);
  await until(() => of("role").at(-1)?.lamp.pattern === "on", "the other lamp");

  broken.clear();
  await until(() => lamps.faults.length === 0 && of("maintenance").at(-1)?.lamp.pattern === "on", "mended");
});

test("a lamp that fails later is closed, and opened again", async (t) => {
  const { driver, broken, closed, of } = memory();
  const lamps = open(t, driver);
  await until(() => of("fault").length === 1, "open");
  broken.add("fault");
  lamps.show({ fault: on });
  await until(() => closed.includes("fault dark"), "closed");
  assert.deepEqual(lamps.faults, ["fault lamp: board.toml:1: the bus is stuck"]);
  broken.clear();
  await until(() => of("fault").at(-1)?.lamp.pattern === "on", "lit after all");
  assert.deepEqual(lamps.faults, []);
});

test("a lamp that hangs is a fault, holds nobody up, and does not keep the program from its end", async () => {
  const { driver, hanging, of } = memory();
  hanging.add("role");
  const lamps = openLamps(threeLamps, driver, () => {});
  lamps.show({ role: on, fault: on });
  await until(() => of("fault").at(-1)?.lamp.pattern === "on", "the other lamp");
  await until(() => lamps.faults[0] === "role lamp: has not answered for 10 s", "the fault");
  await lamps.close("stopped");
});

const ends: readonly { end: "stopped" | "powered-off" | "replaced"; leaves: string; closed: string }[] = [
  { end: "stopped", leaves: "off off on", closed: "role dark,maintenance dark,fault stays" },
  { end: "powered-off", leaves: "off on off", closed: "role dark,maintenance stays,fault dark" },
  { end: "replaced", leaves: "off off off", closed: "role dark,maintenance dark,fault dark" },
];
for (const { end, leaves, closed: wanted } of ends) {
  test(`lamps that are ${end} are left as they shall stay: ${leaves}`, async () => {
    const { driver, closed, of } = memory();
    const lamps = openLamps(threeLamps, driver, () => {});
    lamps.show({ role: on, maintenance: blink(20, 20), fault: on });
    await until(() => of("maintenance").length > 3, "it blinks");
    await lamps.close(end);
    const left = lamps.names.map((name) => of(name).at(-1)?.lamp.pattern).join(" ");
    const writes = of("maintenance").length;
    assert.deepEqual([left, closed.join()], [leaves, wanted]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(of("maintenance").length, writes);
  });
}

test("where the kernel blinks, the fault face stays", async () => {
  const { driver, of } = memory({ blinks: true });
  const lamps = openLamps(threeLamps, driver, () => {});
  await until(() => of("fault").length === 1, "open");
  await lamps.close("stopped");
  assert.deepEqual(of("fault").at(-1)?.lamp, blink(50, 50));
});
