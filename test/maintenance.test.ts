/**
 * The maintenance wish, with groups as they are and other boards that answer
 * over HTTP. Time is ours: it goes on when a test says so. The same with real
 * devices and cables is in lab/maintenance.test.ts.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createFaults, type Faults } from "../src/faults.js";
import type { Group } from "../src/group.js";
import { createMaintenance, type Maintenance } from "../src/maintenance.js";
import type { State, Wish } from "../src/state.js";
import type { MaintenanceSnapshot } from "../src/status/snapshot.js";
import {
  createFakeHolder,
  createFakeSender,
  createHeardLog,
  type FakeSender,
  fakeGroup,
  groupConfig,
  type HeardLog,
  quiet,
  until,
} from "./fakes.js";
import { addressOf } from "./spec.js";

const SUCCESSOR = "192.0.2.3";
const FLOATING = { address: addressOf("192.0.2.1"), length: 24 };
/** Longer than a master asks that nobody answers: 50 ms for the advskew, 1.25 s for bow-outs. */
const ALONE_MS = 1_400;
const AGAIN_MS = 10_000;
/** For answers that go through a socket: who waits in vain is to fail, and not to hang. */
const IN_TIME = { timeout: 20_000 };
const NONE = { state: "none", to: null, tookMs: null } as const;
const NO_TAKER = { state: "no-taker", to: null, tookMs: null } as const;

test("the first who asks hears who took over and how long it took", async (t) => {
  const board = await startMaster(t);
  const answer = board.ask(true);
  await board.pass(20);
  board.hear();
  await board.pass(60);
  const { on, until: end, handover } = await answer;
  assert.deepEqual({ on, end, handover }, { on: true, end: null, handover: handedOver(20) });
  assert.deepEqual(board.states, ["none", "handing-over", "handed-over"]);
  assert.equal(board.group.vhost.role, "backup");
  assert.ok(board.log.lines.includes(`maintenance: handed over to ${SUCCESSOR} in 20 ms`));
});

test("two ask while the disc still writes: one handover, and both hear how it ended", async (t) => {
  const disc = createSlowDisc();
  const board = await startMaster(t, { write: disc.write });
  const answers = [board.ask(true), board.ask(true)];
  await board.pass(0);
  assert.deepEqual(board.states, ["none"]);
  disc.finish();
  await board.pass(20);
  board.hear();
  await board.pass(60);
  for (const answer of await Promise.all(answers)) assert.deepEqual(answer.handover, handedOver(20));
  assert.equal(board.handovers(), 1);
});

test(
  "a second asks while another board is asked: one handover, and both hear how it ended",
  IN_TIME,
  async (t) => {
    const peer = await startPeer(t);
    const board = await startMaster(t, { peers: [peer.url] });
    const first = board.ask(true);
    await until("the first question", () => peer.asked.length === 1);
    const second = board.ask(true);
    await until("the second question", () => peer.asked.length === 2);
    for (const response of peer.asked) answerStatus(response);
    await until("the handover", () => board.states.includes("handing-over"));
    board.hear();
    await board.pass(60);
    for (const answer of [await first, await second]) assert.equal(answer.handover.state, "handed-over");
    assert.deepEqual(board.states, ["none", "asking", "handing-over", "handed-over"]);
    assert.equal(board.handovers(), 1);
  },
);

test("a second asks while the board hands over: it waits for the same end", async (t) => {
  const board = await startMaster(t);
  const first = board.ask(true);
  await board.pass(20);
  const second = board.ask(true);
  await board.pass(10);
  board.hear();
  await board.pass(60);
  assert.deepEqual((await first).handover, handedOver(30));
  assert.deepEqual((await second).handover, handedOver(30));
  assert.equal(board.handovers(), 1);
});

test("who is called back while the disc writes demotes nothing", async (t) => {
  const disc = createSlowDisc();
  const board = await startMaster(t, { write: disc.write });
  const answers = [board.ask(true), board.ask(false)];
  await board.pass(0);
  disc.finish();
  for (const { on, handover } of await Promise.all(answers)) {
    assert.deepEqual({ on, handover }, { on: false, handover: NONE });
  }
  assert.equal(board.handovers(), 0);
  assert.deepEqual(board.group.vhost.demotions, []);
  assert.deepEqual(
    board.written.map(({ maintenance }) => maintenance),
    [true, false],
  );
});

