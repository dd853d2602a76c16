/**
 * Hooks with real programs and real servers: who is told what, in which order,
 * and what becomes of a hook that hangs, fails, floods or is not there. On
 * boards at work they are in lab/hooks.test.ts.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { HAPPENINGS } from "../src/config/schema.js";
import type { HookConfig } from "../src/config.js";
import { createFaults, type Faults } from "../src/faults.js";
import { createHooks, type Hooks } from "../src/hooks.js";
import { environmentOf, faultNotice, maintenanceNotice, type Notice, roleNotice } from "../src/notice.js";
import type { MaintenanceSnapshot } from "../src/status/snapshot.js";
import { parseAddress } from "../src/wire/address.js";
import { createHeardLog, groupConfig, type HeardLog } from "./fakes.js";
import { childrenOf } from "./lab/child.js";
import { until } from "./panel/until.js";

const MAIN = join(import.meta.dirname, "../src/main.js");
const AT = new Date("2026-01-01T00:00:00.000Z");

// ---- What is said ----------------------------------------------------------

const address = parseAddress("192.0.2.1") ?? assert.fail();
const group = groupConfig({ addresses: [{ address, length: 24 }] });
const change = {
  at: AT,
  vhid: 7,
  interface: "eth0",
  from: "backup",
  to: "master",
  why: "master timed out",
} as const;
const off: MaintenanceSnapshot = {
  on: false,
  since: null,
  until: null,
  handover: { state: "none", to: null, tookMs: null },
};
const on = { ...off, on: true };
const handing = (state: MaintenanceSnapshot["handover"]["state"], to: string | null = null) => {
  return { ...on, handover: { state, to, tookMs: null } };
};

// biome-ignore format: one notice a line
const notices: { of: string; notice: Notice | undefined; says: string | undefined }[] = [
  { of: "a role", notice: roleNotice(change, group), says: "master master backup>master 7 eth0 192.0.2.1/24: master timed out" },
  { of: "a group's fault", notice: faultNotice("device", "no carp7", group, AT), says: "fault begun > 7 eth0 192.0.2.1/24: no carp7" },
  { of: "a board's fault", notice: faultNotice("prefilter", "no nft", undefined, AT), says: "fault begun >   : no nft" },
  { of: "a fault that has gone", notice: faultNotice("prefilter", undefined, undefined, AT), says: "fault ended >   : prefilter: well again" },
  { of: "a wish", notice: maintenanceNotice(off, on, AT), says: "maintenance on >   : maintenance is on" },
  { of: "a wish with its end", notice: maintenanceNotice(off, { ...on, until: "12:00" }, AT), says: "maintenance on >   : maintenance is on, until 12:00" },
  { of: "a handover under way", notice: maintenanceNotice(on, handing("handing-over"), AT), says: undefined },
  { of: "a handover", notice: maintenanceNotice(on, handing("handed-over", "192.0.2.3"), AT), says: "maintenance handed-over >   : handed over to 192.0.2.3: safe to unplug" },
  { of: "no handover", notice: maintenanceNotice(on, handing("no-taker"), AT), says: "maintenance no-taker >   : nobody took over, so this board serves on: do not unplug" },
  { of: "the same again", notice: maintenanceNotice(handing("no-taker"), handing("no-taker"), AT), says: undefined },
  { of: "the end", notice: maintenanceNotice(handing("no-taker"), off, AT), says: "maintenance off >   : maintenance is off" },
];
for (const { of, notice, says } of notices) {
  test(`${of} is told as: ${says ?? "nothing"}`, () => {
    const told = notice && environmentOf({ ...notice, name: "left", sequence: 1 });
    const roles = `${told?.["CARPIO_OLD_ROLE"]}>${told?.["CARPIO_NEW_ROLE"]}`;
    const where = `${told?.["CARPIO_VHID"]} ${told?.["CARPIO_INTERFACE"]} ${told?.["CARPIO_ADDRESSES"]}`;
    const line = `${told?.["CARPIO_EVENT"]} ${told?.["CARPIO_STATE"]} ${roles} ${where}: ${told?.["CARPIO_WHY"]}`;
    assert.equal(told && line, says);
    if (told)
      assert.deepEqual(
        [told["CARPIO_NAME"], told["CARPIO_SEQUENCE"], told["CARPIO_AT"]],
        ["left", "1", AT.toISOString()],
      );
  });
}

// ---- Programs --------------------------------------------------------------

test("a program hears of each thing it asked for, in order, with its arguments as they are", async (t) => {
  const board = start(t, ({ program }) => [
    {
      call: {
        run: [program('echo "$CARPIO_SEQUENCE $CARPIO_EVENT $CARPIO_WHY|$*" >>heard'), "it's", "$HOME", ""],
      },
      on: ["master", "fault"],
    },
  ]);
  board.hooks.tell(said("master", "one"));
  board.hooks.tell(said("backup", "not asked for"));
  board.hooks.tell(said("fault", "it's `two`\n$(false)"));
  board.hooks.tell(said("master", "three"));
  await board.heard(3);
  assert.deepEqual(board.lines(), [
    "1 master one|it's $HOME ",
    "2 fault it's `two` $(false)|it's $HOME ",
    "3 master three|it's $HOME ",
  ]);
  assert.deepEqual(board.log.lines, []);
});

test("a slow program is not overtaken by itself, and another hook does not wait for it", async (t) => {
  const board = start(t, ({ program }) => [
    {
      call: {
        run: [program("echo begins >>heard; while [ ! -e go ]; do sleep 0.02; done; echo ends >>heard")],
      },
    },
    { call: { run: [program("echo quick >>heard")] } },
  ]);
  board.hooks.tell(said("master"));
  board.hooks.tell(said("backup"));
  await board.heard(3);
  assert.deepEqual(board.lines().toSorted(), ["begins", "quick", "quick"]);
  writeFileSync(join(board.folder, "go"), "");
  await board.heard(6);
  assert.deepEqual(
    board.lines().filter((line) => line !== "quick"),
    ["begins", "ends", "begins", "ends"],
  );
});

test("a program that takes too long is ended with all that it started, and the next one runs", async (t) => {
  const text =
    '[ "$CARPIO_SEQUENCE" = 1 ] || exec sh -c "echo next >>heard"; sleep 1000 & echo $! >>heard; echo $$ >>heard; wait';
  const board = start(t, ({ program }) => [{ call: { run: [program(text)] }, timeoutSeconds: 0.5 }]);
  board.hooks.tell(said("master"));
  board.hooks.tell(said("backup"));
  await board.heard(3);
  const [child, parent, next] = board.lines();
  assert.equal(next, "next");
  await until(() => !isAlive(Number(child)) && !isAlive(Number(parent)), "the program and its child end");
  assert.match(
    board.log.lines[0] ?? "",
    /^hook\[0\] \(.*\) failed: it was not done after 0\.5 s, and was ended$/,
  );
  await until(() => board.faults.all.size === 0, "the next success ends the fault");
});

test("what a program leaves in the background ends with it", async (t) => {
  const board = start(t, ({ program }) => [{ call: { run: [program("sleep 1000 & echo $! >>heard")] } }]);
  board.hooks.tell(said("master"));
  await board.heard(1);
  await until(() => !isAlive(Number(board.lines()[0])), "the background process ends");
  assert.deepEqual(board.log.lines, []);
});

// biome-ignore format: one program a line
const failures: { is: string; run: readonly string[]; status: RegExp; log: RegExp }[] = [
  { is: "is not there", run: ["/nonexistent/notify"], status: /exit status 127$/, log: /: .*\/nonexistent\/notify.*(No such file|not found)/ },
  { is: "may not be run", run: ["/etc/passwd"], status: /exit status 126$/, log: /: .*Permission denied/ },
  { is: "fails without a word", run: ["/bin/false"], status: /exit status 1$/, log: /^$/ },
  { is: "says why it fails", run: ["/bin/sh", "-c", "echo no; printf 'the \\033[31mwhy\\n\\n' >&2; exit 3"], status: /exit status 3$/, log: /^: the {2}\[31mwhy$/ },
  { is: "says more than anybody reads", run: ["/bin/sh", "-c", "head -c 900000 /dev/zero | tr '\\0' x; echo; echo why; exit 1"], status: /exit status 1$/, log: /^: why$/ },
  { is: "writes without end", run: ["/bin/sh", "-c", "while :; do echo flood; done"], status: /it wrote more than a million characters, and was ended$/, log: /^: flo/ },
  { is: "is killed", run: ["/bin/sh", "-c", "kill -KILL $$"], status: /killed by SIGKILL$/, log: /^$/ },
];
for (const { is, run, status, log } of failures) {
  test(`a program that ${is} is a fault; what it said is for the log alone`, async (t) => {
    const board = start(t, () => [{ call: { run } }]);
    board.hooks.tell(said("master"));
    await until(() => board.faults.all.size > 0, "the fault");
    const [fault = ""] = board.faults.all.values();
    assert.match(fault, status);
    assert.ok(fault.startsWith(`hook[0] (${run[0]}) failed: `), fault);
    const [line = "", ...more] = board.log.lines;
    assert.ok(line.startsWith(fault), line);
    assert.match(line.slice(fault.length), log);
    assert.doesNotMatch(line, /\p{Cc}/u);
    assert.deepEqual(more, []);
  });
}

test("a program that writes without end is ended with all that it started, and the next one runs", async (t) => {
  const text =
    '[ "$CARPIO_SEQUENCE" = 1 ] || exec sh -c "echo next >>heard"; yes & echo $! >>heard; echo $$ >>heard; wait';
  const board = start(t, ({ program }) => [{ call: { run: [program(text)] }, timeoutSeconds: 300 }]);
  board.hooks.tell(said("master"));
  board.hooks.tell(said("backup"));
  await board.heard(3);
  const [child, parent, next] = board.lines();
  assert.equal(next, "next");
  await until(() => !isAlive(Number(child)) && !isAlive(Number(parent)), "the program and its child end");
  await until(() => board.faults.all.size === 0, "the next success ends the fault");
});

test("the same failure with other words is told again in the log, and is one fault", async (t) => {
  const board = start(t, ({ program }) => [
    { call: { run: [program('echo "$CARPIO_WHY"; exit 1')] }, on: ["fault"] },
  ]);
  for (const why of ["one", "one", "two"]) board.hooks.tell(said("fault", why));
  await board.hooks.settled();
  assert.deepEqual(
    board.log.lines.map((line) => line.replace(/^.*failed: /, "")),
    ["exit status 1: one", "exit status 1: two"],
  );
  assert.equal(board.faults.all.size, 1);
});

test("of a flood the newest is told, and how much was left out", async (t) => {
  const board = start(t, ({ program }) => [
    { call: { run: [program('echo "$CARPIO_SEQUENCE" >>heard; while [ ! -e go ]; do sleep 0.02; done')] } },
  ]);
  for (let i = 0; i < 1000; i++) board.hooks.tell(said("fault"));
  await board.heard(1);
  writeFileSync(join(board.folder, "go"), "");
  await board.heard(65);
  assert.deepEqual(board.lines().map(Number), [1, ...Array.from({ length: 64 }, (_, i) => 937 + i)]);
  assert.equal(board.log.lines.length, 1);
  assert.match(board.log.lines[0] ?? "", /^hook\[0\] .* is slower .*: 935 messages are left out$/);
});

test("programs live at the usual priority, whatever ours is", {
  skip: process.getuid?.() !== 0 && "needs root",
}, async (t) => {
  const board = start(t, ({ program }) => [{ call: { run: [program("echo $$ >>heard; sleep 1000")] } }]);
  board.hooks.tell(said("master"));
  await board.heard(1);
  assert.equal(getPriority(Number(board.lines()[0])), 0);
});

test("a shell that is killed costs one message, and another takes its place", async (t) => {
  // Those of tests before may still be on their way out.
  const others = childrenOf(process.pid);
  const board = start(t, ({ program }) => [
    {
      call: {
        run: [program('echo "$CARPIO_SEQUENCE" >>heard; [ "$CARPIO_SEQUENCE" != 1 ] || exec sleep 1000')],
      },
    },
  ]);
  board.hooks.tell(said("master"));
  await board.heard(1);
  const shell = childrenOf(process.pid).find((pid) => !others.includes(pid));
  assert.ok(shell !== undefined, "there is no shell");
  process.kill(shell, "SIGKILL");
  board.hooks.tell(said("backup"));
  await board.heard(2);
  assert.match(board.log.lines[0] ?? "", /failed: the shell that ran it was killed$/);
});

// ---- Reload and end --------------------------------------------------------

test("a reload leaves what stays alone, ends what is gone and begins what is new", async (t) => {
  const board = start(t, ({ program }) => [
    { call: { run: [program('echo "gone" >>heard')] } },
    {
      call: {
        run: [
          program('while [ ! -e go ]; do sleep 0.02; done; echo "$CARPIO_NAME $CARPIO_SEQUENCE" >>heard'),
        ],
      },
    },
  ]);
  board.hooks.tell(said("master"));
  await board.heard(1);
  const stays = board.configs[1] ?? assert.fail();
  const isNew = {
    ...stays,
    call: { run: ["/bin/sh", "-c", `echo "new $CARPIO_SEQUENCE" >>${board.folder}/heard`] },
  };
  board.hooks.reconfigure([stays, isNew], "renamed");
  board.hooks.tell(said("backup"));
  await board.heard(2);
  writeFileSync(join(board.folder, "go"), "");
  await board.heard(4);
  assert.deepEqual(board.lines(), ["gone", "new 1", "left 1", "renamed 2"]);
});

test("a fault goes with its hook", async (t) => {
  const board = start(t, () => [{ call: { run: ["/bin/false"] } }]);
  board.hooks.tell(said("master"));
  await until(() => board.faults.all.size > 0, "the fault");
  board.hooks.reconfigure([], "left");
  assert.equal(board.faults.all.size, 0);
});

test("a hook that fails after a reload took it away is told, and is no fault any more", async (t) => {
  const text = "echo begins >>heard; while [ ! -e go ]; do sleep 0.02; done; exit 3";
  const board = start(t, ({ program }) => [{ call: { run: [program(text)] } }]);
  board.hooks.tell(said("master"));
  await board.heard(1);
  board.hooks.reconfigure([], "left");
  writeFileSync(join(board.folder, "go"), "");
  await board.hooks.close();
  assert.match(board.log.lines.join("\n"), /^hook\[0\] .* failed: exit status 3$/);
  assert.equal(board.faults.all.size, 0);
});

test("at the end the last messages still arrive", async (t) => {
  const board = start(t, ({ program }) => [
    { call: { run: [program('sleep 0.1; echo "$CARPIO_EVENT" >>heard')] } },
  ]);
  board.hooks.tell(said("master"));
  board.hooks.tell(said("init"));
  await board.hooks.close();
  assert.deepEqual(board.lines(), ["master", "init"]);
});

test("at the end a program that hangs is ended", async (t) => {
  const board = start(t, ({ program }) => [
    { call: { run: [program("echo $$ >>heard; exec sleep 1000")] }, timeoutSeconds: 300 },
  ]);
  board.hooks.tell(said("init"));
  await board.hooks.close();
  const [pid] = board.lines().map(Number);
  await until(() => !isAlive(pid ?? 0), "the program ends");
});

// ---- Webhooks --------------------------------------------------------------

test("a webhook gets the same as JSON, in order, with the part of its URL that is secret", async (t) => {
  const posts: unknown[] = [];
  const url = await serve(t, async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    posts.push([request.method, request.url, request.headers["content-type"], JSON.parse(body)]);
    response.end("thank you");
  });
  const board = start(t, () => [{ call: { url: `${url}/hook?token=sesame` } }]);
  board.hooks.tell(roleNotice(change, group));
  board.hooks.tell(said("fault", "two"));
  await until(() => posts.length === 2, "both posts");
  assert.deepEqual(posts[0], [
    "POST",
    "/hook?token=sesame",
    "application/json",
    {
      event: "master",
      state: "master",
      oldRole: "backup",
      newRole: "master",
      why: "master timed out",
      vhid: 7,
      interface: "eth0",
      addresses: ["192.0.2.1/24"],
      at: AT.toISOString(),
      name: "left",
      sequence: 1,
    },
  ]);
  assert.equal((posts[1] as unknown[]).length, 4);
});

// biome-ignore format: one answer a line
const answers: { is: string; statuses: readonly number[]; tries: number; says: RegExp | undefined }[] = [
  { is: "well", statuses: [204], tries: 1, says: undefined },
  { is: "no, once", statuses: [503, 200], tries: 2, says: /HTTP status 503$/ },
  { is: "too many, twice", statuses: [429, 500, 200], tries: 3, says: /HTTP status 429$/ },
  { is: "never, and is not asked again", statuses: [404, 200], tries: 1, says: /failed: 127\.0\.0\.1:\d+ answers with HTTP status 404$/ },
  { is: "elsewhere, where nobody follows", statuses: [302, 200], tries: 1, says: /HTTP status 302$/ },
  { is: "no for ever", statuses: [500, 500, 500, 500, 200], tries: 3, says: /HTTP status 500$/ },
];
for (const { is, statuses, tries, says } of answers) {
  test(`a webhook that answers ${is} is asked ${tries === 1 ? "once" : `${tries} times`}`, async (t) => {
    let asked = 0;
    const url = await serve(
      t,
      (_request, response) => void response.writeHead(statuses[asked++] ?? 200, { location: "/" }).end(),
    );
    const board = start(t, () => [
      { call: { url: `${url}/sesame` }, on: ["master"] },
      { call: { run: ["/bin/true"] } },
    ]);
    board.hooks.tell(said("master"));
    await board.hooks.settled();
    assert.equal(asked, tries);
    const first = board.log.lines[0];
    if (says) assert.match(first ?? "", says);
    else assert.equal(first, undefined);
    assert.doesNotMatch(board.log.lines.join(), /sesame/);
  });
}

test("a webhook that does not answer is given up after its time, and tried again", async (t) => {
  let asked = 0;
  const url = await serve(t, (_request, response) => void (asked++ > 0 && response.end()));
  const board = start(t, () => [{ call: { url }, timeoutSeconds: 3 }]);
  board.hooks.tell(said("master"));
  await until(() => asked === 2 && board.faults.all.size === 0, "the second try");
  assert.match(board.log.lines[0] ?? "", /failed: it was not done after 3 s, and was ended$/);
});

test("a webhook that switches to something else has been told nothing, and is told again", async (t) => {
  let asked = 0;
  const url = await serve(t, (request, response) => {
    if (asked++ > 0) return void response.end();
    request.socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
  });
  const board = start(t, () => [{ call: { url } }]);
  board.hooks.tell(said("master"));
  await board.hooks.settled();
  assert.equal(asked, 2);
  assert.match(board.log.lines[0] ?? "", /failed: 127\.0\.0\.1:\d+: it hung up without an answer$/);
});

test("a webhook that answers without end costs nothing but its status", async (t) => {
  let closed = false;
  const url = await serve(t, (request, response) => {
    response.writeHead(200);
    request.socket.once("close", () => (closed = true));
    const more = (): void =>
      void (response.destroyed || response.write("x".repeat(65_536), () => setImmediate(more)));
    more();
  });
  const board = start(t, () => [{ call: { url } }]);
  board.hooks.tell(said("master"));
  await until(() => closed, "the connection is closed");
  await board.hooks.settled();
  assert.deepEqual(board.log.lines, []);
});

test("where nobody listens, the host alone is named", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await once(server.close(), "close");
  const board = start(t, () => [{ call: { url: `http://127.0.0.1:${port}/sesame` } }]);
  board.hooks.tell(said("master"));
  await until(() => board.log.lines.length > 0, "the failure");
  const line = board.log.lines[0] ?? "";
  assert.ok(line.startsWith(`hook[0] (http://127.0.0.1:${port}) failed: 127.0.0.1:${port}: `), line);
  assert.match(line, /ECONNREFUSED/);
  assert.doesNotMatch(line, /sesame/);
});

// ---- A board that tells ----------------------------------------------------

interface Told {
  readonly hooks: Hooks;
  readonly configs: readonly HookConfig[];
  readonly log: HeardLog;
  readonly faults: Faults;
  readonly folder: string;
  /** What its programs wrote to `heard`. */
  lines(): readonly string[];
  heard(count: number): Promise<void>;
}

