/**
 * `GET /log`: the latest lines of a board, for whoever has the token.
 * Where they are kept is for others.
 */
import { type Answer, jsonError } from "./route.js";

const ELSEWHERE = "this computer keeps the log itself: journalctl -u carpio, or wherever standard error goes";

export async function showLog(read: (() => Promise<string>) | undefined): Promise<Answer> {
  if (!read) return jsonError(404, ELSEWHERE);
  try {
    return { status: 200, type: "text/plain; charset=utf-8", body: await read() };
  } catch (error) {
    return jsonError(500, `the log cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
