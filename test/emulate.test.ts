/**
 * scripts/emulate as far as it needs no QEMU: the picture, drawn from made-up
 * boards, and the command line.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { type Row, width } from "../scripts/demonstration/ink.js";
import { askStatus, type Name, type Sight } from "../scripts/emulation/board.js";
import { draw, describe as inOneLine, type Picture } from "../scripts/emulation/picture.js";
import { createSwitch } from "../scripts/emulation/switch.js";
import { openQtest } from "./emulated/monitor.js";

const DARK = { role: false, maintenance: false, fault: false };

function board(name: Name, of: Partial<Sight> = {}): Sight {
  const place = { name, kind: "virt", settings: undefined, number: 11, netdev: "", port: 8081 } as const;
  return { place, isOn: true, pressed: false, lamps: DARK, status: undefined, lines: [], ...of };
}

function drawn(boards: readonly Sight[], chosen: Name = "left", size: readonly [number, number] = [80, 24]) {
  const picture: Picture = { boards, chosen, shared: undefined };
  return draw(picture, ...size);
}

const words = (rows: readonly Row[]): string =>
  rows.map((row) => row.map(({ text }) => text).join("")).join("\n");

describe("the picture", () => {
  for (const size of [
    [80, 24],
    [120, 50],
    [40, 10],
  ] as const) {
    test(`fills ${size.join(" x ")} and no more`, () => {
      const lines = Array.from({ length: 200 }, (_, index) => `line ${index} ${"x".repeat(150)}`);
      const rows = drawn([board("left", { lines }), board("right")], "left", size);
      assert.equal(rows.length, size[1]);
      for (const row of rows) assert.equal(width(row), size[0]);
    });
  }

  const shown: readonly { what: string; boards: readonly Sight[]; says: RegExp }[] = [
    {
      what: "a lamp that is lit",
      boards: [board("left", { lamps: { ...DARK, role: true } })],
      says: /● green/,
    },
    { what: "a lamp that is dark", boards: [board("left")], says: /○ amber/ },
    { what: "a board whose plug is pulled", boards: [board("left", { isOn: false })], says: /no power/ },
    { what: "a finger on the button", boards: [board("left", { pressed: true })], says: /\[▼\]/ },
    { what: "where its page is", boards: [board("left")], says: /http:\/\/localhost:8081\// },
    {
      what: "the last line of the chosen board's console",
      boards: [board("left", { lines: ["first", "last"] }), board("right", { lines: ["other"] })],
      says: /console of left[\s\S]*last/,
    },
    {
      what: "no escape that a board may write",
      boards: [board("left", { lines: ["\u001b[2Jgone"] })],
      says: /·\[2Jgone/,
    },
  ];
  for (const { what, boards, says } of shown) {
    test(`shows ${what}`, () => assert.match(words(drawn(boards)), says));
  }

  test("has the key that ends it in the smallest of terminals", () => {
    assert.match(words(drawn([board("left"), board("right")])), / q {2}quit/);
  });

  test("says nothing of the other board's console", () => {
    const boards = [board("left", { lines: ["mine"] }), board("right", { lines: ["other"] })];
    assert.doesNotMatch(words(drawn(boards)), /other/);
  });
});

describe("the switch between boards", () => {
  const [LEFT, RIGHT, ROUTER] = [0, 1, 2];
  const [left, right, shared] = ["525400000201", "525400000202", "00005e000107"];
  const all = "ffffffffffff";
  const frame = (to: string, from: string) => Buffer.from(`${to}${from}0800`, "hex");
  const passed: readonly { what: string; heard: readonly [string, string, number][]; leavesBy: number[] }[] =
    [
      { what: "what is for all goes to all others", heard: [[all, left, LEFT]], leavesBy: [RIGHT, ROUTER] },
      {
        what: "what is for a group does too",
        heard: [["01005e000012", left, LEFT]],
        leavesBy: [RIGHT, ROUTER],
      },
      { what: "what is for nobody known does too", heard: [[right, left, LEFT]], leavesBy: [RIGHT, ROUTER] },
      {
        what: "what boards say to each other is not for the router",
        heard: [
          [all, right, RIGHT],
          [right, left, LEFT],
        ],
        leavesBy: [RIGHT],
      },
      {
        what: "an address that has moved is where it was heard last",
        heard: [
          [all, shared, LEFT],
          [all, shared, RIGHT],
          [shared, left, ROUTER],
        ],
        leavesBy: [RIGHT],
      },
      {
        what: "nothing goes back to where it came from",
        heard: [
          [all, left, LEFT],
          [left, right, LEFT],
        ],
        leavesBy: [],
      },
    ];
  for (const { what, heard, leavesBy } of passed) {
    test(what, () => {
      const waysOf = createSwitch(3);
      const ways = heard.map(([to, from, socket]) => waysOf(frame(to, from), socket));
      assert.deepEqual(ways.at(-1), leavesBy);
    });
  }
});

test("without a terminal, a lamp that was lit and dark of late blinks", () => {
  const lit = { role: true, maintenance: true, fault: false };
  const said = inOneLine(board("left", { lamps: lit }), [lit, { ...lit, role: false }]);
  assert.equal(said, "no answer yet; green blinks, amber is lit");
});

test("whoever asks a machine that is gone is not left waiting, and the picture goes on", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "carpio-test-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "qtest");
  const machine = createServer((socket) => socket.once("data", () => socket.destroy())).listen(path);
  await once(machine, "listening");
  t.after(() => machine.close());
  const qtest = await openQtest(path);
  assert.equal(await qtest.ask("asked of it as it goes"), "gone");
  assert.equal(await qtest.ask("asked of it afterwards"), "gone");
});

test("a machine that goes without having read its question ends nobody who asks it", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "carpio-test-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "qtest");
  const machine = createServer({ pauseOnConnect: true }).listen(path);
  await once(machine, "listening");
  t.after(() => machine.close());
  const met = once(machine, "connection") as Promise<[Socket]>;
  const qtest = await openQtest(path);
  const asked = qtest.ask("never read");
  const [socket] = await met;
  socket.destroy();
  assert.equal(await asked, "gone");
});

test("a board that refuses to be read has no status to show", async (t) => {
  let status = 200;
  const server = createHttpServer((_request, response) => {
    response.writeHead(status).end('{"error":"the kernel refuses"}');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  assert.deepEqual(await askStatus(port), { error: "the kernel refuses" });
  status = 503;
  assert.equal(await askStatus(port), undefined);
});

/** It names what a card cannot have. */
const ELSEWHERE = join(mkdtempSync(join(tmpdir(), "carpio-test-")), "carpio.toml");
writeFileSync(ELSEWHERE, '[status]\ntoken_file = "/etc/hostname"\n');
after(() => rmSync(dirname(ELSEWHERE), { recursive: true }));

const refused: readonly { args: readonly string[]; says: RegExp }[] = [
  { args: ["pi"], says: /found pi, wanted virt, raspberrypi/ },
  { args: ["virt", "virt", "virt"], says: /found 3 boards, wanted one or two/ },
  { args: ["--config"], says: /found --config, wanted/ },
  {
    args: ["--untouched", "--config", "board/common/carpio.toml"],
    says: /found --untouched with --config, wanted one of them/,
  },
  { args: ["--config", "/nowhere/carpio.toml"], says: /nowhere\/carpio\.toml/ },
  {
    args: ["--config", ELSEWHERE],
    says: /carpio\.toml:2: status\.token_file: found "\/etc\/hostname", wanted a plain name/,
  },
];
for (const { args, says } of refused) {
  test(`the command line "${args.join(" ")}" is refused`, () => {
    const program = join(import.meta.dirname, "../scripts/emulate.js");
    const { status, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
    assert.match(stderr, says);
    assert.equal(status, 64);
  });
}
