/**
 * Captures of real CARP hosts. For each: the parameters of the note beside it,
 * with which every advertisement must verify, and what the note says is seen.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Advertisement, decodeAdvertisement } from "../../src/carp/advertisement.js";
import { createSigner, keyOfPassphrase } from "../../src/carp/digest.js";
import { inspect } from "../../src/carp/inspect.js";
import { isBowOut } from "../../src/carp/interval.js";
import { formatAddress, isLinkLocal } from "../../src/wire/address.js";
import { decodePacket, type Packet } from "../../src/wire/packet.js";
import { readPcap } from "../../src/wire/pcap.js";
import { addressOf, readBytes, readText } from "../spec.js";

/** One advertisement of a capture that was accepted. */
interface Heard {
  readonly at: number;
  readonly mac: string | undefined;
  readonly from: string;
  readonly ip: Uint8Array;
  readonly packet: Packet;
  readonly ad: Advertisement;
  readonly form: string;
}

interface Capture {
  readonly name: string;
  readonly vhid: number;
  readonly key: Uint8Array;
  readonly addresses: readonly string[];
  readonly seen: { readonly [fact: string]: (heard: readonly Heard[]) => void };
}

const testpass = { vhid: 7, key: keyOfPassphrase("testpass"), addresses: ["10.9.0.100"] };

