import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { openStatusServer, type StatusServer } from "../../src/status/server.js";
import { overallRole, type Snapshot } from "../../src/status/snapshot.js";

const snapshot = { name: "left", role: "master" } as Snapshot;
let server: StatusServer;
before(async () => {
  server = await openStatusServer({ host: "127.0.0.1", port: 0 }, () => snapshot);
});
after(() => server.close());

const rows = [
  { method: "GET", path: "/status", status: 200 },
  { method: "GET", path: "/status?x=1", status: 200 },
  { method: "GET", path: "/nosuch", status: 404 },
  { method: "POST", path: "/status", status: 405 },
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
  const again = openStatusServer({ host: "127.0.0.1", port: server.port }, () => snapshot);
  await assert.rejects(again, /EADDRINUSE/);
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
