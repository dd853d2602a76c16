/**
 * The command line as a shell sees it: what it prints, and its exit status.
 */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { after, before, type TestContext, test } from "node:test";
import { runCommand } from "../src/cli.js";
import { openIp } from "../src/linux/ip.js";
import { rehearse } from "../src/rehearsal.js";
import { until } from "./fakes.js";

const MAIN = join(import.meta.dirname, "../src/main.js");
const GOOD_GROUP =
  '[[carp]]\nvhid = 7\ninterface = "eth0"\npassword = "secret"\naddresses = ["192.0.2.1/24"]\n';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "carpio-cli-"));
});
after(() => rmSync(folder, { recursive: true }));

function carpio(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", cwd: folder });
}

/** What somebody says on standard error, here and not in a process of its own. */
async function inThisProcess(act: () => Promise<void>): Promise<string> {
  const { write } = process.stderr;
  let said = "";
  process.stderr.write = (text: string | Uint8Array) => {
    said += text;
    return true;
  };
  await act().finally(() => {
    process.stderr.write = write;
  });
  return said;
}

function write(text: string): string {
  const file = join(folder, "carpio.toml");
  writeFileSync(file, text);
  return file;
}

test("carpio check says which tables are for boards of an image alone", () => {
  const file = write(`${GOOD_GROUP}[update]\nunsigned = true\n[network]\n`);
  const { status, stdout } = carpio("check", "--config", file);
  assert.equal(status, 0);
  assert.equal(
    stdout,
    `${file}: good, 1 group\n[network], [update]: for a board that carpio's image runs; nothing acts on it here\n`,
  );
});

const usages = [
  { args: [], says: /a command is wanted/ },
  { args: ["fly"], says: /there is no command fly/ },
  { args: ["constructor"], says: /there is no command constructor/ },
  { args: ["check", "--colour"], says: /check: .*--colour/ },
  { args: ["run", "--debug", "carp,nonsense"], says: /--debug: found nonsense, wanted some of carp, / },
  { args: ["decode"], says: /usage: carpio decode/ },
  { args: ["status", "--watch", "--json"], says: /status: --watch goes without --json/ },
  { args: ["status", "--watch", "--exit-code"], says: /status: --watch goes without --exit-code/ },
  { args: ["status", "left", "right"], says: /status: found right after the host, wanted nothing/ },
  { args: ["identify", "left", "right"], says: /identify: found right after the host, wanted nothing/ },
  { args: ["identify", "--for", "1y"], says: /identify: --for: found 1y, wanted a time such as 30s or 5m/ },
  {
    args: ["identify", "http://left"],
    says: /identify: HOST: found http:\/\/left, wanted a name or an address/,
  },
  { args: ["maintenance", "on", "--token-file"], says: /maintenance: .*--token-file/ },
  { args: ["update"], says: /update: found no FILE, wanted one, or - for standard input/ },
  { args: ["slot", "c"], says: /slot: found c, wanted a, b, good, bad, silent, unready or nothing/ },
  { args: ["post"], says: /post: wanted CARPIO_URL and CARPIO_JSON/ },
];
for (const { args, says } of usages) {
  test(`carpio ${args.join(" ")}: a usage error, status 64, and how it is meant`, () => {
    const { status, stderr, stdout } = carpio(...args);
    assert.equal(status, 64);
    assert.match(stderr, says);
    assert.match(stderr, /usage: carpio/);
    assert.equal(stdout, "");
  });
}

for (const args of [["--help"], ["help"], ["slot", "--help"], ["check", "--help"], ["--version"]]) {
  test(`carpio ${args.join(" ")} answers on standard output with status 0`, () => {
    const { status, stderr, stdout } = carpio(...args);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /carpio/);
  });
}

test("slot on a computer without slots says that", () => {
  const { status, stderr, stdout } = carpio("slot");
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(stderr, /this computer has no slots/);
});

test("check of a good file says so", () => {
  const { status, stdout } = carpio("check", "--config", write(GOOD_GROUP));
  assert.equal(status, 0);
  assert.match(stdout, /good, 1 group\n$/);
});

for (const command of ["check", "run", "release", "decode"]) {
  test(`${command} with a bad file: everything that is wrong, with its line, and status 78`, () => {
    const file = write(`${GOOD_GROUP}advskew = 255\nvolume = 11\n`);
    const more = command === "decode" ? ["00"] : [];
    const { status, stderr } = carpio(command, ...more, "--config", file);
    assert.equal(status, 78);
    assert.match(
      stderr,
      /carpio\.toml:6: carp\[0\]\.advskew: found 255, wanted a whole number from 0 to 254/,
    );
    assert.match(stderr, /carpio\.toml:7: carp\[0\]\.volume: /);
    assert.doesNotMatch(stderr, /secret/);
  });
}

test("run --after FILE begins when that file is there, with the configuration of then", async () => {
  const [config, begun] = [join(folder, "late.toml"), join(folder, "begun")];
  const errors = await inThisProcess(async () => {
    // Without the wait, it would have found no such file when this returns.
    const ended = runCommand(["run", "--after", begun, "--config", config]);
    writeFileSync(config, `${GOOD_GROUP}volume = 11\n`);
    writeFileSync(begun, "");
    assert.equal(await ended, 78);
  });
  assert.match(errors, /late\.toml:6: carp\[0\]\.volume: /);
});

