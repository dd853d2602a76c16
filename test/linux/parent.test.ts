/**
 * What becomes known of an interface from the answers of `ip`. Interfaces that
 * really come and go are in lab/kernel.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeviceState } from "../../src/linux/carp-device.js";
import type { Ip, Outcome } from "../../src/linux/ip.js";
import { createParent } from "../../src/linux/parent.js";

const EXISTS: Outcome = {
  answered: true,
  refusals: [],
  answers: [{ ifindex: 2, ifname: "eth0", flags: ["UP", "LOWER_UP"], address: "02:00:00:00:00:02" }],
};
const GONE: Outcome = {
  answered: true,
  refusals: [{ command: "address show dev eth0", said: 'Device "eth0" does not exist.' }],
  answers: [],
};
const SILENT: Outcome = {
  answered: false,
  refusals: [{ command: "address show dev eth0", said: "ip is not installed" }],
  answers: [],
};

const rows = [
  { told: [EXISTS], heard: ["eth0"], unknown: undefined, why: "it is there" },
  { told: [GONE], heard: [], unknown: undefined, why: "at first nobody thinks that it is there" },
  { told: [EXISTS, GONE], heard: ["eth0", "none"], unknown: undefined, why: "it goes" },
  { told: [SILENT, SILENT], heard: ["none"], unknown: "ip is not installed", why: "why is told, once" },
  { told: [SILENT, EXISTS], heard: ["none", "eth0"], unknown: undefined, why: "it was there all the time" },
  { told: [SILENT, GONE], heard: ["none", "none"], unknown: undefined, why: "now it is known not to be" },
  { told: [EXISTS, SILENT], heard: ["eth0"], unknown: undefined, why: "no answer is no news" },
];

for (const { told, heard, unknown, why } of rows) {
  const answers = told
    .map((it) => (it === EXISTS ? "eth0" : it === GONE ? "nothing" : "no answer"))
    .join(", ");
  test(`ip tells of ${answers}: ${why}`, async () => {
    const states: (DeviceState | undefined)[] = [];
    const parent = createParent({
      name: "eth0",
      ip: telling(told),
      onPacket: () => assert.fail("nobody listens"),
      onState: async (state) => void states.push(state),
    });
    for (const _ of told) await parent.refresh();
    assert.deepEqual(
      states.map((state) => state?.name ?? "none"),
      heard,
    );
    assert.equal(parent.unknown, unknown);
    assert.equal(parent.state, states.at(-1));
  });
}

/** An `ip` that has these answers ready, one for each question. */
function telling(outcomes: readonly Outcome[]): Ip {
  const ready = [...outcomes];
  return {
    run: async () => ready.shift() ?? assert.fail("more questions than answers"),
    forget: () => {},
    close: async () => {},
  };
}
