/**
 * Asks another board over HTTP, within a deadline and a size: a peer that is
 * slow, or is no carpio at all, costs us neither time nor memory.
 *
 * tiny-json-http has no way to end a request (its `timeout` does nothing to
 * one), so we get hold of its connection, and of its answer before it does, by
 * Node's diagnostics channels.
 */
import { channel } from "node:diagnostics_channel";
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import http from "tiny-json-http";
import { plain } from "./plain.js";
import type { MaintenanceSnapshot, Snapshot } from "./snapshot.js";

/** What came back, or a sentence that says what stood in the way. */
export type Reply<T> = { readonly ok: true; readonly body: T } | Refused;

export interface Refused {
  readonly ok: false;
  readonly why: string;
  /** What a carpio refused it with. */
  readonly status?: number;
}

export interface Identified {
  readonly identify: { readonly until: string };
}

export interface AskOptions {
  /** For everything together: name, connection, answer. */
  readonly deadlineMs: number;
}

/** The snapshot of 255 groups takes 210 kB beside one other board, and 70 kB more for each further one. */
const MOST_BYTES = 1 << 19;
/** A refusal is a sentence. */
const MOST_REFUSAL_BYTES = 1 << 10;
/** Our own are shorter. */
const MOST_REASON_CHARACTERS = 240;
/** Our own have half as many. What has some thousand takes more stack than there is when it is written again. */
const MOST_LEVELS = 16;
const SOMETHING_ELSE: Refused = { ok: false, why: "something else than carpio answers there" };
const sockets = channel("net.client.socket");
const answers = channel("http.client.response.finish");

type Failure = NodeJS.ErrnoException & { readonly statusCode?: number; readonly body?: unknown };

/** What the system says of a connection, in words. */
const WORDS: { readonly [code: string]: string } = {
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "it hung up",
  EHOSTUNREACH: "no way there",
  ENETUNREACH: "no way there",
  ETIMEDOUT: "no answer",
  ENOTFOUND: "no host has that name",
  EAI_AGAIN: "no host has that name",
};

/** What the channel says when the headers of an answer are there. */
interface Answered {
  readonly request: ClientRequest;
  readonly response: IncomingMessage;
}

type Headers = { readonly [name: string]: string };

/** The snapshot of the board at `url`, such as `http://192.0.2.3:8080`. */
export async function askStatus(url: string, options: AskOptions): Promise<Reply<Snapshot>> {
  const reply = await send((headers) => http.get({ url: `${url}/status`, headers }), options);
  return reply.ok && !isSnapshot(reply.body) ? SOMETHING_ELSE : (reply as Reply<Snapshot>);
}

/** Asks the board at `url` to begin or end its maintenance. */
export async function postMaintenance(
  url: string,
  body: { readonly on: boolean; readonly forSeconds: number | undefined },
  token: string | undefined,
  options: AskOptions,
): Promise<Reply<MaintenanceSnapshot>> {
  const reply = await post(`${url}/maintenance`, body, token, options);
  return reply.ok && !isMaintenance(reply.body) ? SOMETHING_ELSE : (reply as Reply<MaintenanceSnapshot>);
}

/** Has the board at `url` blink, so that it is found. */
export async function postIdentify(
  url: string,
  forSeconds: number | undefined,
  token: string | undefined,
  options: AskOptions,
): Promise<Reply<Identified>> {
  const reply = await post(`${url}/identify`, { forSeconds }, token, options);
  const { identify } = reply.ok && isObject(reply.body) ? reply.body : {};
  const known = isObject(identify) && typeof identify["until"] === "string";
  return reply.ok && !known ? SOMETHING_ELSE : (reply as Reply<Identified>);
}

function post(url: string, data: object, token: string | undefined, options: AskOptions) {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return send((headers) => {
    const all = { ...headers, ...authorization, "content-type": "application/json" };
    return http.post({ url, headers: all, data });
  }, options);
}

async function send(
  begin: (headers: Headers) => Promise<{ body: unknown }>,
  { deadlineMs }: AskOptions,
): Promise<Reply<unknown>> {
  let end: (reply: Reply<unknown>) => void = () => {};
  const ended = new Promise<Reply<unknown>>((resolve) => {
    end = resolve;
  });
  // A connection that is kept would be used again, and is not ours to end.
  const { socket, answer } = capture(() => begin({ connection: "close" }));
  const stop = (why: string) => {
    end({ ok: false, why });
    socket?.destroy();
  };
  const timer = setTimeout(() => stop(`no answer within ${deadlineMs / 1000} s`), deadlineMs);
  let bytes = 0;
  socket?.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) stop(`it answers with more than ${MOST_BYTES} bytes`);
  });
  socket?.once("close", () => setImmediate(stop, "it hung up in the middle of its answer"));
  const onAnswer = (message: unknown) => {
    const { request, response } = message as Answered;
    if (request.socket === socket) boundRefusal(response, stop);
  };
  answers.subscribe(onAnswer);
  answer.then(
    ({ body }) => end(isShallow(body) ? { ok: true, body } : SOMETHING_ELSE),
    (error) => end(explain(error)),
  );
  return ended.finally(() => {
    clearTimeout(timer);
    answers.unsubscribe(onAnswer);
  });
}

