/**
 * One view for many: how often one is made, and how old it may be.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import { createViews } from "../../src/status/view.js";
import { snapshotOf } from "./board.js";

const COSTLY_MS = 20;

test("many who ask at once share one view, and its text", async () => {
  let taken = 0;
  let made = 0;
  const views = viewsOf(() => snapshotOf([], { uptimeSeconds: taken++ }));
  const make = ({ uptimeSeconds }: Snapshot) => `${uptimeSeconds} ${made++}`;
  const all = await Promise.all(Array.from({ length: 50 }, () => views.next()));
  assert.deepEqual(new Set(all.map((view) => String(view.text(make)))), new Set(["0 0"]));
  assert.equal(taken, 1);
});

test("no view is older than the question", async () => {
  let uptimeSeconds = 0;
  const views = viewsOf(() => snapshotOf([], { uptimeSeconds }));
  for (uptimeSeconds = 1; uptimeSeconds <= 20; uptimeSeconds++) {
    assert.equal((await views.next()).snapshot.uptimeSeconds, uptimeSeconds);
  }
});

test("what is costly takes a fifth of the time, however many ask and whatever is made of it", async () => {
  const views = viewsOf(() => snapshotOf());
  const costly = () => {
    const untilAt = performance.now() + COSTLY_MS;
    while (performance.now() < untilAt);
    return "";
  };
  const fromAt = performance.now();
  for (let i = 0; i < 5; i++) {
    const [view] = await Promise.all(Array.from({ length: 10 }, () => views.next()));
    view?.text(costly);
  }
  const tookMs = performance.now() - fromAt;
  // Five times 20 ms of work, and four pauses of four times that.
  assert.ok(tookMs > 4 * 5 * COSTLY_MS, `${tookMs} ms`);
});

test("a snapshot that fails is no answer, and the next is", async () => {
  let fails = true;
  const views = viewsOf(() => {
    if (fails) throw new Error("not now");
    return snapshotOf();
  });
  await assert.rejects(views.next(), /not now/);
  fails = false;
  assert.equal((await views.next()).snapshot.name, "left");
});

test("what cannot be had ready is no answer, and the next is", async () => {
  let fails = true;
  const ready = async () => {
    if (fails) throw new Error("not now");
  };
  const views = createViews({ ready, snapshot: () => snapshotOf() });
  await assert.rejects(views.next(), /not now/);
  fails = false;
  assert.equal((await views.next()).snapshot.name, "left");
});

function viewsOf(snapshot: () => Snapshot) {
  return createViews({ ready: async () => {}, snapshot });
}
