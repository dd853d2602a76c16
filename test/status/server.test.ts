/**
 * The status server as others meet it, on a socket: every path, what is asked
 * of the board, and who is refused. Rude clients are in rude.test.ts.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { schema } from "../../src/status/schema.js";
import { keepStatusServer, openStatusServer, type StatusServer } from "../../src/status/server.js";
import { overallRole } from "../../src/status/snapshot.js";
import type { UpdateSnapshot } from "../../src/status/update.js";
import { type FakeBoard, fakeBoard, handedOver, PASSWORD_KEY, TOKEN } from "./board.js";
import { complaints } from "./validate.js";

let server: StatusServer;
let board: FakeBoard;
before(async () => {
  board = fakeBoard();
  server = await openStatusServer({ host: "127.0.0.1", port: 0 }, board);
});
after(() => server.close());

const JSON_TYPE = "application/json; charset=utf-8";
const PATHS =
  "/, /status, /metrics, /healthz, /schema.json, /events, /log, /maintenance, /identify, /update, /restart";
const READ = "GET, HEAD, OPTIONS";
const found = { error: (path: string) => `there is no ${path}; try ${PATHS}` };

// biome-ignore format: one request a line
const rows: { ask: string; status: number; type?: string; allow?: string; error?: string }[] = [
  { ask: "GET /status", status: 200, type: JSON_TYPE },
  { ask: "GET /status?x=1", status: 200, type: JSON_TYPE },
  { ask: "HEAD /status", status: 200, type: JSON_TYPE },
  { ask: "GET /metrics", status: 200, type: "text/plain; version=0.0.4; charset=utf-8" },
  { ask: "GET /schema.json", status: 200, type: "application/schema+json" },
  { ask: "GET /healthz", status: 503, type: JSON_TYPE },
  { ask: "HEAD /healthz?role=master", status: 503, type: JSON_TYPE },
  { ask: "GET /healthz?role=boss", status: 400, error: "role: found boss, wanted master or backup" },
  { ask: "OPTIONS /status", status: 204, allow: READ },
  { ask: "OPTIONS /maintenance", status: 204, allow: "POST, OPTIONS" },
  { ask: "OPTIONS /events", status: 204, allow: "GET, OPTIONS" },
  { ask: "POST /status", status: 405, allow: READ, error: "/status answers GET and HEAD, not POST" },
  { ask: "DELETE /metrics", status: 405, allow: READ, error: "/metrics answers GET and HEAD, not DELETE" },
  { ask: "HEAD /events", status: 405, allow: "GET, OPTIONS" },
  { ask: "GET /maintenance", status: 405, allow: "POST, OPTIONS", error: "/maintenance answers POST, not GET" },
  { ask: "GET /identify", status: 405, allow: "POST, OPTIONS", error: "/identify answers POST, not GET" },
  { ask: "OPTIONS /update", status: 204, allow: "GET, POST, OPTIONS" },
  { ask: "DELETE /update", status: 405, allow: "GET, POST, OPTIONS", error: "/update answers GET and POST, not DELETE" },
  { ask: "GET /update", status: 404, error: "this computer has no slots: it was not started from a card of carpio's" },
  { ask: "OPTIONS /log", status: 204, allow: "GET, OPTIONS" },
  { ask: "POST /log", status: 405, allow: "GET, OPTIONS", error: "/log answers GET, not POST" },
  { ask: "GET /log", status: 404, error: "this computer keeps the log itself: journalctl -u carpio, or wherever standard error goes" },
  { ask: "GET /nosuch", status: 404, error: found.error("/nosuch") },
  { ask: "GET /toString", status: 404, error: found.error("/toString") },
  { ask: "DELETE /__proto__", status: 404, error: found.error("/__proto__") },
  { ask: "GET /%2e%2e/etc/passwd", status: 404, error: found.error("/%2e%2e/etc/passwd") },
];
for (const { ask: asked, status, type = JSON_TYPE, allow, error } of rows) {
  test(`${asked} is answered with ${status}`, async () => {
    const [method = "", path = ""] = asked.split(" ");
    const answer = await ask(method, path);
    assert.equal(answer.status, status);
    if (status !== 204) assert.equal(answer.headers["content-type"], type);
    assert.equal(answer.headers["allow"], allow);
    assert.equal(answer.headers["cache-control"], "no-store");
    if (method === "HEAD" || status === 204) assert.equal(answer.body, "");
    if (error !== undefined) assert.deepEqual(JSON.parse(answer.body), { error });
  });
}

test("what /status says fits what /schema.json says", async () => {
  const [status, published] = await Promise.all([ask("GET", "/status"), ask("GET", "/schema.json")]);
  assert.deepEqual(JSON.parse(published.body), schema);
  assert.deepEqual(complaints(JSON.parse(published.body), JSON.parse(status.body)), []);
});

const NOT_OURS =
  "this computer is started again by its own system: it was not started from a card of carpio's";
const wanted = 'wanted JSON such as {"on":true,"forSeconds":7200}';
const maintenance = "/maintenance";
const identify = "/identify";
const identified = { identify: { until: "2026-11-22T08:01:00.000Z" } };

// biome-ignore format: one body a line
const posts: { to: string; body: string; status: number; says?: object; error?: string; asks?: string }[] = [
  { to: maintenance, body: '{"on":true,"forSeconds":7200}', status: 200, says: handedOver, asks: "maintenance on 7200" },
  { to: maintenance, body: '{"on":true}', status: 200, says: handedOver, asks: "maintenance on for good" },
  { to: maintenance, body: '{"on":false,"forSeconds":null}', status: 200, says: { ...handedOver, on: false }, asks: "maintenance off for good" },
  { to: maintenance, body: "", status: 400, error: `found no JSON, ${wanted}` },
  { to: maintenance, body: "{", status: 400, error: `found no JSON, ${wanted}` },
  { to: maintenance, body: "null", status: 400, error: "on: found nothing, wanted true or false" },
  { to: maintenance, body: "[]", status: 400, error: "on: found nothing, wanted true or false" },
  { to: maintenance, body: '{"on":"yes"}', status: 400, error: 'on: found "yes", wanted true or false' },
  { to: maintenance, body: '{"on":true,"forSeconds":0}', status: 400, error: "forSeconds: found 0, wanted a whole number from 1 to 604800" },
  { to: maintenance, body: '{"on":true,"forSeconds":"2h"}', status: 400, error: 'forSeconds: found "2h", wanted a whole number from 1 to 604800' },
  { to: maintenance, body: '{"on":true,"colour":1}', status: 400, error: `colour: found a key that means nothing here, ${wanted}` },
  { to: maintenance, body: '{"__proto__":{"on":true}}', status: 400, error: `__proto__: found a key that means nothing here, ${wanted}` },
  { to: maintenance, body: `{"on":true${" ".repeat(5000)}}`, status: 413, error: "found more than 4096 bytes, wanted at most that" },
  { to: identify, body: "", status: 200, says: identified, asks: "identify 60" },
  { to: identify, body: "{}", status: 200, says: identified, asks: "identify 60" },
  { to: identify, body: '{"forSeconds":3600}', status: 200, says: identified, asks: "identify 3600" },
  { to: identify, body: '{"forSeconds":3601}', status: 400, error: "forSeconds: found 3601, wanted a whole number from 1 to 3600" },
  { to: identify, body: '{"forSeconds":1.5}', status: 400, error: "forSeconds: found 1.5, wanted a whole number from 1 to 3600" },
  { to: identify, body: '{"on":true}', status: 400, error: 'on: found a key that means nothing here, wanted JSON such as {"forSeconds":60}' },
  { to: identify, body: "{", status: 400, error: 'found no JSON, wanted JSON such as {"forSeconds":60}' },
  { to: "/restart", body: "", status: 404, error: NOT_OURS },
  { to: "/restart", body: '{"forSeconds":60}', status: 400, error: "forSeconds: found a key that means nothing here, wanted JSON such as {}" },
];
for (const { to, body, status, says, error, asks } of posts) {
  test(`POST ${to} ${body.slice(0, 40)} is answered with ${status}`, async () => {
    board.asked.length = 0;
    const answer = await ask("POST", to, { "content-type": "application/json" }, body);
    assert.equal(answer.status, status);
    assert.deepEqual(JSON.parse(answer.body), error === undefined ? says : { error });
    assert.deepEqual(board.asked, asks === undefined ? [] : [asks]);
  });
}

const going = { bytes: 1, ofBytes: null } as const;
const BEGUN = { restart: { state: "begun" } };
// biome-ignore format: one restart a line
const restarts: { why: string; update: UpdateSnapshot; problem?: string; status: number; says: object; begins: boolean }[] = [
  { why: "whenever somebody wants it", update: { state: "none" }, status: 200, says: BEGUN, begins: true },
  { why: "after an update that failed", update: { state: "failed", error: "no room" }, status: 200, says: BEGUN, begins: true },
  { why: "where the system refuses", update: { state: "none" }, problem: "reboot: not permitted", status: 500, says: { error: "reboot: not permitted" }, begins: true },
  { why: "in the middle of an update", update: { state: "writing", ...going }, status: 409, says: { error: "an update is going on" }, begins: false },
  { why: "before an update has been read back", update: { state: "reading back", ...going }, status: 409, says: { error: "an update is going on" }, begins: false },
];
for (const { why, update, problem, status, says, begins } of restarts) {
  test(`POST /restart ${why} is answered with ${status}`, async () => {
    let hasBegun = false;
    const startAgain = async () => {
      hasBegun = true;
      return problem;
    };
    const updates = { mostBytes: 0, snapshot: () => update, take: assert.fail };
    const address = { host: "127.0.0.1", port: 0 };
    const its = await openStatusServer(address, { ...fakeBoard(), updates, startAgain });
    try {
      const answer = await ask("POST", "/restart", asJson, "", its.port);
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [status, says]);
      assert.equal(hasBegun, begins);
    } finally {
      its.close();
    }
  });
}

const asJson = { "content-type": "application/json" };
const authorized = { ...asJson, authorization: `Bearer ${TOKEN}` };
// biome-ignore format: one client a line
const clients: { is: string; headers: Record<string, string>; read: number; write: number }[] = [
  { is: "the board itself", headers: asJson, read: 200, write: 200 },
  { is: "a page from elsewhere", headers: { ...asJson, origin: "http://evil.example" }, read: 200, write: 403 },
  { is: "a form on that page", headers: { origin: "http://evil.example", "content-type": "text/plain" }, read: 200, write: 415 },
  { is: "that page, its name made to mean our address", headers: { ...asJson, host: "evil.example", origin: "http://evil.example" }, read: 403, write: 403 },
  { is: "the same, with a name that begins as ours", headers: { ...asJson, host: "left.evil.example" }, read: 403, write: 403 },
  { is: "a program with the token, by whatever name", headers: { ...authorized, host: "proxy.example" }, read: 200, write: 200 },
  { is: "a program with a wrong token, by whatever name", headers: { ...asJson, authorization: "Bearer open", host: "proxy.example" }, read: 403, write: 403 },
  { is: "a browser by one of status.names", headers: { ...asJson, host: "left.example.org:8080" }, read: 200, write: 200 },
];
for (const { is, headers, read, write } of clients) {
  test(`${is}: reading ${read}, writing ${write}`, async () => {
    board.asked.length = 0;
    for (const path of ["/status", "/metrics", "/schema.json"]) {
      assert.equal((await ask("GET", path, headers)).status, read, path);
    }
    for (const path of [maintenance, identify]) {
      const { status } = await ask(
        "POST",
        path,
        headers,
        '{"on":true}'.slice(0, path === identify ? 0 : undefined),
      );
      assert.equal(status, write, path);
    }
    assert.equal(board.asked.length, write === 200 ? 2 : 0);
    // No page may read us across origins, and none is told that it might ask.
    const { headers: said } = await ask("OPTIONS", maintenance, headers);
    assert.deepEqual(
      Object.keys(said).filter((name) => name.startsWith("access-control")),
      [],
    );
  });
}

test("no answer has the token or a group's key", async () => {
  const said: string[] = [];
  for (const { ask: asked } of rows) {
    const [method = "", path = ""] = asked.split(" ");
    said.push(JSON.stringify(await ask(method, path)));
  }
  for (const { to, body } of posts) {
    for (const headers of [authorized, { ...asJson, authorization: "Bearer wrong", host: "x.example" }]) {
      said.push(JSON.stringify(await ask("POST", to, headers, body)));
    }
  }
  const key = Buffer.from(PASSWORD_KEY);
  for (const secret of [TOKEN, key.toString("hex"), key.toString("base64"), key.toString("latin1")]) {
    assert.ok(!said.join("\n").includes(secret));
  }
});

test("a port in use is said, not thrown at everybody", async () => {
  const again = openStatusServer({ host: "127.0.0.1", port: server.port }, fakeBoard());
  await assert.rejects(again, /EADDRINUSE/);
});

test("a port that is in use is said, asked for again, and used when it is free", async (t) => {
  const { port, free } = await occupy();
  const ask = () => fetch(`http://127.0.0.1:${port}/status`);
  const said: (string | undefined)[] = [];
  let kept: { close(): void } | undefined;
  t.after(() => kept?.close());
  await new Promise<void>((resolve) => {
    kept = keepStatusServer({ host: "127.0.0.1", port }, fakeBoard(), (problem) => {
      said.push(problem);
      if (problem) free();
      else resolve();
    });
  });
  assert.match(said[0] ?? "", /EADDRINUSE/);
  assert.equal(said.at(-1), undefined);
  assert.equal((await ask()).status, 200);
  kept?.close();
  await assert.rejects(ask());
});

test("one that is closed while it opens is closed for good, and says nothing more", async () => {
  const { port, free } = await occupy();
  await free();
  const kept = keepStatusServer({ host: "127.0.0.1", port }, fakeBoard(), assert.fail);
  kept.close();
  const again = await openStatusServer({ host: "127.0.0.1", port }, fakeBoard()).catch(() => undefined);
  again?.close();
  await assert.rejects(fetch(`http://127.0.0.1:${port}/status`));
});

test("one that waits for its port keeps no process from ending once it is closed", async () => {
  const { port, free } = await occupy();
  const script = `
    import { keepStatusServer } from ${JSON.stringify(join(import.meta.dirname, "../../src/status/server.js"))};
    const kept = keepStatusServer({ host: "127.0.0.1", port: ${port} }, () => ({}), (said) => {
      console.log(said);
      kept.close();
      console.log("timers:", process.getActiveResourcesInfo().filter((it) => it === "Timeout").length);
    });`;
  const argv = ["--input-type=module", "-e", script];
  const { status, stdout } = spawnSync(process.execPath, argv, { encoding: "utf8", timeout: 20_000 });
  assert.equal(status, 0);
  assert.match(stdout, /EADDRINUSE.*\ntimers: 0$/m);
  await free();
});

const roles = [
  { roles: [], overall: "init" },
  { roles: ["master", "master"], overall: "master" },
  { roles: ["backup"], overall: "backup" },
  { roles: ["master", "backup"], overall: "mixed" },
] as const;
for (const { roles: each, overall } of roles) {
  test(`groups in ${each.join(" and ") || "no role"} make a board in ${overall}`, () => {
    assert.equal(overallRole(each), overall);
  });
}

interface Said {
  readonly status: number | undefined;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** Unlike `fetch`, this lets a test say another Host. */
async function ask(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body = "",
  port = server.port,
): Promise<Said> {
  const asking = request({ host: "127.0.0.1", port, method, path, headers, agent: false });
  asking.end(body);
  const [response] = await once(asking, "response");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode, headers: response.headers, body: text };
}

/** A port that somebody else has, until it is freed. */
async function occupy(): Promise<{ readonly port: number; free(): Promise<void> }> {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  return {
    port,
    async free() {
      if (other.listening) await once(other.close(), "close");
    },
  };
}
