/**
 * The panel says which box this is, for a time.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createIdentify } from "../src/identify.js";
import { createHeardLog } from "./fakes.js";

const START = Date.parse("2026-11-22T08:00:00Z");

test("it begins when asked, is told, and ends by itself", (t) => {
  const { identify, changes, log } = open(t);
  assert.deepEqual(identify.snapshot(), { until: null });
  assert.deepEqual(identify.begin(60), { until: "2026-11-22T08:01:00.000Z" });
  assert.deepEqual(log.lines, ["identify: for 60 s"]);
  t.mock.timers.tick(59_999);
  assert.notEqual(identify.snapshot().until, null);
  t.mock.timers.tick(1);
  assert.deepEqual(identify.snapshot(), { until: null });
  assert.deepEqual(changes, ["2026-11-22T08:01:00.000Z", null]);
});

test("asked again, it begins anew, and may be shorter", (t) => {
  const { identify } = open(t);
  identify.begin(60);
  t.mock.timers.tick(30_000);
  assert.deepEqual(identify.begin(10), { until: "2026-11-22T08:00:40.000Z" });
  t.mock.timers.tick(10_000);
  assert.deepEqual(identify.snapshot(), { until: null });
});

test("who has found the box ends it, and what was due then is not", (t) => {
  const { identify, changes } = open(t);
  identify.stop();
  assert.deepEqual(changes, [], "there was nothing to end");
  identify.begin(60);
  identify.stop();
  assert.deepEqual(identify.snapshot(), { until: null });
  t.mock.timers.tick(60_000);
  assert.deepEqual(changes, ["2026-11-22T08:01:00.000Z", null]);
});

function open(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: START });
  const log = createHeardLog();
  const changes: (string | null)[] = [];
  const identify = createIdentify(log, () => changes.push(identify.snapshot().until));
  return { identify, changes, log };
}