const captures: readonly Capture[] = [
  {
    name: "five-way-failover",
    ...testpass,
    seen: {
      "UCARP's source MAC is another than the BSDs'": (heard) => {
        for (const { from, mac } of heard) {
          const ucarp = ["10.9.0.11", "10.9.0.12"].includes(from);
          assert.equal(mac, ucarp ? "00:00:5e:00:00:07" : "00:00:5e:00:01:07");
        }
      },
      "after a bow-out all backups take over with the same counter, and the fastest stays": (heard) => {
        const bowOut = heard.findIndex(({ ad }) => isBowOut(ad));
        assert.equal(heard[bowOut]?.from, "10.9.0.5");
        const after = heard.slice(bowOut + 1);
        const next = (heard[bowOut]?.ad.counter ?? 0n) + 1n;
        for (const host of ["10.9.0.4", "10.9.0.3", "10.9.0.12", "10.9.0.11"]) {
          assert.equal(after.find(({ from }) => from === host)?.ad.counter, next, host);
        }
        const second = after.filter(
          ({ at }) => at > (heard[bowOut]?.at ?? 0) + 1060 && at < (heard[bowOut]?.at ?? 0) + 3000,
        );
        assert.deepEqual([...new Set(second.map(({ from }) => from))], ["10.9.0.4"]);
      },
      "the bow-outs are OpenBSD's and NetBSD's; FreeBSD leaves silently": (heard) => {
        const leaving = heard.filter(({ ad }) => isBowOut(ad)).map(({ from }) => from);
        assert.deepEqual(leaving, ["10.9.0.5", "10.9.0.3"]);
      },
      "OpenBSD's counter is the same after it was down": (heard) =>
        assert.equal(countersOf(heard, "10.9.0.5").size, 1),
      "FreeBSD shows a demotion of 100 as advskew 120": (heard) => {
        const skews = new Set(heard.filter(({ from }) => from === "10.9.0.4").map(({ ad }) => ad.advskew));
        assert.deepEqual([...skews], [20, 120]);
      },
    },
  },
  {
    name: "four-way-ucarp",
    ...testpass,
    seen: {
      "UCARP sends from 00:00:5e:00:00:VHID, the BSDs from 00:00:5e:00:01:VHID": (heard) => {
        for (const { from, mac } of heard) {
          const ucarp = ["10.9.0.11", "10.9.0.12"].includes(from);
          assert.equal(mac, ucarp ? "00:00:5e:00:00:07" : "00:00:5e:00:01:07");
        }
      },
      "after NetBSD's bow-out both UCARPs are master for a moment, and the faster one stays": (heard) => {
        const after = heard.slice(heard.findIndex(({ ad }) => isBowOut(ad)) + 1);
        assert.deepEqual(
          after.slice(0, 2).map(({ from }) => from),
          ["10.9.0.12", "10.9.0.11"],
        );
        assert.equal(after[0]?.ad.counter, after[1]?.ad.counter);
        assert.deepEqual([...new Set(after.slice(3).map(({ from }) => from))], ["10.9.0.11"]);
      },
    },
  },
  {
    name: "freebsd-demotion",
    vhid: 9,
    key: testpass.key,
    addresses: testpass.addresses,
    seen: {
      "demotion is added to advskew, at most 240, and byte 4 stays 0": (heard) => {
        assert.deepEqual(runs(heard.map(({ ad }) => ad.advskew)), [5, 105, 240, 5]);
        assert.ok(heard.every(({ ad }) => ad.demote === 0));
      },
      "an advertisement is sent at once when demotion changes": (heard) => {
        const early = heard.filter(({ at, ad }, i) => {
          const before = heard[i - 1];
          return (
            before &&
            before.ad.advskew !== ad.advskew &&
            at - before.at < 1000 + (before.ad.advskew * 1000) / 256
          );
        });
        assert.equal(early.length, 3);
      },
    },
  },
  {
    name: "freebsd-nopass",
    vhid: 1,
    key: new Uint8Array(20),
    addresses: testpass.addresses,
    seen: {
      "the key of an empty password is 20 zero bytes": () =>
        assert.deepEqual(keyOfPassphrase(""), new Uint8Array(20)),
    },
  },
  {
    name: "freebsd-tie",
    ...testpass,
    seen: {
      "the first to send stays master, the other stays backup": (heard) =>
        assert.deepEqual([...new Set(heard.map(({ from }) => from))], ["10.9.0.5"]),
    },
  },
  {
    name: "freebsd-v4-v6",
    ...testpass,
    addresses: ["10.9.0.100", "fd00:9::100"],
    seen: {
      "one IPv4 and one IPv6 advertisement each period, each with a counter of its own": (heard) => {
        assert.deepEqual(
          heard.map(({ packet }) => packet.source.family),
          Array(5).fill([4, 6]).flat(),
        );
        assert.equal(countersOf(heard).size, heard.length);
      },
      "IPv6 goes to ff02::12 with hop limit 255, and its sum has no pseudo header": sumIsPlain,
      "TOS and traffic class are 0xe0": (heard) => {
        for (const { ip, packet } of heard) {
          const tos = packet.source.family === 4 ? ip[1] : (((ip[0] ?? 0) & 0x0f) << 4) | ((ip[1] ?? 0) >> 4);
          assert.equal(tos, 0xe0);
        }
      },
    },
  },
  {
    name: "freebsd-v6-only",
    vhid: 200,
    key: keyOfPassphrase("s3cret"),
    addresses: ["fd00:9::200", "fd00:9::100", "fe80::c0de"],
    seen: {
      "IPv6 only, and the link-local address is signed": (heard) => {
        assert.ok(heard.every(({ packet, form }) => packet.source.family === 6 && form === "link-local"));
      },
      "the sum has no pseudo header": sumIsPlain,
    },
  },
  {
    name: "netbsd-freebsd-preempt",
    ...testpass,
    seen: {
      "FreeBSD answers a slower advertisement with its own at once, NetBSD likewise": (heard) => {
        const answers = heard.filter(({ from, at }, i) => {
          const before = heard[i - 1];
          return before && before.from !== from && at - before.at < 1;
        });
        assert.deepEqual(
          answers.map(({ from }) => from),
          ["10.9.0.4", "10.9.0.3"],
        );
      },
      "once a peer was heard, the counter is the last one received plus 1, across hosts": (heard) => {
        const first = heard.findIndex(({ from }) => from === "10.9.0.4") - 1;
        const counters = heard.slice(first).map(({ ad }) => ad.counter);
        assert.deepEqual(counters, countingFrom(counters[0] ?? 0n, counters.length));
      },
      "the last one is NetBSD's bow-out": (heard) => {
        const last = heard.at(-1);
        assert.ok(last && isBowOut(last.ad) && last.from === "10.9.0.3");
      },
    },
  },
  {
    name: "netbsd-v4-basic",
    ...testpass,
    seen: {
      "one each 1.01 s, with a new random counter": (heard) => {
        for (let i = 1; i < heard.length - 1; i++) assert.ok(Math.abs(gapMs(heard, i) - 1010) < 5);
        const sorted = heard.map(({ ad }) => ad.counter).sort((a, b) => (a < b ? -1 : 1));
        assert.ok(sorted.every((counter, i) => i === 0 || counter - (sorted[i - 1] ?? 0n) > 1000n));
      },
      "the source MAC is the virtual one": (heard) =>
        assert.ok(heard.every(({ mac }) => mac === "00:00:5e:00:01:07")),
      "the last one is the bow-out, and no other is": endsInBowOut,
    },
  },
  {
    name: "netbsd-v4-multi",
    vhid: 42,
    key: new Uint8Array(Buffer.from("abcdefghij0123456789")),
    addresses: ["10.9.0.250", "10.9.0.9", "192.0.2.5", "10.9.0.100"],
    seen: {
      "the period is 2 + 100/256 s and a tick": (heard) => {
        for (let i = 1; i < heard.length - 1; i++) assert.ok(Math.abs(gapMs(heard, i) - 2410) < 5);
      },
      "the last one is the bow-out, and no other is": endsInBowOut,
      "all 20 bytes of the key count": (heard) => {
        const cut = createSigner(42, {
          ...signature(["10.9.0.250"]),
          key: keyOfPassphrase("abcdefghij0123456789"),
        });
        const verdict = heard[0] && inspect(heard[0].packet, { signerOf: () => cut, isOurs: () => false });
        assert.deepEqual(verdict, { ok: false, drop: "badauth", vhid: 42 });
      },
    },
  },
  {
    name: "openbsd-freebsd-v4v6",
    ...testpass,
    addresses: ["10.9.0.100", "fd00:9::100"],
    seen: {
      "FreeBSD takes over within 0.1 ms of the bow-out": (heard) => {
        const bowOut = heard.findLast(({ ad }) => isBowOut(ad));
        const next = heard.find(({ at }) => bowOut && at > bowOut.at);
        assert.equal(next?.from, "10.9.0.4");
        assert.ok((next?.at ?? 0) - (bowOut?.at ?? 0) < 0.1);
      },
      "FreeBSD repeats two counter values: nobody's counter can be relied on to grow": (heard) => {
        const counters = heard
          .filter(({ from }) => ["10.9.0.4", "fd00:9::4"].includes(from))
          .map(({ ad }) => ad.counter);
        assert.equal(counters.length - new Set(counters).size, 2);
      },
    },
  },
  {
    name: "openbsd-pair-demote",
    ...testpass,
    seen: {
      "byte 4 is the demotion, and advskew is unchanged": (heard) => {
        for (const { from, ad } of heard) {
          assert.equal(ad.advskew, from === "10.9.0.5" ? 0 : 100);
          if (from === "10.9.0.6") assert.equal(ad.demote, 0);
        }
        assert.deepEqual(runs(heard.map(({ ad }) => ad.demote)), [0, 2, 0]);
      },
      "a raised demotion is advertised at once, and the peer takes over at once": (heard) => {
        const demoted = heard.findIndex(({ ad }) => ad.demote === 2);
        assert.ok(gapMs(heard, demoted) < 999);
        assert.equal(heard[demoted + 1]?.from, "10.9.0.6");
        assert.ok(gapMs(heard, demoted + 1) < 1);
      },
      "each host has one counter for life": (heard) => {
        assert.equal(countersOf(heard, "10.9.0.5").size, 1);
        assert.equal(countersOf(heard, "10.9.0.6").size, 1);
      },
    },
  },
  {
    name: "openbsd-v4-v6",
    ...testpass,
    addresses: ["10.9.0.100", "fd00:9::100", "fe80::200:5eff:fe00:107"],
    seen: {
      "the counter is one value, equal in both families": (heard) => assert.equal(countersOf(heard).size, 1),
      "link-local addresses are left out of the digest": (heard) =>
        assert.ok(heard.every(({ form }) => form === "plain")),
      "the IPv6 source is the parent's link-local address": (heard) => {
        const in6 = heard.filter(({ packet }) => packet.source.family === 6);
        assert.ok(in6.length > 0 && in6.every(({ packet }) => isLinkLocal(packet.source)));
      },
      "the bow-out is sent in both families": (heard) => {
        const leaving = heard.filter(({ ad }) => isBowOut(ad)).map(({ packet }) => packet.source.family);
        assert.deepEqual(leaving, [4, 6]);
      },
      "the sum has no pseudo header": sumIsPlain,
    },
  },
  {
    name: "ucarp-failover",
    vhid: 42,
    key: keyOfPassphrase("interop-pass"),
    addresses: ["10.0.0.254"],
    seen: {
      "the source MAC is 00:00:5e:00:00:2a": (heard) =>
        assert.ok(heard.every(({ mac }) => mac === "00:00:5e:00:00:2a")),
      "B takes over 5.16 s after A's last, with A's counter plus 1, and counts on": (heard) => {
        assert.deepEqual(runs(heard.map(({ from }) => from)), ["10.0.0.1", "10.0.0.2"]);
        assert.ok(Math.abs(gapMs(heard, 4) - 5160) < 5);
        const counters = heard.slice(3).map(({ ad }) => ad.counter);
        assert.deepEqual(counters, countingFrom(counters[0] ?? 0n, counters.length));
      },
      "nobody bows out": (heard) => assert.ok(!heard.some(({ ad }) => isBowOut(ad))),
    },
  },
];