test("who is called back in the middle of the handover serves on", async (t) => {
  const board = await startMaster(t);
  const first = board.ask(true);
  await board.pass(20);
  const second = board.ask(false);
  for (const { on, handover } of [await first, await second]) {
    assert.deepEqual({ on, handover }, { on: false, handover: NONE });
  }
  await board.pass(ALONE_MS);
  assert.equal(board.group.vhost.role, "master");
  assert.deepEqual(board.group.vhost.demotions, []);
  assert.equal(board.group.vhost.leaving, undefined);
});

const nonsense: readonly string[] = ["<html>", "null", '{"carp":[{}]}', '{"maintenance":{"on":true}}'];
for (const text of nonsense) {
  test(`another board that answers ${text} keeps nobody from handing over`, IN_TIME, async (t) => {
    const peer = await startPeer(t, (response) => void response.end(text));
    const board = await startMaster(t, { peers: [peer.url] });
    const answer = board.ask(true);
    await until("the handover", () => board.states.includes("handing-over"));
    board.hear();
    await board.pass(60);
    assert.equal((await answer).handover.state, "handed-over");
  });
}

test("another board that does not answer is waited for no longer than 0.3 s", async (t) => {
  const peer = await startPeer(t);
  const board = await startMaster(t, { peers: [peer.url] });
  board.ask(true);
  await until("the question", () => peer.asked.length === 1);
  await board.pass(299);
  assert.deepEqual(board.states, ["none", "asking"]);
  await board.pass(1);
  assert.deepEqual(board.states, ["none", "asking", "handing-over"]);
});

const unwilling = [
  { why: "is in maintenance itself", changes: { maintenance: snapshotOf({ on: true }) } },
  { why: "has no such group", changes: { carp: [] } },
  { why: "has the group without a link", changes: { carp: [groupSnapshot("init")] } },
];
for (const { why, changes } of unwilling) {
  test(`the only other board ${why}: nobody takes over, and nobody is asked to`, IN_TIME, async (t) => {
    const peer = await startPeer(t, (response) => answerStatus(response, changes));
    const board = await startMaster(t, { peers: [peer.url] });
    assert.deepEqual((await board.ask(true)).handover, NO_TAKER);
    await board.pass(ALONE_MS);
    assert.equal(board.group.vhost.role, "master");
    assert.equal(board.handovers(), 0);
    assert.deepEqual(board.saidOnce(), ["1/0", "1/240"]);
  });
}

test("one willing board among unwilling ones is enough", async (t) => {
  const no = await startPeer(t, (response) => answerStatus(response, { carp: [] }));
  const yes = await startPeer(t, (response) => answerStatus(response));
  const board = await startMaster(t, { peers: [no.url, yes.url] });
  board.ask(true);
  await until("the handover", () => board.states.includes("handing-over"));
});

test("the cable is pulled in the middle: that is no handover to anybody", async (t) => {
  const board = await startMaster(t);
  const answer = board.ask(true);
  await board.pass(20);
  board.group.handle({ kind: "link", up: false, why: "link down", sources: {} });
  await board.pass(60);
  assert.deepEqual((await answer).handover, NONE);
  assert.deepEqual(board.states, ["none", "handing-over", "none"]);
});

test("all groups go together: one that nobody takes keeps the word from being said", async (t) => {
  const board = await startMaster(t, { groups: 2 });
  const answer = board.ask(true);
  await board.pass(20);
  board.hear(0);
  await board.pass(60);
  assert.deepEqual(board.states, ["none", "handing-over"]);
  await board.pass(ALONE_MS);
  assert.deepEqual((await answer).handover, NO_TAKER);
});

