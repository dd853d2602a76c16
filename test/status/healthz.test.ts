/**
 * Whether a board is of use, one row a case.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { healthz } from "../../src/status/healthz.js";
import { snapshotOf } from "./board.js";

const master = { role: "master", holding: true, why: "master timed out" } as const;
const backup = { role: "backup", why: "link up" } as const;
const init = { role: "init", why: "link down" } as const;
const empty = { role: "master", holding: false } as const;

// biome-ignore format: one board a line
const rows = [
  { groups: [master], query: "", status: 200, why: [] },
  { groups: [backup], query: "", status: 200, why: [] },
  { groups: [master, backup], query: "", status: 200, why: [] },
  { groups: [master, init], query: "", status: 503, why: ["carp 7 on eth0: is init: link down"] },
  { groups: [empty], query: "", status: 503, why: ["carp 7 on eth0: is master and does not hold its addresses"] },
  { groups: [], query: "", status: 503, why: ["no group is configured"] },
  { groups: [master], query: "role=master", status: 200, why: [] },
  { groups: [master, { ...backup, vhid: 8 }], query: "role=master", status: 503, why: ["carp 8 on eth0: is backup, wanted master"] },
  { groups: [empty], query: "role=master", status: 503, why: ["carp 7 on eth0: is master and does not hold its addresses"] },
  { groups: [], query: "role=master", status: 503, why: ["no group is configured"] },
  { groups: [backup], query: "role=backup", status: 200, why: [] },
  { groups: [master], query: "role=backup", status: 503, why: ["carp 7 on eth0: is master, wanted backup"] },
];
for (const { groups, query, status, why } of rows) {
  const roles = groups.map(({ role }) => role).join(" and ") || "nothing";
  test(`a board that is ${roles}, asked ${query || "in general"}: ${status} ${why}`, () => {
    const answer = ask(groups, query);
    assert.equal(answer.status, status);
    const { ok, why: said } = JSON.parse(String(answer.body));
    assert.deepEqual([ok, said], [status === 200, why]);
  });
}

test("a role that nobody has is an error of who asks", () => {
  const { status, body } = ask([master], "role=boss");
  assert.deepEqual(
    [status, JSON.parse(String(body))],
    [400, { error: "role: found boss, wanted master or backup" }],
  );
});

function ask(groups: Parameters<typeof snapshotOf>[0], query: string) {
  return healthz({ snapshot: snapshotOf(groups) }, { query: new URLSearchParams(query) });
}
