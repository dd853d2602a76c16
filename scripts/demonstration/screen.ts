/**
 * The picture: what there is to see becomes rows of text. Pure; the terminal
 * is `terminal.ts`, and what the keys do is `live.ts`.
 *
 *   title
 *   ┌ left ┐┌ right ┐   role, why, addresses, what it hears, lamps and button, and its log
 *   └──┬───┘└───┬───┘
 *      └─switch─┴─ client
 *   what the client sees, and how it was over the last seconds
 *   what happened
 *   keys
 */
import type { LampName } from "../../src/board.js";
import type { Moment } from "../../test/lab/child.js";
import { ADDRESSES, type BoardName, type BoardView, type Note } from "./board.js";
import type { Experience } from "./client.js";
import { apart, fit, type Ink, plain, type Row, type Span, span, width, wrap } from "./ink.js";
import { isOn, type Sight, wordsFor } from "./panel.js";
import { count, duration } from "./wording.js";

/** How one second of the past went. */
export interface Second {
  readonly second: number;
  readonly serving: readonly BoardName[];
  readonly sent: number;
  readonly lost: number;
}

export interface Picture {
  readonly boards: readonly [BoardView, BoardView];
  readonly chosen: BoardName;
  readonly serving: readonly BoardName[];
  readonly client: Experience | undefined;
  /** The same client asking a host that nobody touches. */
  readonly control: Experience | undefined;
  /** The youngest last. */
  readonly past: readonly Second[];
  /** In order. */
  readonly notes: readonly Note[];
  readonly power: string;
  readonly startedAt: Moment;
  readonly now: Moment;
}

/** What can be done to the chosen board. */
export const DEEDS = {
  " ": "press button",
  h: "hold it 5 s",
  b: "bring back",
  k: "kill -9",
  s: "stop",
  f: "freeze/thaw",
  c: "cut cable",
  p: "plug in",
} as const;

export const LEAST = { columns: 80, rows: 24 } as const;

/** A role reported longer ago than this is history. */
const FRESH_MS = 1500;
const ANSWERING_MS = 100;
/** Rows that are always there: title, six of a board and its three lines, cable, client, two strips, rule, keys. */
const FIXED_ROWS = 1 + 6 + 3 + 1 + 2 + 2 + 1 + 2;
const HEIGHTS = [..."▁▂▃▄▅▆▇█"];
/** Of a lamp that is lit. */
const LAMPS: readonly { readonly name: LampName; readonly colour: string; readonly ink: Ink }[] = [
  { name: "role", colour: "green", ink: "good" },
  { name: "maintenance", colour: "amber", ink: "warning" },
  { name: "fault", colour: "red", ink: "bad" },
];
/** What must not be overlooked, by a hand on the plug above all. */
const SIGHT_INK: { readonly [S in Sight]?: Ink } = {
  safe: "good",
  "switched-off": "good",
  "handing-over": "warning",
  "power-off": "warning",
  hangs: "warning",
  "no-taker": "bad",
  fault: "bad",
  stopped: "bad",
};

/** As many rows as asked for, each as wide as asked for. */
export function draw(picture: Picture, columns: number, rows: number): readonly Row[] {
  if (columns < LEAST.columns || rows < LEAST.rows) return tooSmall(columns, rows);
  const spare = rows - FIXED_ROWS;
  const logRows = Math.ceil(spare * 0.55);
  const [left, right] = picture.boards;
  const half = Math.floor(columns / 2);
  const lefts = box(left, picture, half, logRows);
  const rights = box(right, picture, columns - half, logRows);
  const drawn = [
    title(picture, columns),
    ...lefts.map((row, index) => [...row, ...(rights[index] ?? [])]),
    cables(picture, half, columns),
    ...clientRows(picture, columns),
    ...strips(picture, columns),
    rule("what happened", columns),
    ...events(picture, columns, spare - logRows),
    ...legend(),
  ];
  return drawn.map((row) => fit(row, columns));
}

/** Before there is anything to see. */
export function drawWaiting(text: string, columns: number, rows: number): readonly Row[] {
  const middle = Math.floor(rows / 2);
  return Array.from({ length: rows }, (_, row) => fit(plain(row === middle ? `  ${text}` : ""), columns));
}

function tooSmall(columns: number, rows: number): readonly Row[] {
  return drawWaiting(`${columns} x ${rows}: ${LEAST.columns} x ${LEAST.rows} wanted`, columns, rows);
}

function title({ power, startedAt, now }: Picture, columns: number): Row {
  const left = [span("bold", " carpio"), span("plain", `  two boards share ${ADDRESSES.join(" and ")}`)];
  return apart(left, plain(`${power}  ${clock(now - startedAt)} `), columns);
}

