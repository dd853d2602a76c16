/**
 * The metrics, as Prometheus reads them: what a series says, and that Debian's
 * `promtool check metrics` finds nothing to mend.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { metricsText } from "../../src/status/metrics.js";
import { lacksPromtool, promtool } from "../promtool.js";
import { handedOver, snapshotOf } from "./board.js";

const which = 'vhid="7",interface="eth0"';
const master = { address: "192.0.2.2", advbase: 1, advskew: 0, heardSecondsAgo: 0.3 };
const failingHook = { check: "hooks", subject: "", state: "broken", advice: null } as const;
const checks = [
  { ...failingHook, says: "hook[0] (/bin/false) failed: exit status 1" },
  { ...failingHook, says: "hook[1] (/bin/true) failed: killed by SIGKILL" },
  { ...failingHook, check: "digest", subject: "7 on eth0", says: "its digest is wrong" },
  { ...failingHook, check: "clock", state: "unknown", says: "nobody has set it" },
] as const;
const everything = snapshotOf(
  [
    { role: "backup", master },
    { vhid: 8, role: "master", holding: true },
  ],
  {
    maintenance: handedOver,
    faults: ["the disc is full"],
    diagnosis: { broken: checks[0], checks },
  },
);

// biome-ignore format: one series a line
const rows = [
  { of: everything, line: 'carpio_build_info{version="0.1.0",board="none",name="left"} 1' },
  { of: snapshotOf([], { slot: { name: "b", onTrial: true } }), line: 'carpio_slot_on_trial{slot="b"} 1' },
  { of: everything, line: 'carpio_board_role{role="mixed"} 1' },
  { of: everything, line: `carpio_role{${which},role="backup"} 1` },
  { of: everything, line: `carpio_role{${which},role="master"} 0` },
  { of: everything, line: 'carpio_role{vhid="8",interface="eth0",role="master"} 1' },
  { of: everything, line: 'carpio_holding{vhid="8",interface="eth0"} 1' },
  { of: everything, line: `carpio_master_heard_seconds{${which},master="192.0.2.2"} 0.3` },
  { of: snapshotOf([{ transitions: { init: 1, backup: 2, master: 3 } }]), line: `carpio_transitions_total{${which},to="master"} 3` },
  { of: snapshotOf([{ since: "2026-11-22T08:00:00.000Z" }]), line: `carpio_role_start_time_seconds{${which}} 1795334400` },
  { of: everything, line: `carpio_advertisements_dropped_total{${which},reason="badauth"} 0` },
  { of: everything, line: 'carpio_packets_dropped_total{reason="badvhid"} 3' },
  { of: everything, line: 'carpio_prefilter_dropped_total{reason="flooded"} 2' },
  { of: everything, line: "carpio_maintenance 1" },
  { of: everything, line: 'carpio_handover_state{state="handed-over"} 1' },
  { of: everything, line: 'carpio_handover_state{state="no-taker"} 0' },
  { of: everything, line: "carpio_handover_duration_seconds 0.004" },
  { of: everything, line: "carpio_faults 1" },
  { of: everything, line: 'carpio_broken{check="hooks",subject=""} 2' },
  { of: everything, line: 'carpio_broken{check="digest",subject="7 on eth0"} 1' },
  { of: everything, line: 'carpio_panel_face{face="starting"} 1' },
  { of: snapshotOf([], { demotion: { advskew: 240, reasons: ["maintenance"] } }), line: "carpio_demotion_advskew 240" },
  { of: snapshotOf([], { name: 'a "b" \\ c' }), line: 'carpio_build_info{version="0.1.0",board="none",name="a \\"b\\" \\\\ c"} 1' },
];
for (const { of, line } of rows) {
  test(`a series: ${line}`, () => {
    assert.ok(metricsText(of).split("\n").includes(line), metricsText(of));
  });
}

test("what is sent and accepted is no drop", () => {
  assert.doesNotMatch(metricsText(everything), /reason="(sent|received)"/);
});

test("promtool finds nothing to mend", { skip: lacksPromtool }, () => {
  for (const snapshot of [everything, snapshotOf(), snapshotOf([], { prefilter: null })]) {
    assert.deepEqual(check(metricsText(snapshot)), { status: 0, said: "" });
  }
});

test("and finds what is wrong", { skip: lacksPromtool }, () => {
  const { status, said } = check(metricsText(everything).replace(/^# HELP carpio_faults .*\n/m, ""));
  assert.notEqual(status, 0);
  assert.match(said, /carpio_faults no help text/);
});

function check(input: string) {
  return promtool(["check", "metrics"], { input });
}
