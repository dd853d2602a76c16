/**
 * Clients that no server deserves, in one program: `rude.js KIND HOST SECONDS`.
 * It begins again whenever it is hung up on, from many addresses of its own,
 * and ends by itself.
 */
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";

/** What each does with a connection that is open. */
const kinds: {
  readonly [kind: string]: { readonly connections: number; readonly act: (to: Socket) => void };
} = {
  connections: { connections: 10_000, act: () => {} },
  "slow-loris": { connections: 300, act: trickle },
  headers: { connections: 40, act: (to) => to.write(`${GET}X: ${MEGABYTE}\r\n\r\n`) },
  pipeline: { connections: 40, act: (to) => to.write(`${GET}\r\n`.repeat(20_000)) },
  garbage: { connections: 40, act: (to) => to.write(MEGABYTE) },
  "half-closed": { connections: 300, act: (to) => to.end(`${GET}\r\n`) },
  deaf: { connections: 300, act: (to) => to.pause().write(`${GET}\r\n`) },
  "deaf to events": {
    connections: 300,
    act: (to) => to.pause().write(`${GET.replace("status", "events")}\r\n`),
  },
  asking: { connections: 100, act: keepAsking },
};

export const KINDS = Object.keys(kinds);

const PORT = 8080;
const GET = "GET /status HTTP/1.1\r\nHost: 192.0.2.1\r\n";
const MEGABYTE = "x".repeat(1 << 20);
/** Opened in one turn of the loop, so that the rude do not stand in one another's way. */
const PORTION = 100;
const AGAIN_MS = 50;

function trickle(to: Socket): void {
  to.write(GET);
  const slowly = setInterval(() => to.write("x"), 500);
  to.once("close", () => clearInterval(slowly));
}

/** Without a pause: the next as soon as anything of an answer is there. */
function keepAsking(to: Socket): void {
  to.on("data", () => to.write(`${GET}\r\n`));
  to.write(`${GET}\r\n`);
}

function main([kind = "", host = "", seconds = "0"]: readonly string[]): void {
  const rude = kinds[kind];
  if (!rude) throw new Error(`found ${kind}, wanted one of ${KINDS.join(", ")}`);
  const own = Object.values(networkInterfaces()).flat();
  const addresses = own
    .filter((each) => each?.family === "IPv4" && !each.internal)
    .map((each) => each?.address);
  let opened = 0;

  const open = (number: number): void => {
    const localAddress = addresses[number % addresses.length];
    const socket = connect({ host, port: PORT, ...(localAddress === undefined ? {} : { localAddress }) });
    socket.once("connect", () => {
      opened++;
      rude.act(socket);
    });
    socket.on("error", () => {});
    socket.resume().once("close", () => setTimeout(open, AGAIN_MS, number));
    if (kind.startsWith("deaf")) socket.pause();
  };
  const begin = (from: number): void => {
    for (let number = from; number < Math.min(from + PORTION, rude.connections); number++) open(number);
    if (from + PORTION < rude.connections) setImmediate(begin, from + PORTION);
  };
  begin(0);
  setTimeout(() => {
    console.log(`${kind}: ${opened} connections`);
    process.exit();
  }, Number(seconds) * 1000);
}

if (process.argv[1] === import.meta.filename) main(process.argv.slice(2));
