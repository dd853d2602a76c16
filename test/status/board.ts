/**
 * A board for the status server: real snapshots of a real group, and a note of
 * what it was asked to do.
 */

import type { Config } from "../../src/config.js";
import type { Board } from "../../src/status/board-asked.js";
import { overallRole, type Snapshot, takeSnapshot } from "../../src/status/snapshot.js";
import { parseAddress } from "../../src/wire/address.js";
import { createFakeHolder, createFakeSender, fakeGroup, groupConfig } from "../fakes.js";

export const TOKEN = "open sesame";
export const PASSWORD_KEY = new Uint8Array(20).fill(0x5a);

export interface FakeBoard extends Board {
  /** What it was asked, as `maintenance on 7200` or `identify 60`. */
  readonly asked: string[];
  /** How many snapshots were taken. */
  readonly taken: number;
}

export function fakeBoard(take: () => Snapshot = () => snapshotOf()): FakeBoard {
  const asked: string[] = [];
  let taken = 0;
  return {
    asked,
    get taken() {
      return taken;
    },
    ready: async () => {},
    snapshot() {
      taken++;
      return take();
    },
    async setMaintenance(on, forSeconds) {
      asked.push(`maintenance ${on ? "on" : "off"} ${forSeconds ?? "for good"}`);
      return { ...handedOver, on };
    },
    identify(forSeconds) {
      asked.push(`identify ${forSeconds}`);
      return { until: "2026-11-22T08:01:00.000Z" };
    },
    token: () => TOKEN,
    names: () => ["left", "left.example.org"],
    updates: undefined,
    startAgain: undefined,
    readLog: undefined,
  };
}

export const handedOver: Snapshot["maintenance"] = {
  on: true,
  since: "2026-11-22T08:00:00.000Z",
  until: null,
  handover: { state: "handed-over", to: "192.0.2.3", tookMs: 4 },
};

const SINCE = "2026-11-22T08:00:00.000Z";

type Group = Snapshot["carp"][number];

/** Of a board with these groups; each is a real one, changed by what is said. */
export function snapshotOf(
  groups: readonly Partial<Group>[] = [{}],
  changes: Partial<Snapshot> = {},
): Snapshot {
  const snapshot = realSnapshot();
  const [group] = snapshot.carp;
  const carp = groups.map((each) => ({ ...(group as Group), since: SINCE, ...each }));
  return { ...snapshot, carp, role: overallRole(carp.map(({ role }) => role)), ...changes };
}

function realSnapshot(): Snapshot {
  const address = parseAddress("192.0.2.1");
  if (!address) throw new Error("no address");
  const config = groupConfig({ key: PASSWORD_KEY, addresses: [{ address, length: 24 }] });
  const holder = createFakeHolder({ name: "carp7", parent: "eth0", mac: undefined, addresses: [] });
  const group = fakeGroup(config, holder, createFakeSender(), () => 0);
  const handover = { state: "none", to: null, tookMs: null } as const;
  return takeSnapshot({
    config: { name: "left" } as Config,
    version: "0.1.0",
    board: "none",
    slot: null,
    uptimeSeconds: 812.4,
    groups: [group],
    maintenance: { on: false, since: null, until: null, handover },
    identify: { until: null },
    panel: {
      face: "starting",
      lamps: { role: { pattern: "blink", stepsMs: [200, 200] }, fault: { pattern: "off" } },
      button: { pressed: false, held: false, presses: 0 },
    },
    macOf: () => "02:00:00:00:00:01",
    dropped: { badvhid: 3 },
    prefilter: { badttl: 1, badvhid: 0, flooded: 2 },
    faults: [],
    diagnosis: { broken: null, checks: [] },
    peers: [],
    events: [
      {
        at: new Date("2026-11-22T08:00:00Z"),
        vhid: 7,
        interface: "eth0",
        from: "init",
        to: "backup",
        why: "link up",
      },
    ],
    now: 0,
  });
}
