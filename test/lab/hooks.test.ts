/**
 * `[[hook]]` of boards at work: a handover is told on both of them, in the right
 * words and to the last one, and no hook, however bad, costs an advertisement.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Message } from "../../src/notice.js";
import { boardConfig, CONTROL, type Group, ROLE_DEADLINE_MS } from "./boards.js";
import { now } from "./child.js";
import { CARP, DEADLINE_MS, longestSilenceMs, snapshotOf, until } from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { carpio, carpioDoes, configFile, type Daemon } from "./peers.js";

await becomeLabRoot();

const ADDRESSES = ["192.0.2.1/24"];
/** A hook that costs an advertisement makes a silence longer by an interval; what else this computer does, the control shows too. */
const MAY_COST_MS = 700;
/** What the control serves. */
const ELSEWHERE: Group = { vhid: 9, addresses: ["192.0.2.9/24"] };
/** What the hooks are told of, times two: that the token is gone, and there. */
const RELOADS = 6;

describe("hooks", { concurrency: 2, timeout: 240_000 }, () => {
  test("a handover and a goodbye are told on both boards, by program and webhook", async () => {
    await using lab = await Lab.open();
    const posts = await listen(lab.client);
    const url = `http://${lab.client.address}:9000/sesame`;
    const left = start(lab.left, { advskew: 0 }, hookThatNotes(lab.left), `[[hook]]\nurl = "${url}"`);
    await left.enters("master", ROLE_DEADLINE_MS);
    const right = start(lab.right, { advskew: 50 }, hookThatNotes(lab.right));
    await until(lab.right, ({ carp }) => (carp[0]?.counters.received ?? 0) > 0);

    await carpioDoes(lab.left, "maintenance", "on");
    const group = "vhid 7 eth0 192.0.2.1/24";
    await heard(lab.left, [
      /^left 1 init>backup backup vhid 7 eth0 192\.0\.2\.1\/24: /,
      /^left 2 backup>master master vhid 7 eth0 192\.0\.2\.1\/24: /,
      /^left 3 > on vhid {3}: maintenance is on$/,
      /^left \d master>backup backup vhid 7 eth0 192\.0\.2\.1\/24: /,
      /^left \d > handed-over vhid {3}: handed over to 192\.0\.2\.3: safe to unplug$/,
    ]);
    await heard(lab.right, [
      new RegExp(`^right 1 init>backup backup ${group}: `),
      new RegExp(`^right 2 backup>master master ${group}: `),
    ]);

    await right.child.stop();
    // Left stands aside, and on a busy computer it may come too late to be heard.
    await heard(lab.right, [
      /^right 3 master>init init vhid 7 eth0 \S+: shutting down(, nobody took over)?$/,
    ]);
    await left.child.stop();
    const told = notesOf(lab.left);
    const messages = await posts(told.length);
    assert.deepEqual(
      messages.map(({ sequence, oldRole, newRole }) => `${sequence} ${oldRole ?? ""}>${newRole ?? ""}`),
      told.map((line) => /^left (\S+ \S+)/.exec(line)?.[1]),
    );
    assert.deepEqual([messages[1]?.name, messages[1]?.addresses], ["left", ADDRESSES]);
    const said = [left, right].map(({ child }) => child.text("stderr")).join("");
    assert.doesNotMatch(said, /hook|sesame/);
  });

  test("hooks that hang, fail, flood and are not there cost the master no advertisement, and are told", async (t) => {
    await using lab = await Lab.open({ boards: ["left", CONTROL] });
    // biome-ignore format: one hook a line
    const hooks = [
      { is: 'run = ["/bin/sh", "-c", "sleep 1000 & wait"]\ntimeout_seconds = 2', says: /not done after 2 s/ },
      { is: 'run = ["/bin/sh", "-c", "while :; do :; done"]\ntimeout_seconds = 2', says: /not done after 2 s/ },
      { is: 'run = ["/bin/sh", "-c", "while :; do echo sesame; done"]\ntimeout_seconds = 300', says: /wrote more than/ },
      { is: 'run = ["/nonexistent"]', says: /exit status 127$/ },
      { is: 'run = ["/bin/sh", "-c", "echo sesame; exit 3"]', says: /exit status 3$/ },
      { is: 'url = "http://192.0.2.99:9000/sesame"\ntimeout_seconds = 1', says: /failed: / },
    ];
    const bad = hooks.map(({ is }) => `[[hook]]\n${is}`);
    const left = start(lab.left, {}, ...bad);
    const calm = start(lab.host(CONTROL), ELSEWHERE);
    const boards = [
      { board: left, group: {}, hooks: bad },
      { board: calm, group: ELSEWHERE, hooks: [] },
    ];
    await Promise.all([left, calm].map((board) => board.enters("master", ROLE_DEADLINE_MS)));
    const captures = await Promise.all(
      [left, calm].map(({ host }) => host.capture({ at: "port", filter: CARP, direction: "in" })),
    );
    let seenAt = now();
    for (let i = 0; i < RELOADS; i++) {
      const before = now();
      for (const { board, group, hooks } of boards) {
        const toml = configOf(board.host, group, hooks);
        const token = i % 2 === 0 ? `token_file = "/nonexistent"\n` : "";
        writeFileSync(configFile(board.host), toml.replace("[status]\n", `[status]\n${token}`));
        await board.child.kill("SIGHUP");
        await board.child.waitForLine(/^configuration read again/, DEADLINE_MS, before);
      }
      for (const capture of captures) seenAt = (await capture.frame(DEADLINE_MS, seenAt)) + 1;
    }
    const { faults } = await until(
      lab.left,
      (it) => it.faults.filter((fault) => fault.startsWith("hook[")).length === hooks.length,
    );
    await Promise.all(captures.map((capture) => capture.stop()));
    const silences = await Promise.all(
      captures.map(async (capture) => longestSilenceMs(await capture.print())),
    );
    const [silenceMs = 0, controlMs = 0] = silences;
    t.diagnostic(`longest silence ${silenceMs.toFixed(0)} ms, of the control ${controlMs.toFixed(0)} ms`);
    t.diagnostic(faults.join("; "));
    assert.ok(silenceMs < controlMs + MAY_COST_MS, `${silenceMs} ms, and ${controlMs} ms without hooks`);
    for (const [i, { says }] of hooks.entries()) {
      assert.match(faults.find((fault) => fault.startsWith(`hook[${i}]`)) ?? "", says);
    }
    assert.doesNotMatch(JSON.stringify(await snapshotOf(lab.left)), /sesame/);
    assert.match(left.child.text("stderr"), /^warning: hook\[4\] .* failed: exit status 3: sesame$/m);
    assert.doesNotMatch(left.child.text("stderr"), /9000\/sesame/);
    const stoppedAt = now();
    const { status } = await left.child.stop(10_000);
    assert.equal(status, 0);
    t.diagnostic(`stopped in ${(now() - stoppedAt).toFixed(0)} ms`);
    assert.deepEqual(await leftovers(lab.left), []);
  });
});

