/**
 * The commands that ask a board, against servers on this machine, and the
 * token that they show. Against boards at work they are in lab/maintenance.test.ts.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Config, StatusConfig } from "../src/config.js";
import {
  askBoard,
  askIdentify,
  askMaintenance,
  type BoardUrl,
  boardUrl,
  findToken,
  readDuration,
  showStatus,
  span,
  statusTable,
} from "../src/operate.js";
import type { MaintenanceSnapshot, Snapshot } from "../src/status/snapshot.js";
import { readToken } from "../src/token.js";

const NONE = { token: undefined };
const UNTIL = "2026-01-01T02:00:00.000Z";

// biome-ignore format: one host a line
const hosts: { host: string; url: string }[] = [
  { host: "right", url: "http://right:8080" },
  { host: "right.example.org:80", url: "http://right.example.org:80" },
  { host: "192.0.2.3", url: "http://192.0.2.3:8080" },
  { host: "192.0.2.3:65535", url: "http://192.0.2.3:65535" },
  { host: "2001:db8::3", url: "http://[2001:db8::3]:8080" },
  { host: "[2001:db8::3]", url: "http://[2001:db8::3]:8080" },
  { host: "[2001:DB8::3]:1", url: "http://[2001:DB8::3]:1" },
  { host: "::ffff:192.0.2.3", url: "http://[::ffff:192.0.2.3]:8080" },
];
for (const { host, url } of hosts) {
  test(`the board ${host} is at ${url}`, () => {
    assert.deepEqual(boardUrl(host, undefined), { url, name: host });
  });
}

const noHosts = [
  "",
  " ",
  "right:0",
  "right:65536",
  "right:",
  "right:80:80",
  "http://right",
  "a b",
  "me@right",
  "%",
  "a<b",
  "1:2:3",
  "[::::]",
  "256.1.1.1",
];
for (const host of [...noHosts, "right/status", "[2001:db8::3", "2001:db8::3]", "[right]:80", "[::1]x"]) {
  test(`${JSON.stringify(host)} is no board`, () => {
    const told = boardUrl(host, undefined);
    assert.equal(told, `HOST: found ${host}, wanted a name or an address, with or without :PORT`);
  });
}

// biome-ignore format: one configuration a line
const listens: { listen: StatusConfig["listen"]; url: string }[] = [
  { listen: { host: "0.0.0.0", port: 8080 }, url: "http://127.0.0.1:8080" },
  { listen: { host: "::", port: 81 }, url: "http://127.0.0.1:81" },
  { listen: { host: "192.0.2.2", port: 81 }, url: "http://192.0.2.2:81" },
  { listen: { host: "2001:db8::2", port: 81 }, url: "http://[2001:db8::2]:81" },
];
for (const { listen, url } of listens) {
  test(`this board listens on ${listen?.host}: it is asked at ${url}`, () => {
    assert.deepEqual(boardUrl(undefined, configOf({ listen })), { url, name: "this board", isOurs: true });
  });
}

test("this board without a configuration is where it would be by default, and without a server nowhere", () => {
  const board = { url: "http://127.0.0.1:8080", name: "this board", isOurs: true };
  assert.deepEqual(boardUrl(undefined, undefined), board);
  assert.match(String(boardUrl(undefined, configOf({ listen: undefined }))), /status\.listen is none/);
});

test("a duration is a whole number with its unit, up to a week", () => {
  const rows = { "1s": 1, "90s": 90, "30m": 1800, "2h": 7200, "7d": 604_800, "604800s": 604_800 };
  for (const [text, seconds] of Object.entries(rows)) assert.equal(readDuration(text), seconds, text);
  for (const text of [
    "",
    "0s",
    "8d",
    "604801s",
    "2",
    "h",
    "1.5h",
    "-1h",
    "2 h",
    "2H",
    "1h30m",
    "9999999999s",
  ]) {
    assert.equal(readDuration(text), undefined, text);
  }
});

test("status is a table for people: what is wrong, who serves, how it came", async (t) => {
  const board = await serve(t, (_request, response) => void response.end(JSON.stringify(snapshot)));
  const reply = await askBoard(board);
  assert.deepEqual(reply.ok && statusTable(reply.body, new Date("2026-01-01T03:12:05.000Z")).split("\n"), [
    "right: mixed (carpio 0.1.0 on none)",
    "wrong: link down on eth2",
    `maintenance is on, until ${UNTIL}, but nobody took over: do not unplug`,
    "demoted: maintenance, link eth1 down",
    "vhid  interface  role    for         addresses                    master                why",
    "7     eth0       master  3 h 12 min  192.0.2.1/24 2001:db8::1/64  this board            master timed out",
    "8     eth1       backup  12 min 5 s  198.51.100.1/24              192.0.2.3, 0.3 s ago  link up",
    "9     eth2       init    1 d 3 h     203.0.113.1/24               nobody heard          link down",
    "latest changes:",
    "  2026-01-01T03:00:00.000Z  vhid 8 on eth1  init -> backup    link up",
    "  2026-01-01T00:00:00.000Z  vhid 7 on eth0  backup -> master  master timed out",
    "",
  ]);
});

test("a board of an older version, without some of that, is shown all the same", () => {
  const { events, ...older } = snapshot;
  const carp = older.carp.map(({ since, ...group }) => group);
  const lines = statusTable({ ...older, carp } as unknown as Snapshot, new Date()).split("\n");
  assert.equal(
    lines[5],
    "7     eth0       master       192.0.2.1/24 2001:db8::1/64  this board            master timed out",
  );
  assert.equal(lines.length, 9);
});

test("a terminal is not told what to do by what a board says", async (t) => {
  const evil = {
    ...snapshot,
    name: "\x1b[2Jleft",
    faults: ["a\nb\u202e"],
    version: "1\x07\x9b2J\u2028\u{e0041}",
  };
  const board = await serve(t, (_request, response) => void response.end(JSON.stringify(evil)));
  const outcome = await showStatus(board, false);
  assert.ok(outcome.ok);
  assert.doesNotMatch(outcome.text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
  assert.match(outcome.text, /^wrong: a.b.$/m);

  const asJson = await showStatus(board, true);
  assert.ok(asJson.ok);
  assert.doesNotMatch(asJson.text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  assert.deepEqual(JSON.parse(asJson.text), evil, "a program reads what the board said");

  const refusing = await serve(t, (_request, response) => json(response, 403, { error: "\x1b[2J no" }));
  const refused = await askMaintenance(refusing, true, undefined, NONE);
  assert.equal(!refused.ok && refused.why, "right: \ufffd[2J no");
});

// biome-ignore format: one span a line
const spans = { "2026-01-01T00:00:00.000Z": "0 s", "2025-12-31T23:59:01.000Z": "59 s", "2025-12-31T23:59:00.000Z": "1 min 0 s", "2025-12-31T22:58:59.000Z": "1 h 1 min", "2025-12-30T23:00:00.000Z": "1 d 1 h", "2026-01-01T00:00:01.000Z": "", "no moment": "" };
for (const [since, says] of Object.entries(spans)) {
  test(`${since} was ${says === "" ? "at no time" : `${says} ago`} at the turn of the year`, () => {
    assert.equal(span(since, new Date("2026-01-01T00:00:00.000Z")), says);
  });
}

test("status with --json is what the board said", async (t) => {
  const board = await serve(t, (_request, response) => void response.end(JSON.stringify(snapshot)));
  const outcome = await showStatus(board, true);
  assert.deepEqual(outcome.ok && JSON.parse(outcome.text), snapshot);
  assert.equal(outcome.role, "mixed");
});

test("status with --json of what is nested too deep to be written again", async (t) => {
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  const answer = JSON.stringify(snapshot).replace("{", `{"more":${deep},`);
  const board = await serve(t, (_request, response) => void response.end(answer));
  const why = "right: something else than carpio answers there";
  assert.deepEqual(await showStatus(board, true), { ok: false, why });
});

test("of maintenance that went to nobody who has a name the command tells nothing", async (t) => {
  const handover = { state: "handed-over", to: {}, tookMs: 1 };
  const board = await serve(t, (_request, response) => json(response, 200, { ...maintenance, handover }));
  const why = "right: something else than carpio answers there";
  assert.deepEqual(await askMaintenance(board, true, undefined, NONE), { ok: false, why });
});

test("a board that does not answer is called by its name, with the reason", async (t) => {
  const other = await serve(t, (_request, response) => void response.end("{}"));
  assert.deepEqual(await showStatus(other, false), {
    ok: false,
    why: "right: something else than carpio answers there",
  });
  const gone = { ...(await listenAndClose()), name: "left" };
  assert.deepEqual(await showStatus(gone, false), { ok: false, why: "left: nobody listens there" });
  assert.deepEqual(await askMaintenance(gone, true, undefined, NONE), {
    ok: false,
    why: "left: nobody listens there",
  });
  const here: BoardUrl = { ...gone, name: "this board", isOurs: true };
  assert.deepEqual(await showStatus(here, false), {
    ok: false,
    why: "this board: nobody listens there: does carpio run here?",
  });
});

const handedOver = { state: "handed-over", to: "192.0.2.3", tookMs: 20.5 } as const;
// biome-ignore format: one answer a line
const answers: { said: Partial<MaintenanceSnapshot>; tells: string }[] = [
  { said: { handover: handedOver }, tells: "right: maintenance is on; handed over to 192.0.2.3 in 20.5 ms: safe to unplug\n" },
  { said: { handover: { ...handedOver, tookMs: null } }, tells: "right: maintenance is on; handed over to 192.0.2.3: safe to unplug\n" },
  { said: { until: UNTIL }, tells: `right: maintenance is on, until ${UNTIL}; it served nothing\n` },
  { said: { handover: { state: "asking", to: null, tookMs: null } }, tells: "right: maintenance is on; asking: do not unplug\n" },
  { said: { on: false }, tells: "right: maintenance is off\n" },
];
for (const { said, tells } of answers) {
  test(`of maintenance the command tells: ${tells.trim()}`, async (t) => {
    const board = await serve(t, (_request, response) => json(response, 200, { ...maintenance, ...said }));
    assert.deepEqual(await askMaintenance(board, said.on ?? true, undefined, NONE), {
      ok: true,
      text: tells,
    });
  });
}

test("where nobody took over the command has failed", async (t) => {
  const handover = { state: "no-taker", to: null, tookMs: null };
  const board = await serve(t, (_request, response) => json(response, 200, { ...maintenance, handover }));
  assert.deepEqual(await askMaintenance(board, true, undefined, NONE), {
    ok: false,
    why: "right: nobody took over, so it still serves: do not unplug it",
  });
});

// biome-ignore format: one refusal a line
const refusals: { is: string; status: number; body: object | string; says: string }[] = [
  { is: "wants a token", status: 401, body: { error: "authorization: the token is wrong" }, says: "right: authorization: the token is wrong (--token-file FILE)" },
  { is: "takes none", status: 403, body: { error: "without status.token_file only the board itself may ask for this" }, says: "right: without status.token_file only the board itself may ask for this" },
  { is: "is older than the command", status: 404, body: { error: "there is no /identify; try /status" }, says: "right: carpio 0.1.0 runs there, which has no identify" },
  { is: "is a web server", status: 404, body: "<html>", says: "right: it answers with HTTP status 404" },
  { is: "answers something else", status: 200, body: { identify: true }, says: "right: something else than carpio answers there" },
];
for (const { is, status, body, says } of refusals) {
  test(`identify of a board that ${is}`, async (t) => {
    const board = await serve(t, (request, response) => {
      if (request.url === "/status") json(response, 200, snapshot);
      else response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body));
    });
    assert.deepEqual(await askIdentify(board, undefined, NONE), { ok: false, why: says });
  });
}

test("identify says how long the lamps blink", async (t) => {
  const board = await serve(t, (_request, response) => json(response, 200, { identify: { until: UNTIL } }));
  const outcome = await askIdentify(board, 60, NONE);
  assert.deepEqual(outcome, { ok: true, text: `right: all its lamps blink until ${UNTIL}\n` });
});

test("a board that refuses says why", async (t) => {
  const board = await serve(t, (_request, response) => json(response, 403, { error: "no token" }));
  assert.deepEqual(await askMaintenance(board, true, undefined, NONE), {
    ok: false,
    why: "right: no token",
  });
});

test("a board is shown the token, and what is wished; without one it is asked all the same", async (t) => {
  const heard: unknown[] = [];
  const board = await serve(t, async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    heard.push([request.method, request.url, request.headers.authorization, JSON.parse(body)]);
    json(response, 200, maintenance);
  });
  await askMaintenance(board, true, 60, { token: "open sesame" });
  await askMaintenance(board, false, undefined, NONE);
  await askIdentify(board, 60, { token: "open sesame" });
  await askIdentify(board, undefined, NONE);
  assert.deepEqual(heard, [
    ["POST", "/maintenance", "Bearer open sesame", { on: true, forSeconds: 60 }],
    ["POST", "/maintenance", undefined, { on: false }],
    ["POST", "/identify", "Bearer open sesame", { forSeconds: 60 }],
    ["POST", "/identify", undefined, {}],
  ]);
});

const peers = ["http://right:8080", "http://192.0.2.4:80", "http://[2001:db8::5]:8080"];
// biome-ignore format: one host a line
const shown: { host: string | undefined; token: boolean; because: string }[] = [
  { host: undefined, token: true, because: "it is this board" },
  { host: "right", token: true, because: "it is in status.peers" },
  { host: "RIGHT:8080", token: true, because: "names have no case" },
  { host: "192.0.2.4:80", token: true, because: "it is in status.peers" },
  { host: "2001:0db8:0::5", token: true, because: "an address may be written in many ways" },
  { host: "right:8081", token: false, because: "another port is another server" },
  { host: "192.0.2.4", token: false, because: "another port is another server" },
  { host: "rihgt", token: false, because: "it is somebody else's" },
  { host: "192.0.2.1", token: false, because: "a floating address may be anybody's" },
];
for (const { host, token, because } of shown) {
  test(`the configured token is ${token ? "" : "not "}shown to ${host ?? "no host in particular"}: ${because}`, (t) => {
    const config = configOf({
      listen: { host: "0.0.0.0", port: 8080 },
      tokenFile: write(t, "open sesame\n"),
      peers,
    });
    const board = boardUrl(host, config);
    assert.ok(typeof board !== "string");
    const found = token ? { token: "open sesame" } : { token: undefined, withheld: true };
    assert.deepEqual(findToken(undefined, board, config), { ok: true, ...found });
  });
}

test("--token-file is for whatever board is named; without any token none is withheld", (t) => {
  const board: BoardUrl = { url: "http://192.0.2.9:8080", name: "192.0.2.9" };
  const path = write(t, "open sesame\n");
  const gone = configOf({ tokenFile: `${path}.gone`, peers });
  assert.deepEqual(findToken(path, board, gone), { ok: true, token: "open sesame" });
  assert.deepEqual(findToken(undefined, board, gone), { ok: true, token: undefined });
  assert.deepEqual(findToken(undefined, board, undefined), { ok: true, token: undefined });
  assert.deepEqual(findToken(`${path}.gone`, board, undefined), {
    ok: false,
    why: `--token-file: ${path}.gone: found no such file or directory (ENOENT), wanted a file whose first line is the token`,
  });
});

test("whoever is refused because the token was kept back reads why", async (t) => {
  const board = await serve(t, (_request, response) =>
    json(response, 401, { error: "authorization: found none" }),
  );
  assert.deepEqual(await askMaintenance(board, true, undefined, { token: undefined, withheld: true }), {
    ok: false,
    why: "right: authorization: found none (--token-file FILE; the one of this computer is shown to the boards of status.peers alone)",
  });
});

test("a token is the first line of its file, without spaces around it", (t) => {
  for (const text of ["open sesame", "open sesame\n", "  open sesame \r\nsecond\n", "open sesame\n\nthird"]) {
    assert.deepEqual(readToken(write(t, text)), { token: "open sesame" });
  }
});

test("a file without a token that HTTP can carry is told with its path", (t) => {
  const rows = {
    "": /nothing on its first line/,
    "\nsesame": /nothing on its first line/,
    sésame: /HTTP cannot/,
  };
  for (const [text, found] of Object.entries(rows)) {
    const path = write(t, text);
    const read = readToken(path);
    const problem = "problem" in read ? read.problem : assert.fail(`${JSON.stringify(text)} is no token`);
    assert.match(problem, found);
    assert.ok(problem.startsWith(`status.token_file: ${path}: found `), problem);
  }
  assert.ok("problem" in readToken(join(tmpdir(), "carpio-no-such-token")));
});

// ---- A board that answers --------------------------------------------------------

const maintenance: MaintenanceSnapshot = {
  on: true,
  since: "2026-01-01T00:00:00.000Z",
  until: null,
  handover: { state: "none", to: null, tookMs: null },
};

const snapshot = {
  name: "right",
  version: "0.1.0",
  board: "none",
  role: "mixed",
  maintenance: { ...maintenance, until: UNTIL, handover: { state: "no-taker", to: null, tookMs: null } },
  demotion: { advskew: 240, reasons: ["maintenance", "link eth1 down"] },
  carp: [
    {
      vhid: 7,
      interface: "eth0",
      role: "master",
      why: "master timed out",
      since: "2026-01-01T00:00:00.000Z",
      addresses: ["192.0.2.1/24", "2001:db8::1/64"],
      master: null,
    },
    {
      vhid: 8,
      interface: "eth1",
      role: "backup",
      why: "link up",
      since: "2026-01-01T03:00:00.000Z",
      addresses: ["198.51.100.1/24"],
      master: { address: "192.0.2.3", advbase: 1, advskew: 0, heardSecondsAgo: 0.251 },
    },
    {
      vhid: 9,
      interface: "eth2",
      role: "init",
      why: "link down",
      since: "2025-12-31T00:00:00.000Z",
      addresses: ["203.0.113.1/24"],
      master: null,
    },
  ],
  faults: ["link down on eth2"],
  // biome-ignore format: one change a line
  events: [
    { at: "2026-01-01T03:00:00.000Z", vhid: 8, interface: "eth1", from: "init", to: "backup", why: "link up" },
    { at: "2026-01-01T00:00:00.000Z", vhid: 7, interface: "eth0", from: "backup", to: "master", why: "master timed out" },
  ],
};

function configOf(status: Partial<StatusConfig>): Config {
  return { status } as { readonly status: Partial<StatusConfig> } as Config;
}

async function serve(t: TestContext, listener: RequestListener): Promise<BoardUrl> {
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    listener(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, name: "right" };
}

/** A port on which nobody listens any more. */
async function listenAndClose(): Promise<{ readonly url: string }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return { url: `http://127.0.0.1:${port}` };
}

function json(response: Parameters<RequestListener>[1], status: number, body: object): void {
  response.writeHead(status).end(JSON.stringify(body));
}

function write(t: TestContext, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "carpio-test-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "token");
  writeFileSync(path, text);
  return path;
}
