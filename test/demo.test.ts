/**
 * The demo as far as it needs no namespaces: the picture, drawn from made-up
 * boards; what the client makes of the probe's reports; the command line. How
 * it runs is tested in the lab.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import type { BoardView, Note } from "../scripts/demonstration/board.js";
import { NO_TALLY, takeIn, tellLossFromNoise } from "../scripts/demonstration/client.js";
import { fit, inked, type Row, span, width, wrap } from "../scripts/demonstration/ink.js";
import {
  hanging,
  isOn,
  look,
  type SeenPanel,
  staysForMs,
  stopped,
  switchedOff,
  unused,
} from "../scripts/demonstration/panel.js";
import { draw, type Picture } from "../scripts/demonstration/screen.js";
import { LAMPS } from "../src/board.js";
import { type Face, lampsOf, type View } from "../src/panel/lamp.js";
import type { PanelView } from "../src/panel/panel.js";
import { faces } from "../src/status/vocabulary.js";
import type { ProbeResult } from "./lab/probe.js";

const words = (row: Row): string => row.map(({ text }) => text).join("");

// ---- The picture -----------------------------------------------------------

const nobody: Picture = {
  boards: [board("left"), board("right")],
  chosen: "left",
  serving: [],
  client: undefined,
  control: undefined,
  past: [],
  notes: [],
  power: "root",
  startedAt: 0,
  now: 65_000,
};

test("the picture has the size of the screen, to the cell", () => {
  const long: Note = { at: 1, who: "left", kind: "log", text: "word ".repeat(60) };
  const pictures = [
    nobody,
    { ...nobody, notes: [long, { ...long, kind: "deed" as const }] },
    {
      ...nobody,
      past: Array.from({ length: 900 }, (_, second) => ({ second, serving: [], sent: 9, lost: 3 })),
    },
  ];
  for (const picture of pictures) {
    for (const [columns, rows] of [
      [80, 24],
      [81, 25],
      [120, 50],
      [200, 24],
      [79, 24],
      [20, 5],
      [1, 1],
    ] as const) {
      const drawn = draw(picture, columns, rows);
      assert.equal(drawn.length, rows, `rows of ${columns} x ${rows}`);
      for (const row of drawn) assert.equal(width(row), columns, words(row));
    }
  }
});

test("a screen that is too small says what it lacks", () => {
  assert.match(draw(nobody, 70, 20).map(words).join("\n"), /70 x 20: 80 x 24 wanted/);
});

const conditions: readonly { is: string; board: BoardView; shows: RegExp }[] = [
  {
    is: "a master",
    board: board("left", { role: "master", why: "no master heard" }),
    shows: /MASTER +for 5\.0 s.*no master heard.*sends 1\/0, 12 sent/s,
  },
  {
    is: "a backup",
    board: board("left", { role: "backup" }),
    shows: /BACKUP.*hears 192\.0\.2\.3 1\/50 0\.3 s ago/s,
  },
  {
    is: "addresses that its kernel has",
    board: { ...board("left", { role: "master" }), holds: ["192.0.2.1"] },
    shows: /holds 192\.0\.2\.1 /,
  },
  {
    is: "no daemon, whatever it said last",
    board: { ...board("left"), daemon: { is: "gone", since: 60_000, why: "died of SIGKILL" } },
    shows: /NO DAEMON +for 5\.0 s.*died of SIGKILL/s,
  },
  {
    is: "a frozen daemon",
    board: { ...board("left", { role: "master" }), daemon: { is: "frozen", since: 64_000 } },
    shows: /FROZEN.*it was master/s,
  },
  {
    is: "a daemon that has stopped answering",
    board: { ...board("left", { role: "master" }, 60_000) },
    shows: /SILENT.*no answer for 5\.0 s; was master/s,
  },
  { is: "a cut cable", board: { ...board("left"), pluggedIn: false }, shows: /cable cut.*╳╌+ switch/s },
  {
    is: "a board that its button has switched off",
    board: { ...board("left"), daemon: { is: "off", since: 60_000 }, panel: switchedOff(unused, 60_000) },
    shows: /SWITCHED OFF +for 5\.0 s.*○ green {2}● amber {2}○ red .*switched off: safe to unplug/s,
  },
];

for (const { is, board, shows } of conditions) {
  test(`the picture shows ${is}`, () => {
    assert.match(
      draw({ ...nobody, boards: [board, nobody.boards[1]] }, 80, 24)
        .map(words)
        .join("\n"),
      shows,
    );
  });
}

test("whatever the lamps say, it is said in full beside them", () => {
  for (const face of Object.keys(faces) as Face[]) {
    const left = { ...board("left"), panel: look(unused, panelView(face), 0) };
    const text = draw({ ...nobody, boards: [left, nobody.boards[1]] }, 80, 24)
      .map(words)
      .join("\n");
    assert.ok(text.includes(`┃ ${faces[face]} `), `${faces[face]} in\n${text}`);
  }
});

test("a finger on the button is seen", () => {
  const pressed = look(
    unused,
    { ...panelView("master"), button: { pressed: true, held: false, presses: 1 } },
    0,
  );
  assert.match(lampRow(pressed, 0), /^┃ ● green {2}○ amber {2}○ red +button \[▼\] ┃│ ○ green .*\[ \] │$/);
});

// ---- The lamps -------------------------------------------------------------

test("a lamp that winks is lit for as long as the wink, and says when to look again", () => {
  const safe = look(unused, panelView("safe"), 1_000);
  const looks = [1_000, 1_049, 1_050, 2_999, 3_000, 3_049.5, 3_050].map((at) => ({
    at,
    lit: LAMPS.filter((name) => isOn(safe, name, at)).join(" and "),
    staysMs: staysForMs(safe, at),
  }));
  assert.deepEqual(looks, [
    { at: 1_000, lit: "role and maintenance", staysMs: 50 },
    { at: 1_049, lit: "role and maintenance", staysMs: 1 },
    { at: 1_050, lit: "maintenance", staysMs: 1_950 },
    { at: 2_999, lit: "maintenance", staysMs: 1 },
    { at: 3_000, lit: "role and maintenance", staysMs: 50 },
    { at: 3_049.5, lit: "role and maintenance", staysMs: 0.5 },
    { at: 3_050, lit: "maintenance", staysMs: 1_950 },
  ]);
  assert.match(lampRow(safe, 1_049), /^┃ ● green {2}● amber {2}○ red /);
  assert.match(lampRow(safe, 1_050), /^┃ ○ green {2}● amber {2}○ red /);
});

test("a lamp that goes on as before blinks on without a stumble", () => {
  const backup = look(unused, panelView("backup"), 1_000);
  const safe = look(backup, panelView("safe"), 2_500);
  assert.deepEqual([isOn(safe, "role", 2_510), isOn(safe, "role", 3_010)], [false, true]);
});

test("without a daemon the red lamp is lit alone; one that hangs leaves the lamps as they happened to be", () => {
  const identify = look(unused, panelView("identify"), 1_000);
  const rows = [unused, hanging(identify, 1_010), hanging(identify, 1_110), stopped(identify, 1_010)].map(
    (panel) => lampRow(panel, 9_999).slice(2, 25),
  );
  assert.deepEqual(rows, [
    "○ green  ○ amber  ○ red",
    "● green  ● amber  ● red",
    "○ green  ○ amber  ○ red",
    "○ green  ○ amber  ● red",
  ]);
});

// ---- What happened ---------------------------------------------------------

test("the picture shows what the client lost, who served when, and what happened", () => {
  const experience = { sent: 61_000, lost: 3120, longestOutageMs: 3121, silenceMs: 2 };
  const notes: readonly Note[] = [
    { at: 4_000, who: "left", kind: "log", text: "init -> backup: link up" },
    { at: 5_000, who: "left", kind: "lamps", text: "lamps: alive, standing by" },
    { at: 31_000, who: "left", kind: "deed", text: "the cable is cut" },
    { at: 35_000, who: "client", kind: "outcome", text: "right serves after 3.1 s; 3,120 packets lost" },
  ];
  const past = [
    { second: 1, serving: ["left"], sent: 1000, lost: 0 },
    { second: 2, serving: [], sent: 1000, lost: 1000 },
    { second: 3, serving: ["left", "right"], sent: 1000, lost: 120 },
    { second: 4, serving: ["right"], sent: 1000, lost: 0 },
  ] as const;
  const control = { ...experience, lost: 0 };
  const drawn = draw({ ...nobody, serving: ["right"], client: experience, control, notes, past }, 80, 24);
  const text = drawn.map(words).join("\n");
  assert.match(text, /client {2}lost 3,120 of 61,000, longest outage 3\.1 s +answered by right/);
  assert.match(text, /served {2}l·2r /);
  assert.match(text, /lost {4}▁█▁▁ |lost {4}▁█▂▁ /);
  assert.match(text, / 4\.0 init → backup: link up/);
  assert.match(text, /31\.0 {2}left {4}the cable is cut/);
  assert.match(text, /35\.0 {2}client {2}right serves after 3\.1 s; 3,120 packets lost/);
});

test("colours only where they are wanted; what matters stands out without them", () => {
  const row = [span("bad", "cut"), span("plain", " in")];
  assert.equal(inked(row, true), "\x1b[1;31mcut\x1b[0m in");
  assert.equal(inked(row, false), "\x1b[7mcut\x1b[0m in");
});

test("rows are cut with an ellipsis, and texts broken at spaces", () => {
  assert.equal(words(fit([span("bold", "four"), span("plain", " five")], 6)), "four …");
  assert.equal(words(fit([span("bold", "four")], 6)), "four  ");
  assert.deepEqual(wrap("preempting a slower master", 14, "  "), ["preempting a", "  slower", "  master"]);
  assert.deepEqual(wrap("a-word-longer-than-the-line", 5, "  "), ["a-word-longer-than-the-line"]);
});

// ---- The client ------------------------------------------------------------

test("the longest outage is as long as the silence, and as the packets lost in it take to send", () => {
  const reports = [
    { at: 1000, sent: 1000, received: 1000, lost: 0, silenceMs: 1 },
    { at: 1050, sent: 1050, received: 1000, lost: 0, silenceMs: 51 },
    { at: 1150, sent: 1150, received: 1000, lost: 50, silenceMs: 151 },
    { at: 1200, sent: 1200, received: 1020, lost: 80, silenceMs: 1 },
    { at: 1300, sent: 1300, received: 1120, lost: 180, silenceMs: 1 },
    { at: 1600, sent: 1600, received: 1420, lost: 180, silenceMs: 1 },
    { at: 1700, sent: 1700, received: 1510, lost: 190, silenceMs: 1 },
  ];
  const tallies = reports.map((_, index) => reports.slice(0, index + 1).reduce(takeIn, NO_TALLY));
  assert.deepEqual(
    tallies.map(({ experience }) => experience.longestOutageMs),
    [0, 0, 151, 151, 180, 180, 180],
  );
  assert.deepEqual(
    tallies.map(({ episode }) => episode !== undefined),
    [false, false, true, true, true, false, true],
  );
});

test("a loss that the control shows too is noise", () => {
  const result = (outages: ProbeResult["outages"]) =>
    ({ outages, lost: outages.reduce((sum, { lost }) => sum + lost, 0) }) as ProbeResult;
  const ours = result([
    { fromAt: 10, untilAt: 20, lost: 9 },
    { fromAt: 50, untilAt: 60, lost: 7 },
  ]);
  assert.deepEqual(tellLossFromNoise(ours, result([])), { lost: 16, noise: 0 });
  assert.deepEqual(tellLossFromNoise(ours, result([{ fromAt: 19, untilAt: 30, lost: 3 }])), {
    lost: 7,
    noise: 9,
  });
  assert.deepEqual(tellLossFromNoise(ours, result([{ fromAt: 30, untilAt: 40, lost: 3 }])), {
    lost: 16,
    noise: 0,
  });
});

// ---- The command line ------------------------------------------------------

test("usage", () => {
  const root = join(import.meta.dirname, "../..");
  const run = (file: string, ...args: readonly string[]) => spawnSync(file, args, { encoding: "utf8" });
  const bad = run(join(root, "scripts/demo"), "--fast");
  assert.deepEqual([bad.status, bad.stdout], [64, ""]);
  assert.match(bad.stderr, /found --fast, wanted --script, --help or nothing/);
  const help = run(join(root, "scripts/demo"), "--help");
  assert.deepEqual([help.status, help.stderr], [0, ""]);
  assert.match(help.stdout, /scripts\/demo --script/);
  const direct = run(process.execPath, join(root, "build/scripts/demo.js"), "--fast");
  assert.equal(direct.status, 64);
});

// ---- Around it -------------------------------------------------------------

/** What a board that is master, or whose face says another role, would answer. */
function panelView(face: Face): PanelView {
  const lamps = lampsOf(face, { role: "master" } as View, LAMPS);
  return { face, lamps, button: { pressed: false, held: false, presses: 0 } };
}

