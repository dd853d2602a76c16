/**
 * The rules of the state machine, one row a rule. "5.2" and the like are
 * sections of the specification; what several hosts make of the rules together
 * is in the scenarios and in the simulation.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type Claim,
  createVhost,
  lastHeard,
  nextDeadline,
  ourClaim,
  type Role,
  type Settings,
  type Sources,
  step,
  type VhostEvent,
  type VirtualHost,
} from "../../src/carp/vhost.js";
import { type Address, formatAddress, parseAddress } from "../../src/wire/address.js";
import { describeAction } from "../trace.js";

/** Our own addresses, and those of two others. */
const own: Sources = { 4: address("192.0.2.5"), 6: address("fe80::5") };
const peer = address("192.0.2.9");
const third = address("192.0.2.10");

/** When the hosts of the tables became what they are. */
const START = 1_000_000;

const settings: Settings = {
  vhid: 7,
  advbase: 1,
  advskew: 0,
  preempt: false,
  families: [4],
  masterDown: "classic",
  demote: "advskew",
};

/** The events of the tables, by what the tables call them. */
const events = {
  "hears 1/0": heard("1/0"),
  "hears 1/100": heard("1/100"),
  "hears 1/200": heard("1/200"),
  "hears 255/255": heard("255/255"),
  wakes: { kind: "wake" },
  "gains link": { kind: "link", up: true, why: "link up", sources: own },
  "loses link": { kind: "link", up: false, why: "link down", sources: {} },
  "is demoted": { kind: "demote", reason: "button", advskew: 240 },
  "is configured": { kind: "configure", settings: { ...settings, advskew: 50 }, readdress: false },
  "is readdressed": { kind: "configure", settings: { ...settings, advskew: 50 }, readdress: true },
  "is stopped": { kind: "stop", why: "shutting down" },
} as const satisfies { [name: string]: VhostEvent };
type EventName = keyof typeof events;

describe("every cell of the transition table", () => {
  // biome-ignore format: one rule a line
  const cells: { role: Role; event: EventName; acts: readonly string[]; is: Role; why: string }[] = [
    { role: "init", event: "hears 1/0", acts: [], is: "init", why: "without a link nothing is believed" },
    { role: "init", event: "wakes", acts: [], is: "init", why: "nothing is ever due" },
    { role: "init", event: "gains link", acts: ["enter backup: link up"], is: "backup", why: "it listens before it speaks (5)" },
    { role: "init", event: "loses link", acts: [], is: "init", why: "there was none" },
    { role: "init", event: "is demoted", acts: [], is: "init", why: "kept for later" },
    { role: "init", event: "is configured", acts: [], is: "init", why: "kept for later" },
    { role: "init", event: "is readdressed", acts: [], is: "init", why: "no address without a role" },
    { role: "init", event: "is stopped", acts: [], is: "init", why: "there is nothing to leave" },

    { role: "backup", event: "hears 1/0", acts: [], is: "backup", why: "the master is alive (5.2)" },
    { role: "backup", event: "wakes", acts: [], is: "backup", why: "an early wake finds nothing due" },
    { role: "backup", event: "gains link", acts: [], is: "backup", why: "only our own addresses are new" },
    { role: "backup", event: "loses link", acts: ["enter init: link down"], is: "init", why: "without a link nobody can judge" },
    { role: "backup", event: "is demoted", acts: [], is: "backup", why: "nobody listens to a backup" },
    { role: "backup", event: "is configured", acts: [], is: "backup", why: "it goes on listening" },
    { role: "backup", event: "is readdressed", acts: [], is: "backup", why: "it has no addresses to change" },
    { role: "backup", event: "is stopped", acts: ["enter init: shutting down"], is: "init", why: "nobody misses a backup" },

    { role: "master", event: "hears 1/100", acts: ["announce"], is: "master", why: "a slower rival (5.1)" },
    { role: "master", event: "wakes", acts: [], is: "master", why: "an early wake finds nothing due" },
    { role: "master", event: "gains link", acts: [], is: "master", why: "only our own addresses are new" },
    { role: "master", event: "loses link", acts: ["enter init: link down", "release"], is: "init", why: "nobody would hear a farewell" },
    { role: "master", event: "is demoted", acts: ["advertise 1/240"], is: "master", why: "the others learn it at once (6)" },
    { role: "master", event: "is configured", acts: ["advertise 1/50"], is: "master", why: "it goes on serving, and says so" },
    { role: "master", event: "is readdressed", acts: ["claim", "advertise 1/50", "announce"], is: "master", why: "put on before it is spoken of" },
    { role: "master", event: "is stopped", acts: ["advertise 255/255 demote 255"], is: "master", why: "make before break" },
  ];

  for (const { role, event, acts, is, why } of cells) {
    test(`${role} ${event}: ${why}`, () => {
      // Late enough that an announcement is not too soon after the last one.
      const next = does(settled(us(role), START + 500), events[event], START + 500);

      assert.deepEqual(next.acts, acts);
      assert.equal(next.vhost.role, is);
    });
  }

  test("the role, the reason and the actions agree", () => {
    for (const { role, event } of cells) {
      const { vhost, actions } = step(us(role), events[event], START + 500);
      const entered = actions.findLast((action) => action.do === "enter");
      if (entered?.do !== "enter") continue;
      assert.equal(entered.role, vhost.role);
      assert.equal(entered.why, vhost.why);
    }
  });
});

describe("section 4: timers", () => {
  // biome-ignore format: one rule a line
  const timers: { us: string; advertises: number; bears: number; why: string }[] = [
    { us: "1/0", advertises: 1000, bears: 3000, why: "the default" },
    { us: "1/100", advertises: 1390.625, bears: 3390.625, why: "the skew counts once" },
    { us: "1/254", advertises: 1992.1875, bears: 3992.1875, why: "the largest skew" },
    { us: "20/128", advertises: 20_500, bears: 60_500, why: "a slow one" },
    { us: "255/254", advertises: 255_992.1875, bears: 765_992.1875, why: "the slowest one" },
    { us: "0/0", advertises: 3.90625, bears: 11.71875, why: "OpenBSD's fastest: 1/256 s" },
    { us: "0/1", advertises: 3.90625, bears: 11.71875, why: "as fast as 0/0" },
    { us: "0/2", advertises: 7.8125, bears: 23.4375, why: "without a base the skew counts thrice" },
    { us: "0/254", advertises: 992.1875, bears: 2976.5625, why: "almost a second" },
    { us: "1/100 scaled", advertises: 1390.625, bears: 4171.875, why: "OpenBSD from 2025 counts the skew thrice too" },
    { us: "0/2 scaled", advertises: 7.8125, bears: 23.4375, why: "the same" },
    { us: "1/100 demoted", advertises: 1937.5, bears: 3937.5, why: "demoted, we are slower in both" },
    { us: "1/100 byte demoted", advertises: 1390.625, bears: 3390.625, why: "the byte leaves the skew alone" },
  ];

  for (const { us: given, advertises, bears, why } of timers) {
    test(`${given}: ${why}`, () => {
      assert.equal(nextDeadline(us("backup", given)) - START, bears, "master-down time");
      const { advertiseAt } = us("master", given);
      assert.equal(advertiseAt - START, advertises, "advertisement interval");
    });
  }

  test("an advertisement restarts the master-down timer, and the next one counts from itself", () => {
    const waiting = does(us("backup"), heard("1/0"), START + 2900).vhost;
    assert.equal(nextDeadline(waiting), START + 5900);

    assert.deepEqual(does(waiting, { kind: "wake" }, START + 5899).acts, []);
    assert.deepEqual(does(waiting, { kind: "wake" }, START + 5900).acts, [
      "enter master: master timed out",
      "claim",
      "advertise 1/0",
      "announce",
    ]);
  });

  // biome-ignore format: one rule a line
  const feeds: { us: string; hear: string; bears: number; why: string }[] = [
    { us: "1/0", hear: "2/0", bears: 3000, why: "how fast the master is does not matter" },
    { us: "0/1 byte demoted", hear: "0/100", bears: 1171.875, why: "unless it is healthy and we are not" },
    { us: "1/0 byte demoted", hear: "0/1", bears: 3000, why: "and slower than we are" },
  ];
  for (const { us: given, hear, bears, why } of feeds) {
    test(`a backup ${given} that hears ${hear} bears ${bears} ms more: ${why}`, () => {
      const { vhost, acts } = does(us("backup", given), heard(hear), START + 5);
      assert.deepEqual(acts, []);
      assert.equal(nextDeadline(vhost) - START - 5, bears);
    });
  }

  test("a master that nobody ever heard is called so", () => {
    const { acts } = does(us("backup"), { kind: "wake" }, START + 3000);
    assert.equal(acts[0], "enter master: no master heard");
  });

  test("a master advertises each interval, from when it last did", () => {
    const spoken = does(us("master"), { kind: "wake" }, START + 1003);
    assert.deepEqual(spoken.acts, ["advertise 1/0", "announce"]);
    assert.equal(spoken.vhost.advertiseAt, START + 2003);
  });

  test("whatever preempt says, a host that starts listens for a full master-down time", () => {
    const started = us("backup", "1/0 preempt");
    assert.equal(nextDeadline(started), START + 3000);
    assert.equal(nextDeadline(us("init")), Number.POSITIVE_INFINITY);
  });
});

