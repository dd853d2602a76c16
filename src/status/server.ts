/**
 * Listens, and keeps listening. Bounded in time and size, so that a slow or
 * rude client costs the protocol nothing; what is answered is for exchange.ts.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Board } from "./board-asked.js";
import { createConnections } from "./connections.js";
import { answer, REQUEST_MS } from "./exchange.js";
import { createInflow } from "./inflow.js";
import { createStream } from "./stream.js";
import { createTurns } from "./turns.js";
import { createViews } from "./view.js";

export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface StatusServer {
  /** The port in use, for a configuration that asked for any. */
  readonly port: number;
  /** Something may look different now, for those who watch. */
  changed(): void;
  close(): void;
}

/** How often requests that take too long are looked for. */
const CHECK_MS = 1_000;
const HEADER_BYTES = 8 << 10;
const AGAIN_MS = 500;
const AGAIN_AT_MOST_MS = 30_000;
/** A floating address comes at any moment, and those who ask for it come with it. */
const AWAITED = "EADDRNOTAVAIL";

/**
 * Keeps a server until it is closed. Its port may be taken now, its address may
 * come later by DHCP: `onProblem` hears what the system says, and `undefined` when all is well.
 */
export function keepStatusServer(
  listen: Listen,
  board: Board,
  onProblem: (said: string | undefined) => void,
): Pick<StatusServer, "changed" | "close"> {
  let server: StatusServer | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const open = async (againMs: number): Promise<void> => {
    const opened = await openStatusServer(listen, board).catch((error: Error) => error);
    if (closed) {
      if (!(opened instanceof Error)) opened.close();
      return;
    }
    if (!(opened instanceof Error)) server = opened;
    else if (opened.message.includes(AWAITED)) timer = setTimeout(open, AGAIN_MS, AGAIN_MS);
    else timer = setTimeout(open, againMs, Math.min(2 * againMs, AGAIN_AT_MOST_MS));
    onProblem(opened instanceof Error ? opened.message : undefined);
  };
  open(AGAIN_MS);
  return {
    changed: () => server?.changed(),
    close() {
      closed = true;
      clearTimeout(timer);
      server?.close();
    },
  };
}

/** Starts to listen. Rejects with what the system said, such as an address in use. */
export function openStatusServer(listen: Listen, board: Board): Promise<StatusServer> {
  const views = createViews(board);
  const turns = createTurns();
  const stream = createStream(views, turns);
  const connections = createConnections();
  const inflow = createInflow();
  const limits = {
    // How long a body may take depends on what it is for, which exchange.ts knows.
    requestTimeout: 0,
    headersTimeout: REQUEST_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: HEADER_BYTES,
  };
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    inflow.begin(request.socket);
    answer(request, response, { board, views, stream, turns, inflow }).catch(() => response.destroy());
  };
  const server = createServer(limits, serve);
  // Whoever asks first whether a body is welcome hears why it is not.
  server.on("checkContinue", serve);
  server.timeout = REQUEST_MS;
  server.prependListener("connection", connections.admit);
  server.on("connection", inflow.restrain);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, () => {
      server.on("error", () => {});
      resolve({
        port: portOf(server),
        changed: stream.changed,
        close() {
          stream.close();
          closeAll(server);
        },
      });
    });
  });
}

function closeAll(server: Server): void {
  server.close();
  server.closeAllConnections();
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}
