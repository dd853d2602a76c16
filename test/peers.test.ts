/**
 * The other boards: what is taken from an answer, and that no answer, however
 * rude, is more than a problem with a name.
 */
import assert from "node:assert/strict";
import dns from "node:dns";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { syncBuiltinESMExports } from "node:module";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { createGrowth } from "../src/growth.js";
import { readPeer } from "../src/peer.js";
import { createPeers, type Peer, type Peers } from "../src/peers.js";
import { quiet, until } from "./fakes.js";
import { snapshotOf } from "./status/board.js";

const IN_TIME = { timeout: 60_000 };

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function watch(t: TestContext, ...urls: readonly string[]): Peers {
  const peers = createPeers({ urls, now: () => performance.now(), onNews: () => {} });
  t.after(() => peers.close());
  return peers;
}

function answer(response: ServerResponse, body: unknown): void {
  if (!response.headersSent) response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(body));
}

async function when(peers: Peers, what: string, isSo: (peer: Peer) => boolean): Promise<Peer> {
  const [peer] = peers.all;
  assert.ok(peer);
  await until(what, () => isSo(peer));
  return peer;
}

test("a board that answers has a name, a role and groups", IN_TIME, async (t) => {
  const url = await serve(t, (_, response) => answer(response, snapshotOf([{ role: "master" }])));
  const peer = await when(watch(t, url), "an answer", ({ said }) => said !== undefined);
  assert.deepEqual([peer.said?.name, peer.said?.role, peer.problem], ["left", "master", undefined]);
  assert.deepEqual(
    peer.said?.carp.map(({ vhid, addresses }) => [vhid, addresses]),
    [[7, ["192.0.2.1/24"]]],
  );
  assert.ok(Math.abs(peer.clockAheadMs ?? Number.NaN) < 30_000);
});

test("a board that goes away keeps its name, and says why it is silent", IN_TIME, async (t) => {
  let there = true;
  const url = await serve(t, (request, response) => {
    if (there) answer(response, snapshotOf());
    else request.socket.destroy();
  });
  const peers = watch(t, url);
  await when(peers, "an answer", ({ said }) => said !== undefined);
  there = false;
  const peer = await when(peers, "a problem", ({ problem }) => problem !== undefined);
  assert.equal(peer.said?.name, "left");
});

test(
  "of a group that a board has no more nothing is kept, and of one that stays all is",
  IN_TIME,
  async (t) => {
    let interfaces = ["eth0", "eth1"];
    const url = await serve(t, (_, response) =>
      answer(response, snapshotOf(interfaces.map((name) => ({ interface: name })))),
    );
    const peers = watch(t, url);
    const peer = await when(peers, "an answer", ({ said }) => said !== undefined);
    const since = peer.roleSince(7, "eth0");
    assert.notEqual(since, undefined);
    assert.notEqual(peer.roleSince(7, "eth1"), undefined);
    interfaces = ["eth0"];
    await when(peers, "another answer", ({ said }) => said?.carp.length === 1);
    assert.deepEqual([peer.roleSince(7, "eth0"), peer.roleSince(7, "eth1")], [since, undefined]);
  },
);

