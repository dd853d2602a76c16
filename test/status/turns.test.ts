/**
 * A few at a time, in order, and none forgotten.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createTurns } from "../../src/status/turns.js";

test("of many a few are done in each turn of the loop, in order, and what comes later waits for them", async () => {
  const turns = createTurns();
  const done: number[] = [];
  const perTurn: number[] = [];
  const ask = (i: number) => void turns.next().then(() => done.push(i));
  for (let i = 0; i < 100; i++) ask(i);
  for (let before = 0; before < 101; before = done.length) {
    assert.ok(perTurn.length < 100, `only ${done.length} are done`);
    await new Promise((resolve) => setImmediate(resolve));
    if (perTurn.length === 0) ask(100);
    perTurn.push(done.length - before);
  }
  assert.deepEqual(
    done,
    Array.from({ length: 101 }, (_, i) => i),
  );
  // Where the turns begin and end is the loop's own affair: two portions may meet in what we see.
  assert.ok(Math.max(...perTurn) <= 32, perTurn.join());
});

test("once all are done, the next waits for nobody", async () => {
  const turns = createTurns();
  await Promise.all(Array.from({ length: 40 }, () => turns.next()));
  await new Promise((resolve) => setImmediate(resolve));
  let done = false;
  turns.next().then(() => {
    done = true;
  });
  await Promise.resolve();
  await Promise.resolve();
  assert.ok(done);
});
