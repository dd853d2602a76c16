/**
 * Draws how lamps and button are wired to a 40-pin header, from board.toml, for
 * every board whose parts have pins:
 *
 *   npm run wiring          writes board/NAME/wiring.svg
 *
 * test/wiring.test.ts keeps the pictures and the tables of the readmes true.
 */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Board, knownBoards, LAMPS, type LampName, type Wire } from "../src/board.js";
import { colours, svg, text } from "./drawing.js";

const root = resolve(import.meta.dirname, "../..");

const GROUNDS = [6, 9, 14, 20, 25, 30, 34, 39];
const THREE_VOLTS = [1, 17];
const FIVE_VOLTS = [2, 4];
const PINS = 40;

const ROW = 26;
const TOP = 96;
/** The columns of the header: odd pins, and even ones. */
const ODD = 500;
const EVEN = ODD + ROW;
const BUS = 60;
const LED = 130;
const RESISTOR = 255;
const LAMP_GAP = 84;
const BUTTON = 690;
const WIDTH = 820;
const HEIGHT = TOP + 20 * ROW + 40;

interface Lamp {
  readonly name: LampName;
  readonly wire: Wire & { readonly pin: number; readonly ground: number };
}

/** The parts that are wired to pins, the lamps from the header's top down. */
export function pinnedParts({ lamps, button }: Board) {
  const pinned = (wire: Wire | undefined): wire is Lamp["wire"] =>
    wire?.pin !== undefined && wire.ground !== undefined;
  const lit = LAMPS.flatMap((name): Lamp[] => {
    const wire = lamps[name]?.wire;
    return pinned(wire) ? [{ name, wire }] : [];
  });
  const press = button?.wire;
  return {
    lamps: lit.toSorted((a, b) => a.wire.pin - b.wire.pin),
    button: pinned(press) ? press : undefined,
  };
}

/** The picture, or nothing for a board without pins. */
export function drawWiring(board: Board): string | undefined {
  const { lamps, button } = pinnedParts(board);
  if (lamps.length === 0 || !button) return undefined;
  const used = new Set(
    [...lamps.map(({ wire }) => wire), button].flatMap(({ pin, ground }) => [pin, ground]),
  );
  const parts = [
    text(24, 36, `${board.title}: lamps and button`, "title"),
    text(24, 60, "The header from above, pin 1 at the corner with the square solder pad.", "note"),
    header(used),
    ...lamps.map((lamp, index) => drawLamp(lamp, index)),
    drawGround(lamps),
    drawButton(button),
    text(24, HEIGHT - 64, "Each lamp: a LED of about 2 V with a resistor of 330 Ω.", "note"),
    text(24, HEIGHT - 42, "The LED's long leg looks to its resistor, the short leg to ground.", "note"),
    text(24, HEIGHT - 20, "The button: any that closes while it is pressed. It needs no resistor.", "note"),
  ];
  return svg({
    title: `${board.title}: how lamps and button are wired`,
    width: WIDTH,
    height: HEIGHT,
    style: [
      ".pin { font-size: 10px; text-anchor: middle; }",
      ".end { text-anchor: end; }",
      ".wire { fill: none; stroke-width: 3; stroke-linejoin: round; }",
      ".line { stroke: #222; stroke-width: 2; }",
    ],
    parts,
  });
}

function header(used: ReadonlySet<number>): string {
  const pins = Array.from({ length: PINS }, (_, i) => i + 1).map((pin) => {
    const { x, y } = place(pin);
    const ring = used.has(pin) ? `stroke="#000" stroke-width="3"` : `stroke="#999"`;
    const { fill, ink } = paint(pin, used.has(pin));
    return (
      `<circle cx="${x}" cy="${y}" r="10" fill="${fill}" ${ring}/>` +
      `<text class="pin" x="${x}" y="${y + 3.5}" style="fill:${ink}">${pin}</text>`
    );
  });
  const [left, top] = [ODD - 16, TOP - 16];
  return [
    `<rect x="${left}" y="${top}" width="${EVEN - ODD + 32}" height="${20 * ROW + 6}" rx="5" fill="#e8e8e8" stroke="#666"/>`,
    `<rect x="${ODD - 12}" y="${TOP - 12}" width="24" height="24" fill="none" stroke="#222"/>`,
    ...pins,
  ].join("\n");
}

