/**
 * The snapshot over HTTP. Bounded in time and size, so that a slow or rude
 * client costs the protocol nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Snapshot } from "./snapshot.js";

export interface Listen {
  readonly host: string;
  readonly port: number;
}

type TakeSnapshot = () => Snapshot | Promise<Snapshot>;

export interface StatusServer {
  /** The port in use, for a configuration that asked for any. */
  readonly port: number;
  close(): void;
}

const REQUEST_MS = 5_000;
const HEADER_BYTES = 8 << 10;
const CONNECTIONS = 256;
const AGAIN_MS = 500;
const AGAIN_AT_MOST_MS = 30_000;
/** Hundreds of groups take milliseconds to render, and the protocol waits for them. */
const RENDER_EVERY_MS = 100;

/**
 * Keeps a server until it is closed. Its port may be taken now, its address may
 * come later by DHCP: `onProblem` hears what the system says, and `undefined` when all is well.
 */
export function keepStatusServer(
  listen: Listen,
  snapshot: TakeSnapshot,
  onProblem: (said: string | undefined) => void,
): { close(): void } {
  let server: StatusServer | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const open = async (againMs: number): Promise<void> => {
    const opened = await openStatusServer(listen, snapshot).catch((error: Error) => error);
    if (closed) {
      if (!(opened instanceof Error)) opened.close();
      return;
    }
    if (opened instanceof Error) timer = setTimeout(open, againMs, Math.min(2 * againMs, AGAIN_AT_MOST_MS));
    else server = opened;
    onProblem(opened instanceof Error ? opened.message : undefined);
  };
  open(AGAIN_MS);
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      server?.close();
    },
  };
}

/** Starts to listen. Rejects with what the system said, such as an address in use. */
export function openStatusServer(listen: Listen, snapshot: TakeSnapshot): Promise<StatusServer> {
  const render = createRenderer(snapshot);
  const server = createServer(
    { requestTimeout: REQUEST_MS, maxHeaderSize: HEADER_BYTES },
    (request, response) => {
      answer(request, response, render).catch(() => response.destroy());
    },
  );
  server.headersTimeout = REQUEST_MS;
  server.timeout = REQUEST_MS;
  server.maxConnections = CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, () => {
      server.on("error", () => {});
      resolve({ port: portOf(server), close: () => closeAll(server) });
    });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  render: () => Promise<string>,
): Promise<void> {
  const [path] = (request.url ?? "").split("?");
  request.resume();
  if (path !== "/status") return sendError(response, 404, `there is no ${path}; try /status`);
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return sendError(response, 405, `${path} answers GET, not ${request.method}`);
  }
  sendJson(response, 200, await render());
}

/**
 * The snapshot as text. However many ask, it is made ten times a second at most:
 * whoever asks soon after another waits for the next, with all others who do,
 * so that no answer is older than its question.
 */
function createRenderer(snapshot: TakeSnapshot): () => Promise<string> {
  let next: Promise<string> | undefined;
  let renderedAt = Number.NEGATIVE_INFINITY;

  const render = async (): Promise<string> => {
    const waitMs = Math.max(0, renderedAt + RENDER_EVERY_MS - performance.now());
    await sleep(waitMs, undefined, { ref: false });
    next = undefined;
    renderedAt = performance.now();
    return JSON.stringify(await snapshot());
  };
  return () => {
    next ??= render();
    return next;
  };
}

function sendError(response: ServerResponse, status: number, error: string): void {
  sendJson(response, status, JSON.stringify({ error }));
}

function sendJson(response: ServerResponse, status: number, json: string): void {
  const text = `${json}\n`;
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  response.end(text);
}

function closeAll(server: Server): void {
  server.close();
  server.closeAllConnections();
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}
