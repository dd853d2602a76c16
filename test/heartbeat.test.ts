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

const lines: readonly { why: string; says: string; heard: string }[] = [
  {
    why: "the line of the moment, at once",
    says: "ready http://127.0.0.1:8080/status",
    heard: "ready http://127.0.0.1:8080/status\n",
  },
  {
    why: "one line of a reason that has several",
    says: "alive cannot load raw:\n  /run: full\n  /tmp: full",
    heard: "alive cannot load raw: /run: full /tmp: full\n",
  },
];
for (const { why, says, heard } of lines) {
  test(`whoever reads hears ${why}`, () => {
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const heartbeat = beat(() => says, fifo);
    const read = Buffer.alloc(100);
    const length = readSync(reader, read);
    heartbeat.stop();
    closeSync(reader);
    assert.equal(read.toString("utf8", 0, length), heard);
  });
}

const deaf: readonly { why: string; fifo: string | undefined }[] = [
  { why: "nobody reads", fifo },
  { why: "there is no FIFO", fifo: join(folder, "missing") },
  { why: "nobody wants to hear it", fifo: undefined },
];
for (const { why, fifo: path } of deaf) {
  test(`it goes on where ${why}`, () => beat(() => "alive", path).stop());
}
