/**
 * The log of a board, as somebody reads it over HTTP: from the kernel's records,
 * which a file stands for here, to lines.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readKernelLog } from "../../src/linux/kernel-log.js";
import { openStatusServer } from "../../src/status/server.js";
import { fakeBoard, TOKEN } from "./board.js";

const folder = mkdtempSync(join(tmpdir(), "carpio-log-"));
const records = join(folder, "kmsg");
after(() => rmSync(folder, { recursive: true }));

writeFileSync(
  records,
  [
    "6,0,0,-;Booting Linux on physical CPU 0x0",
    "6,339,5140900,c;virtio_net virtio0 eth0: renamed; from nothing",
    " SUBSYSTEM=virtio",
    " DEVICE=+virtio:virtio0",
    "13,340,612000123,-;carpio: carp7: master: master timed out",
    "",
  ].join("\n"),
);
const lines = `[    0.000000] Booting Linux on physical CPU 0x0
[    5.140900] virtio_net virtio0 eth0: renamed; from nothing
[  612.000123] carpio: carp7: master: master timed out
`;

const rows: readonly { why: string; from: string; status: number; type: string; body: string }[] = [
  { why: "is lines of text", from: records, status: 200, type: "text/plain; charset=utf-8", body: lines },
  {
    why: "cannot be read, and the reason is told",
    from: join(folder, "none"),
    status: 500,
    type: "application/json; charset=utf-8",
    body: `{"error":"the log cannot be read: ENOENT: no such file or directory, open '${folder}/none'"}\n`,
  },
];
for (const { why, from, status, type, body } of rows) {
  test(`the log ${why}`, async () => {
    const board = { ...fakeBoard(), readLog: () => readKernelLog(from) };
    const server = await openStatusServer({ host: "127.0.0.1", port: 0 }, board);
    try {
      const headers = { authorization: `Bearer ${TOKEN}` };
      const answer = await fetch(`http://127.0.0.1:${server.port}/log`, { headers });
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get("content-type"), type);
      assert.equal(await answer.text(), body);
    } finally {
      server.close();
    }
  });
}
