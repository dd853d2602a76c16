import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ethernet, readPcap } from "../../src/wire/pcap.js";
import { bytesOf, hexOf } from "../spec.js";

const ip4 = "4510003800004000ff70d927c000020be0000012";
const ip6 = `60000000000070ff${"00".repeat(32)}`;
const macs = "01005e00001200005e000107";

interface Frame {
  readonly seconds: number;
  readonly fraction: number;
  readonly hex: string;
}

/** A capture file as its header says it is. */
function pcap(
  linkType: number,
  frames: readonly Frame[],
  littleEndian = true,
  magic = 0xa1b2c3d4,
): Uint8Array {
  const records = frames.map(({ seconds, fraction, hex }) => {
    const body = bytesOf(hex);
    return Buffer.concat([words([seconds, fraction, body.length, body.length], littleEndian), body]);
  });
  // Version 2.4 is two half words: in either order they make one of these.
  const version = littleEndian ? 0x00040002 : 0x00020004;
  const header = words([magic, version, 0, 0, 262144, linkType], littleEndian);
  return new Uint8Array(Buffer.concat([header, ...records]));
}

function words(values: readonly number[], littleEndian: boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => {
    view.setUint32(4 * i, value, littleEndian);
  });
  return new Uint8Array(view.buffer);
}

const one = (hex: string): Frame => ({ seconds: 1, fraction: 0, hex });

const frames = [
  { of: "Ethernet", linkType: 1, hex: `${macs}0800${ip4}`, mac: "00:00:5e:00:01:07" },
  { of: "Ethernet, IPv6", linkType: 1, hex: `${macs}86dd${ip6}`, ip: ip6, mac: "00:00:5e:00:01:07" },
  { of: "a VLAN tag", linkType: 1, hex: `${macs}810000070800${ip4}`, mac: "00:00:5e:00:01:07" },
  { of: "two VLAN tags", linkType: 1, hex: `${macs}88a80001810000070800${ip4}`, mac: "00:00:5e:00:01:07" },
  {
    of: "Linux cooked",
    linkType: 113,
    hex: `0000000100060000 5e0001070000 0800${ip4}`,
    mac: "00:00:5e:00:01:07",
  },
  {
    of: "Linux cooked from a device without a MAC",
    linkType: 113,
    hex: `00000200000000000000000000000800${ip4}`,
  },
  {
    of: "Linux cooked version 2",
    linkType: 276,
    hex: `08000000000000020001000600005e0001070000${ip4}`,
    mac: "00:00:5e:00:01:07",
  },
  { of: "raw IP", linkType: 101, hex: ip4 },
  { of: "raw IP of OpenBSD", linkType: 14, hex: ip4 },
  { of: "raw IPv4", linkType: 228, hex: ip4 },
  { of: "raw IPv6", linkType: 229, hex: ip6, ip: ip6 },
  {
    of: "a length field with a frame check sequence",
    linkType: 0x34000001,
    hex: `${macs}0800${ip4}`,
    mac: "00:00:5e:00:01:07",
  },
];

for (const { of, linkType, hex, ip = ip4, mac } of frames) {
  test(`the IP packet is found behind ${of}`, () => {
    const { packets, problem } = readPcap(pcap(linkType, [one(hex.replaceAll(" ", ""))]));
    assert.equal(problem, undefined);
    assert.deepEqual(
      packets.map((packet) => hexOf(packet.ip)),
      [ip],
    );
    assert.equal(packets[0]?.sourceMac, mac);
  });
}

const empty = [
  { of: "ARP", linkType: 1, hex: `${macs}0806${"00".repeat(28)}` },
  { of: "an 802.3 length", linkType: 1, hex: `${macs}0026${ip4}` },
  { of: "half an Ethernet header", linkType: 1, hex: macs.slice(0, 12) },
  { of: "a VLAN tag with nothing behind", linkType: 1, hex: `${macs}81000007` },
  { of: "half a cooked header", linkType: 276, hex: "0800000000000002" },
  { of: "an empty raw frame", linkType: 101, hex: "" },
];

