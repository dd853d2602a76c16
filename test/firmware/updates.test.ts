/**
 * An update over HTTP, from a client to a folder that stands for the card:
 * through the status server, the pipes and the service, as on a board.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type ClientRequest, IncomingMessage, request } from "node:http";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { emptyConfig } from "../../src/config.js";
import { openRecord, slotFile } from "../../src/firmware/card.js";
import { formatTrailer } from "../../src/firmware/payload.js";
import { PAYLOADS, PROGRESS, planSystem, RUN } from "../../src/firmware/plan.js";
import { openUpdates } from "../../src/firmware/updates.js";
import { openStatusServer, type StatusServer } from "../../src/status/server.js";
import type { UpdateSnapshot } from "../../src/status/update.js";
import { fakeBoard, TOKEN } from "../status/board.js";

const MAIN = join(import.meta.dirname, "../../src/main.js");
const root = mkdtempSync(join(tmpdir(), "carpio-updates-"));
const [folder, runtime, config] = ["card", "run", "carpio.toml"].map((name) => join(root, name)) as [
  string,
  string,
  string,
];
const pipes = [PAYLOADS, PROGRESS].map((name) => join(runtime, name));
const programs = join(root, "bin");

/** The service as a board has it, but for where its pipes are. */
const machine = {
  interfaces: [],
  macs: new Map(),
  suffix: "0000",
  rules: undefined,
  port: undefined,
  updates: { config },
};
const { services } = planSystem(emptyConfig().system, [], machine);
const [shell = "", ...argv] = (services.find(({ name }) => name === "updates")?.argv ?? []).map((word) =>
  word.replace(RUN, runtime),
);

/** How the updates have ended, for the log. */
const ends: UpdateSnapshot[] = [];
const onEnd = (end: UpdateSnapshot) => void ends.push(end);

let server: StatusServer;
let service: ChildProcess;
before(async () => {
  for (const each of [folder, runtime, programs]) mkdirSync(each);
  writeFileSync(config, "[update]\nunsigned = true\n");
  writeFileSync(join(runtime, "slot"), "a\n");
  execFileSync("mkfifo", pipes);
  const carpio = `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@" --card "${folder}"\n`;
  writeFileSync(join(programs, "carpio"), carpio, { mode: 0o755 });
  const env = { ...process.env, RUNTIME_DIRECTORY: runtime, PATH: `${programs}:${process.env["PATH"]}` };
  service = spawn(shell, argv, { env, stdio: "inherit" });
  server = await openStatusServer(
    { host: "127.0.0.1", port: 0 },
    { ...fakeBoard(), updates: openUpdates({ onEnd, runtime }) },
  );
});
after(() => {
  server.close();
  service.kill();
  rmSync(root, { recursive: true });
});

function payload(version: string, bytes: number): Buffer {
  const squashfs = Buffer.alloc(bytes);
  squashfs.write("hsqs");
  // What would end a connection that says it in its headers.
  squashfs.fill("HTTP/1.1 ", bytes >> 1);
  const sha256 = createHash("sha256").update(squashfs).digest("hex");
  return Buffer.concat([squashfs, formatTrailer({ version, size: bytes, sha256 })]);
}

interface Answer {
  readonly status: number;
  readonly body: { readonly update?: unknown; readonly error?: string };
}

type Headers = { readonly [name: string]: string };

/** With the headers alone; the body is for the caller. */
function ask(body: Buffer, headers: Headers = {}, { port } = server): ClientRequest {
  return request({
    port,
    method: "POST",
    path: "/update",
    headers: {
      "content-type": "application/octet-stream",
      authorization: `Bearer ${TOKEN}`,
      "content-length": body.length,
      ...headers,
    },
  });
}

async function post(body: Buffer, headers: Headers = {}, to = server): Promise<Answer> {
  const asked = ask(body, headers, to);
  const answered = once(asked, "response");
  if ("expect" in headers) asked.once("continue", () => asked.end(body));
  else asked.end(body);
  const [response] = await answered;
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode, body: JSON.parse(text) };
}

/** A board with another service: what its shell does between the two pipes. */
async function serveWith(t: TestContext, service: string, silenceMs: number): Promise<StatusServer> {
  const place = mkdtempSync(join(root, "other-"));
  writeFileSync(join(place, "slot"), "a\n");
  const doors = [PAYLOADS, PROGRESS].map((name) => join(place, name));
  execFileSync("mkfifo", doors);
  const stands = spawn("sh", ["-c", `{ ${service}; } <"$1" >"$2"`, "sh", ...doors]);
  const updates = openUpdates({ onEnd, runtime: place, silenceMs });
  const other = await openStatusServer({ host: "127.0.0.1", port: 0 }, { ...fakeBoard(), updates });
  t.after(() => {
    stands.kill();
    other.close();
  });
  return other;
}

async function look(): Promise<unknown> {
  return (await fetch(`http://127.0.0.1:${server.port}/update`)).json();
}

async function until(state: string): Promise<void> {
  while (!JSON.stringify(await look()).includes(`"state":"${state}"`)) await sleep(20);
}

test("a payload is in the other slot, started next, and the answer says so", async () => {
  assert.deepEqual(await look(), { update: { state: "none" } });
  const done = { state: "done", slot: "b", version: "2", bytes: 20 << 20 };
  assert.deepEqual(await post(payload("2", 20 << 20)), { status: 200, body: { update: done } });
  assert.deepEqual(await look(), { update: done });
  assert.equal((await openRecord(folder).read()).next, "b");
  assert.deepEqual(ends.at(-1), done);
});

