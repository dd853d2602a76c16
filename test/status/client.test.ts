/**
 * Asking another board that is slow, rude, dead, or no board at all.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { askStatus, postMaintenance } from "../../src/status/client.js";

const SOON = { deadlineMs: 300 };
const PATIENTLY = { deadlineMs: 20_000 };
const group = {
  vhid: 7,
  interface: "eth0",
  role: "backup",
  why: "link up",
  addresses: ["192.0.2.1/24"],
  master: null,
};
const snapshot = {
  name: "right",
  version: "0.1.0",
  board: "none",
  role: "backup",
  maintenance: { on: false, since: null, until: null, handover: { state: "none", to: null, tookMs: null } },
  demotion: { advskew: 0, reasons: [] },
  carp: [group],
  faults: [],
};

test("a board answers with its snapshot", async (t) => {
  const url = await serve(t, (_request, response) => json(response, 200, snapshot));
  assert.deepEqual(await askStatus(url, PATIENTLY), { ok: true, body: snapshot });
});

test("maintenance is asked for with the token, as JSON", async (t) => {
  const outcome = { on: true, handover: { state: "none" } };
  let heard: unknown;
  const url = await serve(t, async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    heard = [request.method, request.url, request.headers.authorization, JSON.parse(body)];
    json(response, 200, outcome);
  });
  const reply = await postMaintenance(url, { on: true, forSeconds: 60 }, "open sesame", PATIENTLY);
  assert.deepEqual(reply, { ok: true, body: outcome });
  assert.deepEqual(heard, ["POST", "/maintenance", "Bearer open sesame", { on: true, forSeconds: 60 }]);
});

const malformed: readonly object[] = [
  { ...snapshot, carp: [null] },
  { ...snapshot, carp: {} },
  { ...snapshot, carp: [{ ...group, vhid: "7" }] },
  { ...snapshot, carp: [{ ...group, addresses: [7] }] },
  { ...snapshot, carp: [{ ...group, master: { address: "192.0.2.2" } }] },
  { ...snapshot, carp: [{ ...group, master: undefined }] },
  { ...snapshot, maintenance: undefined },
  { ...snapshot, carp: [{ ...group, master: { heardSecondsAgo: 1 } }] },
  { ...snapshot, carp: [{ ...group, since: {} }] },
  { ...snapshot, maintenance: { on: true } },
  { ...snapshot, maintenance: { ...snapshot.maintenance, until: {} } },
  { ...snapshot, maintenance: { on: true, handover: { state: "handed-over", to: {}, tookMs: 1 } } },
  { ...snapshot, maintenance: { on: true, handover: { state: "handed-over", to: null, tookMs: "1" } } },
  { ...snapshot, events: [{ at: { toString: 1 } }] },
  { ...snapshot, demotion: null },
  { ...snapshot, faults: "none" },
  { ...snapshot, role: 1 },
  { ...snapshot, more: JSON.parse("[".repeat(16) + "]".repeat(16)) },
];
for (const body of malformed) {
  test(`a board that answers ${JSON.stringify(body).slice(0, 400)}`, async (t) => {
    const url = await serve(t, (_request, response) => json(response, 200, body));
    assert.deepEqual(await askStatus(url, PATIENTLY), {
      ok: false,
      why: "something else than carpio answers there",
    });
  });
}

// biome-ignore format: one answer a line
const answers: { is: string; listener: RequestListener; why: RegExp }[] = [
  { is: "something else", listener: (_request, response) => void response.end("<html>"), why: /something else than carpio/ },
  { is: "other JSON", listener: (_request, response) => json(response, 200, { role: 1 }), why: /something else than carpio/ },
  { is: "no JSON where it says so", listener: (_request, response) => void response.setHeader("content-type", "application/json").end("{"), why: /something else than carpio/ },
  { is: "an older version", listener: (_request, response) => json(response, 404, { error: "there is no /status" }), why: /^there is no \/status$/ },
  { is: "a bare status", listener: (_request, response) => void response.writeHead(503).end(), why: /HTTP status 503/ },
  { is: "a refusal that is nested ever deeper", listener: (_request, response) => void response.writeHead(503, { "content-type": "application/json" }).end("[".repeat(200_000) + "]".repeat(200_000)), why: /HTTP status 503/ },
  { is: "a refusal that comes in small pieces, ever deeper", listener: (_request, response) => { response.writeHead(503, { "content-type": "application/json" }); drip(response, ["[".repeat(1000), "[".repeat(20_000), "]".repeat(21_000)]); }, why: /HTTP status 503/ },
  { is: "a refusal with a long page", listener: (_request, response) => void response.writeHead(502).end("<p>".repeat(9_000)), why: /HTTP status 502/ },
  { is: "nothing", listener: () => {}, why: /^no answer within 0\.3 s$/ },
  { is: "half an answer", listener: (_request, response) => void response.writeHead(200, { "content-length": 100 }).write("{"), why: /^no answer within 0\.3 s$/ },
  { is: "half an answer, and hangs up", listener: (_request, response) => { response.writeHead(200, { "content-length": 100 }).write("{", () => response.destroy()); }, why: /hung up/ },
  { is: "without end", listener: (_request, response) => { response.writeHead(200); flood(response); }, why: /more than 524288 bytes/ },
];
for (const { is, listener, why } of answers) {
  test(`a board that answers ${is}`, async (t) => {
    const url = await serve(t, listener);
    const options = is === "nothing" || is === "half an answer" ? SOON : PATIENTLY;
    const reply = await askStatus(url, options);
    assert.ok(!reply.ok);
    assert.match(reply.why, why);
  });
}

test("nobody listens", async (t) => {
  const url = await serve(t, () => {});
  const port = new URL(url).port;
  const free = createTcpServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const { port: freePort } = free.address() as AddressInfo;
  await once(free.close(), "close");
  assert.notEqual(String(freePort), port);
  const reply = await askStatus(`http://127.0.0.1:${freePort}`, PATIENTLY);
  assert.deepEqual(reply, { ok: false, why: "nobody listens there" });
});

test("a request that took too long is ended, not only forgotten", async (t) => {
  let closed: Promise<unknown> | undefined;
  const url = await serve(t, (request) => {
    closed = once(request.socket, "close");
  });
  await askStatus(url, SOON);
  await closed;
});

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener).listen(0, "127.0.0.1");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function json(response: Parameters<RequestListener>[1], status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function flood(response: Parameters<RequestListener>[1]): void {
  const more = (): void => {
    if (!response.destroyed) response.write("x".repeat(65_536), () => setImmediate(more));
  };
  more();
}

/** Each in a packet of its own. */
async function drip(response: Parameters<RequestListener>[1], pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    await new Promise((resolve) => response.write(piece, resolve));
    await sleep(20);
  }
  response.end();
}
