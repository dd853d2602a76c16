/**
 * `carpio status --watch` of a board that changes, goes away and comes back, on
 * a terminal and on none.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { watchStatus } from "../src/watch.js";
import { until } from "./panel/until.js";

test("without a terminal there is a table for each change, and a line when the board goes away", async (t) => {
  const board = await startBoard(t);
  const watched = watch(t, board.port, undefined);
  await until(() => watched.text.includes("vhid"), "the first table");
  await board.asked(3);
  assert.equal(tablesOf(watched.text), 1, "advertisements that are heard are no change");
  board.says({ role: "master", carp: [{ ...group, role: "master", why: "master timed out", master: null }] });
  await until(() => tablesOf(watched.text) === 2, "the second table");
  assert.match(watched.text, /^\d{4}-\S+Z\nleft: master /m);
  board.stop();
  await until(() => watched.text.includes("no answer"), "the line");
  assert.match(watched.text, /^left: no answer since \d{4}-\S+Z \(nobody listens there\)$/m);
  await board.start();
  await until(() => tablesOf(watched.text) === 3, "the third table");
  assert.equal(watched.text.split("no answer").length, 2, "the silence is told once");
  await watched.end();
  assert.ok(!watched.text.includes("\x1b"));
});

test("on a terminal it is written in place, cut to what fits, and stays when it ends", async (t) => {
  const board = await startBoard(t);
  const watched = watch(t, board.port, { columns: 30, rows: 4 });
  await until(() => watched.screens().length >= 3, "three looks");
  const lines = (watched.screens().at(-1) ?? "").split("\r\n");
  assert.deepEqual(lines, [
    "left: backup (carpio 0.1.0 on ",
    "maintenance is off",
    "vhid  interface  role    for  ",
  ]);
  board.stop();
  await until(() => /no answer since/.test(watched.screens().at(-1) ?? ""), "the silence");
  assert.match(
    watched.screens().at(-1) ?? "",
    /^left: no answer since 20\d\d-.*\r\nwhat follows is \d+ s old\r\nleft: backup/,
  );
  await watched.end();
  const [, after = ""] = watched.text.split("\x1b[?25h\x1b[?1049l");
  assert.match(
    after,
    /^left: no answer since \S+ \(nobody listens there\)\nwhat follows is \d+ s old\nleft: backup /,
  );
  assert.ok(watched.text.startsWith("\x1b[?1049h"));
});

test("whatever ends it, the terminal has its screen and its cursor again", async (t) => {
  const board = await startBoard(t);
  let text = "";
  const screen = {
    write(more: string) {
      text += more;
      if (more.includes("vhid")) throw new Error("no room left");
    },
    size: () => ({ columns: 80, rows: 24 }),
  };
  const url = `http://127.0.0.1:${board.port}`;
  const { signal } = new AbortController();
  await assert.rejects(watchStatus({ url, name: "left" }, { screen, signal, everyMs: 20 }), /no room left/);
  assert.ok(text.endsWith("\x1b[?25h\x1b[?1049l"), JSON.stringify(text));
});

test("whoever ends it does not wait for an answer", async (t) => {
  const server = createServer(() => {}).listen(0, "127.0.0.1");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, "listening");
  const watched = watch(t, (server.address() as AddressInfo).port, undefined);
  await once(server, "request");
  const before = performance.now();
  await watched.end();
  assert.ok(performance.now() - before < 4_000);
});

// ---- A board, and somebody who watches it ------------------------------------

const group = {
  vhid: 7,
  interface: "eth0",
  role: "backup",
  why: "link up",
  since: "2026-01-01T00:00:00.000Z",
  addresses: ["192.0.2.1/24"],
  master: { address: "192.0.2.3", advbase: 1, advskew: 0, heardSecondsAgo: 0 },
};
const snapshot = {
  name: "left",
  version: "0.1.0",
  board: "none",
  role: "backup",
  maintenance: { on: false, since: null, until: null, handover: { state: "none", to: null, tookMs: null } },
  demotion: { advskew: 0, reasons: [] },
  carp: [group],
  faults: [],
};

async function startBoard(t: TestContext) {
  let says: object = snapshot;
  let asked = 0;
  const open = () =>
    createServer((_request, response) => {
      asked++;
      const text = JSON.stringify(says).replace('"heardSecondsAgo":0', `"heardSecondsAgo":${asked % 10}`);
      response.setHeader("content-type", "application/json");
      response.end(text);
    });
  let server = open().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  t.after(stop);
  return {
    port,
    says: (changes: object) => {
      says = { ...snapshot, ...changes };
    },
    async asked(times: number) {
      const enough = asked + times;
      await until(() => asked >= enough, `${times} questions`);
    },
    stop,
    async start() {
      server = open().listen(port, "127.0.0.1");
      await once(server, "listening");
    },
  };
}

function watch(t: TestContext, port: number, size: { columns: number; rows: number } | undefined) {
  const ended = new AbortController();
  let text = "";
  const screen = {
    write(more: string) {
      text += more;
    },
    size: () => size,
  };
  const board = { url: `http://127.0.0.1:${port}`, name: "left" };
  const done = watchStatus(board, { screen, signal: ended.signal, everyMs: 20 });
  t.after(() => ended.abort());
  return {
    get text() {
      return text;
    },
    /** What stood on the terminal, one look after the other. */
    screens: () =>
      text
        .split("\x1b[H")
        .slice(1)
        .map((look) => look.replaceAll("\x1b[K", "").split("\x1b[J")[0]),
    async end() {
      ended.abort();
      await done;
    },
  };
}

function tablesOf(text: string): number {
  return text.split("vhid  interface").length - 1;
}