/** The row of the picture that has the lamps of both boards; the left one's are these. */
function lampRow(panel: SeenPanel, at: number): string {
  const left = { ...board("left"), panel };
  const drawn = draw({ ...nobody, boards: [left, nobody.boards[1]], now: at }, 80, 24).map(words);
  return drawn.find((row) => row.includes("amber")) ?? "";
}

function board(
  name: "left" | "right",
  carp: { role?: "master" | "backup"; why?: string } = {},
  answeredAt = 64_900,
): BoardView {
  const { role = "backup", why = "link up" } = carp;
  const advskew = name === "left" ? 0 : 50;
  const group = {
    role,
    why,
    since: new Date(60_000).toISOString(),
    advbase: 1,
    advskew,
    advertisedAdvskew: advskew,
    master:
      role === "backup" ? { address: "192.0.2.3", advbase: 1, advskew: 50, heardSecondsAgo: 0.3 } : null,
    counters: { sent: 12 },
  };
  return {
    name,
    address: name === "left" ? "192.0.2.2" : "192.0.2.3",
    daemon: { is: "running", since: 1_000 },
    pluggedIn: true,
    handedOver: false,
    panel: unused,
    status: { at: answeredAt, snapshot: { role, carp: [group] } } as unknown as BoardView["status"],
    holds: [],
  };
}
