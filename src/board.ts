/**
 * Which board this is, and what is wired to it: chip, lines, lamps, button.
 * A board is a folder in board/ with a board.toml, or a file of the user's.
 * What the lamps say, and how a line is driven, is the panel's.
 */
import { readFileSync } from "node:fs";
import { carriedBoards } from "./carried-boards.js";
import { type BoardSketch, boardFaults } from "./config/board-rules.js";
import {
  BOARD_TABLES,
  type BoardTable,
  boardTable,
  type Driver,
  LAMPS,
  type LampName,
} from "./config/board-schema.js";
import { familyOf, isPath } from "./config/notation.js";
import { describeProblem, type Fault, type Problem } from "./config/problem.js";
import { checkTable } from "./config/sketch.js";
import { readText } from "./config/text-file.js";
import { readToml } from "./config/toml.js";
import { findLines, formatKey, type LineOf } from "./config/toml-lines.js";
import { unknownKeys } from "./config/unknown-keys.js";

export { type Driver, LAMPS, type LampName } from "./config/board-schema.js";

export interface Board {
  /** As a configuration has it: a folder's name, or a path. */
  readonly name: string;
  readonly title: string;
  readonly compatible: readonly string[];
  /** How its model may begin, where nothing is compatible. */
  readonly models: readonly string[];
  /** For who does not ask for another. */
  readonly driver: Driver;
  readonly lamps: { readonly [L in LampName]?: LampWiring };
  readonly button: ButtonWiring | undefined;
}

/** A line of a GPIO chip. */
export interface Wire {
  /** The chip's label: numbers of chips and lines differ from kernel to kernel. */
  readonly chip: string;
  /** From the chip's first line. */
  readonly offset: number;
  readonly activeLow: boolean;
  /** On the board's header. */
  readonly pin: number | undefined;
  readonly ground: number | undefined;
}

export interface LampWiring {
  /** Where it stands, for messages: `board/virt/board.toml:12`. */
  readonly place: string;
  readonly wire: Wire | undefined;
  /** Its name in the kernel's LED class, where the device tree gives it one. */
  readonly led: string | undefined;
}

export interface ButtonWiring {
  readonly place: string;
  readonly wire: Wire | undefined;
  /** What holds the line while nobody presses. Whoever configures the pins sets it: sysfs cannot. */
  readonly pull: "up" | "down" | "external";
  readonly debounceMs: number;
}

/** What the firmware or the boot loader says about the hardware. */
export interface DeviceTree {
  readonly model: string;
  /** The most specific first. */
  readonly compatible: readonly string[];
}

export interface FoundBoard {
  readonly board: Board;
  /** Why it is not the one that was asked for. */
  readonly fault: string | undefined;
}

export type ReadBoard =
  | { readonly ok: true; readonly board: Board }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** A board with neither lamps nor a button. */
export const noBoard: Board = {
  name: "none",
  title: "no panel",
  compatible: [],
  models: [],
  driver: "none",
  lamps: {},
  button: undefined,
};

/**
 * The board that the configuration asks for. One that cannot be had is a fault,
 * and a board without a panel: a router routes without lamps.
 */
export function findBoard(configured: string, tree: DeviceTree | undefined = readDeviceTree()): FoundBoard {
  if (configured === "none") return { board: noBoard, fault: undefined };
  if (isPath(configured)) return found(readBoardFile(configured));
  const named = carriedBoards.find(({ name }) => name === configured);
  if (named) return found(carriedBoard(named));

  // A computer without a device tree has no panel, and that is no fault of its own.
  if (configured === "auto" && !tree) return { board: noBoard, fault: undefined };
  const family = carriedBoards.filter(({ name }) => configured === "auto" || familyOf(name) === configured);
  const boards = family.map(carriedBoard).flatMap((read) => (read.ok ? [read.board] : []));
  const board = tree && boardOf(tree, boards);
  if (board) return { board, fault: undefined };
  // Nor has one of a kind that nobody described.
  if (configured === "auto") return { board: noBoard, fault: undefined };
  const seen = tree ? `a device tree of "${tree.model}"` : "no device tree";
  const wanted = `one of ${boards.map(({ name }) => name).join(", ")}: name it in carpio.toml`;
  return { board: noBoard, fault: `board = "${configured}": found ${seen}, wanted ${wanted}` };
}

