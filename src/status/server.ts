/**
 * The snapshot over HTTP. Bounded in time and size, so that a slow or rude
 * client costs the protocol nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Snapshot } from "./snapshot.js";

export interface StatusServer {
  /** The port in use, for a configuration that asked for any. */
  readonly port: number;
  close(): void;
}

const REQUEST_MS = 5_000;
const HEADER_BYTES = 8 << 10;
const CONNECTIONS = 256;

/** Starts to listen. Rejects with what the system said, such as an address in use. */
export function openStatusServer(
  listen: { readonly host: string; readonly port: number },
  snapshot: () => Snapshot | Promise<Snapshot>,
): Promise<StatusServer> {
  const server = createServer(
    { requestTimeout: REQUEST_MS, maxHeaderSize: HEADER_BYTES },
    (request, response) => {
      answer(request, response, snapshot).catch(() => response.destroy());
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
  snapshot: () => Snapshot | Promise<Snapshot>,
): Promise<void> {
  const [path] = (request.url ?? "").split("?");
  request.resume();
  if (path !== "/status") return sendJson(response, 404, { error: `there is no ${path}; try /status` });
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return sendJson(response, 405, { error: `${path} answers GET, not ${request.method}` });
  }
  sendJson(response, 200, await snapshot());
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body)}\n`;
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
