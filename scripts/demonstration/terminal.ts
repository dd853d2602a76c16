/**
 * The terminal: the other screen, keys as they are pressed, rows where they
 * changed. Whatever ends the program, `close` puts back what was there.
 */
import { writeSync } from "node:fs";
import { inked, type Row } from "./ink.js";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const ESCAPE = "\x1b";
/** The alternate screen; no cursor; no wrapping in the last column (xterm's and the Linux console's private modes). */
const ENTER = `${ESCAPE}[?1049h${ESCAPE}[?25l${ESCAPE}[?7l`;
const LEAVE = `${ESCAPE}[0m${ESCAPE}[?7h${ESCAPE}[?25h${ESCAPE}[?1049l`;
const CLEAR = `${ESCAPE}[2J`;
const KEY = new RegExp(`${ESCAPE}(?:\\[[0-9;]*[A-Za-z~]|O[A-Z])|.`, "gsu");

/** Whether both ends are a terminal that can move its cursor. */
export function hasTerminal(): boolean {
  return Boolean(process.stdin.isTTY && process.stdout.isTTY) && process.env["TERM"] !== "dumb";
}

export class Terminal implements Disposable {
  readonly #colours = process.stdout.getColorDepth() > 1;
  /** What is on the screen. */
  #lines: string[] = [];
  #open = true;

  constructor() {
    process.on("exit", () => this.close());
    process.stdin.setRawMode(true).setEncoding("utf8").resume();
    process.stdout.write(ENTER + CLEAR);
  }

  get size(): Size {
    return { columns: process.stdout.columns, rows: process.stdout.rows };
  }

  /** `onGone`: there will be no more keys. */
  listen(onKey: (key: string) => void, onResize: () => void, onGone: () => void): void {
    process.stdin.on("data", (text: string) => {
      for (const [key] of text.matchAll(KEY)) onKey(key);
    });
    process.stdin.on("end", onGone).on("error", onGone);
    process.stdout.on("resize", () => {
      this.#lines = [];
      onResize();
    });
  }

  /** Rows as wide as the screen. Writes at once, and only what is not there already: nothing flickers. */
  draw(rows: readonly Row[]): void {
    if (!this.#open) return;
    const lines = rows.map((row) => inked(row, this.#colours));
    const clear = this.#lines.length === 0 ? CLEAR : "";
    const changes = lines
      .map((line, index) => (line === this.#lines[index] ? "" : `${ESCAPE}[${index + 1};1H${line}`))
      .join("");
    this.#lines = lines;
    if (changes) process.stdout.write(clear + changes);
  }

  /** At once, because it may be the last thing the program does. Harmless when done already. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      process.stdin.setRawMode(false).pause();
      writeSync(process.stdout.fd, LEAVE);
    } catch {
      // The terminal went first, and there is nothing to put back.
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
