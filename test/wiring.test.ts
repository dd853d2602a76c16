/**
 * What people solder by: pictures and tables in board/ say what board.toml and
 * src/panel say.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { drawLamps, litSpans } from "../scripts/lamps.js";
import { drawWiring, pinnedParts } from "../scripts/wiring.js";
import { type Board, knownBoards, type LampName, parseBoard } from "../src/board.js";
import { type Face, type Lamp, label, lampsOf, type RoleFace, type View } from "../src/panel/lamp.js";
import { faces } from "../src/status/vocabulary.js";

const boards = knownBoards().flatMap((read) => (read.ok ? [read.board] : []));

/** The rows of the first table whose header has these words, without its header. */
function table(text: string, ...columns: readonly string[]): readonly (readonly string[])[] {
  const rows = text.split("\n").map((line) =>
    line.startsWith("|")
      ? line
          .split("|")
          .slice(1, -1)
          .map((cell) => cell.trim())
      : [],
  );
  const head = rows.findIndex((row) => columns.every((column, i) => row[i]?.startsWith(column)));
  assert.notEqual(head, -1, `a table with ${columns.join(", ")}`);
  const rest = rows.slice(head + 2);
  const end = rest.findIndex((row) => row.length === 0);
  return rest.slice(0, end === -1 ? rest.length : end);
}

/** Part, GPIO, pin and ground. */
function wired(rows: readonly (readonly string[])[]): readonly (readonly (string | undefined)[])[] {
  return rows.map(([part = "", ...cells]) => [part.split(" ")[0], ...cells.slice(0, 3)]);
}

function readme(board: Board): string {
  return readFileSync(`board/${board.name}/readme.md`, "utf8");
}

describe("every board", () => {
  for (const board of boards) {
    const { lamps, button } = pinnedParts(board);

    test(`${board.name} has a readme that names it, and says how it is asked for`, () => {
      assert.ok(readme(board).includes(`board = "${board.name}"`));
    });

    test(`${board.name}: the picture is that of its board.toml`, () => {
      const picture = drawWiring(board);
      const path = `board/${board.name}/wiring.svg`;
      assert.equal(existsSync(path), picture !== undefined);
      if (picture !== undefined) assert.equal(readFileSync(path, "utf8"), picture, "npm run wiring");
    });

    if (button) {
      test(`${board.name}: the table is that of its board.toml`, () => {
        const row = ({ offset, pin, ground }: typeof button) => [offset, pin, ground].map(String);
        const wanted = [...lamps.map(({ name, wire }) => [name, ...row(wire)]), ["button", ...row(button)]];
        assert.deepEqual(wired(table(readme(board), "part", "GPIO", "pin", "ground")), wanted);
      });
    }
  }

  test("virt: the table is that of its board.toml", () => {
    const virt = boards.find(({ name }) => name === "virt");
    assert.ok(virt);
    const lines = table(readme(virt), "part", "line").map(([part = "", line]) => [
      part.split(" ")[0],
      Number(line),
    ]);
    const { role, maintenance, fault } = virt.lamps;
    assert.deepEqual(lines, [
      ["role", role?.wire?.offset],
      ["maintenance", maintenance?.wire?.offset],
      ["fault", fault?.wire?.offset],
      ["button", virt.button?.wire?.offset],
    ]);
  });
});

const panel = readFileSync("board/common/panel.md", "utf8");
const front = readFileSync("README.md", "utf8");
const cases: readonly (readonly LampName[])[] = [["role", "maintenance"], ["role", "fault"], ["role"]];

function printed(lamp: Lamp | undefined): string {
  return lamp?.pattern === "blink" ? lamp.stepsMs.join("/") : (lamp?.pattern ?? "");
}

/** Of a cell such as `50/1950, a wink`. */
function pattern(cell: string): string {
  return /^(as role|on|off|[\d/]+)/.exec(cell)?.[0] ?? cell;
}

test("the wiring in the README is that of every Raspberry Pi", () => {
  const found = wired(table(front, "part", "GPIO", "pin", "ground"));
  const pis = boards.filter(({ name }) => name.startsWith("raspberrypi-"));
  assert.ok(pis.length > 0);
  for (const board of pis) {
    assert.deepEqual(wired(table(readme(board), "part", "GPIO", "pin", "ground")), found, board.name);
  }
});

describe("the label is that of the code", () => {
  test("in the picture", () => {
    assert.equal(readFileSync("board/common/lamps.svg", "utf8"), drawLamps(), "npm run lamps");
  });

  const strips: readonly { lamp: Lamp; lit: ReturnType<typeof litSpans> }[] = [
    { lamp: { pattern: "off" }, lit: [] },
    { lamp: { pattern: "on" }, lit: [[0, 3000]] },
    {
      lamp: { pattern: "blink", stepsMs: [50, 1950] },
      lit: [
        [0, 50],
        [2000, 2050],
      ],
    },
    {
      lamp: { pattern: "blink", stepsMs: [1000, 1000] },
      lit: [
        [0, 1000],
        [2000, 3000],
      ],
    },
  ];
  for (const { lamp, lit } of strips) {
    test(`a strip of ${printed(lamp)} is coloured where it is lit`, () => {
      assert.deepEqual(litSpans(lamp, 3000), lit);
    });
  }

  for (const [where, text] of Object.entries({ "panel.md": panel, "README.md": front })) {
    test(`three lamps, in ${where}`, () => {
      const rows = table(text, "what it means", "`face`", "role", "maintenance", "fault");
      const found = rows.map(([, face, ...lamps]) => [face, ...lamps.map(pattern)]);
      const wanted = Object.entries(label).map(([face, { role, maintenance, fault }]) => [
        `\`${face}\``,
        ...[role, maintenance, fault].map((lamp) => (lamp === "as role" ? lamp : printed(lamp))),
      ]);
      assert.deepEqual(found, wanted);
    });

    test(`in words, in ${where}`, () => {
      const rows = table(text, "what it means", "`face`", "role", "maintenance", "fault");
      const found = rows.map(([means = "", face = ""]) =>
        [face, means].map((cell) => cell.replaceAll(/[`*]/g, "")),
      );
      assert.deepEqual(Object.fromEntries(found), faces);
    });
  }

  test("two lamps and one", () => {
    const rows = table(panel, "`face`", "role and maintenance", "role and fault", "role alone");
    assert.equal(rows.length, Object.keys(label).length);
    for (const [face = "", ...cells] of rows) {
      for (const [i, cell] of cells.entries()) {
        const names = cases[i] ?? [];
        // "as role" is whatever the role is.
        const words = cell.split(", ").slice(0, names.length).map(pattern);
        for (const role of ["starting", "backup", "master", "mixed"] as const) {
          const lamps = lampsOf(face.replaceAll("`", "") as Face, { role: viewed(role) } as View, names);
          const wanted = words.map((word) => (word === "as role" ? printed(label[role].role as Lamp) : word));
          assert.deepEqual(
            names.map((name) => printed(lamps[name])),
            wanted,
            `${face} on ${names}`,
          );
        }
      }
    }
  });
});

test("the board that panel.md begins with has nothing wrong with it", () => {
  const [, example = ""] = /^```toml\n([\s\S]*?)^```/m.exec(panel) ?? [];
  const read = parseBoard(example, { name: "mine", file: "board.toml" });
  assert.deepEqual(read.ok ? Object.keys(read.board.lamps) : read.problems, ["role", "maintenance"]);
});

function viewed(role: RoleFace): View["role"] {
  return role === "starting" ? "init" : role;
}