const takesOver = (why: string) => [`enter master: ${why}`, "claim", "advertise", "announce"];
const preempts = takesOver("preempting a slower master");
const replaces = takesOver("master is demoted");
const outruns = takesOver("master advertises too slowly");
const succeeds = takesOver("master bowed out");
const waits: readonly string[] = [];

describe("section 5.2: a backup hears", () => {
  // biome-ignore format: one rule a line
  const hearings: { us: string; hear: string; acts: readonly string[]; why: string }[] = [
    // Rule 1.
    { us: "1/0", hear: "1/200", acts: waits, why: "a slower master is left alone, unless we preempt" },
    { us: "1/0 preempt", hear: "1/0", acts: waits, why: "an equal one is left alone" },
    { us: "1/1 preempt", hear: "1/0", acts: waits, why: "a faster one is left alone" },
    { us: "1/0 preempt", hear: "1/1", acts: preempts, why: "1/256 s is enough" },
    { us: "1/200 preempt", hear: "2/0", acts: preempts, why: "a base and a skew are one time" },
    { us: "0/0 preempt", hear: "0/1", acts: waits, why: "0/0 and 0/1 are the same time" },
    { us: "1/0 preempt byte demoted", hear: "1/100", acts: waits, why: "rule 1: not while we are demoted more" },
    { us: "1/0 preempt byte demoted", hear: "1/100 demote 1", acts: preempts, why: "rule 1: demoted alike, the faster one serves" },
    { us: "1/0 preempt demoted", hear: "1/200", acts: waits, why: "we compare what we would advertise" },
    { us: "1/0 preempt demoted", hear: "1/241", acts: preempts, why: "also demoted, if it is still slower" },
    // Rule 2.
    { us: "1/0", hear: "1/0 demote 1", acts: replaces, why: "rule 2 needs no preempt" },
    { us: "1/200", hear: "1/0 demote 1", acts: replaces, why: "rule 2 asks nothing about speed" },
    { us: "1/0 byte demoted twice", hear: "1/0 demote 3", acts: replaces, why: "rule 2: three reasons are more than two" },
    { us: "1/0 byte demoted twice", hear: "1/0 demote 2", acts: waits, why: "rule 2: two are not" },
    { us: "1/0 demoted", hear: "1/0 demote 1", acts: replaces, why: "a raised advskew is no byte" },
    // Rule 3.
    { us: "1/0", hear: "3/0", acts: waits, why: "as slow as our patience" },
    { us: "1/0", hear: "3/1", acts: outruns, why: "slower than our patience" },
    { us: "1/100", hear: "3/100", acts: waits, why: "our patience includes our skew" },
    { us: "1/100", hear: "3/101", acts: outruns, why: "and ends with it" },
    { us: "1/100 scaled", hear: "4/44", acts: waits, why: "patience, scaled" },
    { us: "1/100 scaled", hear: "4/45", acts: outruns, why: "patience, scaled, at its end" },
    { us: "0/10", hear: "0/30", acts: waits, why: "patience without a base" },
    { us: "0/10", hear: "0/31", acts: outruns, why: "OpenBSD waits for it to time out, with the same end" },
    { us: "1/0 demoted", hear: "3/240", acts: waits, why: "the patience of who is demoted is longer" },
    // 5.4: bow-outs.
    { us: "1/0", hear: "255/255", acts: succeeds, why: "a bow-out is not waited on" },
    { us: "100/0", hear: "255/255", acts: succeeds, why: "nor from an advbase of 86 on, where BSDs see none" },
    { us: "100/0", hear: "255/254", acts: waits, why: "that is only a slow master" },
    { us: "0/1", hear: "255/255", acts: succeeds, why: "nor without a base, where OpenBSD does not see one" },
    { us: "1/0 byte demoted", hear: "255/255", acts: succeeds, why: "somebody has to serve, demoted or not" },
  ];

  for (const { us: given, hear, acts, why } of hearings) {
    test(`${given} hears ${hear}: ${why}`, () => {
      const backup = us("backup", given);
      const next = does(backup, heard(hear), START + 1000);

      const { advbase, advskew, demote: byteSent } = ourClaim(backup);
      const spoken = `advertise ${advbase}/${advskew}${byteSent ? ` demote ${byteSent}` : ""}`;
      assert.deepEqual(
        next.acts,
        acts.map((line) => (line === "advertise" ? spoken : line)),
      );
      assert.equal(next.vhost.role, acts.length > 0 ? "master" : "backup");
      assert.deepEqual(lastHeard(next.vhost), { ...parseClaim(hear), from: peer, at: START + 1000 });
    });
  }
});

