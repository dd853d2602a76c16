import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import type { Board } from "../../src/status/board-asked.js";
import { keepStatusServer, openStatusServer, type StatusServer } from "../../src/status/server.js";
import { type MaintenanceSnapshot, overallRole, type Snapshot } from "../../src/status/snapshot.js";

const snapshot = { name: "left", role: "master" } as Snapshot;
const outcome: MaintenanceSnapshot = {
  on: true,
  since: "2026-11-22T08:00:00.000Z",
  until: null,
  handover: { state: "handed-over", to: "192.0.2.3", tookMs: 4.1 },
};
const wishes: [boolean, number | undefined][] = [];

function board(take: Board["snapshot"] = () => snapshot): Board {
  return {
    ready: async () => {},
    snapshot: take,
    identify: () => ({ until: "2026-11-22T08:01:00.000Z" }),
    async setMaintenance(on, forSeconds) {
      wishes.push([on, forSeconds]);
      return outcome;
    },
    token: () => "open sesame",
    names: () => ["left"],
  };
}
let server: StatusServer;
before(async () => {
  server = await openStatusServer({ host: "127.0.0.1", port: 0 }, board());
});
after(() => server.close());

const rows = [
  { method: "GET", path: "/status", status: 200 },
  { method: "GET", path: "/status?x=1", status: 200 },
  { method: "GET", path: "/nosuch", status: 404 },
  { method: "POST", path: "/status", status: 405 },
  { method: "GET", path: "/maintenance", status: 405 },
  { method: "GET", path: "/toString", status: 404 },
  { method: "DELETE", path: "/", status: 404 },
];
for (const { method, path, status } of rows) {
  test(`${method} ${path} is answered with ${status}, in JSON`, async () => {
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    assert.equal(answer.status, status);
    const body = (await answer.json()) as { name?: string; error?: string };
    if (status === 200) assert.equal(body.name, "left");
    else assert.ok(body.error?.includes(path));
  });
}

const wanted = 'wanted JSON such as {"on":true,"forSeconds":7200}';
const posts: { body: string; status: number; error?: string; wish?: [boolean, number | undefined] }[] = [
  { body: '{"on":true,"forSeconds":7200}', status: 200, wish: [true, 7200] },
  { body: '{"on":true}', status: 200, wish: [true, undefined] },
  { body: '{"on":false,"forSeconds":null}', status: 200, wish: [false, undefined] },
  { body: "", status: 400, error: `found no JSON, ${wanted}` },
  { body: "{", status: 400, error: `found no JSON, ${wanted}` },
  { body: "null", status: 400, error: "on: found nothing, wanted true or false" },
  { body: "[]", status: 400, error: "on: found nothing, wanted true or false" },
  { body: '{"on":"yes"}', status: 400, error: 'on: found "yes", wanted true or false' },
  {
    body: '{"on":true,"forSeconds":0}',
    status: 400,
    error: "forSeconds: found 0, wanted a whole number from 1 to 604800",
  },
  {
    body: '{"on":true,"forSeconds":"2h"}',
    status: 400,
    error: 'forSeconds: found "2h", wanted a whole number from 1 to 604800',
  },
  {
    body: '{"on":true,"colour":1}',
    status: 400,
    error: `colour: found a key that means nothing here, ${wanted}`,
  },
  {
    body: `{"on":true${" ".repeat(5000)}}`,
    status: 413,
    error: "found more than 4096 bytes, wanted at most that",
  },
];
for (const { body, status, error, wish } of posts) {
  test(`POST /maintenance ${body.slice(0, 40)} is answered with ${status}`, async () => {
    wishes.length = 0;
    const headers = { "content-type": "application/json" };
    const url = `http://127.0.0.1:${server.port}/maintenance`;
    const answer = await fetch(url, { method: "POST", headers, body });
    assert.equal(answer.status, status);
    assert.deepEqual(await answer.json(), error === undefined ? outcome : { error });
    assert.deepEqual(wishes, wish ? [wish] : []);
  });
}

test("a page elsewhere cannot press the button", async () => {
  wishes.length = 0;
  const url = `http://127.0.0.1:${server.port}/maintenance`;
  const answers = await Promise.all([
    fetch(url, { method: "POST", body: '{"on":true}' }),
    fetch(url, {
      method: "POST",
      body: '{"on":true}',
      headers: { "content-type": "application/json", origin: "http://evil.example" },
    }),
  ]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [415, 403],
  );
  assert.deepEqual(wishes, []);
});

test("garbage is answered and disturbs nobody", async () => {
  const said = await new Promise<string>((resolve) => {
    const socket = connect(server.port, "127.0.0.1", () => socket.write("\0\x16\x03 nonsense\r\n\r\n"));
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("error", () => resolve(text));
    socket.on("close", () => resolve(text));
  });
  assert.match(said, /^HTTP\/1\.1 400/);
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/status`)).status, 200);
});

test("a port in use is said, not thrown at everybody", async () => {
  const again = openStatusServer({ host: "127.0.0.1", port: server.port }, board());
  await assert.rejects(again, /EADDRINUSE/);
});

test("many who ask at once for what is costly share a few renderings, and all get an answer", async (t) => {
  let renderings = 0;
  const ask = await serving(t, () => {
    renderings++;
    const untilAt = performance.now() + 20;
    while (performance.now() < untilAt);
    return snapshot;
  });
  const answers = await Promise.all(Array.from({ length: 50 }, ask));
  for (const answer of answers) assert.deepEqual(await answer.json(), snapshot);
  assert.ok(renderings >= 1 && renderings < 10, `${renderings} renderings`);
});

test("no answer is older than its question", async (t) => {
  let uptimeSeconds = 0;
  const ask = await serving(t, () => ({ ...snapshot, uptimeSeconds }));
  for (uptimeSeconds = 1; uptimeSeconds <= 3; uptimeSeconds++) {
    assert.equal(((await (await ask()).json()) as Snapshot).uptimeSeconds, uptimeSeconds);
  }
});

test("a snapshot that fails is no answer, and the next is", async (t) => {
  let fails = true;
  const ask = await serving(t, () => {
    if (fails) throw new Error("not now");
    return snapshot;
  });
  await assert.rejects(ask());
  fails = false;
  assert.equal((await ask()).status, 200);
});

test("a port that is in use is said, asked for again, and used when it is free", async (t) => {
  const { port, free } = await occupy();
  const ask = () => fetch(`http://127.0.0.1:${port}/status`);
  const said: (string | undefined)[] = [];
  let kept: { close(): void } | undefined;
  t.after(() => kept?.close());
  await new Promise<void>((resolve) => {
    kept = keepStatusServer({ host: "127.0.0.1", port }, board(), (problem) => {
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
  const kept = keepStatusServer({ host: "127.0.0.1", port }, board(), assert.fail);
  kept.close();
  const again = await openStatusServer({ host: "127.0.0.1", port }, board()).catch(() => undefined);
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

/** A server for one test; answers with how to ask it. */
async function serving(t: TestContext, take: () => Snapshot): Promise<() => Promise<Response>> {
  const opened = await openStatusServer({ host: "127.0.0.1", port: 0 }, board(take));
  t.after(() => opened.close());
  return () => fetch(`http://127.0.0.1:${opened.port}/status`);
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