type Wanted = Pick<HookConfig, "call"> & Partial<HookConfig>;

function start(t: TestContext, wanted: (make: { program(text: string): string }) => readonly Wanted[]): Told {
  const folder = mkdtempSync(join(tmpdir(), "carpio-hooks-"));
  let programs = 0;
  const program = (text: string): string => {
    const path = join(folder, `program-${programs++}`);
    writeFileSync(path, `#!/bin/sh\ncd ${folder}\n${text}\n`, { mode: 0o755 });
    return path;
  };
  const configs = wanted({ program }).map((each) => ({ on: HAPPENINGS, timeoutSeconds: 60, ...each }));
  const log = createHeardLog();
  const faults = createFaults(log);
  const options = {
    configs,
    name: "left",
    log,
    faults,
    program: [process.execPath, MAIN],
    pausesMs: [50, 50],
  };
  const hooks = createHooks(options);
  t.after(async () => {
    await hooks.close();
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, "heard");
  const lines = () => (existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []);
  return {
    hooks,
    configs,
    log,
    faults,
    folder,
    lines,
    heard: (count) => until(() => lines().length >= count, `${count} lines`),
  };
}

function said(event: Notice["event"], why = "because"): Notice {
  return { ...faultNotice("x", why, undefined, AT), event };
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A process that nobody has asked after is no longer alive. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
