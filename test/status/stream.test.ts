/**
 * Server-sent snapshots: when one comes, what is no news, and those who do not
 * read. On real sockets; the heart is beaten by hand.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type TestContext, test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import { createStream } from "../../src/status/stream.js";
import { createTurns } from "../../src/status/turns.js";
import { createViews } from "../../src/status/view.js";
import { until } from "../fakes.js";
import { snapshotOf } from "./board.js";

const HEARTBEAT_MS = 10_000;
const COMMENT_MS = 2_000;

test("a snapshot at once, and one soon after a change", async (t) => {
  const scene = await open(t);
  const watcher = await scene.watch();
  await until("the first", () => watcher.snapshots.length === 1);
  assert.deepEqual(watcher.snapshots, [JSON.parse(JSON.stringify(scene.snapshot))]);
  assert.match(watcher.text, /^retry: \d+\n\ndata: \{/);

  scene.change({ name: "other" });
  await until("the second", () => watcher.snapshots.length === 2);
  assert.equal(watcher.snapshots[1]?.name, "other");
});

// biome-ignore format: one change a line
const changes: { what: string; to: Partial<Snapshot> }[] = [
  { what: "a role", to: { carp: snapshotOf([{ role: "master" }]).carp } },
  { what: "who is master", to: { carp: snapshotOf([{ master: { address: "192.0.2.2", advbase: 1, advskew: 0, heardSecondsAgo: 1 } }]).carp } },
  { what: "maintenance", to: { maintenance: { ...snapshotOf().maintenance, on: true } } },
  { what: "a fault", to: { faults: ["the disc is full"] } },
  { what: "the panel", to: { panel: { ...snapshotOf().panel, face: "identify" } } },
  { what: "identify", to: { identify: { until: "2026-11-22T08:01:00.000Z" } } },
];
for (const { what, to } of changes) {
  test(`${what} is news`, async (t) => {
    const scene = await open(t);
    const watcher = await scene.watch();
    scene.change({});
    await until("what was before", () => watcher.snapshots.length === 2);
    scene.change(to);
    await until("the news", () => watcher.snapshots.length === 3);
  });
}

test("what changes all the time is no news", async (t) => {
  const scene = await open(t);
  const watcher = await scene.watch();
  scene.change({});
  await until("what was before", () => watcher.snapshots.length === 2);
  const { counters } = snapshotOf().carp[0] as Snapshot["carp"][number];
  const taken = scene.taken();
  scene.change({
    uptimeSeconds: 900,
    carp: snapshotOf([{ counters: { ...counters, sent: 9 } }]).carp,
    dropped: {},
  });
  await until("a look", () => scene.taken() > taken);
  scene.change({ name: "news" });
  await until("the news", () => watcher.snapshots.length === 3);
  assert.equal(watcher.snapshots[2]?.name, "news");
});

test("many changes together are one", async (t) => {
  const scene = await open(t);
  const watchers = await Promise.all(Array.from({ length: 40 }, () => scene.watch()));
  for (let i = 1; i <= 100; i++) scene.change({ name: `change ${i}` });
  await until("all know", () => watchers.every(({ snapshots }) => snapshots.at(-1)?.name === "change 100"));
  for (const { snapshots } of watchers) assert.ok(snapshots.length <= 2, `${snapshots.length} snapshots`);
  assert.ok(scene.taken() < 100, `${scene.taken()} snapshots taken`);
});

test("without a change: a snapshot now and then, and a comment in between", async (t) => {
  const scene = await open(t);
  const watcher = await scene.watch();
  await until("the first", () => watcher.snapshots.length === 1);
  t.mock.timers.tick(COMMENT_MS);
  await until("a comment", () => /\n:\n\n$/.test(watcher.text));
  assert.equal(watcher.snapshots.length, 1);
  t.mock.timers.tick(HEARTBEAT_MS - COMMENT_MS);
  await until("the heartbeat", () => watcher.snapshots.length === 2);
});

test("while nobody watches nothing is done", async (t) => {
  const scene = await open(t);
  const watcher = await scene.watch();
  await until("the first", () => watcher.snapshots.length === 1);
  watcher.leave();
  await until("it is gone", () => scene.responses.every(({ closed }) => closed));
  await takesNothing(t, scene);
});

test("who asks several times in one go hears one stream, and leaves nothing behind", async (t) => {
  const scene = await open(t);
  const hasty = connect(scene.port, "127.0.0.1").setEncoding("utf8");
  let heard = "";
  hasty.on("data", (chunk: string) => (heard += chunk));
  hasty.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
  await until("all have asked", () => scene.responses.length === 3);
  await until("a snapshot", () => heard.includes("data: "));
  const [first, ...queued] = scene.responses;
  const waiting = queued.map(({ writableLength }) => writableLength);
  t.mock.timers.tick(COMMENT_MS);
  await until("a comment", () => heard.includes("\n:\n\n"));
  assert.deepEqual(
    queued.map(({ writableLength }) => writableLength),
    waiting,
    "nothing is kept for who cannot hear it",
  );

  hasty.destroy();
  await until("it is gone", () => first?.closed === true);
  await takesNothing(t, scene);
});

test("who leaves while its stream waits behind another answer leaves nothing behind", async (t) => {
  const scene = await open(t);
  const hasty = connect(scene.port, "127.0.0.1").on("error", () => {});
  hasty.write("GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await until("its stream waits", () => scene.responses.length === 1);
  const [queued = assert.fail()] = scene.responses;
  const gone = once(queued.req.socket, "close");
  hasty.destroy();
  await gone;
  await takesNothing(t, scene);
});

test("who does not read is let go before much waits for it, and others notice nothing", async (t) => {
  const scene = await open(t);
  const reader = await scene.watch();
  const deaf = connect(scene.port, "127.0.0.1").pause();
  deaf.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await until("both watch", () => scene.responses.length === 2);
  const [, toDeaf] = scene.responses;
  const large = "x".repeat(500_000);
  let most = 0;
  for (let i = 1; !toDeaf?.closed; i++) {
    assert.ok(i < 200, "100 MB, and it is still there");
    scene.change({ name: `${i} ${large}` });
    await until("the reader knows", () => reader.snapshots.at(-1)?.name.startsWith(`${i} `) === true);
    most = Math.max(most, toDeaf?.writableLength ?? 0);
  }
  assert.ok(most < 2_000_000, `${most} bytes waited`);
  deaf.destroy();
});

/** A change, and many heartbeats later: no snapshot was made for anybody. */
async function takesNothing(t: TestContext, scene: Awaited<ReturnType<typeof open>>): Promise<void> {
  const taken = scene.taken();
  scene.change({ name: "unseen" });
  t.mock.timers.tick(3 * HEARTBEAT_MS);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(scene.taken(), taken);
}

