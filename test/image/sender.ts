/** Somebody who sends a board a payload over HTTP, to its end or not. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import type { Appliance } from "./appliance.js";

/** A board writes all of it and reads it back, and has other things to do. */
export const LONG_MS = 600_000;

/** Sends the first half; what becomes of the rest is the caller's. */
export function beginUpdate(board: Appliance, token: string, payload: Buffer): ClientRequest {
  const sending = request(`http://${board.host}/update`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/octet-stream",
      "content-length": payload.length,
    },
  });
  sending.on("error", () => {});
  sending.write(payload.subarray(0, payload.length >> 1));
  return sending;
}

/** All of it, until the board says that it is in its slot. */
export async function update(board: Appliance, token: string, payload: Buffer): Promise<void> {
  const { status, said } = await offer(board, token, payload);
  assert.equal(status, 200, said);
}

/** All of it, until the board says what it thinks of it. */
export async function offer(
  board: Appliance,
  token: string,
  payload: Buffer,
): Promise<{ readonly status: number | undefined; readonly said: string }> {
  const sending = beginUpdate(board, token, payload);
  const answered = once(sending, "response", { signal: AbortSignal.timeout(LONG_MS) });
  sending.end(payload.subarray(payload.length >> 1));
  const [response] = (await answered) as [IncomingMessage];
  return { status: response.statusCode, said: await text(response) };
}

export interface Progress {
  readonly state: string;
  readonly bytes?: number;
  readonly error?: string;
}

export function untilUpdate(board: Appliance, isSo: (it: Progress) => boolean): Promise<Progress> {
  const ask = async () => {
    const said = await board.get("/update").catch(() => '{"update":{"state":"unheard"}}');
    return (JSON.parse(said) as { update: Progress }).update;
  };
  return board.until(ask, { holds: isSo, what: "an update that is so", deadlineMs: LONG_MS });
}
