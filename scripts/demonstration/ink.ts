/**
 * Rows of text with ink, before they become what a terminal understands. Every
 * character here is one cell wide.
 */
export type Ink = "plain" | "bold" | "dim" | "good" | "warning" | "bad" | "left" | "right" | "key";

export interface Span {
  readonly ink: Ink;
  readonly text: string;
}

export type Row = readonly Span[];

const ESCAPE = "\x1b[";
/** In ECMA-48's numbers (SGR). Without colours what matters is still bold or reversed. */
const COLOURED: { readonly [I in Ink]: string } = {
  plain: "",
  bold: "1",
  dim: "2",
  good: "1;32",
  warning: "33",
  bad: "1;31",
  left: "36",
  right: "35",
  key: "7",
};
const COLOURLESS: { readonly [I in Ink]: string } = {
  ...COLOURED,
  good: "1",
  warning: "1",
  bad: "7",
  left: "",
  right: "",
};

export function span(ink: Ink, text: string): Span {
  return { ink, text };
}

export function plain(text: string): Row {
  return [span("plain", text)];
}

export function width(row: Row): number {
  return row.reduce((sum, { text }) => sum + [...text].length, 0);
}

/** Exactly so many cells: cut, with an ellipsis, or filled up. */
export function fit(row: Row, cells: number): Row {
  const missing = cells - width(row);
  if (missing > 0) return [...row, span("plain", " ".repeat(missing))];
  if (missing === 0) return row;
  const kept: Span[] = [];
  let room = Math.max(cells - 1, 0);
  for (const { ink, text } of row) {
    const part = [...text].slice(0, room).join("");
    if (part) kept.push(span(ink, part));
    room -= [...part].length;
  }
  return cells > 0 ? [...kept, span("dim", "…")] : kept;
}

/** The first row to the left, the second to the right, in so many cells. */
export function apart(left: Row, right: Row, cells: number): Row {
  return [...fit(left, Math.max(cells - width(right), 0)), ...right];
}

/** Breaks a text at its spaces; what follows the first line is indented. */
export function wrap(text: string, cells: number, indent: string): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" || line === indent ? line + word : `${line} ${word}`;
    if (longer.length > cells && line.trim() !== "") {
      lines.push(line);
      line = indent + word;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}

export function inked(row: Row, colours: boolean): string {
  const codes = colours ? COLOURED : COLOURLESS;
  return row
    .map(({ ink, text }) => (codes[ink] === "" ? text : `${ESCAPE}${codes[ink]}m${text}${ESCAPE}0m`))
    .join("");
}
