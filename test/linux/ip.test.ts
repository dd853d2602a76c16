/**
 * The warm `ip`, with the real program. Asks only, so it needs no root.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { openIp } from "../../src/linux/ip.js";
import { replaceIp } from "./another-ip.js";

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

const broken = [
  { ip: undefined, says: /^ip is not installed \(Debian's package iproute2\)$/, why: "is not installed" },
  {
    ip: "echo 'ip: error while loading shared libraries: libmnl.so.0' >&2; exit 127",
    says: /^ip has ended: ip: error while loading shared libraries: libmnl\.so\.0$/,
    why: "cannot start",
  },
  {
    ip: "echo '[{\"ifindex\":'; exec sleep 60",
    says: /^ip said what is no JSON: \[\{"ifindex":$/,
    why: "babbles",
  },
  { ip: "exec sleep 60", says: /^ip did not answer within 2 s$/, why: "hangs" },
  { ip: "while :; do :; done", says: /^ip did not answer within 4 s$/, why: "is at work for ever" },
];
for (const { ip: script, says, why } of broken) {
  test(`an ip that ${why}: every command is refused with the reason, and works when it can`, async (t) => {
    const ip = openIp({ moreTimes: 1 });
    t.after(() => ip.close());
    const mend = replaceIp(t, script);
    const { answered, refusals } = await ip.run(["rule show", "address show dev lo"]);
    assert.equal(answered, false);
    assert.deepEqual(
      refusals.map(({ command }) => command),
      ["rule show", "address show dev lo"],
    );
    for (const { said } of refusals) assert.match(said, says);
    mend();
    const { answered: well, answers } = await ip.run(["rule show"]);
    assert.deepEqual([well, answers.length > 0], [true, true]);
  });
}

test("an ip that is at work for longer than one may hang is not ended: on a busy board it is only slow", async (t) => {
  const ip = openIp();
  t.after(() => ip.close());
  const real = process.env["PATH"];
  const startedAt = performance.now();
  const busy = "trap 'over=1' USR1; (sleep 3; kill -USR1 $$) & while [ -z \"$over\" ]; do :; done";
  replaceIp(t, `${busy}; PATH='${real}' exec ip "$@"`);
  const { answered, answers } = await ip.run(["rule show"]);
  assert.deepEqual([answered, answers.length > 0], [true, true]);
  assert.ok(performance.now() - startedAt > 2_500);
});

test("an ip that has carried out thousands of lines makes room for another before that is needed", async (t) => {
  const { ip, starts } = countedIp(t);
  const batch = Array.from({ length: 500 }, () => "rule show");
  for (let run = 1; run <= 5; run++) {
    const { refusals, answers } = await ip.run(batch);
    assert.deepEqual([refusals.length, answers.length >= batch.length], [0, true], `run ${run}`);
  }
  const deadlineAt = performance.now() + 10_000;
  while (starts() < 2 && performance.now() < deadlineAt) await setImmediate();
  assert.equal(starts(), 2);
});

// biome-ignore format: one refusal a line
const refused: { command: string; because: string; starts: number }[] = [
  { command: "address show dev nosuch0", because: "nobody knows a device of that name", starts: 1 },
  { command: "link delete dev nosuch0", because: "nobody knows a device of that name", starts: 1 },
  { command: "link delete group 1128354385", because: "the kernel may mean a device that ip remembers", starts: 2 },
  { command: "nonsense", because: "it may mean anything", starts: 2 },
];
for (const { command, because, starts: wanted } of refused) {
  test(`after ${command} was refused ${wanted === 1 ? "the same ip stays" : "another ip starts"}: ${because}`, async (t) => {
    const { ip, starts } = countedIp(t);
    assert.equal((await ip.run([command])).refusals.length, 1);
    await ip.run(["rule show"]);
    assert.equal(starts(), wanted);
  });
}

/** Says as well how often an `ip` was started. */
function countedIp(t: TestContext) {
  const ip = openIp();
  const directory = mkdtempSync(join(tmpdir(), "carpio-test-"));
  const log = join(directory, "starts");
  t.after(async () => {
    await ip.close();
    rmSync(directory, { recursive: true });
  });
  const real = process.env["PATH"];
  replaceIp(t, `echo >>'${log}'; PATH='${real}' exec ip "$@"`);
  return { ip, starts: () => readFileSync(log, "utf8").length };
}
