/**
 * The picture of emulated boards: each with its lamps, its button and what its
 * status says, and under them the serial console of the chosen one. Pure.
 */
import type { LampName } from "../../src/board.js";
import { faces } from "../../src/status/vocabulary.js";
import { apart, fit, type Ink, plain, type Row, span } from "../demonstration/ink.js";
import type { Name, Sight } from "./board.js";

export interface Picture {
  readonly boards: readonly Sight[];
  readonly chosen: Name;
  /** What the boards share, and where this computer finds it. */
  readonly shared: { readonly address: string; readonly port: number } | undefined;
}

export const LEAST = { columns: 80, rows: 20 } as const;
export const DEEDS = { " ": "press button", h: "hold it", p: "plug out or in" } as const;

const LAMPS: readonly { readonly name: LampName; readonly colour: string; readonly ink: Ink }[] = [
  { name: "role", colour: "green", ink: "good" },
  { name: "maintenance", colour: "amber", ink: "warning" },
  { name: "fault", colour: "red", ink: "bad" },
];

/** As many rows as asked for, each as wide as asked for. */
export function draw(picture: Picture, columns: number, rows: number): readonly Row[] {
  const { boards, chosen } = picture;
  if (columns < LEAST.columns || rows < LEAST.rows) {
    return fill([plain(`${columns} x ${rows}: ${LEAST.columns} x ${LEAST.rows} wanted`)], columns, rows);
  }
  const above = [
    title(picture, columns),
    [],
    ...boards.flatMap((board) => panel(board, board.place.name === chosen, columns)),
  ];
  const below = [legend(boards)];
  const shown = boards.find(({ place }) => place.name === chosen);
  const heading = `─ serial console of ${chosen} `;
  const room = rows - above.length - below.length - 1;
  const lines = (shown?.lines ?? []).slice(-room).map((line) => plain(printable(line)));
  const console = [[span("dim", heading.padEnd(columns, "─"))], ...lines];
  return [
    ...fill([...above, ...console], columns, rows - below.length),
    ...fill(below, columns, below.length),
  ];
}

/** One line for whoever has no terminal. A lamp that was lit and dark of late blinks. */
export function describe(board: Sight, recent: readonly Sight["lamps"][]): string {
  const seen = LAMPS.flatMap(({ name, colour }) => {
    const lit = recent.filter((lamps) => lamps[name]).length;
    if (lit === 0) return [];
    return [lit === recent.length ? `${colour} is lit` : `${colour} blinks`];
  });
  return board.isOn ? `${face(board)}; ${seen.join(", ") || "all lamps are dark"}` : "no power";
}

function title({ shared }: Picture, columns: number): Row {
  const left = [span("bold", " carpio"), span("plain", "  boards from the image, in QEMU")];
  const right = shared ? `${shared.address} is http://localhost:${shared.port}/ ` : "";
  return apart(left, plain(right), columns);
}

function panel(board: Sight, isChosen: boolean, columns: number): readonly Row[] {
  const { place, pressed, lamps } = board;
  const number = place.name === "left" ? "1" : "2";
  const head: Row = [
    span("plain", " "),
    span(isChosen ? "key" : "bold", ` ${number} ${place.name} `),
    span("plain", `  ${place.kind}  http://localhost:${place.port}/`),
  ];
  const lights = LAMPS.flatMap(({ name, colour, ink }) => [
    lamps[name] ? span(ink, `● ${colour}`) : span("dim", `○ ${colour}`),
    span("plain", "  "),
  ]);
  const button = pressed ? span("key", "[▼]") : span("plain", "[ ]");
  return [
    apart(head, [span("dim", "button "), button, span("plain", " ")], columns),
    apart(
      [span("plain", "     "), ...lights],
      [span(board.isOn ? "bold" : "dim", `${says(board)} `)],
      columns,
    ),
    [],
  ];
}

function says(board: Sight): string {
  if (!board.isOn) return "no power";
  const role = board.status?.role;
  return role === undefined ? "no answer yet" : `${role.toUpperCase()}: ${face(board)}`;
}

function face({ status }: Sight): string {
  return status === undefined ? "no answer yet" : faces[status.panel.face];
}

function legend(boards: readonly Sight[]): Row {
  const entry = (keys: readonly string[], does: string): Row => [
    ...keys.map((key) => span("key", key === " " ? " space " : ` ${key} `)),
    span("plain", ` ${does}  `),
  ];
  const choice = boards.length > 1 ? [entry(["1", "2"], "board")] : [];
  const deeds = Object.entries(DEEDS).map(([key, does]) => entry([key], does));
  return [span("plain", " "), ...[...choice, ...deeds, entry(["q"], "quit")].flat()];
}

/** What a terminal would obey is shown as a dot. */
function printable(line: string): string {
  return line.replace(/\p{Cc}/gu, "·");
}

function fill(rows: readonly Row[], columns: number, count: number): readonly Row[] {
  const cut = rows.slice(0, count);
  const empty = Array.from({ length: count - cut.length }, () => plain(""));
  return [...cut, ...empty].map((row) => fit(row, columns));
}
