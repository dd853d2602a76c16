/**
 * What a path of the status server may be: something to read, something that
 * streams, something for few, or something to change. And the answers they give. Which paths there
 * are is for routes.ts; whether one may ask, and sending it, for exchange.ts.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Board } from "./board-asked.js";
import type { View } from "./view.js";

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
  /** Beside those that every answer has. */
  readonly headers?: { readonly [name: string]: string };
}

/** What a request says that an answer may depend on. */
export interface Asked {
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

export type Route =
  /** From one view of the board. GET and HEAD. */
  | { readonly reads: (view: View, asked: Asked) => Answer }
  /** Views, one after the other. GET alone. */
  | { readonly streams: "views" }
  /** The board's log, to those who may change something. GET. */
  | { readonly shows: "log" }
  /** What its body wishes. POST. */
  | { readonly changes: (body: string) => Wish }
  /** A payload for a slot. POST; and GET, to ask how far it is. */
  | { readonly takes: "payload" };

/** What a body asks of the board; or a sentence about what is wrong with it. */
export type Wish = string | ((board: Board) => Promise<Answer>);

export function json(body: string | Buffer, status = 200): Answer {
  return { status, type: "application/json; charset=utf-8", body };
}

export function jsonError(status: number, error: string): Answer {
  return json(jsonLine({ error }), status);
}

/** Ends in a newline, for those who ask from a shell. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

export function methodsOf(route: Route): readonly string[] {
  if ("reads" in route) return ["GET", "HEAD"];
  if ("takes" in route) return ["GET", "POST"];
  return "streams" in route || "shows" in route ? ["GET"] : ["POST"];
}