/** The board whose `compatible` is nearest to the hardware, or else the one whose model's name begins alike. */
export function boardOf(tree: DeviceTree, boards: readonly Board[]): Board | undefined {
  for (const compatible of tree.compatible) {
    const board = boards.find((each) => each.compatible.includes(compatible));
    if (board) return board;
  }
  return boards.find(({ models }) => models.some((model) => tree.model.startsWith(model)));
}

/** Reads a board.toml; no panel is opened. */
export function readBoardFile(path: string): ReadBoard {
  const text = readText(path);
  if (!("found" in text)) return parseBoard(text.text, { name: path, file: path });
  return { ok: false, problems: [{ ...text, file: path, key: "", wanted: "a board.toml in UTF-8" }] };
}

/** All boards this program carries; a problem in one of them is a mistake of ours. */
export function knownBoards(): readonly ReadBoard[] {
  return carriedBoards.map(carriedBoard);
}

/** Text to a board, or everything that is wrong with it. `file` is what messages call it. */
export function parseBoard(
  text: string,
  { name, file }: { readonly name: string; readonly file: string },
): ReadBoard {
  const source = readToml(text);
  if (!source.table) return { ok: false, problems: source.problems.map((each) => ({ ...each, file })) };

  const lineOf = findLines(source.text);
  const { value, sketch, faults } = checkTable(boardTable, source.table);
  const all = [
    ...unknownKeys(source.table, BOARD_TABLES),
    ...faults,
    ...boardFaults(sketch as BoardSketch, lineOf),
  ];
  const locate = ({ path, found, wanted }: Fault): Problem => {
    return { file, line: lineOf(path), key: formatKey(path), found, wanted };
  };
  const problems = [...source.problems.map((each) => ({ ...each, file })), ...all.map(locate)];
  if (value && problems.length === 0) return { ok: true, board: toBoard(value, { name, file, lineOf }) };
  return { ok: false, problems: problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)) };
}

/**
 * The board's name for the status: as configured, or for `auto` what its device
 * tree says first, such as `raspberrypi,4-model-b`. A PC has none.
 */
export function boardName(configured: string, tree: DeviceTree | undefined = readDeviceTree()): string {
  return configured === "auto" ? (tree?.compatible[0] ?? "none") : configured;
}

/** `undefined` on a computer without a device tree, such as a PC. */
export function readDeviceTree(folder = "/proc/device-tree"): DeviceTree | undefined {
  const read = (name: string): readonly string[] => {
    try {
      return readFileSync(`${folder}/${name}`, "utf8").split("\0").filter(Boolean);
    } catch {
      return [];
    }
  };
  const compatible = read("compatible");
  const [model = ""] = read("model");
  return compatible.length > 0 || model !== "" ? { model, compatible } : undefined;
}

function found(read: ReadBoard): FoundBoard {
  if (read.ok) return { board: read.board, fault: undefined };
  const [first] = read.problems;
  return { board: noBoard, fault: first ? describeProblem("board.toml", first) : "no board" };
}

function carriedBoard({ name, text }: { readonly name: string; readonly text: string }): ReadBoard {
  return parseBoard(text, { name, file: `board/${name}/board.toml` });
}

interface Origin {
  readonly name: string;
  readonly file: string;
  readonly lineOf: LineOf;
}

function toBoard(table: BoardTable, { name, file, lineOf }: Origin): Board {
  const { title, compatible, models, driver, chip, lamps, button } = table;
  const placeOf = (path: readonly string[]) => `${file}:${lineOf([...path, "line"]) ?? 1}`;
  const wireOf = (part: WiredTable): Wire | undefined =>
    chip === undefined || part.line === undefined
      ? undefined
      : {
          chip,
          offset: part.line,
          activeLow: part.active === "low",
          pin: part.pin,
          ground: part.ground,
        };
  const lampOf = (lamp: LampName): { [L in LampName]?: LampWiring } => {
    const part = lamps[lamp];
    return part ? { [lamp]: { place: placeOf(["lamps", lamp]), wire: wireOf(part), led: part.led } } : {};
  };
  return {
    name,
    title,
    compatible,
    models,
    driver,
    lamps: Object.assign({}, ...LAMPS.map(lampOf)),
    button: button && {
      place: placeOf(["button"]),
      wire: wireOf(button),
      pull: button.pull ?? "external",
      debounceMs: button.debounce_ms,
    },
  };
}

interface WiredTable {
  readonly line?: number | undefined;
  readonly pin?: number | undefined;
  readonly ground?: number | undefined;
  readonly active: "high" | "low";
}
