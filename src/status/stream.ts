/**
 * `GET /events`: snapshots as server-sent events, for as many as watch. One at
 * once, one soon after each change that is worth showing, and one now and then
 * for what changes all the time.
 *
 * What is sent is made once and shared. It is handed out in portions, so that
 * many who watch do not keep the protocol waiting; and whoever does not read is
 * let go before what waits for it adds up.
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { jsonLine } from "./route.js";
import type { Snapshot } from "./snapshot.js";
import type { Turns } from "./turns.js";
import type { View, Views } from "./view.js";

export interface Stream {
  /** One more that watches, until it goes; its headers are set. */
  add(response: ServerResponse): void;
  /** Something may look different now. */
  changed(): void;
  close(): void;
}

/** Many things change together, and eyes are slow. */
const SOON_MS = 50;
/** A snapshot for counters and times. */
const HEARTBEAT_MS = 10_000;
/** Whoever is in between, such as a proxy, hangs up on who is silent. */
const COMMENT_MS = 2_000;
/** For one who watches and does not read. */
const MOST_WAITING_BYTES = 1 << 20;
const COMMENT = ":\n\n";
/** How long a browser waits before it comes again. */
const GREETING = "retry: 2000\n\n";

/** What changes all the time is no news. */
const RESTLESS: readonly string[] = [
  "at",
  "uptimeSeconds",
  "askedSecondsAgo",
  "heardSecondsAgo",
  "counters",
  "dropped",
  "prefilter",
];

export function createStream(views: Views, turns: Turns): Stream {
  const watchers = new Map<Socket, ServerResponse>();
  let timers: readonly NodeJS.Timeout[] = [];
  let looking: NodeJS.Timeout | undefined;
  /** What the watchers know. */
  let shown: Buffer | undefined;

  const write = (watcher: ServerResponse, bytes: Buffer | string): void => {
    if (watcher.writableLength > MOST_WAITING_BYTES) watcher.req.socket.destroy();
    else if (!watcher.destroyed) watcher.write(bytes);
  };

  const writeAll = (bytes: Buffer | string): void => {
    for (const watcher of watchers.values()) turns.next().then(() => write(watcher, bytes));
  };

  const welcome = async (watcher: ServerResponse): Promise<void> => {
    const view = await views.next();
    await turns.next();
    write(watcher, view.text(eventOf));
  };

  const show = async (isNews: (view: View) => boolean): Promise<void> => {
    const view = await views.next().catch(() => undefined);
    if (!view || !isNews(view)) return;
    shown = view.text(newsOf);
    writeAll(view.text(eventOf));
  };

  const look = (): void => {
    looking = undefined;
    if (watchers.size > 0) void show((view) => !shown?.equals(view.text(newsOf)));
  };

  const begin = (): void => {
    const beat = setInterval(() => void show(() => true), HEARTBEAT_MS);
    const comment = setInterval(() => writeAll(COMMENT), COMMENT_MS);
    timers = [beat.unref(), comment.unref()];
  };

  const end = (): void => {
    for (const timer of timers) clearInterval(timer);
    clearTimeout(looking);
    looking = undefined;
    shown = undefined;
    timers = [];
  };

  return {
    add(response) {
      const { socket } = response.req;
      // Behind another stream, which has no end, nobody would ever hear it.
      if (socket.destroyed || watchers.has(socket)) return;
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(GREETING);
      if (watchers.size === 0) begin();
      watchers.set(socket, response);
      // Not the response: one that waits for its turn is not told that the connection has gone.
      socket.once("close", () => {
        watchers.delete(socket);
        if (watchers.size === 0) end();
      });
      welcome(response).catch(() => socket.destroy());
    },
    changed() {
      if (watchers.size > 0) looking ??= setTimeout(look, SOON_MS).unref();
    },
    close: end,
  };
}

function eventOf(snapshot: Snapshot): string {
  return `data: ${jsonLine(snapshot)}\n`;
}

function newsOf(snapshot: Snapshot): string {
  return JSON.stringify(snapshot, (key, value) => (RESTLESS.includes(key) ? undefined : value));
}