test("with an end it ends by itself, and is not resumed", async (t) => {
  const board = await startMaster(t);
  const answer = board.ask(true, 60);
  await board.pass(20);
  board.hear();
  await board.pass(60);
  const { since, until: end } = await answer;
  assert.equal(Date.parse(end ?? "") - Date.parse(since ?? ""), 60_000);
  await board.passServedByAnother(59_000);
  assert.equal(board.maintenance.snapshot().on, true);
  await board.passServedByAnother(1_000);
  assert.deepEqual(board.maintenance.snapshot(), { on: false, since: null, until: null, handover: NONE });
  assert.deepEqual(board.group.vhost.demotions, []);
  assert.deepEqual(board.written.at(-1), { maintenance: false, since: null, forSeconds: null });
});

test("a later wish without an end takes the end back", async (t) => {
  const board = await startMaster(t);
  board.ask(true, 60);
  await board.pass(20);
  board.hear();
  await board.pass(60);
  assert.equal((await board.ask(true)).until, null);
  await board.passServedByAnother(120_000);
  assert.equal(board.maintenance.snapshot().on, true);
});

test("a wish from before the restart: the groups stand aside from the start, and its time begins anew", async (t) => {
  const kept = { maintenance: true, since: "2026-01-01T00:00:00.000Z", forSeconds: 60 };
  const board = await start(t, { kept });
  assert.deepEqual(board.maintenance.snapshot(), {
    on: true,
    since: kept.since,
    until: new Date(Date.now() + 60_000).toISOString(),
    handover: NONE,
  });
  assert.deepEqual(
    board.group.vhost.demotions.map(({ standAside }) => standAside),
    [true],
  );
  board.linkUp();
  await board.passServedByAnother(59_000);
  assert.equal(board.group.vhost.role, "backup");
  assert.equal(board.maintenance.snapshot().on, true);
  await board.passServedByAnother(1_000);
  assert.equal(board.maintenance.snapshot().on, false);
  assert.equal(board.written.at(-1)?.maintenance, false);
});

test("after a restart in maintenance with nobody else there, it serves, and says so", async (t) => {
  const board = await start(t, { kept: { maintenance: true, since: null, forSeconds: null } });
  board.linkUp();
  await board.pass(5_000);
  assert.equal(board.group.vhost.role, "master");
  assert.deepEqual(board.maintenance.snapshot().handover, NO_TAKER);
});

test("no wish, and one that was taken back, are not resumed", async (t) => {
  for (const kept of [undefined, { maintenance: false, since: null, forSeconds: null }]) {
    const board = await start(t, { kept });
    assert.equal(board.maintenance.snapshot().on, false);
    assert.deepEqual(board.group.vhost.demotions, []);
    t.mock.timers.reset();
  }
});

test("a disc that refuses is a fault until it takes a wish again, and hinders no handover", async (t) => {
  let full = true;
  const write = async () => {
    if (full) throw new Error("ENOSPC: no space left on device");
  };
  const board = await startMaster(t, { write });
  board.ask(true);
  await board.pass(0);
  assert.match(board.faults.all.get("state") ?? "", /forgotten at a restart: ENOSPC/);
  assert.deepEqual(board.states, ["none", "handing-over"]);
  full = false;
  await board.ask(false);
  assert.equal(board.faults.all.get("state"), undefined);
});

test("a disc that hangs is a fault after a second, and hinders no handover", async (t) => {
  const board = await startMaster(t, { write: () => new Promise(() => {}) });
  board.ask(true);
  await board.pass(999);
  assert.deepEqual([board.states, board.faults.all.size], [["none"], 0]);
  await board.pass(1);
  assert.match(board.faults.all.get("state") ?? "", /took longer than 1 s/);
  assert.deepEqual(board.states, ["none", "handing-over"]);
});

test("a disc that hangs when it is read: after a second the board starts behind the others, and says so", async (t) => {
  const board = await start(t, { read: () => new Promise(() => {}) });
  assert.match(board.faults.all.get("state") ?? "", /^it is not known .* took longer than 1 s$/);
  assert.equal(board.maintenance.snapshot().on, false);
  board.linkUp();
  await board.passServedByAnother(10_000);
  assert.equal(board.group.vhost.role, "backup");
  await board.pass(5_000);
  assert.equal(board.group.vhost.role, "master");
});

