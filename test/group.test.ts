import assert from "node:assert/strict";
import { test } from "node:test";
import { leaseSeconds } from "../src/group.js";

const rows = [
  { configured: "1/0", advertised: "1/0", seconds: 2, why: "gone a second before the peers' three are over" },
  { configured: "1/0", advertised: "1/240", seconds: 3, why: "never between two advertisements" },
  { configured: "0/1", advertised: "0/1", seconds: 1, why: "the kernel counts whole seconds" },
  { configured: "0/1", advertised: "0/240", seconds: 2, why: "a demoted master renews once in 0.94 s" },
  { configured: "10/0", advertised: "10/0", seconds: 29, why: "as patient as the peers, less one" },
];

for (const { configured, advertised, seconds, why } of rows) {
  test(`a lease at ${configured}, advertised as ${advertised}, is ${seconds} s: ${why}`, () => {
    const [own, sent] = [configured, advertised].map((text) => {
      const [advbase = 0, advskew = 0] = text.split("/").map(Number);
      return { advbase, advskew };
    });
    assert.ok(own && sent);
    assert.equal(leaseSeconds(own, sent), seconds);
  });
}
