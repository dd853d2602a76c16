/**
 * The body of `POST /identify`: `{"forSeconds":60}`, `{}`, or nothing at all.
 */
import { json, jsonLine, type Wish } from "./route.js";
import { readKeys, readSeconds } from "./wish.js";

const LONGEST_SECONDS = 3600;
const USUAL_SECONDS = 60;

export function readIdentify(body: string): Wish {
  const keys = readKeys(body || "{}", ["forSeconds"], `{"forSeconds":${USUAL_SECONDS}}`);
  if (typeof keys === "string") return keys;
  const forSeconds = readSeconds(keys.forSeconds, LONGEST_SECONDS);
  if (typeof forSeconds === "string") return forSeconds;
  return async (board) => json(jsonLine({ identify: board.identify(forSeconds ?? USUAL_SECONDS) }));
}
