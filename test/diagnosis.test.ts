/**
 * What an operator is told when something is wrong: for each thing that can
 * break, the sentence that comes first, and whether it is worth the red lamp.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Diagnosis,
  type Evidence,
  examine,
  type GroupEvidence,
  type PeerEvidence,
  type PeerGroupEvidence,
  worthALamp,
} from "../src/diagnosis.js";
import { checks } from "../src/status/vocabulary.js";

const LONG_MS = 60_000;

const group: GroupEvidence = {
  vhid: 7,
  interface: "eth0",
  role: "master",
  why: "master timed out",
  roleForMs: LONG_MS,
  addresses: ["192.0.2.1", "2001:db8::1"],
  advbase: 1,
  advskew: 0,
  hears: false,
  silentFamily: null,
  holding: true,
  standsBack: false,
  device: "carp7",
  lostForMs: Number.POSITIVE_INFINITY,
  faults: new Map(),
  badDigest: undefined,
  vrrpFrom: undefined,
  loops: false,
};
const standby: PeerGroupEvidence = {
  vhid: 7,
  interface: "eth0",
  role: "backup",
  roleForMs: LONG_MS,
  addresses: ["2001:db8::1", "192.0.2.1"],
  advbase: 1,
  advskew: 50,
  hears: true,
  silentFamily: null,
};
const right: PeerEvidence = {
  url: "http://192.0.2.3:8080",
  name: "right",
  problem: undefined,
  asked: true,
  clockAheadMs: 12,
  groups: [standby],
};
const well: Evidence = {
  name: "left",
  groups: [group],
  faults: new Map(),
  peers: [right],
  at: new Date("2026-11-25T12:00:00Z"),
};

const withGroup = (changes: Partial<GroupEvidence>): Evidence => ({
  ...well,
  groups: [{ ...group, ...changes }],
});
const withPeer = (changes: Partial<PeerEvidence>): Evidence => ({
  ...well,
  peers: [{ ...right, ...changes }],
});
const withStandby = (changes: Partial<PeerGroupEvidence>): Evidence =>
  withPeer({ groups: [{ ...standby, ...changes }] });
const faulty = (about: string, said: string): Evidence => withGroup({ faults: new Map([[about, said]]) });
const boardFault = (about: string, said: string): Evidence => ({ ...well, faults: new Map([[about, said]]) });
const bothServe = (we: boolean | null, they: boolean | null): Evidence => ({
  ...withGroup({ hears: we }),
  peers: [{ ...right, groups: [{ ...standby, role: "master", hears: they }] }],
});

interface Row {
  readonly when: string;
  readonly seen: Evidence;
  readonly check: string;
  readonly says: string;
  readonly lamp?: false;
}

const rows: readonly Row[] = [
  {
    when: "the cable is out",
    seen: withGroup({ role: "init", why: "link down" }),
    check: "link",
    says: "eth0 has no link: no cable, or nobody at its other end",
    lamp: false,
  },
  {
    when: "there is no such interface",
    seen: faulty("interface", "there is no interface eth0"),
    check: "interface",
    says: "there is no interface eth0",
  },
  {
    when: "a floating address is the board's own",
    seen: faulty("misplaced", "192.0.2.1 is configured on eth0 itself"),
    check: "address",
    says: "192.0.2.1 is configured on eth0 itself",
  },
  {
    when: "somebody changed a setting of the kernel",
    seen: boardFault("settings of eth0", "net/ipv4/conf/eth0/arp_ignore was 0, wanted 1"),
    check: "kernel settings",
    says: "net/ipv4/conf/eth0/arp_ignore was 0, wanted 1",
  },
  {
    when: "the kernel refuses the addresses",
    seen: faulty("addresses", "ip address add: No space left on device"),
    check: "addresses held",
    says: "ip address add: No space left on device",
  },
  {
    when: "the kernel refused them when they were to be served",
    seen: withGroup({ role: "backup", hears: true, standsBack: true }),
    check: "addresses held",
    says: "this board could not hold the addresses of vhid 7 the last time that it was to",
  },
  {
    when: "the addresses are not where they are served",
    seen: withGroup({ holding: false }),
    check: "addresses",
    says: "the addresses of vhid 7 are missing from carp7, though this board serves them",
  },
  {
    when: "somebody has just taken the addresses off",
    seen: withGroup({ lostForMs: 20_000 }),
    check: "addresses",
    says: "the addresses of vhid 7 went missing from carp7 while this board served: they are on again",
  },
  {
    when: "nothing can be sent",
    seen: faulty("sending", "cannot send on eth0: Operation not permitted"),
    check: "sending",
    says: "cannot send on eth0: Operation not permitted",
  },
  {
    when: "the other has another password",
    seen: withGroup({ badDigest: { from: "192.0.2.3", hint: undefined } }),
    check: "digest",
    says: "192.0.2.3 advertises vhid 7 on eth0, but its digest is wrong: its password or its addresses are not ours",
  },
  {
    when: "what differs was found out",
    seen: withGroup({
      badDigest: { from: "192.0.2.3", hint: "addresses right, but the peer has no password" },
    }),
    check: "digest",
    says: "192.0.2.3 advertises vhid 7 on eth0, but its digest is wrong: addresses right, but the peer has no password",
  },
  {
    when: "a VRRP router has our number",
    seen: withGroup({ vrrpFrom: "192.0.2.9" }),
    check: "vrrp",
    says: "192.0.2.9 speaks VRRP with the number 7 on eth0: both use the same virtual MAC",
  },
  {
    when: "the network is a circle",
    seen: withGroup({ loops: true }),
    check: "loop",
    says: "this board's own advertisements of vhid 7 come back on eth0",
  },
  {
    when: "the other board lacks the group",
    seen: withPeer({ groups: [] }),
    check: "peer's configuration",
    says: "right has no vhid 7, which has 192.0.2.1, 2001:db8::1 here",
  },
  {
    when: "the other board lacks an address",
    seen: withStandby({ addresses: ["192.0.2.1"] }),
    check: "peer's configuration",
    says: "vhid 7 has 2001:db8::1 here, and not on right",
  },
  {
    when: "the other board has one more",
    seen: withStandby({ addresses: [...standby.addresses, "192.0.2.7"] }),
    check: "peer's configuration",
    says: "vhid 7 has 192.0.2.7 on right, and not here",
  },
  {
    when: "advbase differs",
    seen: withStandby({ advbase: 3 }),
    check: "peer's configuration",
    says: "advbase of vhid 7 is 1 here and 3 on right",
  },
  {
    when: "both serve, and neither hears the other",
    seen: bothServe(false, false),
    check: "heard",
    says: "left and right both serve vhid 7: neither hears the other",
  },
  {
    when: "what we send is lost",
    seen: bothServe(true, false),
    check: "heard",
    says: "left and right both serve vhid 7: right does not hear left, though left hears right",
  },
  {
    when: "what they send is lost",
    seen: bothServe(false, true),
    check: "heard",
    says: "left and right both serve vhid 7: left does not hear right, though right hears left",
  },
  {
    when: "both serve, and nobody has listened for long enough",
    seen: bothServe(null, false),
    check: "heard",
    says: "left and right both serve vhid 7: who hears whom is not known yet",
  },
  {
    when: "of the others nothing comes over IPv6",
    seen: withGroup({ role: "backup", hears: true, silentFamily: "IPv6" }),
    check: "families",
    says: "left hears advertisements of vhid 7 over IPv4, and none over IPv6",
  },
  {
    when: "what we send over IPv4 is lost",
    seen: withStandby({ silentFamily: "IPv4" }),
    check: "families",
    says: "right hears advertisements of vhid 7 over IPv6, and none over IPv4",
  },
  {
    when: "the other board has no link",
    seen: withStandby({ role: "init" }),
    check: "standby",
    says: "nobody could take over vhid 7: right takes no part in it",
  },
  {
    when: "the other board does not answer",
    seen: withPeer({ problem: "nobody listens there" }),
    check: "peers",
    says: "right does not answer over HTTP: nobody listens there",
    lamp: false,
  },
  {
    when: "the clocks differ",
    seen: withPeer({ clockAheadMs: -3 * 3_600_000 }),
    check: "clock",
    says: "the clock of right is 3 h behind that of this board",
    lamp: false,
  },
  {
    when: "the disc cannot be written",
    seen: boardFault("state", "maintenance will be forgotten at a restart: EROFS"),
    check: "disc",
    says: "maintenance will be forgotten at a restart: EROFS",
  },
  {
    when: "nftables is missing",
    seen: boardFault("prefilter", "no prefilter"),
    check: "prefilter",
    says: "no prefilter",
    lamp: false,
  },
  {
    when: "the status port is taken",
    seen: boardFault("status", "no status over HTTP: EADDRINUSE"),
    check: "status port",
    says: "no status over HTTP: EADDRINUSE",
  },
  {
    when: "a slot of the card is damaged",
    seen: boardFault("card", "slot a: found another sha256 than it says: it is damaged"),
    check: "card",
    says: "slot a: found another sha256 than it says: it is damaged",
  },
  {
    when: "the board runs without what was written for it",
    seen: boardFault("configuration", "the configuration is not in force: carpio.toml:7: found 700"),
    check: "configuration",
    says: "the configuration is not in force: carpio.toml:7: found 700",
  },
  {
    when: "the token cannot be read",
    seen: boardFault("token", "status.token_file: ENOENT"),
    check: "token",
    says: "status.token_file: ENOENT",
  },
  {
    when: "a lamp cannot be lit",
    seen: boardFault("panel", "role lamp: line 17 in use"),
    check: "panel",
    says: "role lamp: line 17 in use",
  },
  {
    when: "a hook fails",
    seen: boardFault("hook[0]", "hook[0]: /usr/bin/notify: exit status 1"),
    check: "hooks",
    says: "hook[0]: /usr/bin/notify: exit status 1",
    lamp: false,
  },
];

describe("what comes first", () => {
  for (const { when, seen, check, says, lamp = true } of rows) {
    test(`${when}: ${check}`, () => {
      const diagnosis = examine(seen);
      assert.deepEqual([diagnosis.broken?.check, diagnosis.broken?.says], [check, says]);
      assert.ok((diagnosis.broken?.advice ?? "").length > 10, "what to do");
      assert.deepEqual(worthALamp(diagnosis), lamp ? [says] : []);
    });
  }
});

test("all is well: one line for each check, and nothing is broken", () => {
  const { broken, checks: all } = examine(well);
  assert.equal(broken, null);
  assert.deepEqual(
    all.map(({ check, says }) => [check, says]),
    Object.entries(checks),
  );
});

test("every check can be broken, but for the one that is only worth a word", () => {
  const broken = new Set(rows.map(({ check }) => check));
  assert.deepEqual(
    Object.keys(checks).filter((check) => !broken.has(check)),
    ["advskews"],
  );
});

const words: readonly {
  readonly when: string;
  readonly seen: Evidence;
  readonly is: string;
  readonly says: RegExp;
}[] = [
  {
    when: "both boards have one advskew",
    seen: withStandby({ advskew: 0 }),
    is: "ok",
    says: /none is preferred/,
  },
  {
    when: "no other board is named",
    seen: { ...well, peers: [] },
    is: "unknown",
    says: /a backup is silent/,
  },
  {
    when: "no other board answers",
    seen: withPeer({ problem: "no answer" }),
    is: "unknown",
    says: /no other board answers over HTTP/,
  },
  {
    when: "nobody has set the clock",
    seen: { ...well, at: new Date(0) },
    is: "unknown",
    says: /the clock says 1970/,
  },
  {
    when: "a board was not asked yet",
    seen: withPeer({ problem: "it has not answered yet", asked: false }),
    is: "unknown",
    says: /^http:\S+ has not answered yet$/,
  },
];

describe("what is worth a word, and no alarm", () => {
  for (const { when, seen, is, says } of words) {
    test(when, () => {
      const found = examine(seen).checks.filter((check) => says.test(check.says));
      assert.deepEqual(
        found.map(({ state }) => state),
        [is],
      );
      assert.deepEqual(worthALamp(examine(seen)), []);
    });
  }
});

const silent: readonly { readonly when: string; readonly seen: Evidence }[] = [
  {
    when: "both serve for a moment while hands change",
    seen: { ...bothServe(false, false), ...short(2_000) },
  },
  {
    when: "a board that does not answer contradicts nobody",
    seen: withPeer({ problem: "no answer", groups: [] }),
  },
  {
    when: "one vhid is used on two interfaces",
    seen: {
      ...well,
      groups: [group, { ...group, interface: "eth1", addresses: ["198.51.100.1"] }],
      peers: [
        {
          ...right,
          groups: [standby, { ...standby, interface: "lan1", addresses: ["198.51.100.1"], advskew: 50 }],
        },
      ],
    },
  },
  {
    when: "it has just lost its link, and may be back",
    seen: withStandby({ role: "init", roleForMs: 1_000 }),
  },
  {
    when: "it has just become master, and its addresses are on their way",
    seen: withGroup({ holding: false, roleForMs: 1_000 }),
  },
  { when: "addresses went off long ago, and are on", seen: withGroup({ lostForMs: 40_000 }) },
  {
    when: "they went off with the link, and it is master again",
    seen: withGroup({ lostForMs: 9_000, roleForMs: 8_000 }),
  },
  {
    when: "a backup has no addresses on",
    seen: withGroup({ role: "backup", hears: true, holding: false, lostForMs: 5_000 }),
  },
  { when: "we begin, and have no link yet", seen: withGroup({ role: "init", why: "started" }) },
];

describe("what is no mistake", () => {
  for (const { when, seen } of silent) {
    test(when, () => assert.deepEqual(worthALamp(examine(seen)), []));
  }
});

test("what is broken first is what one would look at first: the cable comes before what it causes", () => {
  const seen: Evidence = {
    ...withGroup({ role: "init", why: "link down" }),
    faults: new Map([["status", "no status over HTTP: EADDRNOTAVAIL"]]),
    peers: [{ ...right, problem: "no way there" }],
  };
  const { broken, checks: all }: Diagnosis = examine(seen);
  assert.equal(broken?.check, "link");
  assert.deepEqual(
    all.filter(({ state }) => state === "broken").map(({ check }) => check),
    ["link", "peers", "status port"],
  );
});

test("two groups on one cable are one sentence", () => {
  const down = { role: "init", why: "link down" } as const;
  const { checks: all } = examine({
    ...well,
    groups: [
      { ...group, ...down },
      { ...group, ...down, vhid: 8 },
    ],
  });
  assert.equal(all.filter(({ check }) => check === "link").length, 1);
});

function short(roleForMs: number): Pick<Evidence, "groups"> {
  return { groups: [{ ...group, roleForMs }] };
}
