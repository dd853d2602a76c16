/**
 * Boards: their files, what is said of wrong ones, and which of them a
 * computer is. The device trees are those of Debian's kernels and of Raspberry
 * Pi's own; a model's name as the firmware completes it.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type Board,
  boardName,
  boardOf,
  type DeviceTree,
  findBoard,
  knownBoards,
  LAMPS,
  noBoard,
  parseBoard,
  readBoardFile,
  readDeviceTree,
} from "../src/board.js";
import { describeProblem } from "../src/config.js";

const folders = readdirSync("board").filter((name) => existsSync(`board/${name}/board.toml`));
const boards = knownBoards().flatMap((read) => (read.ok ? [read.board] : []));

function problemsOf(text: string): readonly string[] {
  const read = parseBoard(text, { name: "x", file: "x.toml" });
  return read.ok ? [] : read.problems.map((problem) => describeProblem("other", problem));
}

function boardNamed(name: string): Board {
  const board = boards.find((each) => each.name === name);
  assert.ok(board, name);
  return board;
}

describe("the boards in board/", () => {
  test("are all carried, and nothing is wrong with them", () => {
    const problems = knownBoards().flatMap((read) => (read.ok ? [] : read.problems));
    assert.deepEqual(
      problems.map((problem) => describeProblem("", problem)),
      [],
    );
    assert.deepEqual(
      boards.map(({ name }) => name),
      folders.toSorted(),
    );
  });

  test("the folders are those that the configuration promises", () => {
    const wanted = ["3", "4", "5", "cm4", "zero-2-w"].map((model) => `raspberrypi-${model}`);
    assert.deepEqual(folders.toSorted(), [...wanted, "simulated", "virt"]);
  });

  test("no two claim the same hardware", () => {
    const claims = boards.flatMap(({ compatible, models }) => [...compatible, ...models]);
    assert.deepEqual(claims.toSorted(), [...new Set(claims)].toSorted());
  });

  for (const name of folders) {
    test(`${name} has three lamps and a button, and can be asked for by name`, () => {
      const { board, fault } = findBoard(name, undefined);
      assert.equal(fault, undefined);
      assert.equal(board.name, name);
      assert.deepEqual(Object.keys(board.lamps), LAMPS);
      assert.ok(board.button);
    });
  }

  test("every line knows where it stands in its file", () => {
    const { lamps, button } = boardNamed("raspberrypi-4");
    const text = readFileSync("board/raspberrypi-4/board.toml", "utf8").split("\n");
    const lineAt = (place = "") => text[Number(place.split(":")[1]) - 1];
    assert.match(lineAt(lamps.maintenance?.place) ?? "", /^line = 27 /);
    assert.match(lineAt(button?.place) ?? "", /^line = 5 /);
    assert.match(button?.place ?? "", /^board\/raspberrypi-4\/board\.toml:\d+$/);
  });

  test("on a Raspberry Pi the pins are those of the lines", () => {
    const pins: { readonly [line: number]: number } = { 17: 11, 27: 13, 22: 15, 5: 29 };
    const grounds = [6, 9, 14, 20, 25, 30, 34, 39];
    for (const { name, lamps, button } of boards.filter((board) => board.name.startsWith("raspberrypi"))) {
      for (const { wire } of [...LAMPS.map((lamp) => lamps[lamp]), button].filter(
        (part) => part !== undefined,
      )) {
        assert.equal(wire?.pin, pins[wire?.offset ?? -1], name);
        assert.ok(grounds.includes(wire?.ground ?? 0), name);
      }
      // The chip pulls up the lines below 9 after a reset, and the others down: no lamp lights by itself.
      assert.ok((button?.wire?.offset ?? 99) < 9 && button?.pull === "up" && button.wire?.activeLow, name);
      assert.ok(LAMPS.every((lamp) => (lamps[lamp]?.wire?.offset ?? 0) > 8 && !lamps[lamp]?.wire?.activeLow));
    }
  });
});

const trees: readonly { model: string; compatible: readonly string[]; is: string }[] = [
  {
    model: "Raspberry Pi 3 Model B Rev 1.2",
    compatible: ["raspberrypi,3-model-b", "brcm,bcm2837"],
    is: "raspberrypi-3",
  },
  {
    model: "Raspberry Pi 3 Model B Plus Rev 1.3",
    compatible: ["raspberrypi,3-model-b-plus", "brcm,bcm2837"],
    is: "raspberrypi-3",
  },
  {
    model: "Raspberry Pi 3 Model A Plus Rev 1.0",
    compatible: ["raspberrypi,3-model-a-plus", "brcm,bcm2837"],
    is: "raspberrypi-3",
  },
  {
    model: "Raspberry Pi Zero 2 W Rev 1.0",
    compatible: ["raspberrypi,model-zero-2-w", "brcm,bcm2837"],
    is: "raspberrypi-zero-2-w",
  },
  {
    model: "Raspberry Pi 4 Model B Rev 1.4",
    compatible: ["raspberrypi,4-model-b", "brcm,bcm2711"],
    is: "raspberrypi-4",
  },
  {
    model: "Raspberry Pi 400 Rev 1.0",
    compatible: ["raspberrypi,400", "brcm,bcm2711"],
    is: "raspberrypi-4",
  },
  {
    model: "Raspberry Pi Compute Module 4 IO Board",
    compatible: ["raspberrypi,4-compute-module-io", "raspberrypi,4-compute-module", "brcm,bcm2711"],
    is: "raspberrypi-cm4",
  },
  {
    model: "Raspberry Pi Compute Module 4 Rev 1.1",
    compatible: ["raspberrypi,4-compute-module", "brcm,bcm2711"],
    is: "raspberrypi-cm4",
  },
  {
    model: "Raspberry Pi 5 Model B Rev 1.0",
    compatible: ["raspberrypi,5-model-b", "brcm,bcm2712"],
    is: "raspberrypi-5",
  },
  { model: "linux,dummy-virt", compatible: ["linux,dummy-virt"], is: "virt" },
  // A tree that says less in `compatible` than in its model.
  { model: "Raspberry Pi 4 Model B Rev 1.5", compatible: ["brcm,bcm2711"], is: "raspberrypi-4" },
  { model: "Raspberry Pi Compute Module 4 Rev 1.1", compatible: ["brcm,bcm2711"], is: "raspberrypi-cm4" },
  { model: "Pine64 RockPro64 v2.1", compatible: ["pine64,rockpro64-v2.1", "rockchip,rk3399"], is: "none" },
  {
    model: "Raspberry Pi 2 Model B Rev 1.1",
    compatible: ["raspberrypi,2-model-b", "brcm,bcm2836"],
    is: "none",
  },
];

describe("which board this is", () => {
  for (const { is, ...tree } of trees) {
    test(`${tree.model} (${tree.compatible[0]}) is ${is}`, () => {
      const { board, fault } = findBoard("auto", tree);
      assert.deepEqual({ name: board.name, fault }, { name: is, fault: undefined });
      assert.equal(boardName("auto", tree), tree.compatible[0]);

      const family = findBoard("raspberrypi", tree);
      assert.equal(family.board.name, is === "virt" ? "none" : is);
      assert.equal(family.fault === undefined, is.startsWith("raspberrypi"));
    });
  }

  test("a PC is none, and that is no fault", () => {
    assert.deepEqual(findBoard("auto", undefined), { board: noBoard, fault: undefined });
    assert.equal(boardName("auto", undefined), "none");
    assert.equal(boardName("virt", undefined), "virt");
  });

  test("a family that this is not is a fault that says what is here", () => {
    const names = folders
      .filter((name) => name.startsWith("raspberrypi"))
      .toSorted()
      .join(", ");
    assert.equal(
      findBoard("raspberrypi", undefined).fault,
      `board = "raspberrypi": found no device tree, wanted one of ${names}: name it in carpio.toml`,
    );
    const tree = { model: "linux,dummy-virt", compatible: ["linux,dummy-virt"] };
    assert.match(
      findBoard("raspberrypi", tree).fault ?? "",
      /found a device tree of "linux,dummy-virt", wanted/,
    );
  });

  test("the nearest compatible decides, in whatever order the boards are", () => {
    const board = (compatible: string): Board => ({ ...noBoard, name: compatible, compatible: [compatible] });
    const all = ["special", "module", "chip"].map(board);
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: 1 }), (some) => {
        const found = boardOf({ model: "", compatible: ["special", "module", "chip"] }, some);
        assert.equal(
          found,
          all.find((each) => some.includes(each)),
        );
      }),
    );
  });

  test("a device tree is read as the kernel shows it", (t) => {
    const folder = mkdtempSync(join(tmpdir(), "carpio-tree-"));
    t.after(() => rmSync(folder, { recursive: true }));
    assert.equal(readDeviceTree(folder), undefined);
    writeFileSync(join(folder, "compatible"), "raspberrypi,4-model-b\0brcm,bcm2711\0");
    writeFileSync(join(folder, "model"), "Raspberry Pi 4 Model B Rev 1.4\0");
    const tree: DeviceTree = {
      model: "Raspberry Pi 4 Model B Rev 1.4",
      compatible: ["raspberrypi,4-model-b", "brcm,bcm2711"],
    };
    assert.deepEqual(readDeviceTree(folder), tree);
  });

  test("a file that is not there is a fault that names it, and no panel", () => {
    const { board, fault } = findBoard("/nowhere/board.toml", undefined);
    assert.equal(board, noBoard);
    assert.match(fault ?? "", /^\/nowhere\/board\.toml: found no such file/);
  });
});

const head = 'title = "mine"\nchip = "pinctrl-bcm2711"\n';
const rules: readonly { why: string; toml: string; says: readonly string[] }[] = [
  { why: "one lamp is enough", toml: `${head}[lamps.role]\nline = 4\n`, says: [] },
  { why: "a button alone is enough", toml: `${head}[button]\nline = 4\n`, says: [] },
  {
    why: "a board without hardware",
    toml: 'title = "x"\ndriver = "simulated"\n[lamps.role]\n[button]\n',
    says: [],
  },
  {
    why: "a LED of the kernel needs no line",
    toml: 'title = "x"\ndriver = "led-class"\n[lamps.role]\nled = "ACT"\n',
    says: [],
  },
  {
    why: "no title",
    toml: "[lamps.role]\nline = 4\n",
    says: [
      "x.toml: title: found nothing, wanted a text",
      "x.toml: chip: found nothing beside lamps.role.line, wanted the chip's label, which `cat /sys/class/gpio/gpiochip*/label` shows",
    ],
  },
  {
    why: "no TOML",
    toml: "title = \n",
    says: [
      'x.toml:1: title: found an error in column 9 (invalid value), wanted a value: "text", a number, true, false or a [list]',
    ],
  },
  {
    why: "an unknown key, with the nearest",
    toml: `${head}[lamps.role]\nlime = 4\nline = 4\n`,
    says: ["x.toml:4: lamps.role.lime: found a key that means nothing here, wanted line"],
  },
  {
    why: "a key in the wrong table",
    toml: `${head}line = 4\n`,
    says: [
      "x.toml:3: line: found a key that means nothing here, wanted it in [lamps.role] or in [lamps.maintenance] or in [lamps.fault] or in [button]",
    ],
  },
  {
    why: "a lamp that nobody knows",
    toml: `${head}[lamps.role]\nline = 4\n[lamps.power]\nline = 5\n`,
    says: [
      "x.toml:5: lamps.power: found a key that means nothing here, wanted one of role, maintenance, fault",
    ],
  },
  {
    why: "the kernel's number instead of the offset",
    toml: `${head}[lamps.role]\nline = 1041\n`,
    says: ["x.toml:4: lamps.role.line: found 1041, wanted a whole number from 0 to 1023"],
  },
  {
    why: "wrong types",
    toml: `${head}[lamps.role]\nline = "17"\nactive = "yes"\n[button]\nline = 4\ndebounce_ms = 0\n`,
    says: [
      'x.toml:4: lamps.role.line: found "17", wanted a whole number from 0 to 1023',
      'x.toml:5: lamps.role.active: found "yes", wanted "high" or "low"',
      "x.toml:8: button.debounce_ms: found 0, wanted a whole number from 1 to 200",
    ],
  },
  {
    why: "lamps without the one that has to say everything",
    toml: `${head}[lamps.fault]\nline = 4\n`,
    says: [
      "x.toml:3: lamps: found no role lamp, wanted lamps.role: a board with one lamp shows everything on that one",
    ],
  },
  {
    why: "a lamp without a line",
    toml: `${head}[lamps.role]\nactive = "low"\n`,
    says: [
      "x.toml:3: lamps.role.line: found a lamp without line, wanted which line of the chip the lamp is on",
    ],
  },
  {
    why: "a line, a pin and a LED twice",
    toml: `${head}[lamps.role]\nline = 4\npin = 7\nled = "a"\n[lamps.fault]\nline = 5\nled = "a"\n[button]\nline = 4\npin = 7\n`,
    says: [
      "x.toml:9: lamps.fault.led: found a again, as in lamps.role.led on line 6, wanted each led once",
      "x.toml:11: button.line: found 4 again, as in lamps.role.line on line 4, wanted each line once",
      "x.toml:12: button.pin: found 7 again, as in lamps.role.pin on line 5, wanted each pin once",
    ],
  },
  {
    why: "a contact that closes to the side it is pulled to",
    toml: `${head}[button]\nline = 4\npull = "down"\n`,
    says: [
      'x.toml:5: button.pull: found "down" with active = "low", which is pressed for ever, wanted "up", or "external"',
    ],
  },
  {
    why: "a LED's name that is a path",
    toml: `${head}[lamps.role]\nline = 4\nled = "../../x"\n`,
    says: [
      'x.toml:5: lamps.role.led: found "../../x", wanted a name under /sys/class/leds: letters, digits and - _ : . +',
    ],
  },
];

describe("a board.toml", () => {
  for (const { why, toml, says } of rules) {
    test(why, () => assert.deepEqual(problemsOf(toml), says));
    test(`${why}, from Windows`, () => {
      assert.deepEqual(problemsOf(`\ufeff${toml.replaceAll("\n", "\r\n")}`).length, says.length);
    });
  }

  test("of the user's own is read from its path", (t) => {
    const folder = mkdtempSync(join(tmpdir(), "carpio-board-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "board.toml");
    writeFileSync(path, `${head}[lamps.role]\nline = 4\nactive = "low"\n`);
    const read = readBoardFile(path);
    assert.ok(read.ok);
    assert.deepEqual(read.board.lamps.role, {
      place: `${path}:4`,
      wire: { chip: "pinctrl-bcm2711", offset: 4, activeLow: true, pin: undefined, ground: undefined },
      led: undefined,
    });
    assert.equal(findBoard(path, undefined).board.title, "mine");
  });

  test("whatever a text is, there is an answer", () => {
    const keys = fc.constantFrom(
      "title",
      "chip",
      "line",
      "pin",
      "driver",
      "led",
      "active",
      "[lamps.role]",
      "[button]",
    );
    const values = fc.constantFrom("4", '"low"', '"x"', "[1]", "{}", "true", "");
    const text = fc.array(
      fc.tuple(keys, values).map(([key, value]) => (key[0] === "[" ? key : `${key} = ${value}`)),
    );
    fc.assert(
      fc.property(text, (lines) => {
        const read = parseBoard(lines.join("\n"), { name: "x", file: "x" });
        if (!read.ok) assert.ok(read.problems.length > 0);
      }),
    );
  });
});
