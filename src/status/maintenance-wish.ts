/**
 * The body of `POST /maintenance`: `{"on":true,"forSeconds":7200}`.
 */
import { json, jsonLine, type Wish } from "./route.js";
import { readKeys, readSeconds } from "./wish.js";

/** A week. */
export const LONGEST_MAINTENANCE_SECONDS = 604_800;
const EXAMPLE = '{"on":true,"forSeconds":7200}';

export function readMaintenance(body: string): Wish {
  const keys = readKeys(body, ["on", "forSeconds"], EXAMPLE);
  if (typeof keys === "string") return keys;
  const { on } = keys;
  if (typeof on !== "boolean") return `on: found ${JSON.stringify(on) ?? "nothing"}, wanted true or false`;
  const forSeconds = readSeconds(keys.forSeconds, LONGEST_MAINTENANCE_SECONDS);
  if (typeof forSeconds === "string") return forSeconds;
  return async (board) => json(jsonLine(await board.setMaintenance(on, forSeconds)));
}