describe("section 5.1: a master hears a rival", () => {
  const stays = ["announce"];
  const yields = (...lastWords: string[]) => [
    "enter backup: heard a preferred master",
    "release",
    ...lastWords,
  ];
  // biome-ignore format: one rule a line
  const rivals: { us: string; hear: string; from?: string; acts: readonly string[]; why: string }[] = [
    { us: "1/0", hear: "1/1", acts: stays, why: "the slower one will yield to us; who believed it is told" },
    { us: "1/1", hear: "1/0", acts: yields("advertise 1/1 to 192.0.2.9"), why: "it is faster, and learns that we were here" },
    { us: "1/0 demoted", hear: "1/100", acts: yields("advertise 1/240 to 192.0.2.9"), why: "what we advertise counts" },
    { us: "1/1", hear: "1/0", from: "0.0.0.0", acts: yields(), why: "nobody can be told there" },
    // Equal times: UCARP's order, the last octet most significant.
    { us: "1/0", hear: "1/0", from: "192.0.2.4", acts: yields(), why: "the lower address stays" },
    { us: "1/0", hear: "1/0", from: "192.0.2.6", acts: stays, why: "we are the lower one" },
    { us: "1/0", hear: "1/0", from: "192.0.2.5", acts: yields(), why: "with one address for both, nobody insists" },
    { us: "1/0", hear: "1/0", from: "10.9.9.4", acts: yields(), why: "the last octet is asked first: 4 < 5" },
    { us: "1/0", hear: "1/0", from: "1.0.0.6", acts: stays, why: "the last octet is asked first: 6 > 5" },
    { us: "1/0 at 10.0.1.2", hear: "1/0", from: "10.0.2.1", acts: yields(), why: "it yields, as UCARP was seen to" },
    { us: "1/0 at 10.0.2.1", hear: "1/0", from: "10.0.1.2", acts: stays, why: "and 10.0.2.1 to nobody" },
    { us: "1/0 at nowhere", hear: "1/0", acts: yields(), why: "without an address of our own we do as BSD does" },
    { us: "0/1", hear: "0/0", from: "192.0.2.6", acts: stays, why: "0/0 and 0/1 are equal" },
    // Equal times, IPv6.
    { us: "1/0 v6", hear: "1/0", from: "fe80::4", acts: yields(), why: "the same order in IPv6" },
    { us: "1/0 v6", hear: "1/0", from: "fe80::6", acts: stays, why: "the same order in IPv6" },
    { us: "1/0 v6", hear: "1/0", from: "fe80:1::4", acts: yields(), why: "the last octet of sixteen" },
    { us: "1/0 dual", hear: "1/0", from: "fe80::4", acts: stays, why: "IPv4 decides where there is one" },
    { us: "1/0 dual", hear: "1/0", from: "192.0.2.4", acts: yields(), why: "and this is it" },
    { us: "1/0 dual at fe80::5", hear: "1/0", from: "fe80::4", acts: yields(), why: "IPv6 decides where our IPv4 has no address" },
    { us: "1/1 dual", hear: "1/0", from: "fe80::4", acts: yields("advertise 1/1 to fe80::4"), why: "faster needs no second opinion" },
    // OpenBSD's demotion.
    { us: "1/0 byte demoted", hear: "1/200", acts: yields(), why: "less demoted beats faster, and our word would win over FreeBSD's" },
    { us: "1/0 byte demoted", hear: "1/0 demote 2", acts: stays, why: "more demoted loses" },
    { us: "1/0", hear: "0/1 demote 1", acts: stays, why: "more demoted loses, although it is faster" },
    { us: "1/1 byte demoted", hear: "1/0 demote 1", acts: yields("advertise 1/1 demote 1 to 192.0.2.9"), why: "demoted alike, the faster one stays" },
    // A bow-out is nobody's rival.
    { us: "1/0", hear: "255/255", acts: ["advertise 1/0", "announce"], why: "who bows out to us has not heard us" },
    { us: "1/0 byte demoted", hear: "255/255", acts: ["advertise 1/0 demote 1", "announce"], why: "nobody yields to one that leaves" },
  ];

  for (const { us: given, hear, from = "192.0.2.9", acts, why } of rivals) {
    test(`${given} hears ${hear} from ${from}: ${why}`, () => {
      const master = settled(us("master", given), START + 500);
      const next = does(master, heard(hear, from), START + 500);

      assert.deepEqual(next.acts, acts);
      assert.equal(next.vhost.role, acts.includes("release") ? "backup" : "master");
    });
  }

  test("the head start outlives what a third host says a moment later, but not the next advertisement", () => {
    const drawn = does(us("master", "1/0 dual"), heard("1/0", "192.0.2.4"), START + 500).vhost;
    const third = does(drawn, heard("1/0", "fe80::4"), START + 501).vhost;
    assert.deepEqual(third.masterDownAt, { 4: START + 3750, 6: START + 3750 });
    const later = does(third, heard("1/0", "192.0.2.4"), START + 1500).vhost;
    assert.deepEqual(later.masterDownAt, { 4: START + 4500, 6: START + 3750 });
  });

  test("who was told to bear a slow master believes a faster one that is heard after it", () => {
    const slow = does(us("backup", "1/0 byte demoted"), heard("255/0"), START + 500).vhost;
    assert.equal(nextDeadline(slow), START + 500 + 765_000);
    const honest = does(slow, heard("1/0"), START + 1000).vhost;
    assert.equal(nextDeadline(honest), START + 4000);
  });

  test("of two equal masters exactly one yields, whatever their addresses are", () => {
    const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
    const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(fc.oneof(fc.tuple(ipv4, ipv4), fc.tuple(ipv6, ipv6)), ([a, b]) => {
        fc.pre(a.some((byte, i) => byte !== b[i]));
        const family = a.length === 4 ? 4 : 6;
        const yields = (ours: Uint8Array, theirs: Uint8Array) => {
          const given = `1/0 ${family === 6 ? "v6" : ""} at ${formatAddress({ family, bytes: ours })}`;
          const master = us("master", given);
          const event = { kind: "heard", ad: parseClaim("1/0"), from: { family, bytes: theirs } } as const;
          return step(master, event, START + 500).vhost.role === "backup";
        };
        assert.notEqual(yields(a, b), yields(b, a));
      }),
    );
  });

  // biome-ignore format: one rule a line
  const patience: { us: string; hear: string; bears: number; why: string }[] = [
    { us: "1/1", hear: "1/0", bears: 3003.90625, why: "a full master-down time" },
    { us: "1/0", hear: "1/0", bears: 3250, why: "an equal peer that falls silent too speaks first" },
    { us: "0/4", hear: "0/4", bears: 46.875 + 3.90625, why: "a quarter of the interval" },
    { us: "0/1 byte demoted", hear: "0/100", bears: 1171.875, why: "a healthy master may be slow" },
    { us: "1/0 byte demoted", hear: "0/100", bears: 3000, why: "or fast" },
  ];
  for (const { us: given, hear, bears, why } of patience) {
    test(`yielding to ${hear}, ${given} bears ${bears} ms of silence: ${why}`, () => {
      const master = settled(us("master", given), START + 500);
      const { vhost } = does(master, heard(hear, "192.0.2.4"), START + 500);
      assert.equal(nextDeadline(vhost) - START - 500, bears);
    });
  }
});

