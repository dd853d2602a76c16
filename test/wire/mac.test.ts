import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualMac } from "../../src/wire/mac.js";

for (const [vhid, mac] of [
  [7, "00:00:5e:00:01:07"],
  [255, "00:00:5e:00:01:ff"],
] as const) {
  test(`the virtual MAC of vhid ${vhid} is ${mac}`, () => assert.equal(virtualMac(vhid), mac));
}