function start(host: Host, group: Group, ...hooks: readonly string[]): Daemon {
  return carpio(host, configOf(host, group, hooks));
}

function configOf(host: Host, group: Group, hooks: readonly string[]): string {
  return `${boardConfig(host.name, [{ addresses: ADDRESSES, ...group }])}${hooks.join("\n")}\n`;
}

/** Writes a line for each message into the host's folder. */
function hookThatNotes(host: Host): string {
  const program = join(host.directory, "notify");
  const line =
    "$CARPIO_NAME $CARPIO_SEQUENCE $CARPIO_OLD_ROLE>$CARPIO_NEW_ROLE $CARPIO_STATE vhid $CARPIO_VHID $CARPIO_INTERFACE $CARPIO_ADDRESSES: $CARPIO_WHY";
  writeFileSync(program, `#!/bin/sh\necho "${line}" >>"$1"\n`, { mode: 0o755 });
  return `[[hook]]\nrun = ["${program}", "${join(host.directory, "notes")}"]\non = ["master", "backup", "init", "maintenance"]`;
}

function notesOf(host: Host): readonly string[] {
  const file = join(host.directory, "notes");
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
}

async function heard(host: Host, lines: readonly RegExp[]): Promise<void> {
  const missing = () => lines.filter((line) => !notesOf(host).some((note) => line.test(note)));
  for (const untilAt = now() + DEADLINE_MS; missing().length > 0; await sleep(50)) {
    assert.ok(now() < untilAt, `${missing().join(" and ")} are not in\n${notesOf(host).join("\n")}`);
  }
}

/** A webhook on a host, at port 9000; answers what was posted, once there is so much of it. */
async function listen(host: Host): Promise<(count: number) => Promise<readonly Message[]>> {
  const script = `require("node:http").createServer((request, response) => {
    request.setEncoding("utf8").on("data", (text) => console.log(text)).on("end", () => response.end());
  }).listen(9000, () => console.log("listening"));`;
  const child = host.spawn([process.execPath, "-e", script]);
  await child.waitForLine(/^listening$/, DEADLINE_MS);
  return async (count) => {
    const posts = () =>
      child
        .text("stdout")
        .split("\n")
        .filter((line) => line.startsWith("{"));
    for (const untilAt = now() + DEADLINE_MS; posts().length < count; await sleep(50)) {
      assert.ok(now() < untilAt, `${posts().length} of ${count} posts: ${posts().join()}`);
    }
    return posts().map((line) => JSON.parse(line));
  };
}

/** Programs of hooks that outlived their board. */
async function leftovers(host: Host): Promise<readonly string[]> {
  const list = async () =>
    (await host.run(["ps", "-eo", "args"]))
      .split("\n")
      .filter((line) => /sleep 1000|carpio-hook|do :/.test(line) && !/ps -eo/.test(line));
  for (const untilAt = now() + DEADLINE_MS; (await list()).length > 0 && now() < untilAt; ) await sleep(100);
  return list();
}