function box(board: BoardView, picture: Picture, cells: number, logRows: number): readonly Row[] {
  const { name } = board;
  const chosen = picture.chosen === name;
  const [h, v, tl, tr, bl, br, ml, mr, plug] = chosen ? [..."━┃┏┓┗┛┠┨┯"] : [..."─│┌┐└┘├┤┬"];
  const inside = cells - 4;
  const line = (row: Row): Row => [span(name, `${v} `), ...fit(row, inside), span(name, ` ${v}`)];
  const head = ` ${name === "left" ? 1 : 2} ${name} `;
  const address = ` ${board.address} `;
  const top: Row = [
    span(name, `${tl}${h}`),
    span(chosen ? "key" : "bold", head),
    span(name, `${h?.repeat(cells - 4 - head.length - address.length)}`),
    span("plain", address),
    span(name, `${h}${tr}`),
  ];
  const beside = Math.floor(cells / 2) - 1;
  const bottom = `${bl}${h?.repeat(beside)}${plug}${h?.repeat(cells - 3 - beside)}${br}`;
  return [
    top,
    ...facts(board, picture, inside).map(line),
    [span(name, `${ml}${"─".repeat(cells - 2)}${mr}`)],
    ...log(picture.notes, name, picture.startedAt, inside, logRows).map(line),
    [span(name, bottom)],
  ];
}

/** Six rows that say how the board is. */
function facts(board: BoardView, { now }: Picture, cells: number): readonly Row[] {
  const { ink, word, why, since } = condition(board, now);
  const role = [span(ink, word)];
  const holds = board.holds.length > 0 ? board.holds.join("  ") : "nothing";
  return [
    since === undefined ? role : apart(role, plain(`for ${duration(Math.max(now - since, 0))}`), cells),
    plain(why),
    [span("dim", "holds "), span(board.holds.length > 0 ? "bold" : "plain", holds)],
    advertisements(board),
    lamps(board, now, cells),
    [span(SIGHT_INK[board.panel.sight] ?? "plain", wordsFor(board.panel.sight))],
  ];
}

interface Condition {
  readonly ink: Ink;
  readonly word: string;
  readonly why: string;
  readonly since: Moment | undefined;
}

/** What the daemon says of itself, or why it does not. */
function condition({ daemon, status, handedOver }: BoardView, now: Moment): Condition {
  if (daemon.is === "gone") {
    return { ink: "bad", word: "NO DAEMON", why: daemon.why, since: daemon.since };
  }
  if (daemon.is === "off") {
    return { ink: "bold", word: "SWITCHED OFF", why: "by its button", since: daemon.since };
  }
  const carp = status?.snapshot.carp[0];
  if (daemon.is === "frozen") {
    const why = `hangs; it was ${carp?.role ?? "starting"}`;
    return { ink: "warning", word: "FROZEN", why, since: daemon.since };
  }
  if (!status || !carp) {
    return { ink: "warning", word: "STARTING", why: "", since: daemon.since };
  }
  const why = handedOver && carp.role === "backup" ? `${carp.why} (handed over)` : carp.why;
  const since = Date.parse(carp.since);
  if (now - status.at > FRESH_MS) {
    const silent = `no answer for ${duration(now - status.at)}; was ${carp.role}`;
    return { ink: "warning", word: "SILENT", why: silent, since: undefined };
  }
  if (carp.role === "master") return { ink: "good", word: "MASTER", why, since };
  return {
    ink: carp.role === "backup" ? "plain" : "warning",
    word: carp.role.toUpperCase(),
    why,
    since,
  };
}

function advertisements({ status, daemon, pluggedIn }: BoardView): Row {
  if (!pluggedIn) return [span("dim", "cable "), span("bad", "cut")];
  const carp = status?.snapshot.carp[0];
  if (!carp || daemon.is !== "running" || carp.role === "init") return [];
  if (carp.role === "master") {
    const says = `${carp.advbase}/${carp.advertisedAdvskew}, ${count(carp.counters.sent)} sent so far`;
    return [span("dim", "sends "), span("plain", says)];
  }
  const { master } = carp;
  const hears = master
    ? `${master.address} ${master.advbase}/${master.advskew} ${master.heardSecondsAgo.toFixed(1)} s ago`
    : "nobody";
  return [span("dim", "hears "), span("plain", hears)];
}

/** As on the case, and the button under or without a finger. */
function lamps({ panel }: BoardView, now: Moment, cells: number): Row {
  const row = LAMPS.flatMap(({ name, colour, ink }) => [
    isOn(panel, name, now) ? span(ink, `● ${colour}`) : span("dim", `○ ${colour}`),
    span("plain", "  "),
  ]);
  const button = panel.pressed ? [span("key", "[▼]")] : [span("plain", "[ ]")];
  return apart(row, [span("dim", "button "), ...button], cells);
}

/** The newest lines that fit, the newest last. */
function log(
  notes: readonly Note[],
  name: BoardName,
  startedAt: Moment,
  cells: number,
  rows: number,
): readonly Row[] {
  const lines: Row[] = [];
  for (const { who, kind, at, text } of notes.toReversed()) {
    if (lines.length >= rows) break;
    if (who !== name || (kind !== "log" && kind !== "supervisor")) continue;
    const stamp = `${seconds(at - startedAt)} `;
    const ink: Ink = kind === "supervisor" || text.startsWith("warning") ? "warning" : "plain";
    const [first = "", ...others] = wrap(text.replace("->", "→"), cells - stamp.length, "  ");
    const indent = " ".repeat(stamp.length);
    const wrapped = [
      [span("dim", stamp), span(ink, first)],
      ...others.map((line) => [span(ink, indent + line)]),
    ];
    lines.unshift(...wrapped);
  }
  const kept = lines.slice(-rows);
  return [...kept, ...Array.from({ length: rows - kept.length }, () => [])];
}