const MAINTENANCE: Wish = { maintenance: true, since: "2026-01-01T00:00:00.000Z", forSeconds: null };
const late = [
  { says: MAINTENANCE, on: true, role: "backup", why: "is in maintenance, and has never left it" },
  { says: undefined, on: false, role: "master", why: "takes over as the better one, as after any start" },
];
for (const { says, on, role, why } of late) {
  test(`a disc that says late that ${says ? "maintenance was on" : "nothing was kept"}: the board ${why}`, async (t) => {
    const disc = createSlowDisc(says);
    const board = await start(t, { read: disc.read });
    board.linkUp();
    await board.passServedByAnother(10_000);
    disc.finish();
    await board.pass(0);
    board.hear();
    await board.pass(60);
    assert.deepEqual([board.maintenance.snapshot().on, board.group.vhost.role], [on, role]);
    assert.equal(board.faults.all.get("state"), undefined);
  });
}

test("a disc that says late that maintenance was on, and nobody else is there: it serves, and says so", async (t) => {
  const disc = createSlowDisc(MAINTENANCE);
  const board = await start(t, { read: disc.read });
  board.linkUp();
  await board.pass(5_000);
  disc.finish();
  await board.pass(0);
  assert.equal(board.group.vhost.role, "master");
  assert.deepEqual(board.maintenance.snapshot().handover, NO_TAKER);
});

test("what the disc says after a newer wish is not taken up any more", async (t) => {
  const disc = createSlowDisc(MAINTENANCE);
  const board = await start(t, { read: disc.read });
  await board.ask(false);
  disc.finish();
  await board.pass(0);
  assert.equal(board.maintenance.snapshot().on, false);
  assert.deepEqual(board.group.vhost.demotions, []);
});

test("nobody took over, and then somebody does by itself: no time is made up", async (t) => {
  const board = await startMaster(t);
  const answer = board.ask(true);
  await board.pass(ALONE_MS);
  assert.deepEqual((await answer).handover, NO_TAKER);
  board.hear();
  await board.pass(60);
  assert.deepEqual(board.maintenance.snapshot().handover, handedOver(null));
});

test("nobody took over, and somebody does when asked again: the time is that of the second asking", async (t) => {
  const board = await startMaster(t);
  board.ask(true);
  await board.pass(AGAIN_MS);
  assert.deepEqual(board.maintenance.snapshot().handover, NO_TAKER);
  await board.pass(30);
  board.hear();
  await board.pass(60);
  assert.deepEqual(board.maintenance.snapshot().handover, handedOver(30));
  assert.deepEqual(board.states, ["none", "handing-over", "no-taker", "handed-over"]);
});

test("the successor falls silent: this board serves again, and takes back that it may be unplugged", async (t) => {
  const board = await startMaster(t);
  board.ask(true);
  await board.pass(20);
  board.hear();
  await board.pass(5_000);
  assert.equal(board.group.vhost.role, "master");
  assert.deepEqual(board.maintenance.snapshot().handover, NO_TAKER);
});

test(
  "while nobody takes over the others are asked once in ten seconds, and no more after the end",
  IN_TIME,
  async (t) => {
    const peer = await startPeer(t, (response) => answerStatus(response, { carp: [] }));
    const board = await startMaster(t, { peers: [peer.url] });
    await board.ask(true);
    for (let times = 2; times <= 6; times++) {
      await board.pass(AGAIN_MS - 1);
      assert.equal(peer.asked.length, times - 1);
      await board.pass(1);
      await until("another question", () => peer.asked.length === times);
      await until("its answer", () => peer.asked.every(({ writableFinished }) => writableFinished));
    }
    await board.ask(false);
    await board.pass(5 * AGAIN_MS);
    assert.equal(peer.asked.length, 6);
    assert.deepEqual(board.states, ["none", "asking", "no-taker", "none"]);
  },
);

