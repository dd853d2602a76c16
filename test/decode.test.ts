import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { encodeAdvertisement, HEADER_BYTES } from "../src/carp/advertisement.js";
import { keyOfPassphrase } from "../src/carp/digest.js";
import type { GroupConfig } from "../src/config.js";
import {
  type DecodeIo,
  decodeInput,
  type Explained,
  explain,
  formatJson,
  formatLine,
  runDecode,
} from "../src/decode.js";
import { decodePacket, encodeIpv6, GROUP, pseudoHeader } from "../src/wire/packet.js";
import { readPcap } from "../src/wire/pcap.js";
import {
  addressOf,
  bytesOf,
  hexOf,
  implementations,
  plainCompat,
  readBytes,
  readJson,
  readVectors,
  signatureOf,
  type Vector,
} from "./spec.js";

/** The receiver of `reject.json`. */
const ours: GroupConfig = {
  vhid: 42,
  interface: "eth0",
  key: keyOfPassphrase("interop-pass"),
  addresses: [{ address: addressOf("10.0.0.254"), length: 24 }],
  advbase: 1,
  advskew: 0,
  preempt: false,
  mac: "virtual",
  peers: [],
  compat: plainCompat,
};

const rejects: { readonly [name: string]: string } = Object.fromEntries(
  readJson("vectors/reject.json").vectors.map((row: { name: string; ipv4_hex: string }) => [
    row.name,
    row.ipv4_hex,
  ]),
);
const good = rejects["good"] ?? "";
const goodFields = "vhid 42 advbase 1 advskew 5 demote 0 counter 0000000000000bb8";

const lines = [
  { of: "good", ends: `10.0.0.9 > 224.0.0.18 ${goodFields} ok (plain)` },
  {
    of: "bow-out",
    ends: "vhid 42 advbase 255 advskew 255 demote 0 counter 0000000000000bb8 bow-out ok (plain)",
  },
  { of: "demote-9", ends: "demote 9 counter 0000000000000bb8 ok (plain)" },
  { of: "ttl-254", ends: "badttl: TTL 254, wanted 255: it came through a router, or is forged" },
  { of: "bad-checksum", ends: "badsum: damaged on its way" },
  { of: "version-1", ends: "badver: version 1, wanted 2" },
  { of: "short-by-one", ends: "10.0.0.9 > 224.0.0.18 vhid 42 badlen: 35 bytes, wanted 36" },
  { of: "bad-digest", ends: "badauth: no known variant fits: the password differs" },
  { of: "wrong-passphrase", ends: "badauth: no known variant fits: the password differs" },
  {
    of: "wrong-address",
    ends: "badauth: password right, but the peer signs 10.0.0.253 and not 10.0.0.254: correct one of them",
  },
  {
    of: "other-vhid",
    ends: "badvhid: this is vhid 42 on eth0 under another number: use the same vhid on both sides",
  },
  { of: "unicast-destination", ends: `10.0.0.9 > 10.0.0.2 ${goodFields} ok (plain)` },
];

for (const { of, ends } of lines) {
  test(`the line of reject.json ${of} ends in "${ends}"`, () => {
    const { advertisements, problem } = decodeInput(rejects[of] ?? "", [ours]);
    assert.equal(problem, undefined);
    assert.equal(advertisements.length, 1);
    const line = formatLine(advertisements[0] ?? assert.fail());
    assert.ok(line.endsWith(ends), line);
  });
}

test("JSON has every field, null where there is nothing to say", () => {
  const [explained] = decodeInput(good, [ours]).advertisements;
  assert.deepEqual(JSON.parse(formatJson(explained ?? assert.fail())), {
    at: null,
    source: "10.0.0.9",
    destination: "224.0.0.18",
    family: 4,
    vhid: 42,
    advbase: 1,
    advskew: 5,
    demote: 0,
    counter: "0000000000000bb8",
    verdict: "ok",
    digest: "plain",
    hint: null,
  });
});

