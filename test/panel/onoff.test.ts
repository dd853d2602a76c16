/**
 * A line of onoff's whose value cannot be read any more. That a real kernel's
 * lines are driven is tried in test/emulated.
 */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Gpio } from "onoff";
import { bearFailingReads } from "../../src/panel/onoff.js";

test("an edge is read as before, and one whose value cannot be read throws nothing where nobody catches", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "carpio-gpio-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "value"), "1\n");
  const file = openSync(join(folder, "value"), "r");
  const gpio = Object.assign(Object.create(Gpio.prototype), {
    _valueFd: file,
    _readSyncBuffer: Buffer.alloc(16),
  });
  bearFailingReads(gpio);
  assert.equal(gpio.readSync(), 1);
  closeSync(file);
  assert.equal(gpio.readSync(), undefined);
});