describe("section 6: demotion is a set of named reasons", () => {
  // biome-ignore format: one rule a line
  const reasons: { demote?: "byte"; said: [string, number][]; claims: string; why: string }[] = [
    { said: [["button", 240]], claims: "1/240", why: "one reason" },
    { said: [["button", 240], ["button", 240]], claims: "1/240", why: "the same reason twice is one" },
    { said: [["button", 240], ["link", 200]], claims: "1/240", why: "the worst one counts" },
    { said: [["link", 200], ["button", 240]], claims: "1/240", why: "in whichever order" },
    { said: [["button", 240], ["button", 220]], claims: "1/220", why: "a reason may change its mind" },
    { said: [["button", 240], ["link", 200], ["button", 0]], claims: "1/200", why: "one is taken back" },
    { said: [["button", 240], ["link", 0], ["button", 0]], claims: "1/100", why: "all are taken back" },
    { said: [["link", 0]], claims: "1/100", why: "what was never there may be taken back" },
    { said: [["gateway", 50]], claims: "1/100", why: "less than what is configured changes nothing" },
    { demote: "byte", said: [["button", 240]], claims: "1/100 demote 1", why: "a byte counts reasons" },
    { demote: "byte", said: [["button", 240], ["link", 1], ["link", 2]], claims: "1/100 demote 2", why: "a byte counts each once" },
    { demote: "byte", said: [["button", 240], ["button", 0]], claims: "1/100", why: "and forgets them" },
    { demote: "byte", said: Array.from({ length: 300 }, (_, i) => [`check ${i}`, 240]), claims: "1/100 demote 255", why: "a byte has an end" },
  ];

  for (const { demote = "", said, claims, why } of reasons) {
    test(`${said.slice(0, 4).join(" ")} claims ${claims}: ${why}`, () => {
      const start = us("master", `1/100 ${demote}`);
      const demoted = said.reduce(
        (vhost, [reason, advskew]) => step(vhost, { kind: "demote", reason, advskew }, START).vhost,
        start,
      );
      assert.deepEqual(ourClaim(demoted), parseClaim(claims));
    });
  }

  const button: VhostEvent = { kind: "demote", reason: "button", advskew: 240 };
  const link: VhostEvent = { kind: "demote", reason: "link eth1 down", advskew: 200 };

  test("a master says each change at once, and nothing when nothing changed", () => {
    const demoted = does(us("master"), button, START + 10);
    assert.deepEqual(demoted.acts, ["advertise 1/240"]);
    assert.deepEqual(does(demoted.vhost, link, START + 20).acts, []);
    assert.deepEqual(does(demoted.vhost, { ...button, advskew: 0 }, START + 30).acts, ["advertise 1/0"]);
  });

  test("what it says at once restarts its interval", () => {
    assert.equal(does(us("master"), button, START + 400).vhost.advertiseAt, START + 400 + 1937.5);
  });

  test("reasons outlive roles", () => {
    let { vhost } = does(us("master"), button, START);
    for (const up of [false, true]) {
      ({ vhost } = does(vhost, { kind: "link", up, why: "link", sources: own }, START + 10));
    }
    assert.equal(vhost.role, "backup");
    assert.deepEqual(ourClaim(vhost), parseClaim("1/240"));
  });
});

describe("section 4: a master-down timer for each family", () => {
  const six = "fe80::9";

  test("an advertisement restarts its own family's timer alone", () => {
    const fed = does(us("backup", "1/0 dual"), heard("1/0"), START + 1000).vhost;
    assert.deepEqual(fed.masterDownAt, { 4: START + 4000, 6: START + 3000 });
    const both = does(fed, heard("1/0", six), START + 1001).vhost;
    assert.deepEqual(both.masterDownAt, { 4: START + 4000, 6: START + 4001 });
  });

  for (const silent of [4, 6] as const) {
    test(`silence in IPv${silent} alone is enough`, () => {
      const fed = does(
        us("backup", "1/0 dual"),
        heard("1/0", silent === 4 ? six : "192.0.2.9"),
        START + 2999,
      ).vhost;
      assert.equal(nextDeadline(fed), START + 3000);
      assert.equal(does(fed, { kind: "wake" }, START + 3000).vhost.role, "master");
    });
  }

  test("a family that we do not serve has no timer: OpenBSD speaks IPv6 for a link-local alone", () => {
    const fed = does(us("backup"), heard("1/0", six), START + 1000).vhost;
    assert.deepEqual(fed.masterDownAt, { 4: START + 3000 });
  });

  test("a change of families starts the new timer and forgets the old one", () => {
    const six_ = does(
      us("backup", "1/0 dual"),
      { kind: "configure", settings: { ...settings, families: [6] }, readdress: true },
      START + 500,
    );
    assert.deepEqual(six_.vhost.masterDownAt, { 6: START + 3000 });
    const four = does(
      us("backup"),
      { kind: "configure", settings: { ...settings, families: [4, 6] }, readdress: true },
      START + 500,
    );
    assert.deepEqual(four.vhost.masterDownAt, { 4: START + 3000, 6: START + 3500 });
  });
});

describe("lateness", () => {
  const steppedDown = (late: string) => [`enter backup: was ${late} s late: another may serve`, "release"];
  // biome-ignore format: one rule a line
  const late: { us?: string; lateMs: number; acts: readonly string[]; why: string }[] = [
    { lateMs: 100, acts: ["advertise 1/0", "announce"], why: "an ordinary delay" },
    { lateMs: 2000, acts: ["advertise 1/0", "announce"], why: "its peers may just still believe in it" },
    { lateMs: 2001, acts: steppedDown("2.0"), why: "its peers have another master by now" },
    { lateMs: 60_000, acts: steppedDown("60.0"), why: "a minute" },
    { us: "0/1", lateMs: 200, acts: ["advertise 0/1", "announce"], why: "a busy board is no sleeping one" },
    { us: "0/1", lateMs: 251, acts: steppedDown("0.3"), why: "too long even for a busy board" },
  ];
  for (const { us: given = "1/0", lateMs, acts, why } of late) {
    test(`a master ${given} that is ${lateMs} ms late: ${why}`, () => {
      const master = us("master", given);
      assert.deepEqual(does(master, { kind: "wake" }, master.advertiseAt + lateMs).acts, acts);
    });
  }

  const master = us("master");
  const awake = master.advertiseAt + 5000;
  // biome-ignore format: one rule a line
  const first: { event: EventName; acts: readonly string[]; why: string }[] = [
    { event: "hears 1/200", acts: [], why: "the new master is believed" },
    { event: "hears 255/255", acts: succeeds, why: "the new master leaves already" },
    { event: "is demoted", acts: [], why: "nothing is said" },
    { event: "is readdressed", acts: [], why: "nothing is claimed" },
    { event: "is stopped", acts: ["enter init: shutting down"], why: "no bow-out" },
    { event: "loses link", acts: ["enter init: link down"], why: "as a backup" },
  ];
  for (const { event, acts, why } of first) {
    test(`a master that overslept and then ${event} steps down first: ${why}`, () => {
      const expected = acts.map((line) => (line === "advertise" ? "advertise 1/0" : line));
      assert.deepEqual(does(master, events[event], awake).acts, [...steppedDown("5.0"), ...expected]);
    });
  }

  // biome-ignore format: one rule a line
  const deaf: { us?: string; lateMs: number; is: Role; why: string }[] = [
    { lateMs: 0, is: "master", why: "in time" },
    { lateMs: 3000, is: "master", why: "what it missed would still be in its queue" },
    { lateMs: 3001, is: "backup", why: "it listens once more" },
    { us: "0/1", lateMs: 249, is: "master", why: "a busy board is no sleeping one" },
    { us: "0/1", lateMs: 251, is: "backup", why: "it listens once more" },
  ];
  for (const { us: given = "1/0", lateMs, is, why } of deaf) {
    test(`a backup ${given} whose timer is seen ${lateMs} ms late: ${why}`, () => {
      const backup = us("backup", given);
      const now = nextDeadline(backup) + lateMs;
      const next = does(backup, { kind: "wake" }, now);

      assert.equal(next.vhost.role, is);
      if (is === "backup") {
        assert.deepEqual(next.acts, []);
        assert.equal(nextDeadline(next.vhost) - now, nextDeadline(backup) - START, "a full master-down time");
      }
    });
  }
});