for (const capture of captures) {
  test(`${capture.name}: every advertisement verifies`, () => {
    assert.equal(hear(capture).length, wantedCount(capture.name));
  });
  for (const [fact, check] of Object.entries(capture.seen)) {
    test(`${capture.name}: ${fact}`, () => check(hear(capture)));
  }
}

/** All CARP packets of a capture; one that is dropped fails the test. */
function hear(capture: Capture): Heard[] {
  const { packets, problem } = readPcap(readBytes(`captures/${capture.name}.pcap`));
  assert.equal(problem, undefined);
  const signer = createSigner(capture.vhid, { ...signature(capture.addresses), key: capture.key });
  const receiver = { signerOf: () => signer, isOurs: () => false };

  return packets.flatMap(({ at, ip, sourceMac }) => {
    const packet = decodePacket(ip);
    if (!packet) return [];
    const verdict = inspect(packet, receiver);
    assert.ok(verdict.ok);
    assert.equal(verdict.advertisement.vhid, capture.vhid);
    const from = formatAddress(packet.source);
    return [{ at, mac: sourceMac, from, ip, packet, ad: verdict.advertisement, form: verdict.form }];
  });
}

function signature(addresses: readonly string[]) {
  return {
    key: testpass.key,
    addresses: addresses.map(addressOf),
    order: "sorted",
    linkLocal: "auto",
    lladdr: undefined,
  } as const;
}