test("a reload that is asked for while a daemon waits to begin does not end it", async () => {
  const [config, begun] = [join(folder, "reloaded.toml"), join(folder, "begun-late")];
  const child = spawn(process.execPath, [MAIN, "run", "--after", begun, "--config", config]);
  const ended = outcome(child);
  await until("it hears of reloads", () => catches(child.pid, constants.signals.SIGHUP));
  child.kill("SIGHUP");
  writeFileSync(config, `${GOOD_GROUP}volume = 11\n`);
  writeFileSync(begun, "");
  const { status, signal, stderr } = await ended;
  assert.deepEqual([status, signal], [78, null]);
  assert.match(stderr, /reloaded\.toml:6: carp\[0\]\.volume: /);
});

test("what run --after does meanwhile says nothing of a configuration that is not there yet", async () => {
  const ip = openIp();
  const errors = await inThisProcess(() => rehearse(join(folder, "nosuch.toml"), ip));
  await ip.close();
  assert.equal(errors, "");
});

test("a file that is not there is named, with status 78", () => {
  const { status, stderr } = carpio("check", "--config", join(folder, "nosuch.toml"));
  assert.equal(status, 78);
  assert.match(stderr, /nosuch\.toml: found no such file/);
});

// biome-ignore format: one board a line
const exits: { board: string; answer: object | undefined; without: number; with: number }[] = [
  { board: "is master", answer: { role: "master" }, without: 0, with: 0 },
  { board: "is backup", answer: { role: "backup" }, without: 0, with: 10 },
  { board: "is master of some groups", answer: { role: "mixed" }, without: 0, with: 11 },
  { board: "has not begun", answer: { role: "init" }, without: 0, with: 12 },
  { board: "is in a role that nobody knows", answer: { role: "constructor" }, without: 0, with: 1 },
  { board: "is no board", answer: { carp: 7 }, without: 1, with: 1 },
  { board: "does not answer", answer: undefined, without: 1, with: 1 },
];
for (const { board, answer, ...statuses } of exits) {
  test(`status of a board that ${board}: ${statuses.without}, and with --exit-code ${statuses.with}`, async (t) => {
    const port = await serve(t, answer && { ...snapshot, ...answer });
    const plain = await carpioMeanwhile("status", `127.0.0.1:${port}`);
    const coded = await carpioMeanwhile("status", `127.0.0.1:${port}`, "--exit-code");
    assert.deepEqual([plain.status, coded.status], [statuses.without, statuses.with]);
    assert.deepEqual([coded.stdout, coded.stderr], [plain.stdout, plain.stderr]);
  });
}

test("what is longer than a pipe takes at once is there to its end, on both streams", async (t) => {
  const port = await serve(t, { ...snapshot, role: "backup", events: [{ why: "x".repeat(200_000) }] });
  const { stdout } = await inShell(`"$@" | tail -c 3`, "status", `127.0.0.1:${port}`, "--json");
  assert.equal(stdout, "\n}\n");

  const file = write(GOOD_GROUP + Array.from({ length: 3_000 }, (_, i) => `nonsense_${i} = 1\n`).join(""));
  const { stdout: complaints } = await inShell(`"$@" 2>&1 >/dev/null | tail -n 1`, "check", "--config", file);
  assert.match(complaints, /carp\[0\]\.nonsense_2999: /);
});

test("whoever reads only the beginning ends nothing with an error", async (t) => {
  const port = await serve(t, { ...snapshot, role: "backup", events: [{ why: "x".repeat(200_000) }] });
  const script = `{ "$@"; echo "status $?" >&2; } | head -c 1`;
  const { stdout, stderr } = await inShell(script, "status", `127.0.0.1:${port}`, "--json");
  assert.deepEqual([stdout, stderr], ["{", "status 0\n"]);
});

test("a token file that is not there: status 1, and why", () => {
  const { status, stderr } = carpio("identify", "127.0.0.1:1", "--token-file", join(folder, "nosuch"));
  assert.equal(status, 1);
  assert.match(stderr, /^carpio: --token-file: .*nosuch: found no such file or directory/);
});

const snapshot = {
  name: "left",
  version: "0.1.0",
  board: "none",
  maintenance: { on: false, since: null, until: null, handover: { state: "none", to: null, tookMs: null } },
  demotion: { advskew: 0, reasons: [] },
  carp: [],
  faults: [],
};

/** Whether a process has said what it does on a signal. */
function catches(pid: number | undefined, signal: number): boolean {
  const [, caught = "0"] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return ((BigInt(`0x${caught}`) >> BigInt(signal - 1)) & 1n) === 1n;
}

/** A port on which a board answers; without an answer nobody listens there. */
async function serve(t: TestContext, answer: object | undefined): Promise<number> {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  if (answer) t.after(() => server.close());
  else await once(server.close(), "close");
  return port;
}

/** While this process answers it. */
function carpioMeanwhile(...args: readonly string[]) {
  return outcome(spawn(process.execPath, [MAIN, ...args], { cwd: folder }));
}

/** In a script, `"$@"` is carpio with its arguments. Node's own pipes are none: they hold far more. */
function inShell(script: string, ...args: readonly string[]) {
  return outcome(spawn("sh", ["-c", script, "sh", process.execPath, MAIN, ...args], { cwd: folder }));
}

async function outcome(child: ChildProcessByStdio<Writable, Readable, Readable>) {
  const [stdout, stderr, [status, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  return { status, signal, stdout, stderr };
}