describe("leaving: make before break", () => {
  const LEFT = START + 10_000;
  const stopped = (given?: string) =>
    step(settled(us("master", given), LEFT), { kind: "stop", why: "shutting down" }, LEFT).vhost;

  test("bow-outs come at 0, 50, 150, 350 and 750 ms, until it gives up after 1.5 s", () => {
    const said = alone(stopped(), LEFT, LEFT + 5000);
    assert.deepEqual(said, [
      [50, "advertise 255/255 demote 255"],
      [150, "advertise 255/255 demote 255"],
      [350, "advertise 255/255 demote 255"],
      [750, "advertise 255/255 demote 255"],
      [1500, "enter init: shutting down, nobody took over"],
      [1500, "release"],
    ]);
  });

  test("it still serves, and neither advertises nor announces otherwise", () => {
    const vhost = stopped("0/1");
    assert.equal(vhost.role, "master");
    assert.ok(alone(vhost, LEFT, LEFT + 1499).every(([, line]) => line === "advertise 255/255 demote 255"));
  });

  test("the byte says it too, whatever ours was", () => {
    const { acts } = does(us("master", "1/0 byte demoted"), { kind: "stop", why: "x" }, START);
    assert.deepEqual(acts, ["advertise 255/255 demote 255"]);
  });

  // biome-ignore format: one rule a line
  const successors: { hear: string; at: number; until: number; why: string }[] = [
    { hear: "1/100", at: 1, until: 51, why: "50 ms of grace" },
    { hear: "1/0 demote 9", at: 60, until: 110, why: "any master will do" },
    { hear: "1/100", at: 1480, until: 1530, why: "the grace is given in full, also near the end" },
  ];
  for (const { hear, at, until, why } of successors) {
    test(`the successor is heard after ${at} ms, and it goes after ${until} ms: ${why}`, () => {
      let vhost = stopped();
      while (nextDeadline(vhost) < LEFT + at)
        ({ vhost } = step(vhost, { kind: "wake" }, nextDeadline(vhost)));
      const quiet = does(vhost, heard(hear), LEFT + at);

      assert.deepEqual(quiet.acts, []);
      assert.deepEqual(alone(quiet.vhost, LEFT, LEFT + 5000), [
        [until, "enter init: shutting down"],
        [until, "release"],
      ]);
    });
  }

  test("a successor that goes on speaking does not hold it back", () => {
    let { vhost } = does(stopped(), heard("0/1"), LEFT + 10);
    for (let at = 14; at < 60; at += 4) ({ vhost } = does(vhost, heard("0/1"), LEFT + at));
    assert.equal(nextDeadline(vhost), LEFT + 60);
  });

  // biome-ignore format: one rule a line
  const meanwhile: { event: EventName; acts: readonly string[]; why: string }[] = [
    { event: "hears 255/255", acts: [], why: "another that leaves is no successor" },
    { event: "is stopped", acts: [], why: "once is enough" },
    { event: "is demoted", acts: [], why: "255/255 is all there is to say" },
    { event: "is readdressed", acts: [], why: "no new addresses on the way out" },
    { event: "gains link", acts: [], why: "only our own addresses are new" },
    { event: "loses link", acts: ["enter init: link down", "release"], why: "nobody would hear it any more" },
  ];
  for (const { event, acts, why } of meanwhile) {
    test(`while it leaves, it ${event}: ${why}`, () => {
      const leaving = stopped();
      const next = does(leaving, events[event], LEFT + 20);

      assert.deepEqual(next.acts, acts);
      if (acts.length === 0) assert.equal(nextDeadline(next.vhost), LEFT + 50);
    });
  }

  test("a host that wakes up on its way out is not late: it goes", () => {
    assert.deepEqual(does(stopped(), { kind: "wake" }, LEFT + 60_000).acts, [
      "enter init: shutting down, nobody took over",
      "release",
    ]);
  });
});

