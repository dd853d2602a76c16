/**
 * Keeps the page live. Events say at once that something has changed; a question
 * every two seconds says what changes all the time, and that the board is still
 * there. When it is not the page says so, and no longer looks well.
 */
import type { Snapshot } from "../../status/snapshot.js";
import { pageBody } from "../body.js";
import { headline } from "../headline.js";
import { moment } from "../moments.js";
import { readyToAsk } from "./ask.js";
import { element } from "./element.js";
import { morph } from "./morph.js";

const ASK_EVERY_MS = 2_000;
const ANSWER_WITHIN_MS = 4_000;
const SILENT_AFTER_MS = 5_000;
const LOOK_EVERY_MS = 500;

const LAMP_COLOURS: { readonly [R in Snapshot["role"]]: string } = {
  master: "2e9e5b",
  mixed: "2e9e5b",
  backup: "8a949e",
  init: "8a949e",
};

const board = element("board");
const answering = element("answering");
const ask = readyToAsk();
let events: EventSource | undefined;
let version: string | undefined;
let answeredAt = performance.now();
let answeredDate = new Date();
/** Counts the snapshots, so that an answer which was overtaken is not shown. */
let shows = 0;

function show(shown: Snapshot): void {
  shows++;
  answeredAt = performance.now();
  answeredDate = new Date();
  // Another program answers now, and what it says may be for another page.
  if (version !== undefined && version !== shown.version) location.reload();
  version = shown.version;
  const fresh = document.createElement("main");
  fresh.id = board.id;
  fresh.innerHTML = pageBody(shown, "local").text;
  morph(board, fresh);
  ask.show(shown);
  [document.title = shown.name] = headline(shown);
  colourIcon(shown);
  look();
}

function colourIcon({ role, diagnosis }: Snapshot): void {
  const colour = diagnosis.broken !== null ? "d33a2c" : LAMP_COLOURS[role];
  const icon = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='6' fill='%23${colour}'/></svg>`;
  const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  const href = `data:image/svg+xml,${icon}`;
  if (link && link.getAttribute("href") !== href) link.href = href;
}

/** Whether somebody still answers. */
function look(): void {
  // Nobody is asked while nobody looks.
  if (document.hidden) return;
  const isSilent = performance.now() - answeredAt > SILENT_AFTER_MS;
  const since = moment(answeredDate.toISOString(), new Date().toISOString(), "local");
  const says = isSilent ? `No answer since ${since}. What stands below was so then.` : "Live";
  if (answering.textContent !== says) answering.textContent = says;
  document.body.className = isSilent ? "live silent" : "live";
}

async function question(): Promise<void> {
  const before = shows;
  try {
    const answer = await fetch("/status", {
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      cache: "no-store",
    });
    const shown = (await answer.json()) as Snapshot;
    if (answer.ok && before === shows) show(shown);
  } catch {
    // `look` says so when it lasts.
  }
}

/** A page that nobody sees asks nothing: a browser has few connections, and a board many who look. */
function attend(): void {
  if (document.hidden) {
    events?.close();
    events = undefined;
  } else if (!events) {
    events = new EventSource("/events");
    events.onmessage = ({ data }) => show(JSON.parse(data));
  }
}

async function keepAsking(): Promise<void> {
  if (!document.hidden) {
    await question();
    // A browser gives up where the answer was no stream, as from a board that restarts.
    if (events?.readyState === EventSource.CLOSED) {
      events = undefined;
      attend();
    }
  }
  setTimeout(keepAsking, ASK_EVERY_MS);
}

document.addEventListener("visibilitychange", () => {
  attend();
  if (document.hidden) return;
  answeredAt = performance.now();
  void question();
});
setInterval(look, LOOK_EVERY_MS);
look();
attend();
void keepAsking();
