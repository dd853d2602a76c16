/**
 * Asks a status server as fast as it answers, over some connections that stay:
 * `asker.js HOST CONNECTIONS SECONDS`. Prints one line of JSON, and ends by itself.
 */
import { connect } from "node:net";

const PORT = 8080;
/** Until the engines on both sides have warmed up nothing counts. */
const WARM_UP_MS = 1_000;

const [host = "", connections = "", seconds = ""] = process.argv.slice(2);
const request = `GET /status HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
const latenciesMs: number[] = [];
const countsFrom = performance.now() + WARM_UP_MS;

function keepAsking(): void {
  const socket = connect(PORT, host);
  let askedAt = 0;
  let missing = 0;
  const ask = (): void => {
    askedAt = performance.now();
    socket.write(request);
  };
  socket.once("connect", ask);
  socket.on("data", (chunk: Buffer) => {
    missing = (missing || lengthOf(chunk)) - chunk.length;
    if (missing > 0) return;
    if (askedAt >= countsFrom) latenciesMs.push(performance.now() - askedAt);
    ask();
  });
  socket.once("close", () => {
    throw new Error("the server hung up");
  });
}

/** Of a whole answer, of which the beginning is here. */
function lengthOf(chunk: Buffer): number {
  const head = chunk.subarray(0, chunk.indexOf("\r\n\r\n") + 4).toString("latin1");
  const [, length] = /^HTTP\/1\.1 200 .*\r\ncontent-length: (\d+)\r\n/is.exec(head) ?? [];
  if (length === undefined) throw new Error(`no answer: ${head}`);
  return head.length + Number(length);
}

for (let i = 0; i < Number(connections); i++) keepAsking();
setTimeout(
  () => {
    const sorted = latenciesMs.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.POSITIVE_INFINITY;
    const perSecond = latenciesMs.length / ((performance.now() - countsFrom) / 1000);
    console.log(JSON.stringify({ perSecond, medianMs: at(0.5), p99Ms: at(0.99) }));
    process.exit();
  },
  WARM_UP_MS + Number(seconds) * 1000,
);