for (const implementation of implementations) {
  test(`every packet of ${implementation} is ok with its parameters`, () => {
    for (const vector of readVectors(implementation)) {
      for (const packet of [vector.ipv4, vector.ipv6]) {
        if (!packet) continue;
        const group = groupOf(signatureOf(implementation, vector), vector);
        const explained = only(decodeInput(packet.hex, [group]));
        assert.equal(explained.verdict, "ok", vector.name);
        assert.equal(explained.counter, vector.counter);
        assert.equal(explained.advskew, vector.advskew);
      }
    }
  });

  test(`the first packet of ${implementation} is badauth without its password, and the hint says so`, () => {
    const [vector] = readVectors(implementation);
    assert.ok(vector?.ipv4);
    const group = { ...groupOf(signatureOf(implementation, vector), vector), key: keyOfPassphrase("") };
    const { verdict, hint } = only(decodeInput(vector.ipv4.hex, [group]));
    assert.deepEqual([verdict, hint], ["badauth", "no known variant fits: the password differs"]);
  });
}

const spellings = [
  { as: "colons", text: good.replace(/..(?=.)/g, "$&:") },
  { as: "spaces and capitals", text: ` ${good.toUpperCase().replace(/..../g, "$& ")}\n` },
  { as: "0x in front", text: `0x${good}` },
  { as: "0x in front of each byte", text: good.replace(/../g, "0x$& ") },
  {
    as: "tcpdump -x",
    text: good.replace(
      /.{32}|.+$/g,
      (row, at: number) => `\t0x${(at / 2).toString(16).padStart(4, "0")}:  ${row}\n`,
    ),
  },
  { as: "an Ethernet frame", text: `01005e00001200005e00012a0800${good}` },
];

for (const { as, text } of spellings) {
  test(`hex with ${as} is read`, () => assert.equal(only(decodeInput(text, [ours])).verdict, "ok"));
}

test("the 36 bytes alone are judged without addresses and TTL", () => {
  const explained = only(decodeInput(good.slice(40), [ours]));
  assert.equal(explained.verdict, "ok");
  assert.deepEqual([explained.source, explained.destination, explained.family], [null, null, null]);
  assert.equal(formatLine(explained), `${goodFields} ok (plain)`);
});

const nonsense = [
  { text: "", problem: "found nothing, wanted hex digits" },
  { text: "21 2a 05 0g", problem: 'found "g", wanted hex digits' },
  { text: "212", problem: "found 3 hex digits, wanted two for each byte" },
  { text: `45000038000140 00ff11${"00".repeat(46)}`, problem: /protocol 112/ },
];

for (const { text, problem } of nonsense) {
  test(`"${text.slice(0, 20)}" is an error: ${problem}`, () => {
    const read = decodeInput(text, [ours]);
    assert.deepEqual(read.advertisements, []);
    assert.match(read.problem ?? "", typeof problem === "string" ? new RegExp(`^${problem}$`) : problem);
  });
}

test("without a configuration everything but vhid and digest is judged", () => {
  assert.equal(
    formatLine(only(decodeInput(good, undefined))),
    `10.0.0.9 > 224.0.0.18 ${goodFields} ok, digest not checked: no configuration`,
  );
  const verdicts = ["bad-digest", "other-vhid", "bad-checksum", "ttl-254", "version-3", "short-by-one"].map(
    (name) => only(decodeInput(rejects[name] ?? "", undefined)).verdict,
  );
  assert.deepEqual(verdicts, ["ok", "ok", "badsum", "badttl", "badver", "badlen"]);
});

test("VRRP is named, and an equal number is a warning", () => {
  const vectors = readJson("vectors/freebsd-vrrp3.json").vectors;
  const hex = vectors[1].ipv4.hex;
  const free = only(decodeInput(hex, [ours]));
  assert.deepEqual(
    [free.verdict, free.vhid, free.counter, free.hint],
    ["foreign", 7, null, "VRRP, not CARP"],
  );
  const taken = only(decodeInput(hex, [{ ...ours, vhid: 7 }]));
  assert.match(taken.hint ?? "", /its number is that of vhid 7 on eth0/);
  assert.equal(only(decodeInput(hex, undefined)).verdict, "foreign");
});

test("VRRPv2 with five addresses is foreign without a configuration too", () => {
  const payload = Uint8Array.from(bytesOf(good.slice(40)));
  payload[3] = 5;
  payload[7] = (payload[7] ?? 0) + 2;
  assert.equal(only(decodeInput(hexOf(payload), undefined)).verdict, "foreign");
});

test("a packet of a family that the vhid has no address of is badvhid, with the reason", () => {
  const packet = decodePacket(bytesOf(good)) ?? assert.fail();
  const explained = explain({ ...packet, source: addressOf("fe80::1"), destination: GROUP[6] }, [ours]);
  assert.equal(explained.verdict, "badvhid");
  assert.equal(explained.hint, "vhid 42 on eth0 has no IPv6 address here");
});