/** The cables of both boards, the switch, and the client. */
function cables({ boards, serving }: Picture, half: number, columns: number): Row {
  const [left, right] = boards;
  const leftAt = Math.floor(half / 2);
  const rightAt = half + Math.floor((columns - half) / 2);
  const joint = ({ pluggedIn, name }: BoardView, whole: string): Span =>
    pluggedIn ? span(serving.includes(name) ? "good" : "plain", whole) : span("bad", "╳");
  const sign = " switch ";
  const between = rightAt - leftAt - 1;
  const before = Math.floor((between - sign.length) / 2);
  const run = (board: BoardView, cells: number): Span =>
    span(serving.includes(board.name) ? "good" : "dim", (board.pluggedIn ? "─" : "╌").repeat(cells));
  return [
    span("plain", " ".repeat(leftAt)),
    joint(left, "└"),
    run(left, before),
    span("plain", sign),
    run(right, between - before - sign.length),
    joint(right, "┴"),
    span("plain", "── client"),
  ];
}

function clientRows({ client, control, serving }: Picture, columns: number): readonly Row[] {
  if (!client || !control)
    return [[span("bold", " client  "), span("plain", "begins when a board serves")], []];
  const now: Span =
    client.silenceMs > ANSWERING_MS
      ? span("bad", `no answer for ${duration(client.silenceMs)} `)
      : span("good", `answered by ${serving.join(" and ") || "nobody known"} `);
  const lost = span(client.lost > 0 ? "bad" : "good", `lost ${count(client.lost)}`);
  const longest = client.longestOutageMs > 0 ? duration(client.longestOutageMs) : "none";
  return [
    apart(
      [
        span("bold", " client  "),
        lost,
        span("plain", ` of ${count(client.sent)}, longest outage ${longest}`),
      ],
      [now],
      columns,
    ),
    apart(
      [span("bold", " control "), span("plain", `lost ${count(control.lost)}: a host that nobody touches`)],
      [span("dim", "both asked 1,000 times a second ")],
      columns,
    ),
  ];
}

/** One column a second: who served, and which part of the packets was lost. */
function strips({ past }: Picture, columns: number): readonly Row[] {
  const label = width(plain(" control "));
  const shown = past.slice(-(columns - label - 1));
  const served = shown.map(({ serving }): Span => {
    const [one, other] = serving;
    if (one === undefined) return span("bad", "·");
    return other === undefined ? span(one, one.slice(0, 1)) : span("warning", "2");
  });
  const losses = shown.map(({ sent, lost }): Span => {
    const part = Math.min(lost / Math.max(sent, 1), 1);
    return lost === 0 ? span("dim", "▁") : span("bad", HEIGHTS[Math.min(Math.ceil(part * 8), 7)] ?? "█");
  });
  return [
    [span("dim", " served  "), ...joined(served)],
    [span("dim", " lost    "), ...joined(losses)],
  ];
}

function rule(text: string, columns: number): Row {
  return [span("dim", `─ ${text} ${"─".repeat(columns - text.length - 3)}`)];
}

function events({ notes, startedAt }: Picture, columns: number, rows: number): readonly Row[] {
  const shown = notes.filter(({ kind }) => kind === "deed" || kind === "outcome").slice(-rows);
  const lines = shown.map(({ at, who, kind, text }): Row => {
    const whose: Ink = who === "client" ? "bold" : who;
    const words = span(kind === "outcome" ? "bold" : "plain", text);
    return fit([span("dim", ` ${seconds(at - startedAt)}  `), span(whose, who.padEnd(8)), words], columns);
  });
  return [...lines, ...Array.from({ length: rows - lines.length }, () => [])];
}

function legend(): readonly Row[] {
  const entry = (keys: readonly string[], does: string): Row => [
    ...keys.map((key) => span("key", key === " " ? " space " : ` ${key} `)),
    span("plain", ` ${does}  `),
  ];
  const deeds = Object.entries(DEEDS).map(([key, does]) => entry([key], does));
  const lines = [
    [entry(["1", "2"], "board"), ...deeds.slice(0, 3), entry(["q"], "quit")],
    [...deeds.slice(3), entry(["z"], "zero")],
  ];
  return lines.map((line) => [span("plain", " "), ...line.flat()]);
}

/** Neighbours of one ink become one span: less for the terminal to read. */
function joined(spans: readonly Span[]): Row {
  const result: Span[] = [];
  for (const next of spans) {
    const last = result.at(-1);
    if (last?.ink === next.ink) result.splice(-1, 1, span(last.ink, last.text + next.text));
    else result.push(next);
  }
  return result;
}

function seconds(ms: number): string {
  return (Math.max(ms, 0) / 1000).toFixed(1).padStart(5);
}

function clock(ms: number): string {
  const whole = Math.floor(ms / 1000);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