/**
 * tiny-json-http writes the JSON of a refusal out once more, where nobody catches what that throws: nested some
 * thousand deep, it takes more stack than there is. In so few bytes nothing is.
 */
function boundRefusal(response: IncomingMessage, stop: (why: string) => void): void {
  const { statusCode = 0 } = response;
  if (statusCode >= 200 && statusCode < 300) return;
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MOST_REFUSAL_BYTES) return;
    // It is parsed all the same, and is no JSON any more.
    chunk.fill(0);
    stop(bareStatus(statusCode));
  });
}

/** The connection begins before `begin` returns. */
function capture(begin: () => Promise<{ body: unknown }>) {
  let socket: Socket | undefined;
  const onSocket = (message: unknown) => {
    ({ socket } = message as { socket: Socket });
  };
  sockets.subscribe(onSocket);
  try {
    return { answer: begin(), socket };
  } finally {
    sockets.unsubscribe(onSocket);
  }
}

function explain({ code, message, statusCode, body }: Failure): Refused {
  const sentence = code === undefined ? undefined : WORDS[code];
  if (sentence !== undefined) return { ok: false, why: sentence };
  const said = saidBy(body);
  if (said !== undefined && statusCode !== undefined) return { ok: false, why: said, status: statusCode };
  if (statusCode !== undefined) return { ok: false, why: bareStatus(statusCode) };
  // What is no HTTP at all, and what says that it is JSON and is none.
  const odd = code?.startsWith("HPE_") || /JSON/.test(message);
  return odd ? SOMETHING_ELSE : { ok: false, why: message };
}

function bareStatus(status: number): string {
  return `it answers with HTTP status ${status}`;
}

/** Our own errors are `{"error": "…"}`; tiny-json-http hands them over as text when a GET failed. */
function saidBy(body: unknown): string | undefined {
  try {
    const parsed = typeof body === "string" ? JSON.parse(body) : body;
    return typeof parsed?.error === "string" ? plain(parsed.error, MOST_REASON_CHARACTERS) : undefined;
  } catch {
    return undefined;
  }
}

/** As far as we read it. What somebody else's server says is trusted in nothing. */
function isSnapshot(body: unknown): body is Snapshot {
  if (!isObject(body) || !hasTexts(body, ["name", "version", "board", "role"])) return false;
  const { carp, maintenance, demotion, faults, diagnosis, events } = body;
  return (
    (events === undefined || (Array.isArray(events) && events.every(isEvent))) &&
    (diagnosis === undefined || isDiagnosis(diagnosis)) &&
    isMaintenance(maintenance) &&
    isObject(demotion) &&
    isTexts(demotion["reasons"]) &&
    isTexts(faults) &&
    Array.isArray(carp) &&
    carp.every(isGroup)
  );
}

function isMaintenance(maintenance: unknown): boolean {
  if (!isObject(maintenance) || !isObject(maintenance["handover"])) return false;
  const { state, to, tookMs } = maintenance["handover"];
  const isKnown = typeof state === "string" && isTextOrNone(to) && typeof (tookMs ?? 0) === "number";
  return isKnown && isTextOrNone(maintenance["until"]);
}

function isEvent(event: unknown): boolean {
  return isObject(event) && Object.values(event).every((value) => !isObject(value));
}

/** Boards of before have none. */
function isDiagnosis(diagnosis: unknown): boolean {
  if (!isObject(diagnosis) || !Array.isArray(diagnosis["checks"])) return false;
  return diagnosis["checks"].every(
    (check) =>
      isObject(check) &&
      hasTexts(check, ["state", "says"]) &&
      (check["advice"] === null || hasTexts(check, ["advice"])),
  );
}

function isGroup(group: unknown): boolean {
  if (!isObject(group) || !hasTexts(group, ["interface", "role", "why"])) return false;
  const { vhid, since, addresses, master } = group;
  if (typeof vhid !== "number" || !isTextOrNone(since) || !isTexts(addresses)) return false;
  if (master === null) return true;
  return isObject(master) && hasTexts(master, ["address"]) && typeof master["heardSecondsAgo"] === "number";
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null;
}

/** The levels below it are few. */
function isShallow(value: unknown, levels = MOST_LEVELS): boolean {
  return (
    !isObject(value) || (levels > 0 && Object.values(value).every((each) => isShallow(each, levels - 1)))
  );
}

function isTextOrNone(value: unknown): boolean {
  return typeof (value ?? "") === "string";
}

function hasTexts(value: { readonly [key: string]: unknown }, keys: readonly string[]): boolean {
  return keys.every((key) => typeof value[key] === "string");
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