function paint(pin: number, isUsed: boolean): { readonly fill: string; readonly ink: string } {
  if (GROUNDS.includes(pin)) return { fill: isUsed ? "#222" : "#888", ink: "#fff" };
  if (FIVE_VOLTS.includes(pin)) return { fill: "#e9b0b0", ink: "#222" };
  if (THREE_VOLTS.includes(pin)) return { fill: "#f3d9b1", ink: "#222" };
  return { fill: isUsed ? "#bfe0ff" : "#fff", ink: "#222" };
}

/** From its pin to the left, down to its own height, through resistor and LED to the ground bus. */
function drawLamp({ name, wire }: Lamp, index: number): string {
  const { name: colour, fill } = colours[name];
  const from = place(wire.pin);
  const y = lampHeight(wire, index);
  const bend = ODD - 58 + index * 18;
  const path = `M${from.x - 10} ${from.y} H${bend} V${y} H${RESISTOR + 60}`;
  return [
    `<path class="wire" stroke="${fill}" d="${path}"/>`,
    `<path class="wire" stroke="#222" d="M${RESISTOR} ${y} H${LED + 18} M${LED - 14} ${y} H${BUS}"/>`,
    `<rect x="${RESISTOR}" y="${y - 9}" width="60" height="18" fill="#f3ead7" class="line"/>`,
    text(RESISTOR + 12, y + 5, "330 Ω"),
    // The flat side of the rim is at the short leg.
    `<path class="line" fill="${fill}" d="M${LED - 14} ${y - 12} A18 18 0 1 1 ${LED - 14} ${y + 12} Z"/>`,
    text(LED - 38, y - 26, `${name}: ${colour}`),
    text(LED + 22, y - 6, "+"),
    text(RESISTOR + 66, y - 7, `GPIO${wire.offset}, pin ${wire.pin}`),
  ].join("\n");
}

/** Below the ground wire, which is where the first pin is, too. */
function lampHeight({ pin }: { readonly pin: number }, index: number): number {
  return place(pin).y + 36 + index * (LAMP_GAP - ROW);
}

function drawGround(lamps: readonly Lamp[]): string {
  const [first] = lamps;
  if (!first || lamps.some(({ wire }) => wire.activeLow || wire.ground !== first.wire.ground)) {
    throw new Error("found lamps that do not all go to one ground, wanted such: draw this board by hand");
  }
  const from = place(first.wire.ground);
  const bottom = Math.max(...lamps.map(({ wire }, index) => lampHeight(wire, index)));
  return [
    `<path class="wire" stroke="#222" d="M${from.x - 10} ${from.y} H${BUS} V${bottom}"/>`,
    text(RESISTOR + 66, from.y - 7, `ground, pin ${first.wire.ground}`),
  ].join("\n");
}

/** Between two pins of one row: the odd one's wire leaves between the rows. */
function drawButton({ pin, ground, offset }: Lamp["wire"]): string {
  const [signal, earth] = [place(pin), place(ground)];
  if (signal.x !== ODD || earth.x !== EVEN || signal.y !== earth.y) {
    throw new Error("found a button on pins that are not side by side, wanted such: draw this board by hand");
  }
  const below = signal.y + ROW / 2;
  return [
    `<path class="wire" stroke="#222" d="M${earth.x + 10} ${earth.y} H${BUTTON} V${earth.y - 26} H${BUTTON + 30}"/>`,
    `<path class="wire" stroke="#2b6cb0" d="M${signal.x} ${signal.y + 10} V${below} H${BUTTON} V${below + 26} H${BUTTON + 30}"/>`,
    `<path class="line" fill="none" d="M${BUTTON + 30} ${earth.y - 26} V${earth.y - 8} M${BUTTON + 30} ${below + 26} V${below + 8}"/>`,
    `<path class="line" fill="none" d="M${BUTTON + 40} ${earth.y - 12} V${below + 12} M${BUTTON + 40} ${(earth.y + below) / 2} H${BUTTON + 58} M${BUTTON + 58} ${(earth.y + below) / 2 - 10} v20"/>`,
    text(BUTTON + 2, earth.y - 42, "button"),
    text(EVEN + 58, earth.y - 7, `ground, pin ${ground}`),
    text(EVEN + 58, below + 18, `GPIO${offset}, pin ${pin}`),
  ].join("\n");
}

function place(pin: number): { readonly x: number; readonly y: number } {
  return { x: pin % 2 === 1 ? ODD : EVEN, y: TOP + Math.floor((pin - 1) / 2) * ROW };
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const read of knownBoards()) {
    const picture = read.ok ? drawWiring(read.board) : undefined;
    if (read.ok && picture !== undefined) {
      writeFileSync(join(root, "board", read.board.name, "wiring.svg"), picture);
    }
  }
}
