/**
 * The snapshot over HTTP. Bounded in time and size, so that a slow or rude
 * client costs the protocol nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { refuse } from "./permission.js";
import type { MaintenanceSnapshot, Snapshot } from "./snapshot.js";

export interface Listen {
  readonly host: string;
  readonly port: number;
}

type TakeSnapshot = () => Snapshot | Promise<Snapshot>;

/** What is asked of a board. */
export interface Board {
  readonly snapshot: TakeSnapshot;
  /** Resolves when it is known what came of it. */
  readonly setMaintenance: (on: boolean, forSeconds: number | undefined) => Promise<MaintenanceSnapshot>;
  /** Whoever has it may change something from another host. */
  readonly token: () => string | undefined;
  /** What the board is called, beside its addresses. */
  readonly names: () => readonly string[];
}

export interface StatusServer {
  /** The port in use, for a configuration that asked for any. */
  readonly port: number;
  close(): void;
}

const REQUEST_MS = 5_000;
const HEADER_BYTES = 8 << 10;
const CONNECTIONS = 256;
const BODY_BYTES = 4 << 10;
/** A week. */
export const LONGEST_MAINTENANCE_SECONDS = 604_800;
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
  board: Board,
  onProblem: (said: string | undefined) => void,
): { close(): void } {
  let server: StatusServer | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const open = async (againMs: number): Promise<void> => {
    const opened = await openStatusServer(listen, board).catch((error: Error) => error);
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
export function openStatusServer(listen: Listen, board: Board): Promise<StatusServer> {
  const render = createRenderer(board.snapshot);
  const server = createServer(
    { requestTimeout: REQUEST_MS, maxHeaderSize: HEADER_BYTES },
    (request, response) => {
      answer(request, response, board, render).catch(() => response.destroy());
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
  board: Board,
  render: () => Promise<string>,
): Promise<void> {
  const [path = ""] = (request.url ?? "").split("?");
  const methods = Object.hasOwn(PATHS, path) ? PATHS[path] : undefined;
  const { method = "" } = request;
  if (!methods?.includes(method)) request.resume();
  if (!methods) return sendError(response, 404, `there is no ${path}; try /status`);
  if (!methods.includes(method)) {
    response.setHeader("allow", methods.join(", "));
    return sendError(response, 405, `${path} answers ${methods[0]}, not ${method}`);
  }
  if (path === "/maintenance") return answerMaintenance(request, response, board);
  request.resume();
  sendJson(response, 200, await render());
}

const PATHS: { readonly [path: string]: readonly string[] } = {
  "/status": ["GET", "HEAD"],
  "/maintenance": ["POST"],
};

async function answerMaintenance(
  request: IncomingMessage,
  response: ServerResponse,
  board: Board,
): Promise<void> {
  const { remoteAddress, localAddress } = request.socket;
  const { host, origin, authorization, "content-type": contentType } = request.headers;
  const petition = { remoteAddress, localAddress, host, origin, authorization, contentType };
  const refusal = refuse(petition, board.token(), board.names());
  // What is not read is still on its way, and would be taken for another request.
  if (refusal) response.setHeader("connection", "close");
  if (refusal) return sendError(response, refusal.status, refusal.error);

  const body = await readBody(request);
  if (body === undefined) {
    response.setHeader("connection", "close");
    return sendError(response, 413, `found more than ${BODY_BYTES} bytes, wanted at most that`);
  }
  const wish = readWish(body);
  if (typeof wish === "string") return sendError(response, 400, wish);
  sendJson(response, 200, JSON.stringify(await board.setMaintenance(wish.on, wish.forSeconds)));
}

/** `undefined` when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function readWish(body: string): { readonly on: boolean; readonly forSeconds: number | undefined } | string {
  const wanted = 'wanted JSON such as {"on":true,"forSeconds":7200}';
  let wish: { on?: unknown; forSeconds?: unknown };
  try {
    wish = JSON.parse(body);
  } catch {
    return `found no JSON, ${wanted}`;
  }
  const { on, forSeconds, ...others } = wish ?? {};
  const [other] = Object.keys(others);
  if (other !== undefined) return `${other}: found a key that means nothing here, ${wanted}`;
  if (typeof on !== "boolean") return `on: found ${JSON.stringify(on) ?? "nothing"}, wanted true or false`;
  if (forSeconds === undefined || forSeconds === null) return { on, forSeconds: undefined };
  const whole = Number.isInteger(forSeconds) && Number(forSeconds) >= 1;
  if (!whole || Number(forSeconds) > LONGEST_MAINTENANCE_SECONDS) {
    const range = `a whole number from 1 to ${LONGEST_MAINTENANCE_SECONDS}`;
    return `forSeconds: found ${JSON.stringify(forSeconds)}, wanted ${range}`;
  }
  return { on, forSeconds: Number(forSeconds) };
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
