import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { beat } from "../src/heartbeat.js";

const folder = mkdtempSync(join(tmpdir(), "carpio-heartbeat-"));
const fifo = join(folder, "alive");
execFileSync("mkfifo", [fifo]);
after(() => rmSync(folder, { recursive: true }));

test("whoever reads hears the line of the moment, at once", () => {
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  const heartbeat = beat(() => "ready http://127.0.0.1:8080/status", fifo);
  const heard = Buffer.alloc(100);
  const length = readSync(reader, heard);
  heartbeat.stop();
  closeSync(reader);
  assert.equal(heard.toString("utf8", 0, length), "ready http://127.0.0.1:8080/status\n");
});

const deaf: readonly { why: string; fifo: string | undefined }[] = [
  { why: "nobody reads", fifo },
  { why: "there is no FIFO", fifo: join(folder, "missing") },
  { why: "nobody wants to hear it", fifo: undefined },
];
for (const { why, fifo: path } of deaf) {
  test(`it goes on where ${why}`, () => beat(() => "alive", path).stop());
}