describe("standing aside: a handover that may be called back", () => {
  const ASKED = START + 10_000;
  const press = { kind: "demote", reason: "maintenance", advskew: 240, standAside: true } as const;
  const callBack = { ...press, advskew: 0 };
  const pressed = (given?: string) => does(settled(us("master", given), ASKED), press, ASKED);
  /** The same, some time later. */
  const waited = (vhost: VirtualHost, untilMs: number): VirtualHost => {
    let later = vhost;
    while (nextDeadline(later) < ASKED + untilMs)
      later = step(later, { kind: "wake" }, nextDeadline(later)).vhost;
    return later;
  };

  test("the raised advskew is said at once, and bow-outs follow for who does not preempt", () => {
    const { vhost, acts } = pressed();
    assert.deepEqual(acts, ["advertise 1/240"]);
    assert.deepEqual(alone(vhost, ASKED, ASKED + 1299), [
      [50, "advertise 255/255 demote 255"],
      [100, "advertise 255/255 demote 255"],
      [200, "advertise 255/255 demote 255"],
      [400, "advertise 255/255 demote 255"],
      [800, "advertise 255/255 demote 255"],
    ]);
  });

  test("nobody takes over: it serves on, says so, and advertises with the raised advskew", () => {
    const vhost = waited(pressed().vhost, 1301);
    assert.equal(vhost.role, "master");
    assert.equal(vhost.why, "maintenance, nobody took over");
    assert.equal(vhost.leaving, undefined);
    assert.deepEqual(
      alone(waited(pressed().vhost, 1300), ASKED, ASKED + 4000).map(([, line]) => line),
      ["advertise 1/240", "advertise 1/240"],
    );
  });

  // biome-ignore format: one rule a line
  const takers: { us: string; hear: string; at: number; why: string }[] = [
    { us: "1/0", hear: "1/100", at: 2, why: "a peer that preempts" },
    { us: "1/0", hear: "3/0", at: 60, why: "one that is slower than our raised advskew, by the bow-out" },
    { us: "1/0 byte", hear: "1/100", at: 60, why: "whatever the dialect" },
  ];
  for (const { us: given, hear, at, why } of takers) {
    test(`it hears ${hear} after ${at} ms, holds for 50 ms and is a backup then: ${why}`, () => {
      const { acts, vhost } = does(waited(pressed(given).vhost, at), heard(hear), ASKED + at);
      assert.deepEqual(acts, []);
      assert.deepEqual(alone(vhost, ASKED, ASKED + at + 60), [
        [at + 50, "enter backup: maintenance"],
        [at + 50, "release"],
      ]);
    });
  }

  // biome-ignore format: one rule a line
  const aside: { hear: string; is: Role; why: string }[] = [
    { hear: "3/0", is: "backup", why: "a slower master is left where it is" },
    { hear: "1/0 demote 3", is: "backup", why: "and a demoted one" },
    { hear: "255/255", is: "backup", why: "others come first" },
  ];
  for (const { hear, is, why } of aside) {
    test(`a backup that stands aside hears ${hear}: ${why}`, () => {
      const backup = step(us("backup", "1/0 preempt"), press, START).vhost;
      assert.equal(does(backup, heard(hear), START + 500).vhost.role, is);
      assert.equal(does(us("backup", "1/0 preempt"), heard(hear), START + 500).vhost.role, "master");
    });
  }

  test("a master bows out and goes on bowing out: who stands aside takes over before that one goes", () => {
    let backup = step(us("backup"), press, START).vhost;
    for (const at of [500, 550, 650, 850, 1250]) backup = step(backup, heard("255/255"), START + at).vhost;
    assert.deepEqual(alone(backup, START, START + 1901), [
      [1900, "enter master: master bowed out, and nobody else came"],
      [1900, "claim"],
      [1900, "advertise 1/240"],
      [1900, "announce"],
    ]);
  });

  test("unless somebody else serves by then", () => {
    const backup = step(step(us("backup"), press, START).vhost, heard("255/255"), START + 500).vhost;
    const served = step(backup, heard("1/100", "192.0.2.10"), START + 600).vhost;
    assert.equal(nextDeadline(served), START + 600 + 3937.5);
  });

  test("a backup that stands aside takes over from silence", () => {
    const backup = step(us("backup"), press, START).vhost;
    assert.equal(does(backup, { kind: "wake" }, nextDeadline(backup)).vhost.role, "master");
  });

  // biome-ignore format: one rule a line
  const meanwhile: { event: VhostEvent; at: number; acts: readonly string[]; is: Role; why: string }[] = [
    { event: callBack, at: 20, acts: ["claim", "advertise 1/0", "announce"], is: "master", why: "called back: it serves on" },
    { event: { ...press, reason: "other" }, at: 20, acts: [], is: "master", why: "a second reason changes nothing" },
    { event: heard("255/255"), at: 20, acts: [], is: "master", why: "another that leaves is no successor" },
    { event: { kind: "stop", why: "shutting down" }, at: 20, acts: [], is: "master", why: "it leaves by the same path" },
    { event: events["loses link"], at: 20, acts: ["enter init: link down", "release"], is: "init", why: "nobody would hear it" },
    { event: events["is readdressed"], at: 20, acts: [], is: "master", why: "no new addresses on the way out" },
  ];
  for (const { event, at, acts, is, why } of meanwhile) {
    test(`in the middle of it, ${event.kind}: ${why}`, () => {
      const next = does(waited(pressed().vhost, at), event, ASKED + at);
      assert.deepEqual(next.acts, acts);
      assert.equal(next.vhost.role, is);
    });
  }

  test("a successor that begins to leave itself serves until somebody answers it: we let go", () => {
    const { vhost } = does(pressed().vhost, heard("1/100"), ASKED + 2);
    for (const next of ["1/100", "1/240", "255/255"]) {
      const told = does(vhost, heard(next), ASKED + 10);
      assert.deepEqual(told.acts, [], next);
      assert.equal(nextDeadline(told.vhost), ASKED + 52, "and not a moment later");
    }
  });

  test("whoever took over together with us is no answer: it may give way to what we said then", () => {
    const master = { ...waited(pressed().vhost, 10), masterSince: ASKED - 45 };
    assert.equal(does(master, heard("1/100"), ASKED + 4).vhost.leaving?.successor, undefined);
    assert.ok(does(master, heard("1/100"), ASKED + 5).vhost.leaving?.successor);
  });

  test("what a rival says before it can know of the press is no answer", () => {
    const { vhost } = does(pressed("1/100").vhost, heard("1/240"), ASKED + 1);
    assert.deepEqual(alone(vhost, ASKED, ASKED + 60), [[50, "advertise 255/255 demote 255"]]);
  });

  for (const { successor, ms, why } of [
    { successor: "0/52", ms: 2812.5, why: "as long as with a raised advskew, which the byte stands for" },
    { successor: "2/0", ms: 6000, why: "however much slower that is" },
  ]) {
    test(`it bears its successor ${successor} for ${ms} ms: ${why}`, () => {
      const asked = waited(pressed("0/2 byte").vhost, 51);
      const heardIt = step(asked, heard(successor), ASKED + 51).vhost;
      const backup = step(heardIt, { kind: "wake" }, ASKED + 101).vhost;
      assert.equal(backup.role, "backup");
      assert.equal(nextDeadline(backup) - ASKED - 101, ms);
    });
  }

  test("stopped in the middle of it, it goes to INIT when the successor is heard, and when none comes", () => {
    const stopped = step(pressed().vhost, { kind: "stop", why: "shutting down" }, ASKED + 20).vhost;
    const { vhost } = does(stopped, heard("1/100"), ASKED + 30);
    assert.deepEqual(alone(vhost, ASKED, ASKED + 100), [
      [80, "enter init: shutting down"],
      [80, "release"],
    ]);
    assert.deepEqual(alone(waited(stopped, 1520), ASKED, ASKED + 2000), [
      [1520, "enter init: shutting down, nobody took over"],
      [1520, "release"],
    ]);
  });

  test("called back when the successor has been heard: it is a master with a rival, and the rules decide", () => {
    const { vhost } = does(pressed().vhost, heard("1/100"), ASKED + 2);
    const back = does(vhost, callBack, ASKED + 20);
    assert.deepEqual(back.acts, ["claim", "advertise 1/0", "announce"]);
    assert.equal(does(back.vhost, heard("1/100"), ASKED + 21).vhost.role, "master");
    assert.equal(does(back.vhost, heard("0/100"), ASKED + 21).vhost.role, "backup");
  });

  test("who slept through the end of it finds out that another may serve", () => {
    const { acts, vhost } = does(pressed().vhost, { kind: "wake" }, ASKED + 50 + 3001);
    assert.deepEqual(acts, ["enter backup: was 3.0 s late: another may serve", "release"]);
    assert.equal(vhost.role, "backup");
  });

  test("pressed again where nobody took over, it asks again", () => {
    const served = settled(waited(pressed().vhost, 1301), ASKED + 5000);
    assert.deepEqual(does(served, press, ASKED + 5000).acts, ["advertise 1/240"]);
  });
});

describe("new settings", () => {
  const slower = { ...settings, advskew: 200 };
  const faster = { ...settings, advbase: 0, advskew: 128 };

  test("a backup never waits longer than it meant to", () => {
    const event = { kind: "configure", settings: slower, readdress: false } as const;
    assert.equal(nextDeadline(does(us("backup"), event, START + 100).vhost), START + 3000);
  });

  test("a backup waits less when it bears less", () => {
    const event = { kind: "configure", settings: faster, readdress: false } as const;
    assert.equal(nextDeadline(does(us("backup"), event, START + 100).vhost), START + 100 + 1500);
  });

  test("a master's interval is the new one at once", () => {
    const event = { kind: "configure", settings: faster, readdress: false } as const;
    const next = does(us("master"), event, START + 100);
    assert.deepEqual(next.acts, ["advertise 0/128"]);
    assert.equal(next.vhost.advertiseAt, START + 600);
  });

  test("a reason to be demoted stays", () => {
    const event = { kind: "configure", settings: { ...slower, demote: "byte" }, readdress: false } as const;
    const next = does(us("master", "1/0 demoted"), event, START + 100);
    assert.deepEqual(next.acts, ["advertise 1/200 demote 1"]);
  });

  test("a host without a link keeps them for later", () => {
    const event = { kind: "configure", settings: faster, readdress: true } as const;
    const { vhost } = does(us("init"), event, START);
    const up = does(vhost, { kind: "link", up: true, why: "link up", sources: own }, START + 100).vhost;
    assert.equal(nextDeadline(up), START + 1600);
  });

  test("an address of our own that changes breaks the next tie", () => {
    const moved = does(
      us("master"),
      { kind: "link", up: true, why: "new address", sources: { 4: address("192.0.2.99") } },
      START + 100,
    ).vhost;
    assert.equal(does(moved, heard("1/0"), START + 500).vhost.role, "backup");
  });
});

