/**
 * The panel as the daemon has it, with the simulated board: views become
 * lamps, and what is said to its socket becomes presses.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Board, type Driver, findBoard, noBoard } from "../../src/board.js";
import type { View } from "../../src/panel/lamp.js";
import { openPanel, type Panel } from "../../src/panel/panel.js";
import { touch } from "../finger.js";
import { until } from "./until.js";

const master: View = {
  role: "master",
  carp: [{ role: "master", undecided: false }],
  maintenance: { on: false, handover: { state: "none" } },
  identify: false,
  leaving: false,
  faults: [],
};

interface Opened {
  readonly panel: Panel;
  readonly presses: string[];
  readonly socket: string;
}

/** `prepare` is told where the button's socket will be. */
function open(t: TestContext, board: Board, driver?: Driver, prepare?: (socket: string) => void): Opened {
  const folder = mkdtempSync(join(tmpdir(), "carpio-panel-"));
  const presses: string[] = [];
  const socket = join(folder, "run/button");
  prepare?.(socket);
  const onPress = (press: string) => presses.push(press);
  const panel = openPanel({ board, driver, buttonSocket: socket, onPress, onChange: () => {} });
  t.after(async () => {
    await panel.close("replaced");
    rmSync(folder, { recursive: true });
  });
  return { panel, presses, socket };
}

async function finger(t: TestContext, path: string): Promise<Socket> {
  const socket = await touch(path);
  t.after(() => socket.destroy());
  return socket;
}

test("a simulated board shows its face, and its button is pressed through a socket", async (t) => {
  const { panel, presses, socket } = open(t, findBoard("simulated", undefined).board);
  panel.show(master);
  assert.deepEqual(panel.view(master), {
    face: "master",
    lamps: { role: { pattern: "on" }, maintenance: { pattern: "off" }, fault: { pattern: "off" } },
    button: { pressed: false, held: false, presses: 0 },
  });

  const hand = await finger(t, socket);
  hand.write("press\n");
  await until(() => panel.view(master).button.pressed, "pressed");
  hand.write("release\n");
  await until(() => presses.length === 1, "a press");
  assert.deepEqual(presses, ["short"]);
  assert.deepEqual(panel.view(master).button, { pressed: false, held: false, presses: 1 });
  assert.deepEqual(panel.faults, []);
});

test("whoever hangs up lets go; two fingers are one press", async (t) => {
  const { panel, presses, socket } = open(t, findBoard("simulated", undefined).board);
  const [one, two] = [await finger(t, socket), await finger(t, socket)];
  one.write("press\n");
  two.write("nonsense\npress\n");
  await until(() => panel.view(master).button.pressed, "pressed");
  one.destroy();
  two.destroy();
  await until(() => !panel.view(master).button.pressed, "let go");
  assert.ok(presses.length <= 1 && panel.view(master).button.presses === 1);
});

test("whoever hangs up without having read what the button says lets go as well", async (t) => {
  const { panel, socket } = open(t, findBoard("simulated", undefined).board);
  const other = await finger(t, socket);
  // Paused before it is connected, it reads nothing at all.
  const deaf = createConnection(socket).pause();
  deaf.write("press\n");
  await until(() => panel.view(master).button.pressed, "pressed");
  deaf.destroy();
  await until(() => !panel.view(master).button.pressed, "let go");
  other.write("press\n");
  await until(() => panel.view(master).button.pressed, "pressed by another one");
});

// biome-ignore format: one finger a line
const rude: { is: string; says: string }[] = [
  { is: "presses without end and reads no answer", says: "press\nrelease\n".repeat(4_000) },
  { is: "says a word without end", says: "x".repeat(65_536) },
];
for (const { is, says } of rude) {
  test(`whoever ${is} is let go, and others are felt`, async (t) => {
    const { panel, socket } = open(t, findBoard("simulated", undefined).board);
    const other = await finger(t, socket);
    // Paused before it is connected, it reads nothing at all.
    const hand = createConnection(socket).pause();
    t.after(() => hand.destroy());
    let refused = false;
    hand.on("error", () => (refused = true));
    for (let bytes = 0; !refused && bytes < 20_000_000; bytes += says.length) {
      await new Promise((resolve) => hand.write(says, resolve));
    }
    assert.ok(refused, "20 MB, and it is still listened to");
    await until(() => !panel.view(master).button.pressed, "let go");
    other.write("press\n");
    await until(() => panel.view(master).button.pressed, "pressed by another one");
  });
}

test("held for five seconds the lamps change, and on release it is a long press", async (t) => {
  const { panel, presses, socket } = open(t, findBoard("simulated", undefined).board);
  const hand = await finger(t, socket);
  hand.write("press\n");
  await until(() => panel.view(master).face === "power-off", "the threshold");
  assert.deepEqual(presses, []);
  hand.write("release\n");
  await until(() => presses.length === 1, "a press");
  assert.deepEqual(presses, ["long"]);
  assert.equal(panel.view(master).face, "master");
});

test("two daemons that share a directory do not take each other's button", async (t) => {
  const board = findBoard("simulated", undefined).board;
  const { panel, socket } = open(t, board);
  const hand = await finger(t, socket);
  const options = { board, driver: undefined, buttonSocket: socket, onPress: () => {}, onChange: () => {} };
  const other = openPanel(options);
  await until(() => other.faults.length > 0, "a fault");
  assert.match(
    other.faults.join(),
    /^button: .*another daemon at .*, wanted a \$RUNTIME_DIRECTORY for each$/,
  );
  await other.close("replaced");

  hand.write("press\n");
  await until(() => panel.view(master).button.pressed, "pressed");
  assert.ok(existsSync(socket));
});

test("the socket of a daemon that died is no hindrance", async (t) => {
  const dead = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))`;
  const { panel, socket } = open(t, findBoard("simulated", undefined).board, undefined, (path) => {
    mkdirSync(dirname(path));
    spawnSync(process.execPath, ["-e", dead, path]);
    assert.ok(existsSync(path), "what it left");
  });
  (await finger(t, socket)).write("press\n");
  await until(() => panel.view(master).button.pressed, "pressed");
});

test("any board can be simulated", async (t) => {
  const { panel, presses, socket } = open(t, findBoard("raspberrypi-4", undefined).board, "simulated");
  (await finger(t, socket)).write("press\nrelease\n");
  assert.deepEqual(Object.keys(panel.view(master).lamps), ["role", "maintenance", "fault"]);
  assert.deepEqual([panel.faults, presses], [[], []]);
});

for (const [board, driver] of [
  [noBoard, undefined],
  [findBoard("raspberrypi-4", undefined).board, "none"],
] as const) {
  test(`${board.name} with the driver ${driver ?? board.driver} has a face and nothing else`, (t) => {
    const { panel } = open(t, board, driver);
    panel.show(master);
    const button = { pressed: false, held: false, presses: 0 };
    assert.deepEqual(panel.view(master), { face: "master", lamps: {}, button });
    assert.deepEqual(panel.faults, []);
  });
}

test("a panel whose hardware is not there says so of each part, and works on", async (t) => {
  const { panel } = open(t, { ...findBoard("virt", undefined).board, name: "elsewhere" }, "led-class");
  await until(() => panel.faults.length === 4, "four faults");
  const [role, , , button] = panel.faults;
  assert.match(role ?? "", /^role lamp: board\/virt\/board\.toml:\d+: found no LED carpio:green:role under /);
  assert.match(button ?? "", /^button: board\/virt\/board\.toml:\d+: found no /);
  panel.show(master);
  assert.equal(panel.view({ ...master, faults: panel.faults }).face, "fault");
});
