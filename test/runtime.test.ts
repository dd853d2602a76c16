/**
 * The note that a daemon leaves for the next one, and its lock. That two networks do not
 * read each other's is in lab/crash.test.ts.
 */
import assert from "node:assert/strict";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { type Leftover, readLeftover, removeLeftover, takeLock, writeLeftover } from "../src/runtime.js";

const note: Leftover = {
  guardPid: 7,
  serving: [{ interface: "eth0", vhid: 7 }],
  changed: { "ipv4/conf/eth0/arp_ignore=1": "0" },
};
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "carpio-test-"));
  process.env["RUNTIME_DIRECTORY"] = join(directory, "carpio");
});
afterEach(() => {
  delete process.env["RUNTIME_DIRECTORY"];
  rmSync(directory, { recursive: true });
});

test("what is written is read, and removed without a trace", () => {
  assert.deepEqual(readLeftover(), {});
  assert.equal(writeLeftover(note), undefined);
  assert.deepEqual(readLeftover(), note);
  assert.equal(written().length, 1);
  removeLeftover();
  assert.deepEqual(readLeftover(), {});
  assert.deepEqual(written(), []);
});

test("a note is replaced in one piece: whoever reads the old one meanwhile reads all of it", () => {
  writeLeftover(note);
  const reader = openSync(join(directory, "carpio", written()[0] ?? ""), "r");
  writeLeftover({ ...note, guardPid: 8 });
  assert.deepEqual(JSON.parse(readFileSync(reader, "utf8")), note);
  closeSync(reader);
  assert.equal(readLeftover().guardPid, 8);
  assert.equal(written().length, 1);
});

test("a note that cannot be written leaves the one before, and is told", () => {
  writeLeftover(note);
  const [file = ""] = written();
  mkdirSync(join(directory, "carpio", `${file}.new`));
  assert.match(writeLeftover({ ...note, guardPid: 8 }) ?? "", /EISDIR/);
  assert.deepEqual(readLeftover(), note);
});

test("of several run-time directories the first is ours", () => {
  process.env["RUNTIME_DIRECTORY"] = `${directory}/carpio:${directory}/other`;
  writeLeftover(note);
  assert.equal(written().length, 1);
});

test("a note that is no JSON is no note", () => {
  writeLeftover(note);
  writeFileSync(join(directory, "carpio", written()[0] ?? ""), '{"guardPid":');
  assert.deepEqual(readLeftover(), {});
});

test("a lock survives somebody who cannot be let in, and is free when it was released", async (t) => {
  const listen = t.mock.method(Server.prototype, "listen");
  const name = `carpio-test-${process.pid}`;
  const lock = await takeLock(name);
  const server = listen.mock.calls[0]?.this as Server;
  // So Node says, each time, that there is no descriptor for the one who asks.
  for (let asked = 0; asked < 3; asked++)
    server.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" }));
  assert.deepEqual(await takeLock(name), { heldBy: `process ${process.pid}` });
  if ("release" in lock) lock.release();
  const again = await takeLock(name);
  assert.ok("release" in again);
  again.release();
});

function written(): readonly string[] {
  return readdirSync(join(directory, "carpio"));
}