describe("a reason to take over from somebody whose successor is known", () => {
  // biome-ignore format: one rule a line
  const rows: {
    us?: string;
    hear: string;
    from?: Address;
    afterMs: number;
    acts: readonly string[];
    why: string;
  }[] = [
    { hear: "255/255", from: third, afterMs: 10, acts: [], why: "a repeated bow-out" },
    { hear: "255/255", from: third, afterMs: 999, acts: [], why: "the master need not have spoken since" },
    { hear: "255/255", from: third, afterMs: 1000, acts: succeeds, why: "the master ought to have spoken by now" },
    { hear: "255/255", afterMs: 10, acts: succeeds, why: "the master itself" },
    { us: "1/100 preempt", hear: "1/200", from: third, afterMs: 10, acts: [], why: "a loser's last words" },
    { hear: "1/0 demote 1", from: third, afterMs: 10, acts: [], why: "a demoted one has been succeeded too" },
    { hear: "255/255", from: address("fe80::9"), afterMs: 10, acts: succeeds, why: "another family may be the same host" },
  ];
  for (const { us: given = "1/0", hear, from = peer, afterMs, acts, why } of rows) {
    test(`${hear}, ${afterMs} ms after the master spoke: ${why}`, () => {
      const standing = does(us("backup", given), heard("1/0"), START + 500).vhost;
      const event = { kind: "heard", ad: parseClaim(hear), from } as const;
      const next = does(standing, event, START + 500 + afterMs);

      assert.deepEqual(
        next.acts,
        acts.map((line) => (line === "advertise" ? "advertise 1/0" : line)),
      );
      if (acts.length === 0) assert.deepEqual(next.vhost, standing, "as if it had not been heard");
    });
  }

  test("the successor itself is believed at once, although the old master spoke a moment ago", () => {
    let { vhost } = does(us("backup", "1/200"), heard("1/0", "192.0.2.9"), START + 500);
    ({ vhost } = does(vhost, heard("1/100", "192.0.2.10"), START + 501));
    assert.deepEqual(lastHeard(vhost)?.from, third);
    assert.equal(nextDeadline(vhost), START + 501 + 3781.25);
    assert.deepEqual(does(vhost, heard("255/255", "192.0.2.9"), START + 502).acts, []);
  });

  test("a master that has bowed out is nobody to stand by for", () => {
    let { vhost } = does(us("backup"), heard("255/255", "192.0.2.9"), START + 500);
    ({ vhost } = does(vhost, heard("0/1", "192.0.2.10"), START + 501));
    assert.equal(vhost.role, "backup");
    ({ vhost } = does(vhost, heard("255/255", "192.0.2.10"), START + 502));
    assert.equal(vhost.role, "master");
  });

  test("of two families the one that was heard last names the master", () => {
    const ours = us("backup", "1/0 dual");
    const six = does(does(ours, heard("1/0"), START + 1).vhost, heard("1/0", "fe80::9"), START + 2).vhost;
    assert.equal(lastHeard(six)?.at, START + 2);
    const four = does(does(ours, heard("1/0", "fe80::9"), START + 1).vhost, heard("1/0"), START + 2).vhost;
    assert.equal(lastHeard(four)?.at, START + 2);
    assert.equal(lastHeard(ours), undefined);
  });

  test("with both families, each has its own memory", () => {
    let { vhost } = does(us("backup", "1/0 dual"), heard("1/0", "192.0.2.9"), START + 500);
    ({ vhost } = does(vhost, heard("1/0", "fe80::9"), START + 500));
    assert.deepEqual(does(vhost, heard("255/255", "192.0.2.10"), START + 600).acts, []);
    assert.deepEqual(does(vhost, heard("255/255", "fe80::10"), START + 600).acts, []);
  });
});