test("a client that asks first whether it may send is told to", async () => {
  const { status } = await post(payload("3", 3 << 20), { expect: "100-continue" });
  assert.equal(status, 200);
});

const refusals: readonly {
  why: string;
  body: Buffer;
  headers?: { readonly [name: string]: string };
  status: number;
  says: RegExp;
}[] = [
  { why: "that is an image", body: Buffer.alloc(20 << 20), status: 422, says: /wanted a payload of a slot/ },
  {
    why: "that ends early",
    body: payload("4", 3 << 20).subarray(0, 2 << 20),
    status: 422,
    says: /the end is missing/,
  },
  { why: "of nothing", body: Buffer.alloc(0), status: 422, says: /wanted a payload of a slot/ },
  {
    why: "with a wrong token",
    body: payload("4", 1 << 20),
    headers: { host: "left.example.com", authorization: "Bearer nonsense", expect: "100-continue" },
    status: 403,
    says: /^host: /,
  },
  {
    why: "that says it is JSON",
    body: Buffer.from("{}"),
    headers: { "content-type": "application/json" },
    status: 415,
    says: /content-type: found application\/json, wanted application\/octet-stream/,
  },
  {
    why: "that says it is endless",
    body: Buffer.alloc(0),
    headers: { "content-length": "999999999999", expect: "100-continue" },
    status: 413,
    says: /found 999999999999 bytes, wanted at most 536870912/,
  },
];
for (const { why, body, headers, status, says } of refusals) {
  test(`a payload ${why} is refused, and the reason comes back`, async () => {
    const answer = await post(body, headers);
    assert.match(answer.body.error ?? "", says);
    assert.equal(answer.status, status);
    // What was refused before it was read is nobody's update.
    if (status === 422) assert.equal(ends.at(-1)?.state, "failed");
  });
}

test("while one is going on another is refused, and how far it is can be asked", async () => {
  const body = payload("5", 3 << 20);
  const slow = ask(body);
  const answered = once(slow, "response");
  slow.write(body.subarray(0, 2 << 20));
  for (;;) {
    const { update } = (await look()) as { update: { state: string; bytes: number; ofBytes: number } };
    if (update.state === "writing" && update.bytes > 0) {
      assert.equal(update.ofBytes, body.length);
      break;
    }
    await sleep(20);
  }
  const another = await post(payload("6", 1 << 20), { expect: "100-continue" });
  assert.deepEqual(another, { status: 409, body: { error: "another update is going on" } });
  slow.end(body.subarray(2 << 20));
  const [response] = await answered;
  response.resume();
  assert.equal(response.statusCode, 200);
});

test("a client that goes away in the middle leaves the running slot chosen, and the next one is served", async () => {
  const body = payload("7", 3 << 20);
  const gone = ask(body);
  gone.on("error", () => {});
  gone.write(body.subarray(0, 2 << 20));
  await until("writing");
  gone.destroy();
  await until("failed");
  assert.equal((await openRecord(folder).read()).next, "a");
  assert.equal((await post(body)).status, 200);
  assert.ok(existsSync(slotFile(folder, "b")));
});

test("a client that has gone before the service listens keeps nobody waiting", {
  timeout: 60_000,
}, async () => {
  const gone = new IncomingMessage(new Socket()).on("error", () => {});
  gone.destroy();
  await once(gone, "close");
  const ended = await openUpdates({ onEnd, runtime })?.take(gone, null);
  assert.ok(ended?.state === "failed");
  assert.match(ended.error, /wanted a payload of a slot/);
});

test("a service that says nothing any more is given up, and the client hears why", {
  timeout: 60_000,
}, async (t) => {
  const other = await serveWith(t, "exec sleep 600", 300);
  assert.deepEqual(await post(payload("8", 3 << 20), {}, other), {
    status: 422,
    body: { error: "the update service has said nothing for 0.3 s" },
  });
});

/** What stands for the service, where the client is the slow one. */
const slow: readonly { why: string; service: string; sends: number; every: number; answer: Answer }[] = [
  {
    why: "who is slow after a refusal hears of that",
    service: `echo '{"error":"still on trial"}'; cat >/dev/null`,
    sends: 2,
    every: 1_000,
    answer: { status: 422, body: { error: "still on trial" } },
  },
  {
    why: "who is slow, and never for long, is waited for",
    service: `cat >/dev/null; echo '{"updated":{"slot":"b","version":"9","bytes":15}}'`,
    sends: 15,
    every: 100,
    answer: { status: 200, body: { update: { state: "done", slot: "b", version: "9", bytes: 15 } } },
  },
];
for (const { why, service, sends, every, answer } of slow) {
  test(why, { timeout: 60_000 }, async (t) => {
    const other = await serveWith(t, service, 700);
    const asked = ask(Buffer.alloc(sends), {}, other);
    const answered = once(asked, "response");
    for (let sent = 0; sent < sends; sent++) {
      asked.write("x");
      await sleep(every);
    }
    asked.end();
    const [response] = await answered;
    const text = (await response.setEncoding("utf8").toArray()).join("");
    assert.deepEqual({ status: response.statusCode, body: JSON.parse(text) }, answer);
  });
}

test("a card that refuses in the middle is what the answer tells of, and the next payload is taken", async () => {
  const file = slotFile(folder, "b");
  rmSync(file);
  mkdirSync(file);
  const body = payload("8", 20 << 20);
  const { status, body: said } = await post(body);
  assert.match(said.error ?? "", /EISDIR/);
  assert.equal(status, 422);
  rmSync(file, { recursive: true });
  assert.equal((await post(body)).status, 200);
});