async function open(t: TestContext) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let snapshot = snapshotOf();
  let taken = 0;
  const take = () => {
    taken++;
    return snapshot;
  };
  const stream = createStream(createViews({ ready: async () => {}, snapshot: take }), createTurns());
  const responses: ServerResponse[] = [];
  const server = createServer((request, response) => {
    // One that takes its time.
    if (request.url === "/later") return;
    responses.push(response);
    stream.add(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    stream.close();
    server.close();
    server.closeAllConnections();
  });
  return {
    snapshot,
    port,
    responses,
    taken: () => taken,
    change(changes: Partial<Snapshot>) {
      snapshot = { ...snapshot, ...changes };
      stream.changed();
    },
    watch: () => watch(port),
  };
}

/** Reads the stream as a browser does; resolves when it has begun. */
async function watch(port: number) {
  const asking = get({ host: "127.0.0.1", port, agent: false });
  const [response] = (await once(asking, "response")) as [IncomingMessage];
  const watcher = { text: "", snapshots: [] as Snapshot[], leave: () => asking.destroy() };
  let rest = "";
  asking.on("error", () => {});
  response.on("error", () => {});
  response.setEncoding("utf8").on("data", (chunk: string) => {
    watcher.text += chunk;
    const messages = (rest + chunk).split("\n\n");
    rest = messages.pop() ?? "";
    for (const message of messages) {
      if (message.startsWith("data: ")) watcher.snapshots.push(JSON.parse(message.slice(6)));
    }
  });
  return watcher;
}