describe("announcements", () => {
  const announcements = (vhost: VirtualHost, until: number) =>
    alone(vhost, START, until).flatMap(([at, line]) => (line === "announce" ? [at] : []));

  test("at once, after 100 ms, with the second advertisement after that, acts each minute", () => {
    assert.deepEqual(announcements(us("master"), START + 200_000), [100, 2000, 60_000, 120_000, 180_000]);
  });

  test("with a fast one the second advertisement comes first", () => {
    assert.deepEqual(announcements(us("master", "0/2"), START + 1000), [15.625, 100]);
  });

  test("with a slow one the minute comes first", () => {
    const slow = us("master", "40/0");
    assert.deepEqual(announcements(slow, START + 130_000), [100, 60_000, 80_000]);
  });

  test("the advertisement goes before the announcement that is due with it", () => {
    const said = alone(us("master"), START, START + 2000).filter(([at]) => at === 2000);
    assert.deepEqual(
      said.map(([, line]) => line),
      ["advertise 1/0", "announce"],
    );
  });

  test("a rival that is slower: at once, and those that were due stay due", () => {
    const { vhost, acts } = does(us("master"), heard("1/1"), START + 1500);
    assert.deepEqual(acts, ["announce"]);
    assert.deepEqual(announcements(vhost, START + 70_000), [2000, 60_000]);
  });

  test("a flood of rivals: ten times a second at most, and never forgotten", () => {
    let vhost = settled(us("master"), START + 5000);
    const at: number[] = [];
    for (let now = START + 5000; now < START + 6000; now++) {
      for (const event of [heard("1/1"), { kind: "wake" } as const]) {
        const next = step(vhost, event, now);
        if (next.actions.some((action) => action.do === "announce")) at.push(now - START - 5000);
        ({ vhost } = next);
      }
    }
    assert.deepEqual(at, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
  });

  test("a flood of bow-outs: an answer each 25 ms at most", () => {
    let vhost = settled(us("master"), START + 5000);
    let answers = 0;
    for (let now = START + 5000; now < START + 6000; now++) {
      const next = step(vhost, heard("255/255"), now);
      answers += next.actions.filter((action) => action.do === "advertise").length;
      ({ vhost } = next);
    }
    assert.equal(answers, 40);
  });
});

describe("whatever happens", () => {
  const claim: fc.Arbitrary<Claim> = fc.oneof(
    fc.record({ advbase: fc.constant(1), advskew: fc.nat(254), demote: fc.nat(2) }),
    fc.record({ advbase: fc.nat(255), advskew: fc.nat(255), demote: fc.nat(255) }),
    fc.constant({ advbase: 255, advskew: 255, demote: 0 }),
  );
  const from = fc.constantFrom(peer, third, address("192.0.2.4"), address("fe80::9"), address("0.0.0.0"));
  const someSettings: fc.Arbitrary<Settings> = fc.record({
    vhid: fc.constant(7),
    advbase: fc.constantFrom(0, 1, 1, 2),
    advskew: fc.nat(254),
    preempt: fc.boolean(),
    families: fc.constantFrom([4] as const, [6] as const, [4, 6] as const),
    masterDown: fc.constantFrom("classic", "scaled"),
    demote: fc.constantFrom("advskew", "byte"),
  });
  const event: fc.Arbitrary<VhostEvent> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("heard" as const), ad: claim, from }) },
    { weight: 8, arbitrary: fc.constant({ kind: "wake" as const }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("link" as const),
        up: fc.boolean(),
        why: fc.constant("link"),
        sources: fc.constantFrom(own, { 4: address("192.0.2.5") }, {}),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("demote" as const),
        reason: fc.constantFrom("button", "link"),
        advskew: fc.constantFrom(0, 200, 240),
        standAside: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("configure" as const),
        settings: someSettings,
        readdress: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: "stop" as const, why: "stopped" }) },
  );
  /** How long after the one before: at once, a moment, until the next deadline, or much too late. */
  const pause = fc.oneof(
    fc.constant(0),
    fc.double({ min: 0, max: 900, noNaN: true }),
    fc.constantFrom(-1, 20_000),
  );
  const history = fc.array(fc.tuple(event, pause), { maxLength: 60 });

  /** Plays a history, and hands every step to `look`. */
  function replay(
    first: Settings,
    events: readonly (readonly [VhostEvent, number])[],
    look: (before: VirtualHost, event: VhostEvent, after: VirtualHost, lines: string[], now: number) => void,
  ): void {
    let vhost = step(
      createVhost(first),
      { kind: "link", up: true, why: "link up", sources: own },
      START,
    ).vhost;
    let now = START;
    for (const [event, wait] of events) {
      const due = nextDeadline(vhost);
      now = wait >= 0 ? now + wait : due === Number.POSITIVE_INFINITY ? now : Math.max(now, due);
      const next = step(freeze(vhost), freeze(event), now);
      look(vhost, event, next.vhost, next.actions.map(describeAction), now);
      vhost = next.vhost;
    }
  }

  test("a wake at the deadline does something and moves it: the loop never spins", () => {
    fc.assert(
      fc.property(someSettings, history, (first, events) =>
        replay(first, events, (_before, event, after, _lines, now) => {
          if (event.kind === "wake") assert.ok(nextDeadline(after) > now);
        }),
      ),
    );
  });

  test("an early wake changes nothing", () => {
    fc.assert(
      fc.property(someSettings, history, (first, events) =>
        replay(first, events, (_before, _event, after, _lines, now) => {
          if (nextDeadline(after) <= now) return;
          assert.deepEqual(step(after, { kind: "wake" }, now), { vhost: after, actions: [] });
        }),
      ),
    );
  });

  test("addresses are claimed by entering master and released by leaving it, in turn and in order", () => {
    fc.assert(
      fc.property(someSettings, history, (first, events) => {
        let holds = false;
        replay(first, events, (before, event, after, lines) => {
          // Whoever stays after all, or loses its successor, makes sure of what it has.
          const again = event.kind === "configure" || before.leaving !== undefined;
          lines.forEach((line, i) => {
            if (line === "release") {
              assert.ok(holds, "released what it had");
              assert.match(lines[i - 1] ?? "", /^enter (backup|init)/);
              holds = false;
            }
            if (line === "claim" && !again) {
              assert.ok(!holds, "claimed what it had not");
              assert.match(lines[i - 1] ?? "", /^enter master/);
              assert.match(lines[i + 1] ?? "", /^advertise/, "claimed before it is said");
              assert.equal(lines[i + 2], "announce", "said before it is announced");
            }
            if (line === "claim") holds = true;
          });
          assert.equal(holds, after.role === "master");
        });
      }),
    );
  });

  test("only a master speaks to all", () => {
    fc.assert(
      fc.property(someSettings, history, (first, events) =>
        replay(first, events, (before, _event, after, lines) => {
          if (before.role === "master" || after.role === "master") return;
          assert.deepEqual(
            lines.filter((line) => line.startsWith("advertise") || line === "announce"),
            [],
          );
        }),
      ),
    );
  });

  test("a role never changes without an action that says why", () => {
    fc.assert(
      fc.property(someSettings, history, (first, events) =>
        replay(first, events, (before, _event, after, lines) => {
          const entered = lines.filter((line) => line.startsWith("enter "));
          if (before.role !== after.role) assert.equal(entered.at(-1), `enter ${after.role}: ${after.why}`);
        }),
      ),
    );
  });

  test("its clock may start anywhere", () => {
    fc.assert(
      fc.property(
        someSettings,
        history,
        fc.integer({ min: -1_000_000, max: 2 ** 40 }),
        (first, events, offset) => {
          const at = (shift: number) => {
            let vhost = createVhost(first);
            let now = shift;
            const said: string[] = [];
            const all = [[{ kind: "link", up: true, why: "link up", sources: own }, 0] as const, ...events];
            for (const [event, wait] of all) {
              // Whole 1/256 ms, so that a large number is as exact as a small one.
              now += Math.max(0, Math.round(wait * 256) / 256);
              const next = step(vhost, event, now);
              said.push(...next.actions.map(describeAction));
              ({ vhost } = next);
            }
            return said;
          };
          assert.deepEqual(at(offset), at(0));
        },
      ),
    );
  });
});

/**
 * A host that has been in its role since START: its interval, and then any of
 * preempt, scaled, byte, demoted, twice, dual, v6, `at ADDRESS` and `at nowhere`.
 */
function us(role: Role, text = "1/0"): VirtualHost {
  const [interval = "", ...words] = text.trim().split(" ");
  const has = (word: string) => words.includes(word);
  const { advbase, advskew } = parseClaim(interval);
  const created = createVhost({
    ...settings,
    advbase,
    advskew,
    preempt: has("preempt"),
    masterDown: has("scaled") ? "scaled" : "classic",
    demote: has("byte") ? "byte" : "advskew",
    families: has("dual") ? [4, 6] : has("v6") ? [6] : [4],
  });
  const reasons = has("twice") ? ["button", "link"] : has("demoted") ? ["button"] : [];
  const init = reasons.reduce(
    (vhost, reason) => step(vhost, { kind: "demote", reason, advskew: 240 }, START).vhost,
    created,
  );
  if (role === "init") return init;
  const sources = has("at") ? sourcesAt(words[words.indexOf("at") + 1] ?? "") : own;
  const up = { kind: "link", up: true, why: "link up", sources } as const;
  const backup = step(init, up, START).vhost;
  if (role === "backup") return backup;
  const early = step(init, up, START - (nextDeadline(backup) - START)).vhost;
  return step(early, { kind: "wake" }, START).vhost;
}

function sourcesAt(text: string): Sources {
  const found = parseAddress(text);
  return found ? { [found.family]: found } : {};
}

function does(vhost: VirtualHost, event: VhostEvent, now: number): { vhost: VirtualHost; acts: string[] } {
  const next = step(freeze(vhost), event, now);
  return { vhost: next.vhost, acts: next.actions.map(describeAction) };
}

/** What a host does when it is left alone and woken when it wants to be: milliseconds after `since`, and what. */
function alone(vhost: VirtualHost, since: number, until: number): [afterMs: number, act: string][] {
  const acts: [number, string][] = [];
  let now = vhost;
  for (let at = nextDeadline(now); at <= until; at = nextDeadline(now)) {
    const next = step(now, { kind: "wake" }, at);
    for (const action of next.actions) acts.push([at - since, describeAction(action)]);
    now = next.vhost;
  }
  return acts;
}

/** A host that has done all that was due before `until`. */
function settled(vhost: VirtualHost, until: number): VirtualHost {
  let now = vhost;
  while (nextDeadline(now) < until) now = step(now, { kind: "wake" }, nextDeadline(now)).vhost;
  return now;
}

function heard(text: string, from = "192.0.2.9"): Extract<VhostEvent, { kind: "heard" }> {
  return { kind: "heard", ad: parseClaim(text), from: address(from) };
}

/** `1/100`, `1/100 demote 2`. */
function parseClaim(text: string): Claim {
  const [, advbase, advskew, demote] = /^(\d+)\/(\d+)(?: demote (\d+))?$/.exec(text) ?? [];
  return { advbase: Number(advbase), advskew: Number(advskew), demote: Number(demote ?? 0) };
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed) throw new Error(`${text}: not an address`);
  return parsed;
}

/** Whoever changes what was handed to it is found out. */
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value) && !ArrayBuffer.isView(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}
