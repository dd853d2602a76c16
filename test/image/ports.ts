/**
 * Knocks at every TCP port of an address, and prints those that are open in a
 * line of JSON. A program for a host of the lab.
 *
 *   node ports.js ADDRESS
 */
import { createConnection } from "node:net";

const LAST = 65_535;
/** A board that answers 65,535 times has other things to do as well. */
const AT_ONCE = 200;
const NO_ANSWER_MS = 20_000;

const [host = ""] = process.argv.slice(2);
const open: number[] = [];
let next = 1;

await Promise.all(Array.from({ length: AT_ONCE }, knockOn));
console.log(JSON.stringify(open.toSorted((a, b) => a - b)));

async function knockOn(): Promise<void> {
  while (next <= LAST) {
    const port = next++;
    if (await isOpen(port)) open.push(port);
  }
}

/** Rejects where nobody says yes or no: a port that keeps silent would be missed. */
function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port, timeout: NO_ANSWER_MS });
    const settle = (answer: () => void) => {
      socket.destroy();
      answer();
    };
    socket.on("connect", () => settle(() => resolve(true)));
    socket.on("timeout", () => settle(() => reject(new Error(`port ${port} of ${host} keeps silent`))));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      settle(() => (error.code === "ECONNREFUSED" ? resolve(false) : reject(error))),
    );
  });
}
