/**
 * Draws what the lamps of a case do, a row for each face, from the label that
 * lights them:
 *
 *   npm run lamps           writes board/common/lamps.svg
 *
 * test/wiring.test.ts keeps it true.
 */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { LAMPS, type LampName } from "../src/board.js";
import { type Face, isLit, type Lamp, label, nextChangeMs } from "../src/panel/lamp.js";
import { faces } from "../src/status/vocabulary.js";
import { colours, svg, text } from "./drawing.js";

const root = resolve(import.meta.dirname, "../..");

/** Half as much again as the slowest rhythm takes, so that it can be seen to be one. */
const SHOWN_MS = 3000;
const PIXELS_PER_MS = 0.05;

const LEFT = 24;
const ROW = 46;
const TOP = 136;
/** The columns of the lamps. */
const FIRST = 348;
const COLUMN = 198;
/** From a lamp to what it does. */
const STRIP = 24;
const STRIP_HEIGHT = 16;
const STRIP_WIDTH = SHOWN_MS * PIXELS_PER_MS;
const RADIUS = 9;
const WIDTH = FIRST + LAMPS.length * COLUMN;
const NONE = "#e4e4e4";

/** What people look for, among the words. */
const URGENT = /(do not|safe to) unplug/;

export function drawLamps(): string {
  const shown = Object.keys(label) as readonly Face[];
  const height = TOP + shown.length * ROW + 20;
  return svg({
    title: "What the lamps mean",
    width: WIDTH,
    height,
    style: [
      ".face { font-family: monospace; font-size: 12px; fill: #555; }",
      ".urgent { font-weight: bold; }",
      ".second { font-size: 11px; fill: #555; text-anchor: middle; }",
      ".head { font-weight: bold; }",
    ],
    parts: [
      text(LEFT, 36, "What the lamps mean", "title"),
      text(
        LEFT,
        60,
        "A strip is three seconds in the life of a lamp: coloured while it is lit. As role: as in the row of the board's role.",
        "note",
      ),
      ...LAMPS.map(drawHead),
      ...shown.flatMap(drawRow),
    ],
  });
}

function drawHead(name: LampName): string {
  const x = columnOf(name);
  const seconds = [0, 1, 2, 3].map((second) =>
    text(x + STRIP + second * 1000 * PIXELS_PER_MS, TOP - 14, `${second} s`, "second"),
  );
  return [text(x + STRIP, TOP - 36, `${name}: ${colours[name].name}`, "head"), ...seconds].join("\n");
}

function drawRow(face: Face, index: number): readonly string[] {
  const top = TOP + index * ROW;
  const words = faces[face].replace(URGENT, `<tspan class="urgent">$&</tspan>`);
  const band = `<rect y="${top}" width="${WIDTH}" height="${ROW}" fill="#f4f4f4"/>`;
  return [
    ...(index % 2 === 0 ? [band] : []),
    text(LEFT, top + 20, words),
    text(LEFT, top + 37, face, "face"),
    ...LAMPS.map((name) => drawLamp(label[face][name], name, top + ROW / 2)),
  ];
}

function drawLamp(lamp: Lamp | "as role", name: LampName, y: number): string {
  const [x, { fill }] = [columnOf(name), colours[name]];
  if (lamp === "as role") return text(x + STRIP, y + 5, lamp, "note");
  const [left, top] = [x + STRIP, y - STRIP_HEIGHT / 2];
  const lit = litSpans(lamp, SHOWN_MS).map(
    ([from, to]) =>
      `<rect x="${left + from * PIXELS_PER_MS}" y="${top}" width="${(to - from) * PIXELS_PER_MS}" height="${STRIP_HEIGHT}" fill="${fill}"/>`,
  );
  return [
    drawBulb(lamp, fill, x, y),
    `<rect x="${left}" y="${top}" width="${STRIP_WIDTH}" height="${STRIP_HEIGHT}" fill="${NONE}"/>`,
    ...lit,
    `<rect x="${left}" y="${top}" width="${STRIP_WIDTH}" height="${STRIP_HEIGHT}" fill="none" stroke="#888"/>`,
  ].join("\n");
}

/** Half of it when it blinks. */
function drawBulb({ pattern }: Lamp, fill: string, x: number, y: number): string {
  const half = `<path fill="${fill}" d="M${x} ${y - RADIUS} A${RADIUS} ${RADIUS} 0 0 0 ${x} ${y + RADIUS} Z"/>`;
  return [
    `<circle cx="${x}" cy="${y}" r="${RADIUS}" fill="${pattern === "on" ? fill : NONE}"/>`,
    ...(pattern === "blink" ? [half] : []),
    `<circle cx="${x}" cy="${y}" r="${RADIUS}" fill="none" stroke="#222" stroke-width="1.5"/>`,
  ].join("\n");
}

/** From when to when it is lit, in so much time from when it begins. */
export function litSpans(lamp: Lamp, untilMs: number): readonly (readonly [number, number])[] {
  const spans: (readonly [number, number])[] = [];
  for (let atMs = 0; atMs < untilMs; ) {
    const endMs = Math.min(nextChangeMs(lamp, atMs), untilMs);
    if (isLit(lamp, atMs)) spans.push([atMs, endMs]);
    atMs = endMs;
  }
  return spans;
}

function columnOf(name: LampName): number {
  return FIRST + LAMPS.indexOf(name) * COLUMN;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(join(root, "board/common/lamps.svg"), drawLamps());
}
