/**
 * Asks another board over HTTP, within a deadline and a size: a peer that is
 * slow, or is no carpio at all, costs us neither time nor memory.
 *
 * tiny-json-http has no way to end a request (its `timeout` does nothing to
 * one), so we get hold of the request by Node's diagnostics channel.
 */
import { channel } from "node:diagnostics_channel";
import type { ClientRequest, IncomingMessage } from "node:http";
import http from "tiny-json-http";
import type { Snapshot } from "./snapshot.js";

/** What came back, or a sentence that says what stood in the way. */
export type Reply<T> = { readonly ok: true; readonly body: T } | { readonly ok: false; readonly why: string };

export interface AskOptions {
  /** For everything together: name, connection, answer. */
  readonly deadlineMs: number;
}

/** A snapshot of 255 groups takes 250 kB. */
const MOST_BYTES = 1 << 20;
const starts = channel("http.client.request.start");

/** The snapshot of the board at `url`, such as `http://192.0.2.3:8080`. */
export async function askStatus(url: string, options: AskOptions): Promise<Reply<Snapshot>> {
  const reply = await send(() => http.get({ url: `${url}/status` }), options);
  if (reply.ok && !isSnapshot(reply.body))
    return { ok: false, why: "something else than carpio answers there" };
  return reply as Reply<Snapshot>;
}

/** Asks a board for something; `body` goes as JSON. */
export async function post(
  url: string,
  path: string,
  body: object,
  options: AskOptions,
): Promise<Reply<unknown>> {
  const headers = { "content-type": "application/json" };
  return send(() => http.post({ url: `${url}${path}`, headers, data: body }), options);
}

async function send(
  begin: () => Promise<{ body: unknown }>,
  { deadlineMs }: AskOptions,
): Promise<Reply<unknown>> {
  let end: (reply: Reply<unknown>) => void = () => {};
  const ended = new Promise<Reply<unknown>>((resolve) => {
    end = resolve;
  });
  const { request, answer } = capture(begin);
  const stop = (why: string) => {
    end({ ok: false, why });
    request?.destroy();
  };
  const timer = setTimeout(() => stop(`no answer within ${deadlineMs / 1000} s`), deadlineMs);
  request?.once("response", (response) => limit(response, () => stop(`more than ${MOST_BYTES} bytes`)));
  answer.then(
    ({ body }) => end({ ok: true, body }),
    (error) => end({ ok: false, why: explain(error) }),
  );
  return ended.finally(() => clearTimeout(timer));
}

/** The request begins before `begin` returns. */
function capture(begin: () => Promise<{ body: unknown }>) {
  let request: ClientRequest | undefined;
  const onStart = (message: unknown) => {
    ({ request } = message as { request: ClientRequest });
  };
  starts.subscribe(onStart);
  try {
    return { answer: begin(), request };
  } catch (error) {
    return { answer: Promise.reject(error), request };
  } finally {
    starts.unsubscribe(onStart);
  }
}

function limit(response: IncomingMessage, tooMuch: () => void): void {
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) tooMuch();
  });
  response.once("aborted", () => tooMuch());
}

function explain(error: NodeJS.ErrnoException & { statusCode?: number; body?: unknown }): string {
  if (error.code === "ECONNREFUSED") return "nobody listens there";
  if (error.code === "EHOSTUNREACH" || error.code === "ENETUNREACH") return "no way there";
  if (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN") return "no host has that name";
  const said = saidBy(error.body);
  if (said) return said;
  return error.statusCode ? `it answers with HTTP status ${error.statusCode}` : error.message;
}

/** Our own errors are `{"error": "…"}`; tiny-json-http hands them over as text when a GET failed. */
function saidBy(body: unknown): string | undefined {
  try {
    const parsed = typeof body === "string" ? JSON.parse(body) : body;
    return typeof parsed?.error === "string" ? parsed.error : undefined;
  } catch {
    return undefined;
  }
}

function isSnapshot(body: unknown): body is Snapshot {
  return (
    typeof body === "object" && body !== null && "role" in body && Array.isArray((body as Snapshot).carp)
  );
}