for (const { of, linkType, hex } of empty) {
  test(`${of} holds no IP packet, and the next frame is read`, () => {
    const next =
      linkType === 101 ? ip4 : linkType === 276 ? `0800${"00".repeat(18)}${ip4}` : `${macs}0800${ip4}`;
    const { packets, problem } = readPcap(pcap(linkType, [one(hex), one(next)]));
    assert.equal(problem, undefined);
    assert.deepEqual(
      packets.map((packet) => hexOf(packet.ip)),
      [ip4],
    );
  });
}

const clocks = [
  { littleEndian: true, magic: 0xa1b2c3d4, fraction: 153_994, of: "microseconds, little-endian" },
  { littleEndian: false, magic: 0xa1b2c3d4, fraction: 153_994, of: "microseconds, big-endian" },
  { littleEndian: true, magic: 0xa1b23c4d, fraction: 153_994_000, of: "nanoseconds, little-endian" },
  { littleEndian: false, magic: 0xa1b23c4d, fraction: 153_994_000, of: "nanoseconds, big-endian" },
];

for (const { littleEndian, magic, fraction, of } of clocks) {
  test(`a file of ${of}`, () => {
    const frame = { seconds: 1_795_332_882, fraction, hex: ip4 };
    const { linkType, packets, problem } = readPcap(pcap(101, [frame, frame], littleEndian, magic));
    assert.equal(problem, undefined);
    assert.equal(linkType, 101);
    assert.deepEqual(
      packets.map(({ at }) => at),
      [1_795_332_882_153.994, 1_795_332_882_153.994],
    );
  });
}

test("a file that ends anywhere gives the whole packets before, and says in which frame it ends", () => {
  const whole = pcap(101, [one(ip4), one(ip4), one(ip4)]);
  const frameBytes = 16 + ip4.length / 2;
  for (let length = 24; length <= whole.length; length++) {
    const { packets, problem } = readPcap(whole.subarray(0, length));
    const complete = Math.floor((length - 24) / frameBytes);
    assert.equal(packets.length, complete);
    const ends =
      (length - 24) % frameBytes === 0 ? undefined : `the file ends in the middle of frame ${complete + 1}`;
    assert.equal(problem, ends);
  }
});

test("a frame that claims to be longer than the file ends the reading", () => {
  const file = pcap(101, [one(ip4), one(ip4)]);
  new DataView(file.buffer).setUint32(24 + 8, 0xffffffff, true);
  assert.deepEqual(readPcap(file).packets, []);
  assert.match(readPcap(file).problem ?? "", /frame 1$/);
});

const strangers = [
  { bytes: "", problem: /too short/ },
  { bytes: "d4c3b2a102000400", problem: /too short/ },
  { bytes: `0a0d0d0a${"00".repeat(24)}`, problem: /pcapng.*tcpdump -r FILE -w FILE.pcap/ },
  {
    bytes: Buffer.from('vhid = 7\npassword = "secret"').toString("hex"),
    problem: /starts with 76686964, wanted/,
  },
];

for (const { bytes, problem } of strangers) {
  test(`not a capture file: ${problem}`, () => {
    const read = readPcap(bytesOf(bytes));
    assert.equal(read.linkType, undefined);
    assert.match(read.problem ?? "", problem);
  });
}

test("a link type that we do not read is named", () => {
  assert.deepEqual(readPcap(pcap(105, [one(ip4)])), {
    linkType: 105,
    packets: [],
    problem: "link type 105 cannot be read: wanted Ethernet, Linux cooked or raw IP",
  });
});

test("arbitrary bytes are an answer, never an exception", () => {
  const header = fc
    .tuple(fc.constantFrom(1, 101, 113, 276, 0), fc.boolean(), fc.constantFrom(0xa1b2c3d4, 0xa1b23c4d))
    .map(([linkType, littleEndian, magic]) => pcap(linkType, [], littleEndian, magic));
  const start = fc.oneof(header, fc.constant(new Uint8Array()));
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 200 }), (front, back) => {
      assert.ok(Array.isArray(readPcap(Uint8Array.of(...front, ...back)).packets));
      void ethernet(back);
    }),
  );
});