/** The note says how many were checked when it was recorded. */
function wantedCount(name: string): number {
  const note = readText(`captures/${name}.md`);
  const count = /(\d+) advertisements, 0 failed/.exec(note)?.[1];
  if (count !== undefined) return Number(count);
  assert.match(note, /All seven digests verify/);
  return 7;
}

function sumIsPlain(heard: readonly Heard[]): void {
  const in6 = heard.filter(({ packet }) => packet.source.family === 6);
  assert.ok(in6.length > 0);
  for (const { packet } of in6) {
    assert.equal(formatAddress(packet.destination), "ff02::12");
    assert.equal(packet.ttl, 255);
    assert.equal(packet.payload.length, 36);
    assert.ok(decodeAdvertisement(packet.payload).ok);
  }
}

function endsInBowOut(heard: readonly Heard[]): void {
  assert.deepEqual(
    heard.map(({ ad }) => isBowOut(ad)),
    heard.map((_, i) => i === heard.length - 1),
  );
}

function countersOf(heard: readonly Heard[], host?: string): Set<bigint> {
  return new Set(heard.filter(({ from }) => host === undefined || from === host).map(({ ad }) => ad.counter));
}

function countingFrom(first: bigint, length: number): bigint[] {
  return Array.from({ length }, (_, i) => first + BigInt(i));
}

/** The time between an advertisement and the one before it. */
function gapMs(heard: readonly Heard[], i: number): number {
  return (heard[i]?.at ?? Number.NaN) - (heard[i - 1]?.at ?? Number.NaN);
}

/** A list without immediate repetitions. */
function runs<T>(values: readonly T[]): T[] {
  return values.filter((value, i) => i === 0 || value !== values[i - 1]);
}