const rude: readonly { readonly is: string; readonly answers: RequestListener; readonly problem: RegExp }[] =
  [
    {
      is: "no JSON",
      answers: (_, response) => void response.end("<html>"),
      problem: /something else than carpio/,
    },
    {
      is: "no snapshot",
      answers: (_, response) => answer(response, { role: "master" }),
      problem: /something else than carpio/,
    },
    {
      is: "a snapshot with a role that nobody knows",
      answers: (_, response) => answer(response, { ...snapshotOf(), role: "emperor" }),
      problem: /another version/,
    },
    {
      is: "two megabytes",
      answers: (_, response) => void response.end(`"${"a".repeat(2 << 20)}"`),
      problem: /more than \d+ bytes/,
    },
    {
      is: "a long error that a terminal would obey",
      answers: (_, response) => answer(response.writeHead(500), { error: `\u001b[2J${"x".repeat(900)}` }),
      problem: /^\ufffd\[2Jx{200,300}$/,
    },
    { is: "nothing, and stays on the line", answers: () => {}, problem: /no answer within 1\.5 s/ },
  ];

describe("an answer that is no use", () => {
  for (const { is, answers, problem } of rude) {
    test(is, IN_TIME, async (t) => {
      const peer = await when(
        watch(t, await serve(t, answers)),
        "a problem",
        (it) => it.problem !== undefined,
      );
      assert.match(peer.problem ?? "", problem);
      assert.equal(peer.said, undefined);
    });
  }
});

test("who is named no more is asked no more; who stays keeps what is known", IN_TIME, async (t) => {
  const url = await serve(t, (_, response) => answer(response, snapshotOf()));
  const peers = watch(t, url, "http://127.0.0.1:9");
  const known = await when(peers, "an answer", ({ said }) => said !== undefined);
  peers.reconfigure([url]);
  assert.deepEqual(peers.all, [known]);
  peers.reconfigure([]);
  assert.deepEqual(peers.all, []);
});

describe("what is read of a snapshot", () => {
  test("long texts are cut, and what a terminal would obey is taken out", () => {
    const read = readPeer({ ...snapshotOf(), name: `\u001b[2J${"x".repeat(500)}` });
    assert.equal(read?.name, `�[2J${"x".repeat(116)}`);
  });

  test("more groups than there are vhids are no snapshot", () => {
    assert.equal(readPeer(snapshotOf(Array.from({ length: 300 }, () => ({})))), undefined);
  });

  test("of what is wrong there the first is read, and a list that is too long is no snapshot", () => {
    const faults = Array.from({ length: 600 }, (_, i) => `fault ${i}`);
    assert.deepEqual(readPeer({ ...snapshotOf(), faults })?.faults, faults.slice(0, 8));
    assert.equal(readPeer({ ...snapshotOf(), faults: [...faults, ...faults] }), undefined);
    assert.equal(readPeer({ ...snapshotOf(), faults: [1] }), undefined);
  });

  test("a list of half a million is counted and not read", () => {
    const lamps = { role: { pattern: "blink", stepsMs: new Array(500_000).fill(0) } };
    const body = { ...snapshotOf(), panel: { ...snapshotOf().panel, lamps } };
    // A machine that is busy with other things is so not every time.
    const tookMs = Array.from({ length: 10 }, () => {
      const from = performance.now();
      assert.equal(readPeer(body), undefined);
      return performance.now() - from;
    });
    assert.ok(Math.min(...tookMs) < 200, `${tookMs} ms`);
  });

  test("a board of before, which does not say whether a family is silent, is read all the same", () => {
    const [{ silentFamily, ...group } = assert.fail()] = snapshotOf().carp;
    assert.equal(readPeer({ ...snapshotOf(), carp: [group] })?.carp[0]?.silentFamily, null);
    const now = { ...group, silentFamily: "IPv6" };
    assert.equal(readPeer({ ...snapshotOf(), carp: [now] })?.carp[0]?.silentFamily, "IPv6");
  });

  test("a moment that is none is no snapshot", () => {
    assert.equal(readPeer({ ...snapshotOf(), at: "2026-02-01T00:00:00+00" }), undefined);
  });

  for (const body of [null, undefined, 1, "x", [], {}, { carp: [null] }]) {
    test(`${JSON.stringify(body)} is none`, () => assert.equal(readPeer(body), undefined));
  }
});

test("while nobody answers for a name, look-ups do not pile up", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let waiting = 0;
  const hang = () => void waiting++;
  t.mock.method(dns, "lookup", hang);
  t.mock.method(dns.promises, "lookup", () => new Promise(hang));
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const peers = watch(t, "http://right.example.org:8080");
  for (let seconds = 0; seconds < 60; seconds++) {
    t.mock.timers.tick(1_000);
    await quiet();
  }
  assert.match(peers.all[0]?.problem ?? "", /no answer within/);
  assert.ok(waiting > 0 && waiting <= 2, `${waiting} wait`);
});

test("a counter grows for as long as somebody saw it grow not long ago", () => {
  const growth = createGrowth();
  assert.equal(growth.grows(1_000, 0), null);
  growth.see(5, 0);
  assert.equal(growth.grows(1_000, 500), null, "not watched for long enough");
  assert.equal(growth.grows(1_000, 1_001), false);
  growth.see(6, 2_000);
  assert.deepEqual([growth.grows(1_000, 3_000), growth.grows(1_000, 3_001)], [true, false]);
  growth.see(0, 4_000);
  assert.equal(growth.grows(1_000, 4_500), null, "the program has begun again");
});
