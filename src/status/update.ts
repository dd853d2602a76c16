/**
 * `POST /update`: a payload for the slot that does not run, as it comes; and
 * `GET /update`: how far that is. What a payload is, and writing it, is for
 * others: here it goes from one hand to the other.
 */
import type { IncomingMessage } from "node:http";
import { type Answer, json, jsonError, jsonLine } from "./route.js";

/** How an update stands, or how the last one ended. */
export type UpdateSnapshot =
  | { readonly state: "none" }
  | { readonly state: "writing" | "reading back"; readonly bytes: number; readonly ofBytes: number | null }
  | { readonly state: "done"; readonly slot: string; readonly version: string; readonly bytes: number }
  | { readonly state: "failed"; readonly error: string };

export interface Updates {
  /** Of a payload. */
  readonly mostBytes: number;
  snapshot(): UpdateSnapshot;
  /** Resolves with how it ended; `undefined` while another one is going on. */
  take(payload: IncomingMessage, ofBytes: number | null): Promise<UpdateSnapshot> | undefined;
}

/** A card may be slow, and what was written is read back before there is an answer. */
export const UPDATE_SILENCE_MS = 120_000;

export const NO_SLOTS = "this computer has no slots: it was not started from a card of carpio's";

export function showUpdate(updates: Updates | undefined): Answer {
  return updates ? json(jsonLine({ update: updates.snapshot() })) : jsonError(404, NO_SLOTS);
}

/** What stands in the way of taking it, before a byte of it is read. */
export function refuseUpdate(
  { headers }: Pick<IncomingMessage, "headers">,
  updates: Updates | undefined,
): Answer | undefined {
  if (!updates) return jsonError(404, NO_SLOTS);
  if (isGoingOn(updates.snapshot())) return jsonError(409, "another update is going on");
  const length = Number(headers["content-length"] ?? 0);
  if (length <= updates.mostBytes) return undefined;
  return jsonError(413, `found ${length} bytes, wanted at most ${updates.mostBytes}`);
}

export function isGoingOn({ state }: UpdateSnapshot): boolean {
  return state === "writing" || state === "reading back";
}

export async function takeUpdate(request: IncomingMessage, updates: Updates): Promise<Answer> {
  const length = request.headers["content-length"];
  const ended = await updates.take(request, length === undefined ? null : Number(length));
  if (!ended) return jsonError(409, "another update is going on");
  if (ended.state === "failed") return jsonError(422, ended.error);
  return json(jsonLine({ update: ended }));
}
