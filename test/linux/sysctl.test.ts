/**
 * Putting settings back: a daemon that was taken over may have left anything.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { restoreSettings } from "../../src/linux/sysctl.js";

for (const way of ["../../..", "ipv4/conf/../../../../..", "ipv4/conf/eth0/../../../../../.."]) {
  test(`a file that is no setting of an interface is left alone, also by way of ${way}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "carpio-sysctl-"));
    try {
      const file = join(folder, "file");
      writeFileSync(file, "theirs");
      restoreSettings({ [`${way}${file}=theirs`]: "ours" });
      assert.equal(readFileSync(file, "utf8"), "theirs");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