test("of two groups with the same vhid on two interfaces either may fit", () => {
  const second = { ...ours, interface: "eth1", key: keyOfPassphrase("of eth1") };
  assert.equal(only(decodeInput(good, [second, ours])).verdict, "ok");
  assert.equal(only(decodeInput(good, [second])).verdict, "badauth");
});

test("what a peer wants of us that we do not want of it is hinted at", () => {
  const linkLocal = find("freebsd", "link-local-and-v4");
  const freebsd = groupOf(signatureOf("freebsd", linkLocal), linkLocal);
  const explained = only(decodeInput(linkLocal.ipv4?.hex ?? "", [freebsd]));
  assert.deepEqual([explained.verdict, explained.digest], ["ok", "link-local"]);
  assert.match(explained.hint ?? "", /set link_local = "with"/);

  const summed = find("netbsd", "v6-single");
  const netbsd = groupOf(signatureOf("netbsd", summed), summed);
  assert.match(
    only(decodeInput(summed.ipv6?.hex ?? "", [netbsd])).hint ?? "",
    /set checksum6 = "pseudo-header"/,
  );
  const set = { ...netbsd, compat: { ...plainCompat, checksum6: "pseudo-header" } } as const;
  assert.equal(only(decodeInput(summed.ipv6?.hex ?? "", [set])).hint, null);
  assert.match(
    only(decodeInput(summed.ipv6?.carp_payload_v6 ?? "", [netbsd])).hint ?? "",
    /give the whole packet/,
  );
});

test("a peer's mistake is searched for in each of its packets, however it changes", () => {
  const frames = ["wrong-address", "wrong-address", "good", "wrong-passphrase", "wrong-address"];
  const file = rawPcap(frames.map((name, i) => ({ atSeconds: i * 20, hex: rejects[name] ?? "" })));
  const hints = decodeInput(file, [ours]).advertisements.map(
    ({ verdict, hint }) => hint?.slice(0, 14) ?? verdict,
  );
  assert.deepEqual(hints, ["password right", "password right", "ok", "no known varia", "password right"]);
});

test("what was not found is searched for again after ten seconds, so that a flood costs one search", () => {
  const frames = [
    { atSeconds: 1, name: "wrong-passphrase" },
    { atSeconds: 2, name: "wrong-address" },
    { atSeconds: 10, name: "wrong-address" },
    { atSeconds: 11, name: "wrong-address" },
  ];
  const file = rawPcap(frames.map(({ atSeconds, name }) => ({ atSeconds, hex: rejects[name] ?? "" })));
  const hints = decodeInput(file, [ours]).advertisements.map(({ hint }) => hint?.slice(0, 14));
  assert.deepEqual(hints, ["no known varia", "no known varia", "no known varia", "password right"]);
});

test("a flood from invented sources costs no search each", () => {
  const frames = Array.from({ length: 200 }, (_, i) => {
    const hex = rejects[i < 199 ? "wrong-passphrase" : "wrong-address"] ?? "";
    const invented = bytesOf(hex);
    invented.set([10, 0, 1, i], 12);
    return { atSeconds: 1, hex: hexOf(invented) };
  });
  const hints = decodeInput(rawPcap(frames), [ours]).advertisements.map(({ hint }) => hint);
  assert.deepEqual(new Set(hints), new Set(["no known variant fits: the password differs"]));
});

// The command

const folder = mkdtempSync(join(tmpdir(), "carpio-decode-"));
after(() => rmSync(folder, { recursive: true }));

const toml = `
[[carp]]
vhid = 7
interface = "eth0"
password = "testpass"
addresses = ["10.9.0.100/24", "fd00:9::100/64"]
`;
const config = join(folder, "carpio.toml");
writeFileSync(config, toml);

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], io: Partial<DecodeIo> = {}): Promise<Ran> {
  let out = "";
  let err = "";
  const status = await runDecode(args, {
    write: (text) => {
      out += text;
    },
    writeError: (text) => {
      err += text;
    },
    readFile: async (path) => readFileIfThere(path),
    defaultConfig: undefined,
    listen: async () => assert.fail("nobody asked to listen"),
    ...io,
  });
  return { status, out, err };
}

