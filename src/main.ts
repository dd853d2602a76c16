/**
 * Arguments in, exit status out.
 */
import "./memory.js";
import { setTimeout as sleep } from "node:timers/promises";
import { runCommand } from "./cli.js";

/** What was asked for waits until it is read; complaints that nobody reads keep no daemon from its end. */
const LAST_WORDS_MS = 2_000;

// Whoever reads our lines may leave before we do, and what we are at is done all the same.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

runCommand(process.argv.slice(2)).then(leave, (error: unknown) => {
  process.stderr.write(`carpio: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
  return leave(1);
});

/** A pipe takes 64 kB at once, and what is left of a longer text would end with us. */
async function leave(status: number): Promise<void> {
  await Promise.all([taken(process.stdout), Promise.race([taken(process.stderr), sleep(LAST_WORDS_MS)])]);
  process.exit(status);
}

/** Resolves when all that was written has left, or cannot any more. */
function taken(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}
