/**
 * How much a connection may say at once. A request to us is small, and what a
 * read brings is parsed to its end before anything else is done: thousands of
 * requests in one go would keep the protocol waiting.
 */
import type { Socket } from "node:net";

export interface Inflow {
  restrain(socket: Socket): void;
  /** A request has begun: what comes now is its body, or the next. */
  begin(socket: Socket): void;
  /** What comes from now on is a long body, and the last that this connection says. */
  open(socket: Socket): void;
}

/** The largest headers and the largest body that are read, and some room. */
const MOST_BYTES = 16 << 10;
/** In one read. Hardly anybody sends a request before the last one was answered. */
const MOST_REQUESTS = 4;
/** The one request whose body begins in the same read, and is long; whether it may go on is decided then. */
const LONG = "POST /update ";
/** Every request has this in its first line. */
const MARK = "HTTP/";

export function createInflow(): Inflow {
  const bytes = new WeakMap<Socket, number>();
  const opened = new WeakSet<Socket>();
  return {
    restrain(socket) {
      // Before the parser hears of it, for which the server must have attached it.
      socket.prependListener("data", (chunk: Buffer) => {
        if (opened.has(socket)) return;
        const sofar = (bytes.get(socket) ?? 0) + chunk.length;
        bytes.set(socket, sofar);
        const mayBeLong = sofar === chunk.length && chunk.toString("latin1", 0, LONG.length) === LONG;
        if ((sofar <= MOST_BYTES || mayBeLong) && !holdsMany(chunk)) return;
        socket.destroy();
        // The parser gets it all the same, and gives up at its first byte.
        chunk.fill(0);
      });
    },
    begin: (socket) => void bytes.delete(socket),
    open: (socket) => void opened.add(socket),
  };
}

function holdsMany(chunk: Buffer): boolean {
  let at = 0;
  for (let count = 0; count <= MOST_REQUESTS; count++) {
    const found = chunk.indexOf(MARK, at, "latin1");
    if (found < 0) return false;
    at = found + MARK.length;
  }
  return true;
}
