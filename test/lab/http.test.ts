/**
 * The status server of the running bundle: every path by the board's own
 * addresses and by the floating ones, what it must not tell, and what rude
 * clients cost the protocol.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { schema } from "../../src/status/schema.js";
import { complaints } from "../status/validate.js";
import { ask, listen, type Question } from "./asking.js";
import { boardConfig, CONTROL, type Group, ROLE_DEADLINE_MS } from "./boards.js";
import { now } from "./child.js";
import { CARP, DEADLINE_MS, longestSilenceMs, roleChanges, servedBy, snapshotOf, until } from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { carpio, type Daemon, VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6 } from "./peers.js";
import { KINDS } from "./rude.js";

await becomeLabRoot();

const PASSWORD = "mekmitasdigoat";
const TOKEN = "open sesame";
const authorized = { "content-type": "application/json", authorization: `Bearer ${TOKEN}` };

describe("every path", { timeout: 120_000 }, () => {
  let lab: Lab;
  let left: Daemon;
  let right: Daemon;
  const heard: string[] = [];
  const asked = async (question: Question) => {
    const said = await ask(lab.client, question);
    heard.push(JSON.stringify(said));
    return said;
  };
  before(async () => {
    lab = await Lab.open();
    left = startServing(lab.left, "[::]:8080", [{}]);
    right = startServing(lab.right, `${VIRTUAL_ADDRESS}:8080`, [{ advskew: 50 }]);
    await right.enters("backup", ROLE_DEADLINE_MS);
    await servedBy(lab, ["left"]);
    await left.child.waitForLine(/^carpio \S+ as /, DEADLINE_MS);
  });
  after(() => lab.close());

  test("by the board's own addresses and the floating ones, of both families", async () => {
    for (const host of [
      lab.left.address,
      VIRTUAL_ADDRESS,
      `[${lab.left.address6}]`,
      `[${VIRTUAL_ADDRESS6}]`,
    ]) {
      const at = (path: string) => asked({ url: `http://${host}:8080${path}` });
      const status = await at("/status");
      assert.equal(status.status, 200, host);
      assert.deepEqual(complaints(schema, JSON.parse(status.body)), []);
      assert.match(
        (await at("/metrics")).body,
        /^carpio_role\{vhid="7",interface="eth0",role="master"\} 1$/m,
      );
      assert.deepEqual(JSON.parse((await at("/healthz?role=master")).body), {
        ok: true,
        role: "master",
        why: [],
      });
      assert.equal((await at("/healthz?role=backup")).status, 503);
      assert.deepEqual(JSON.parse((await at("/schema.json")).body), JSON.parse(JSON.stringify(schema)));
      assert.equal((await at("/nosuch")).status, 404);
    }
  });

  test("who watches sees a change at once, and who identifies sees it on the panel", async () => {
    const watcher = listen(lab.client, `http://${VIRTUAL_ADDRESS}:8080/events`);
    await watcher.waitForLine(/^data: .*"face":"master"/, DEADLINE_MS);
    const url = `http://${VIRTUAL_ADDRESS}:8080/identify`;
    const said = await asked({ method: "POST", url, headers: authorized, body: '{"forSeconds":2}' });
    const { identify } = JSON.parse(said.body);
    assert.match(identify.until, /^\d{4}-.*Z$/);
    await watcher.waitForLine(new RegExp(`"until":"${identify.until}".*"face":"identify"`), DEADLINE_MS);
    await watcher.waitForLine(/"identify":\{"until":null\}.*"face":"master"/, DEADLINE_MS, now());
    await watcher.stop();
  });

  test("who has no token, a wrong one, another origin or a forged host changes nothing", async () => {
    const json = { "content-type": "application/json" };
    const url = `http://${VIRTUAL_ADDRESS}:8080/maintenance`;
    const wish = { method: "POST", url, body: '{"on":true}' };
    const refused: readonly [Readonly<Record<string, string>>, number][] = [
      [json, 401],
      [{ ...json, authorization: "Bearer open" }, 401],
      [{ ...json, origin: "http://evil.example" }, 403],
      [{ ...json, host: "evil.example" }, 403],
      [{ ...authorized, "content-type": "text/plain" }, 415],
    ];
    for (const [headers, status] of refused) {
      assert.equal((await asked({ ...wish, headers })).status, status, JSON.stringify(headers));
    }
    assert.equal(
      (await asked({ url: `http://${VIRTUAL_ADDRESS}:8080/status`, headers: { host: "evil.example" } }))
        .status,
      403,
    );
    assert.equal((await snapshotOf(lab.left)).maintenance.on, false);
  });

  test("whoever has the floating address serves there: the other board is no fault, and answers after the handover", async () => {
    assert.doesNotMatch(right.child.text("stderr"), /no status over HTTP/);
    const url = `http://${lab.left.address}:8080/maintenance`;
    const said = await asked({ method: "POST", url, headers: authorized, body: '{"on":true}' });
    assert.equal(JSON.parse(said.body).handover.state, "handed-over", said.body);
    await servedBy(lab, ["right"]);
    const untilAt = now() + DEADLINE_MS;
    for (let name = ""; name !== "right"; await sleep(100)) {
      assert.ok(now() < untilAt, "right does not answer by the floating address");
      const there = await asked({ url: `http://${VIRTUAL_ADDRESS}:8080/status` }).catch(() => undefined);
      name = there?.status === 200 ? JSON.parse(there.body).name : "";
    }
    assert.doesNotMatch(right.child.text("stderr"), /no status over HTTP/);
  });

  test("no answer and no line of the log has the password or the token", () => {
    const all = [...heard, ...[left, right].map(({ child }) => child.text("stderr"))].join("\n");
    assert.ok(all.includes('"vhid'), "there is something to look through");
    for (const secret of [PASSWORD, "sesame"]) assert.ok(!all.includes(secret), secret);
  });
});

describe("rude clients", { timeout: 240_000 }, () => {
  const SECONDS = 4;
  /** An advertisement each 98 ms shows a board that was kept busy; it may be this much later than that of one that was left alone. */
  const fast: Group = { advbase: 0, advskew: 25, addresses: [`${VIRTUAL_ADDRESS}/24`] };
  const LATER_MS = 50;
  const ATTEMPTS = 3;
  const MOST_GROWTH_MB = 60;
  let lab: Lab;
  let left: Daemon;
  let right: Daemon;
  let beforeMb = 0;
  before(async () => {
    lab = await Lab.open({ boards: ["left", "right", CONTROL] });
    left = startServing(lab.left, "0.0.0.0:8080", [fast]);
    right = startServing(lab.right, "127.0.0.1:8080", [{ ...fast, advskew: 50 }]);
    const control = lab.host(CONTROL);
    startServing(control, "127.0.0.1:8080", [{ ...fast, vhid: 9, addresses: ["192.0.2.9/24"] }]);
    await servedBy(lab, ["left"], [VIRTUAL_ADDRESS]);
    await until(lab.right, ({ role }) => role === "backup");
    await until(control, ({ role }) => role === "master");
    // One that is alone is told from a network full of them.
    const more = Array.from({ length: 20 }, (_, i) => `address add 192.0.2.${101 + i}/24 dev eth0`);
    await lab.client.namespace.ip(...more);
    beforeMb = residentMb(await left.child.pid());
  });
  after(() => lab.close());

  for (const kind of KINDS) {
    test(`${kind}: no advertisement is late, nobody takes over, and others are served`, async (t) => {
      // A machine that is busy with other things lets a busy board wait longer than an idle one; ours would be there each time.
      let laterMs = Number.POSITIVE_INFINITY;
      for (let attempt = 1; attempt <= ATTEMPTS && laterMs >= LATER_MS; attempt++) {
        laterMs = Math.min(laterMs, await suffer(kind, (said) => t.diagnostic(said)));
      }
      assert.ok(laterMs < LATER_MS, `${laterMs.toFixed(0)} ms later than the control`);
      const mb = residentMb(await left.child.pid());
      assert.ok(
        mb < beforeMb + MOST_GROWTH_MB,
        `${beforeMb.toFixed(0)} MB before, ${mb.toFixed(0)} MB after`,
      );
    });
  }

  /** By how much left's longest silence was longer than that of a board that is left alone. */
  async function suffer(kind: string, tell: (said: string) => void): Promise<number> {
    // A board that was starved in an attempt before is master again.
    await until(lab.left, ({ role }) => role === "master");
    const fromAt = now();
    const capture = await lab.client.capture({ filter: CARP, direction: "in" });
    const program = join(import.meta.dirname, "rude.js");
    const rude = lab.client.spawn([process.execPath, program, kind, lab.left.address, String(SECONDS)]);
    await sleep((SECONDS * 1000) / 2);
    await snapshotOf(lab.left);
    const { status } = await rude.silent;
    assert.equal(status, 0, rude.text("stderr"));
    await capture.stop();
    const silenceOf = async ({ address }: Host) =>
      longestSilenceMs(await capture.print(`src host ${address}`));
    const [ours, control] = [await silenceOf(lab.left), await silenceOf(lab.host(CONTROL))];
    assert.ok(ours > 0 && control > 0, "both advertised");
    const mb = residentMb(await left.child.pid()).toFixed(0);
    tell(
      `${rude.text("stdout").trim()}; silent for ${ours.toFixed(0)} ms, the control for ${control.toFixed(0)} ms; ${mb} MB`,
    );
    const changes = roleChanges([left, right], fromAt);
    if (changes.length > 0) tell(changes.join("; "));
    return changes.length > 0 ? Number.POSITIVE_INFINITY : ours - control;
  }
});

function startServing(host: Host, listenAt: string, groups: readonly Group[]): Daemon {
  writeFileSync(join(host.directory, "token"), `${TOKEN}\n`);
  const toml = boardConfig(host.name, groups)
    .replace("127.0.0.1:8080", listenAt)
    .replace("[[carp]]", 'token_file = "token"\n[[carp]]');
  return carpio(host, toml);
}

function residentMb(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}
