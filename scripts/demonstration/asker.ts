/**
 * Asks a daemon for `GET /status` again and again, from the board it runs on,
 * because only there is its address known. One process for the whole demo: one
 * for each question would take more of the computer than the daemon does.
 *
 *   node asker.js PORT INTERVAL_MS
 *
 * Prints the snapshot on a line, or `silent: ` and why there is none.
 */
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** A daemon that hangs accepts the question and never answers. */
const PATIENCE_MS = 1000;

const [port = "", intervalMs = ""] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

for (;;) {
  const answer = await ask().catch(
    (error: unknown) => `silent: ${error instanceof Error ? error.message : error}`,
  );
  process.stdout.write(`${answer.trim()}\n`);
  await sleep(Number(intervalMs));
}

function ask(): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const request = get({ host: "127.0.0.1", port, path: "/status", agent, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve(response.statusCode === 200 ? text : `silent: ${response.statusCode}`),
      );
    });
    request.on("error", reject);
  });
}