test("the cable pulled while it asks boards that cannot: the asking comes to an end", IN_TIME, async (t) => {
  const peer = await startPeer(t);
  const board = await startMaster(t, { peers: [peer.url] });
  const asked = board.ask(true);
  await until("the peer is asked", () => peer.asked.length === 1);
  board.group.handle({ kind: "link", up: false, why: "link down", sources: {} });
  for (const response of peer.asked) answerStatus(response, { carp: [] });
  assert.deepEqual((await asked).handover, { state: "none", to: null, tookMs: null });
});

test("asked once more where nobody took over: the answer waits for what comes of it", async (t) => {
  const board = await startMaster(t);
  const first = board.ask(true);
  await board.pass(1_400);
  assert.deepEqual((await first).handover, NO_TAKER);
  const second = board.ask(true);
  await board.pass(20);
  board.hear();
  await board.pass(60);
  assert.equal((await second).handover.state, "handed-over");
});

test("while nobody takes over the board stands aside once in ten seconds", async (t) => {
  const board = await startMaster(t);
  board.ask(true);
  await board.pass(6 * AGAIN_MS - 1);
  assert.equal(board.handovers(), 6);
  board.maintenance.stop();
  await board.pass(3 * AGAIN_MS);
  assert.equal(board.handovers(), 6);
});

test("of two who asked together only one asks again", async (t) => {
  const disc = createSlowDisc();
  const board = await startMaster(t, { write: disc.write });
  const answers = [board.ask(true), board.ask(true)];
  await board.pass(0);
  disc.finish();
  await board.pass(3 * AGAIN_MS);
  for (const answer of await Promise.all(answers)) assert.deepEqual(answer.handover, NO_TAKER);
  assert.equal(board.handovers(), 4);
});

test("after a handover nothing is asked again", async (t) => {
  const board = await startMaster(t);
  board.ask(true);
  await board.pass(20);
  board.hear();
  await board.pass(60);
  await board.passServedByAnother(3 * AGAIN_MS);
  assert.deepEqual(board.maintenance.snapshot().handover, handedOver(20));
  assert.equal(board.handovers(), 1);
});

test("a board that serves nothing has nothing to hand over, and asks nobody", IN_TIME, async (t) => {
  const peer = await startPeer(t, (response) => answerStatus(response));
  const board = await start(t, { peers: [peer.url] });
  assert.deepEqual((await board.ask(true)).handover, NONE);
  assert.equal(peer.asked.length, 0);
});

// ---- A board, and another ----------------------------------------------------

interface BoardOptions {
  readonly groups?: number;
  readonly kept?: Wish | undefined;
  readonly peers?: readonly string[];
  readonly write?: State["write"];
  /** Of a disc that is late: a second passes at the start. */
  readonly read?: State["read"];
}

interface Board {
  readonly maintenance: Maintenance;
  readonly faults: Faults;
  readonly log: HeardLog;
  /** The first, or only one. */
  readonly group: Group;
  readonly written: readonly Wish[];
  /** Which states the handover was seen in, each once as long as it lasted. */
  readonly states: readonly string[];
  /** How often the first group was told to stand aside. */
  handovers(): number;
  saidOnce(): readonly string[];
  ask(on: boolean, forSeconds?: number): Promise<MaintenanceSnapshot>;
  /** The first group, or the one of that number, hears a healthy board. */
  hear(number?: number): void;
  linkUp(): void;
  /** Lets time pass, with everything that is due meanwhile. */
  pass(ms: number): Promise<void>;
  /** The same, with another board that advertises once a second. */
  passServedByAnother(ms: number): Promise<void>;
}

