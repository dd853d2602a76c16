/**
 * The warm `ip`, with the real program. Asks only, so it needs no root.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openIp } from "../../src/linux/ip.js";

test("answers and refusals belong to the commands that caused them", async () => {
  const ip = openIp();
  const [first, second] = await Promise.all([
    ip.run(["rule show", "address show dev nosuch0", "nonsense", "rule show"]),
    ip.run(["rule show"]),
  ]);
  assert.deepEqual(
    first.refusals.map(({ command }) => command),
    ["address show dev nosuch0", "nonsense"],
  );
  assert.match(first.refusals[0]?.said ?? "", /nosuch0.*does not exist/);
  assert.match(first.refusals[1]?.said ?? "", /unknown/);
  assert.deepEqual(
    [first.answers.length > 0, second.answers.length > 0, second.refusals.length],
    [true, true, 0],
  );
  await ip.close();
});

test("a batch after one that was refused is carried out, in order, by another ip", async () => {
  const ip = openIp();
  const done: number[] = [];
  await Promise.all(
    [0, 1, 2, 3].map(async (i) => {
      await ip.run([i % 2 ? "rule show" : "nonsense"]);
      done.push(i);
    }),
  );
  assert.deepEqual(done, [0, 1, 2, 3]);
  await ip.close();
});

test("after the end every command is refused, and nothing is left running", async () => {
  const ip = openIp();
  await ip.run(["rule show"]);
  await ip.close();
  assert.equal((await ip.run(["rule show"])).refusals.length, 1);
});
