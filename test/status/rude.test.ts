/**
 * Clients that say too much, too slowly, or nothing: each is answered or ended
 * by itself, and the next one who asks is served. What they cost the protocol
 * is for test/lab/http.test.ts.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { openStatusServer, type StatusServer } from "../../src/status/server.js";
import { fakeBoard } from "./board.js";

let server: StatusServer;
before(async () => {
  server = await openStatusServer({ host: "127.0.0.1", port: 0 }, fakeBoard());
});
after(() => server.close());

const GET = "GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n";
const POST = "POST /maintenance HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n";
const MEGABYTE = "x".repeat(1 << 20);

// biome-ignore format: one client a line
const rows: { is: string; says: string; hears: RegExp }[] = [
  { is: "garbage", says: "\0\x16\x03 nonsense\r\n\r\n", hears: /^HTTP\/1\.1 400 / },
  { is: "garbage after a request", says: `${GET}\r\n\0\x16\x03 nonsense\r\n\r\n`, hears: /^HTTP\/1\.1 [24]00 / },
  { is: "TLS", says: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", hears: /^HTTP\/1\.1 400 / },
  { is: "10 kB of headers", says: `${GET}X: ${MEGABYTE.slice(0, 10_000)}\r\n\r\n`, hears: /^HTTP\/1\.1 431 / },
  { is: "1 MB of headers", says: `${GET}X: ${MEGABYTE}\r\n\r\n`, hears: /^$/ },
  { is: "1 MB of body", says: `${POST}Content-Length: 1048576\r\n\r\n${MEGABYTE}`, hears: /^(HTTP\/1\.1 413 |$)/ },
  { is: "1 MB of body to read by", says: `${GET}Content-Length: 1048576\r\n\r\n${MEGABYTE}`, hears: /^(HTTP\/1\.1 200 |$)/ },
  { is: "a thousand requests at once", says: `${GET}\r\n`.repeat(1000), hears: /^$/ },
  { is: "two lengths", says: `${POST}Content-Length: 5\r\nContent-Length: 50\r\n\r\n`, hears: /^HTTP\/1\.1 400 / },
  { is: "a length and chunks", says: `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, hears: /^HTTP\/1\.1 400 / },
  { is: "no host", says: "GET /status HTTP/1.1\r\n\r\n", hears: /^HTTP\/1\.1 400 / },
  { is: "a refused body that is yet to come", says: `${POST.replace("/json", "/x")}Content-Length: 1048576\r\n\r\n`, hears: /^HTTP\/1\.1 415 / },
  { is: "nothing", says: "", hears: /^(HTTP\/1\.1 408 |$)/ },
  { is: "half a request line", says: "GET /sta", hears: /^(HTTP\/1\.1 408 |$)/ },
  { is: "half the headers", says: GET, hears: /^(HTTP\/1\.1 408 |$)/ },
  { is: "half a body", says: `${POST}Content-Length: 11\r\n\r\n{"on"`, hears: /^(HTTP\/1\.1 408 |$)/ },
];
describe("who", { concurrency: true, timeout: 60_000 }, () => {
  for (const { is, says, hears } of rows) {
    test(`says ${is} is ended, and others are served`, async () => {
      const { socket, heard, ended } = await call();
      socket.write(says, "latin1");
      await ended;
      assert.match(heard(), hears);
      assert.equal((await fetch(`http://127.0.0.1:${server.port}/status`)).status, 200);
    });
  }

  test("sends a letter a second is ended all the same", async () => {
    const { socket, heard, ended } = await call();
    const slowly = setInterval(() => socket.write("x"), 200);
    socket.write(`${GET}X: `);
    await ended;
    clearInterval(slowly);
    assert.match(heard(), /^HTTP\/1\.1 408 /);
  });

  test("has asked and closes its half hears the answer", async () => {
    const { socket, heard, ended } = await call();
    socket.end(`${GET}\r\n`);
    await ended;
    assert.match(heard(), /^HTTP\/1\.1 200 .*"name":"left"/s);
  });

  test("asks for HTTP/1.0 without a host, as load balancers do, is answered", async () => {
    const { socket, heard, ended } = await call();
    socket.write("GET /healthz HTTP/1.0\r\n\r\n");
    await ended;
    assert.match(heard(), /^HTTP\/1\.1 503 .*"ok":false/s);
  });
});

interface Call {
  readonly socket: Socket;
  readonly heard: () => string;
  readonly ended: Promise<void>;
}

async function call(): Promise<Call> {
  const socket = connect(server.port, "127.0.0.1");
  let text = "";
  socket.setEncoding("latin1").on("data", (data: string) => {
    text += data;
  });
  // One that is ended in the middle of what it says.
  socket.on("error", () => {});
  await once(socket, "connect");
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { socket, heard: () => text, ended };
}
