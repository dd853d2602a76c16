/**
 * `carpio status --watch`: a board asked every second until somebody ends it.
 * In place on a terminal; elsewhere a table whenever something has changed. A
 * board that goes away is waited for.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { askBoard, type BoardUrl, span, statusTable, tame } from "./operate.js";
import type { Snapshot } from "./status/snapshot.js";

/** Where it is shown. */
export interface Screen {
  write(text: string): void;
  /** `undefined` when it is no terminal. */
  size(): { readonly columns: number; readonly rows: number } | undefined;
}

export interface WatchOptions {
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly everyMs?: number;
}

/** What was heard last, and since when there is no answer. */
interface View {
  readonly snapshot: Snapshot | undefined;
  readonly silence: { readonly since: Date; readonly why: string } | undefined;
}

const EVERY_MS = 1_000;
const OTHER_SCREEN = "\x1b[?1049h\x1b[?25l";
const USUAL_SCREEN = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const REST_OF_LINE = "\x1b[K";
const REST_OF_SCREEN = "\x1b[J";

export async function watchStatus(board: BoardUrl, { screen, signal, everyMs = EVERY_MS }: WatchOptions) {
  let view: View = { snapshot: undefined, silence: undefined };
  let shown = "";
  const isTerminal = screen.size() !== undefined;
  const ended = once(signal, "abort").then(() => undefined);
  if (isTerminal) screen.write(OTHER_SCREEN);
  try {
    while (!signal.aborted) {
      const reply = await Promise.race([askBoard(board), ended]);
      if (!reply) break;
      const since = view.silence?.since ?? new Date();
      view = reply.ok
        ? { snapshot: reply.body, silence: undefined }
        : { snapshot: view.snapshot, silence: { since, why: reply.why } };
      const size = screen.size();
      const standing = standingOf(view);
      if (size) screen.write(fitted(viewText(board, view, new Date()), size));
      else if (standing !== shown) screen.write(changeText(board, view, new Date()));
      shown = standing;
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  } finally {
    // Whatever ended it: without its cursor a terminal is of no more use.
    if (isTerminal) screen.write(USUAL_SCREEN);
  }
  if (isTerminal) screen.write(viewText(board, view, new Date()));
}

/** All but what passes by itself: two that are equal show the same board. */
function standingOf({ snapshot, silence }: View): string {
  if (silence) return `no answer since ${silence.since.toISOString()}`;
  if (!snapshot) return "";
  const { name, version, role, maintenance, demotion, faults } = snapshot;
  const carp = snapshot.carp.map(({ vhid, interface: on, role: now, since, why, addresses, master }) => {
    return [vhid, on, now, since, why, addresses, master?.address];
  });
  const wrong = snapshot.diagnosis?.checks.filter(({ state }) => state === "broken").map(({ says }) => says);
  return JSON.stringify([name, version, role, maintenance, demotion, wrong ?? faults, carp]);
}

/** What was so last is shown below what is known of it now. */
function viewText(board: BoardUrl, { snapshot, silence }: View, now: Date): string {
  const table = snapshot ? statusTable(snapshot, now) : "";
  if (!silence) return table;
  const age = snapshot ? `what follows is ${span(silence.since.toISOString(), now)} old\n` : "";
  return `${silenceText(board, silence)}\n${age}${table}`;
}

function changeText(board: BoardUrl, view: View, now: Date): string {
  const { silence, snapshot } = view;
  if (silence) return `${silenceText(board, silence)}\n`;
  return snapshot ? `${now.toISOString()}\n${statusTable(snapshot, now)}\n` : "";
}

function silenceText({ name }: BoardUrl, { since, why }: NonNullable<View["silence"]>): string {
  return `${name}: no answer since ${since.toISOString()} (${tame(why)})`;
}

/** Written over what was there, so that nothing flickers; the last line stays free for the cursor. */
function fitted(
  text: string,
  { columns, rows }: { readonly columns: number; readonly rows: number },
): string {
  const lines = text.split("\n").slice(0, Math.max(1, rows - 1));
  const cut = lines.map((line) => `${[...line].slice(0, columns).join("")}${REST_OF_LINE}`);
  return `${HOME}${cut.join("\r\n")}${REST_OF_SCREEN}`;
}