function readFileIfThere(path: string): Uint8Array | undefined {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** A capture of the specification, where a command can name it. */
function captureFile(name: string, cut?: number): string {
  const path = join(folder, `${name}.pcap`);
  writeFileSync(path, readBytes(`captures/${name}.pcap`).subarray(0, cut));
  return path;
}

test("a capture with the right configuration: one line each, all ok", async () => {
  const { status, out, err } = await run([captureFile("openbsd-v4-v6"), "--config", config]);
  const printed = out.trimEnd().split("\n");
  assert.equal(status, 0);
  assert.equal(err, "");
  assert.equal(printed.length, 10);
  assert.equal(
    printed[0],
    "2026-11-22T07:36:23.418Z 10.9.0.5 > 224.0.0.18 vhid 7 advbase 1 advskew 0 demote 0 " +
      "counter 43e7794b4d27ba7d ok (plain)",
  );
  assert.match(printed[9] ?? "", /fe80::b:5dff:fe00:1 > ff02::12 vhid 7 .* bow-out ok \(plain\)$/);
});

test("a capture with a configuration of more addresses: the hint names what the peer signs", async () => {
  const { status, out } = await run([captureFile("five-way-failover"), "--json", "--config", config]);
  const printed: Explained[] = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(status, 0);
  assert.equal(printed.length, 84);
  for (const { verdict, digest, hint } of printed) {
    assert.equal(verdict, "badauth");
    assert.equal(digest, null);
    assert.equal(
      hint,
      "password right, but the peer signs 10.9.0.100 alone, as UCARP must: give it a vhid of its own, or add the others there",
    );
  }
});

test("a capture without a configuration says that digests are not checked", async () => {
  const { status, out } = await run([captureFile("freebsd-tie")]);
  assert.equal(status, 0);
  for (const line of out.trimEnd().split("\n"))
    assert.match(line, /ok, digest not checked: no configuration$/);
});

test("the default configuration is read when none is named", async () => {
  const { out } = await run([captureFile("freebsd-v4-v6")], { defaultConfig: config });
  assert.equal(out.match(/ok \(plain\)/g)?.length, 10);
});

test("a capture that was cut prints what there is, says so, and fails", async () => {
  const path = captureFile("freebsd-v4-v6", 1000);
  const { status, out, err } = await run([path, "--config", config]);
  assert.equal(status, 1);
  assert.match(err, /the file ends in the middle of frame \d+\n$/);
  assert.ok(out.split("\n").length > 3);
});

test("a capture without CARP is no failure, but is said", async () => {
  const path = join(folder, "empty.pcap");
  writeFileSync(path, rawPcap([]));
  const { status, out, err } = await run([path]);
  assert.deepEqual([status, out], [0, ""]);
  assert.match(err, /no CARP packet in it/);
});

test("hex may come in several words", async () => {
  const words = good.slice(40).match(/.{8}/g) ?? [];
  const { status, out } = await run([...words, "--json"]);
  assert.equal(status, 0);
  assert.equal(JSON.parse(out).digest, "not checked");
});

const failures = [
  {
    args: ["nowhere.pcap"],
    status: 1,
    err: 'nowhere.pcap: no such file; as hex: found "n", wanted hex digits',
  },
  { args: [folder], status: 1, err: "EISDIR" },
  { args: [config], status: 1, err: "not a capture file" },
  { args: [], status: 64, err: "what is to be decoded?" },
  { args: ["-i", "eth0", "21"], status: 64, err: "-i goes without a file or hex" },
  { args: ["--nonsense", "21"], status: 64, err: "--nonsense" },
  { args: ["-i"], status: 64, err: "usage: carpio decode" },
  { args: ["21", "--config", join(folder, "none.toml")], status: 78, err: "none.toml" },
];

for (const { args, status, err } of failures) {
  test(`decode ${args.join(" ").replaceAll(folder, "FOLDER")} exits with ${status}`, async () => {
    const ran = await run(args);
    assert.equal(ran.status, status);
    assert.equal(ran.out, "");
    assert.ok(ran.err.includes(err), ran.err);
  });
}

test("a bad configuration is answered in full", async () => {
  const path = join(folder, "bad.toml");
  writeFileSync(path, toml.replace("vhid = 7", "vhid = 700\nnonsense = 1"));
  for (const ran of [await run(["21", "--config", path]), await run(["21"], { defaultConfig: path })]) {
    assert.equal(ran.status, 78);
    assert.match(ran.err, /bad\.toml:3: .*vhid: found 700, wanted/);
    assert.match(ran.err, /bad\.toml:4: .*nonsense/);
    assert.ok(!ran.err.includes("testpass"));
  }
});

test("-i prints what is heard, judged by the groups of that interface, until the user has enough", async () => {
  const two = join(folder, "two.toml");
  writeFileSync(
    two,
    `${toml}${toml.replace("eth0", "eth1").replace("testpass", "other").replaceAll("9.0", "8.0").replace("00:9:", "00:8:")}`,
  );
  const [heard] = readPcap(readBytes("captures/freebsd-v4-v6.pcap")).packets.flatMap(
    ({ ip }) => decodePacket(ip) ?? [],
  );
  assert.ok(heard);
  const listening: string[] = [];
  const listen: DecodeIo["listen"] = async (name, onPacket) => {
    listening.push(name);
    onPacket({ ...heard, ttl: undefined });
  };
  const on0 = await run(["-i", "eth0", "--config", two, "--json"], { listen });
  const on1 = await run(["-i", "eth1", "--config", two, "--json"], { listen });
  assert.deepEqual(listening, ["eth0", "eth1"]);
  assert.deepEqual([on0.status, on1.status], [0, 0]);
  assert.equal(JSON.parse(on0.out).verdict, "ok");
  assert.equal(JSON.parse(on1.out).verdict, "badauth");
  assert.ok(Date.parse(JSON.parse(on0.out).at) > 0);
});

test("-i says what the kernel says", async () => {
  const listen = async () => Promise.reject(new Error("ENODEV, no such device"));
  const { status, err } = await run(["-i", "eth9"], { listen });
  assert.equal(status, 1);
  assert.match(err, /ENODEV, no such device/);
});

test("arbitrary input is an answer, never an exception", () => {
  const header = rawPcap([]);
  const groups = fc.constantFrom(undefined, [ours]);
  const binary = fc.uint8Array({ maxLength: 120 }).map((bytes) => Uint8Array.of(...header, ...bytes));
  const hex = fc.uint8Array({ maxLength: 80 }).map(hexOf);
  const repaired = fc.uint8Array({ minLength: 28, maxLength: 60 }).map((bytes) => {
    const { buffer } = Uint8Array.from(bytes);
    const fields = {
      vhid: 42,
      advbase: 1,
      advskew: 0,
      demote: 0,
      counter: 1n,
      digest: new Uint8Array(buffer, 0, 20),
    };
    const source = addressOf("fe80::1");
    const pseudo = bytes.length % 2 ? pseudoHeader(source, GROUP[6], HEADER_BYTES) : undefined;
    return hexOf(encodeIpv6(source, GROUP[6], encodeAdvertisement(fields, pseudo)));
  });
  const input = fc.oneof(fc.string(), hex, repaired, fc.uint8Array({ maxLength: 60 }), binary);
  fc.assert(
    fc.property(input, groups, (anything, known) => {
      const { advertisements, problem } = decodeInput(anything, known);
      for (const explained of advertisements) {
        assert.equal(typeof formatLine(explained), "string");
        assert.doesNotThrow(() => JSON.parse(formatJson(explained)));
      }
      assert.ok(problem === undefined || problem.length > 0);
    }),
  );
});

function only({ advertisements, problem }: ReturnType<typeof decodeInput>): Explained {
  assert.equal(problem, undefined);
  assert.equal(advertisements.length, 1);
  return advertisements[0] ?? assert.fail();
}

function find(implementation: (typeof implementations)[number], name: string): Vector {
  return readVectors(implementation).find((vector) => vector.name === name) ?? assert.fail(name);
}

function groupOf(signature: ReturnType<typeof signatureOf>, { vhid }: Vector): GroupConfig {
  const { key, addresses, order, linkLocal, lladdr } = signature;
  return {
    ...ours,
    vhid,
    key,
    addresses: addresses.map((address) => ({ address, length: 24 })),
    compat: { ...plainCompat, order, linkLocal, lladdr },
  };
}

/** A capture of raw IP packets. */
function rawPcap(frames: readonly { readonly atSeconds: number; readonly hex: string }[]): Uint8Array {
  const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const records = frames.map(({ atSeconds, hex }) => {
    const length = hex.length / 2;
    return Buffer.concat([words(atSeconds, 0, length, length), bytesOf(hex)]);
  });
  return new Uint8Array(Buffer.concat([words(0xa1b2c3d4, 0x00040002, 0, 0, 262144, 101), ...records]));
}
