/**
 * The body of `POST /restart`: `{}`, or nothing at all.
 */
import type { Board } from "./board-asked.js";
import { type Answer, json, jsonError, jsonLine, type Wish } from "./route.js";
import { isGoingOn } from "./update.js";
import { readKeys } from "./wish.js";

const NOT_OURS =
  "this computer is started again by its own system: it was not started from a card of carpio's";

export function readRestart(body: string): Wish {
  const keys = readKeys(body || "{}", [], "{}");
  return typeof keys === "string" ? keys : restart;
}

async function restart({ startAgain, updates }: Board): Promise<Answer> {
  if (!startAgain) return jsonError(404, NOT_OURS);
  if (updates && isGoingOn(updates.snapshot())) return jsonError(409, "an update is going on");
  const problem = await startAgain();
  return problem === undefined ? json(jsonLine({ restart: { state: "begun" } })) : jsonError(500, problem);
}
