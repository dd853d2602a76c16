/**
 * One request and its answer: which route it is for, whether whoever asks may,
 * and what goes back. What the answers say is for the routes.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Board } from "./board-asked.js";
import type { Inflow } from "./inflow.js";
import { showLog } from "./log.js";
import { type Petition, type Refusal, refuse, refuseReader } from "./permission.js";
import { type Answer, jsonError, methodsOf, type Route, type Wish } from "./route.js";
import { findRoute, routes } from "./routes.js";
import type { Stream } from "./stream.js";
import type { Turns } from "./turns.js";
import { refuseUpdate, showUpdate, takeUpdate, UPDATE_SILENCE_MS } from "./update.js";
import type { Views } from "./view.js";

/** What all exchanges of a server share. */
export interface Shared {
  readonly board: Board;
  readonly views: Views;
  readonly stream: Stream;
  readonly turns: Turns;
  readonly inflow: Inflow;
}

/** A request is small, and a client that has one has it at hand. */
export const REQUEST_MS = 5_000;

const MOST_BODY_BYTES = 4 << 10;
/** What is so now may be otherwise a moment later; and no page from elsewhere has any use for it. */
const ALWAYS = [
  ["cache-control", "no-store"],
  ["x-content-type-options", "nosniff"],
  ["cross-origin-resource-policy", "same-origin"],
] as const;

export async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  shared: Shared,
): Promise<void> {
  const { method = "", url = "" } = request;
  for (const [name, value] of ALWAYS) response.setHeader(name, value);
  const [path = "", query = ""] = url.split("?", 2);
  const route = findRoute(path);
  if (!route) return refuseAs(response, jsonError(404, `there is no ${path}; try ${known()}`));
  const methods = methodsOf(route);
  response.setHeader("allow", [...methods, "OPTIONS"].join(", "));
  if (method === "OPTIONS") return void response.writeHead(204).end();
  if (!methods.includes(method)) {
    return refuseAs(response, jsonError(405, `${path} answers ${methods.join(" and ")}, not ${method}`));
  }
  response.removeHeader("allow");
  const refusal = refusalOf(request, route, shared.board);
  if (refusal) return refuseAs(response, jsonError(refusal.status, refusal.error));

  if ("takes" in route && method === "POST") return take(request, response, shared);
  const late = setTimeout(() => request.destroy(), REQUEST_MS);
  request.once("close", () => clearTimeout(late));
  if ("changes" in route) return change(request, response, route.changes, shared.board);
  request.resume();
  if ("takes" in route) return send(response, showUpdate(shared.board.updates));
  if ("shows" in route) return send(response, await showLog(shared.board.readLog));
  if ("streams" in route) return shared.stream.add(response);
  const view = await shared.views.next();
  await shared.turns.next();
  send(response, route.reads(view, { query: new URLSearchParams(query), headers: request.headers }));
}

function refusalOf(request: IncomingMessage, route: Route, board: Board): Refusal | undefined {
  const { remoteAddress, localAddress } = request.socket;
  const { host, origin, authorization, "content-type": contentType } = request.headers;
  const petition: Petition = { remoteAddress, localAddress, host, origin, authorization, contentType };
  if ("changes" in route) return refuse(petition, board.token(), board.names());
  if ("shows" in route) return refuse(petition, board.token(), board.names(), "no body");
  if ("takes" in route && request.method === "POST") {
    return refuse(petition, board.token(), board.names(), "application/octet-stream");
  }
  return refuseReader(petition, board.token(), board.names());
}

/** Long, and at the pace of the card: the only body that is not read at once. */
async function take(request: IncomingMessage, response: ServerResponse, shared: Shared): Promise<void> {
  const { updates } = shared.board;
  const refused = refuseUpdate(request, updates);
  if (refused || !updates) return refuseAs(response, refused ?? showUpdate(updates));
  const { socket } = request;
  shared.inflow.open(socket);
  socket.setTimeout(UPDATE_SILENCE_MS);
  response.setHeader("connection", "close");
  welcome(request, response);
  send(response, await takeUpdate(request, updates));
}

/** Some clients ask before they send much. */
function welcome({ headers }: IncomingMessage, response: ServerResponse): void {
  if (headers.expect !== undefined) response.writeContinue();
}

async function change(
  request: IncomingMessage,
  response: ServerResponse,
  read: (body: string) => Wish,
  board: Board,
): Promise<void> {
  welcome(request, response);
  const body = await readBody(request);
  if (body === undefined) {
    return refuseAs(
      response,
      jsonError(413, `found more than ${MOST_BODY_BYTES} bytes, wanted at most that`),
    );
  }
  const wish = read(body);
  if (typeof wish === "string") return send(response, jsonError(400, wish));
  send(response, await wish(board));
}

/** `undefined` when it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MOST_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** What was not read may still be on its way, and would be taken for another request. */
function refuseAs(response: ServerResponse, refused: Answer): void {
  response.setHeader("connection", "close");
  send(response, refused);
}

function send(response: ServerResponse, { status, type, body, headers }: Answer): void {
  response.writeHead(status, {
    ...headers,
    "content-type": type,
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

function known(): string {
  return Object.keys(routes).join(", ");
}