/** A board without links. */
async function start(t: TestContext, options: BoardOptions = {}): Promise<Board> {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  let nowMs = 0;
  const now = () => nowMs;
  const written: Wish[] = [];
  const states = ["none"];
  const log = createHeardLog();
  const faults = createFaults(log);
  const groups: Group[] = [];
  const sender = createFakeSender();
  const maintenance = createMaintenance({
    groups,
    state: {
      read: options.read ?? (async () => options.kept),
      async write(wish) {
        written.push(wish);
        await options.write?.(wish);
      },
    },
    advskew: () => 240,
    peers: () => options.peers ?? [],
    log,
    faults,
    now,
    onChange() {
      const { state } = maintenance.snapshot().handover;
      if (state !== states.at(-1)) states.push(state);
    },
  });
  t.after(() => maintenance.stop());
  const resumed = maintenance.resume();
  if (options.read) t.mock.timers.tick(1_000);
  await resumed;
  for (let i = 0; i < (options.groups ?? 1); i++) {
    groups.push(addGroup(7 + i, sender, now, maintenance));
  }
  const [group = assert.fail("no groups")] = groups;
  const handle = t.mock.method(group, "handle");
  const pass = async (ms: number) => {
    const endsAt = nowMs + ms;
    do {
      await quiet();
      const next = Math.min(endsAt, ...groups.map((each) => Math.ceil(each.deadline())));
      const step = Math.max(0, next - nowMs);
      nowMs += step;
      t.mock.timers.tick(step);
      for (const each of groups) if (each.deadline() <= nowMs) each.handle({ kind: "wake" });
    } while (nowMs < endsAt);
    await quiet();
  };
  const hear = (number = 0) => {
    const ad = { advbase: 1, advskew: 100, demote: 0 };
    groups[number]?.handle({ kind: "heard", ad, from: addressOf(SUCCESSOR) });
  };
  return {
    maintenance,
    faults,
    log,
    group,
    written,
    states,
    handovers: () =>
      handle.mock.calls.filter(({ arguments: [event] }) => event.kind === "demote" && event.standAside)
        .length,
    saidOnce: () => [...new Set(sender.said)],
    ask: (on, forSeconds) => maintenance.set(on, { by: "a test", forSeconds }),
    hear,
    linkUp() {
      for (const each of groups) each.handle({ kind: "link", up: true, why: "link up", sources: {} });
    },
    pass,
    async passServedByAnother(ms) {
      for (let passed = 0; passed < ms; passed += 1_000) {
        hear();
        await pass(1_000);
      }
    },
  };
}

function addGroup(vhid: number, sender: FakeSender, now: () => number, maintenance: Maintenance): Group {
  const config = groupConfig({ vhid, addresses: [FLOATING] });
  const device = { name: `carp${vhid}`, parent: "eth0", mac: undefined, addresses: config.addresses };
  const group = fakeGroup(config, createFakeHolder(device), sender, now, maintenance.watch);
  maintenance.adopt(group);
  return group;
}

/** A board that is master of its groups. */
async function startMaster(t: TestContext, options: BoardOptions = {}): Promise<Board> {
  const board = await start(t, options);
  board.linkUp();
  await board.pass(5_000);
  assert.equal(board.group.vhost.role, "master");
  return board;
}

/** Reads and writes nothing until it is told to, and then everything. */
function createSlowDisc(kept?: Wish) {
  const waiting: (() => void)[] = [];
  return {
    write: () => new Promise<void>((resolve) => waiting.push(resolve)),
    read: () => new Promise<Wish | undefined>((resolve) => waiting.push(() => resolve(kept))),
    finish() {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

/** Another board. Without an answer of its own the test gives it, to `asked`. */
async function startPeer(t: TestContext, answer?: (response: ServerResponse) => void) {
  const asked: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    asked.push(response);
    answer?.(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** A healthy backup, with these changes. */
function answerStatus(response: ServerResponse, changes: object = {}): void {
  const snapshot = {
    name: "right",
    version: "0.1.0",
    board: "none",
    role: "backup",
    maintenance: snapshotOf({ on: false }),
    demotion: { advskew: 0, reasons: [] },
    carp: [groupSnapshot("backup")],
    faults: [],
    ...changes,
  };
  response.setHeader("content-type", "application/json").end(JSON.stringify(snapshot));
}

function snapshotOf({ on }: { readonly on: boolean }): MaintenanceSnapshot {
  return { on, since: null, until: null, handover: NONE };
}

function groupSnapshot(role: "init" | "backup"): object {
  return { vhid: 7, interface: "lan0", role, why: "link up", addresses: ["192.0.2.1/24"], master: null };
}

function handedOver(tookMs: number | null): MaintenanceSnapshot["handover"] {
  return { state: "handed-over", to: SUCCESSOR, tookMs };
}
