/**
 * Programs that do not end by themselves, or not even when they are killed.
 */
import assert from "node:assert/strict";
import { ChildProcess } from "node:child_process";
import { test } from "node:test";
import { execute } from "../../src/linux/program.js";

test("a program that takes no SIGTERM is ended at its deadline, and what it said is known", async () => {
  const stubborn = "trap '' TERM; echo 'no answer yet' >&2; for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done";
  const { said, failure } = await execute(["sh", "-c", stubborn], { deadlineMs: 2_000 });
  assert.deepEqual({ said, failure }, { said: "no answer yet\n", failure: "sh has not ended within 2 s" });
});

test("one that the kernel holds up, where no signal reaches it, is left behind", async (t) => {
  t.mock.method(ChildProcess.prototype, "kill", () => true);
  const { failure } = await execute(["sleep", "5"], { deadlineMs: 100 });
  assert.equal(failure, "sleep has not ended within 0.1 s");
});
