import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Advertisement } from "../src/carp/advertisement.js";
import { createSigner, keyOfPassphrase, sign } from "../src/carp/digest.js";
import { type Compat, type GroupConfig, signatureOf } from "../src/config.js";
import { diagnose, diagnoseVhid } from "../src/diagnose.js";
import { addressOf, bytesOf, plainCompat } from "./spec.js";

interface Group {
  readonly vhid?: number;
  readonly interface?: string;
  readonly password?: string;
  readonly key?: string;
  readonly addresses?: readonly string[];
  readonly compat?: Partial<Compat>;
}

function group(of: Group): GroupConfig {
  const { vhid = 7, password = "Mekmitasdigoat", addresses = ["10.0.0.1", "10.0.0.3", "2001:db8::1"] } = of;
  return {
    vhid,
    interface: of.interface ?? "eth0",
    key: of.key === undefined ? keyOfPassphrase(password) : bytesOf(of.key),
    addresses: addresses.map((text) => ({ address: addressOf(text), length: 24 })),
    advbase: 1,
    advskew: 0,
    preempt: false,
    mac: "virtual",
    peers: [],
    compat: { ...plainCompat, ...of.compat },
  };
}

/** An advertisement of vhid 7, however its sender is configured. */
function advertisementBy(peer: GroupConfig, signedVhid = 7): Advertisement {
  const signer = createSigner(signedVhid, signatureOf(peer));
  return { vhid: 7, advbase: 1, advskew: 0, demote: 0, counter: 99n, digest: sign(signer, 99n) };
}

const source = addressOf("10.0.0.77");
const other = group({
  vhid: 8,
  interface: "eth1",
  password: "of another",
  addresses: ["10.0.8.1", "10.0.8.2"],
});

interface Mistake {
  readonly here?: Group;
  readonly peer: Group;
  readonly signedVhid?: number;
  readonly sourceMac?: string;
  readonly hint: string;
}

const own = ["10.0.0.1", "10.0.0.3", "2001:db8::1"];
const digits = "1234567890123456789";
const lladdr = Uint8Array.of(2, 0, 0, 0, 0, 0xaa);
const caseHint =
  "addresses right, but the peer's password differs in upper and lower case: type it again there";

const mistakes: readonly Mistake[] = [
  {
    peer: { compat: { order: "interface" }, addresses: ["10.0.0.3", "10.0.0.1", "2001:db8::1"] },
    hint:
      "password and addresses right, but the peer signs them in interface order, as FreeBSD before 7.1: " +
      'set order = "interface" in [carp.compat], with addresses in the order 10.0.0.3, 10.0.0.1, 2001:db8::1',
  },
  {
    here: { addresses: ["10.0.0.3", "10.0.0.1"], compat: { order: "interface" } },
    peer: { addresses: ["10.0.0.1", "10.0.0.3"] },
    hint:
      "password and addresses right, but the peer signs them in ascending order: " +
      'set order = "sorted" in [carp.compat]',
  },
  {
    here: { addresses: ["10.0.0.1", "fe80::5"], compat: { linkLocal: "without" } },
    peer: { addresses: ["10.0.0.1", "fe80::5"], compat: { linkLocal: "with" } },
    hint:
      "password and addresses right, but the peer signs link-local addresses too: " +
      'set link_local = "with" in [carp.compat]',
  },
  {
    here: { addresses: ["10.0.0.1", "fe80::5"], compat: { linkLocal: "with" } },
    peer: { addresses: ["10.0.0.1", "fe80::5"], compat: { linkLocal: "without" } },
    hint:
      "password and addresses right, but the peer leaves link-local addresses out: " +
      'set link_local = "auto" in [carp.compat]',
  },
  {
    here: { compat: { lladdr } },
    peer: {},
    hint: "password and addresses right, but the peer signs no link-layer address: remove lladdr from [carp.compat]",
  },
  {
    peer: { compat: { lladdr } },
    sourceMac: "02:00:00:00:00:aa",
    hint:
      "password and addresses right, but the peer signs the link-layer address it was given: " +
      'set lladdr = "02:00:00:00:00:aa" in [carp.compat]',
  },
  {
    peer: { compat: { lladdr: Uint8Array.of(0, 0, 0x5e, 0, 1, 7) } },
    hint:
      "password and addresses right, but the peer signs the link-layer address it was given: " +
      'set lladdr = "00:00:5e:00:01:07" in [carp.compat]',
  },
  {
    peer: { addresses: ["10.0.0.3"] },
    hint: "password right, but the peer signs 10.0.0.3 alone, as UCARP must: give it a vhid of its own, or add the others there",
  },
  {
    peer: { addresses: [...own, "fe80::200:5eff:fe00:107"], compat: { linkLocal: "with" } },
    hint:
      "password right, but the peer also signs fe80::200:5eff:fe00:107: remove it there, " +
      'or add it to addresses and set link_local = "with" in [carp.compat]',
  },
  {
    peer: { addresses: ["10.0.0.1", "2001:db8::1"] },
    hint: "password right, but the peer does not sign 10.0.0.3: add it there, or take it off here",
  },
  {
    here: { addresses: [...own, "10.0.0.5"] },
    peer: { addresses: ["10.0.0.1", "10.0.0.5"] },
    hint: "password right, but the peer does not sign 10.0.0.3, 2001:db8::1: add them there, or take them off here",
  },
  {
    peer: { addresses: ["2001:db8::1"] },
    hint: "password right, but the peer does not sign 10.0.0.1, 10.0.0.3: add them there, or take them off here",
  },
  {
    peer: { addresses: [] },
    hint:
      "password right, but the peer does not sign 10.0.0.1, 10.0.0.3, 2001:db8::1: " +
      "add them there, or take them off here",
  },
  {
    peer: { addresses: [...own, "10.0.0.77"] },
    hint: "password right, but the peer also signs 10.0.0.77: remove it there, or add it to addresses",
  },
  {
    peer: { addresses: [...own, "10.0.8.2"] },
    hint: "password right, but the peer also signs 10.0.8.2: remove it there, or add it to addresses",
  },
  {
    peer: { addresses: ["10.0.8.1", "10.0.8.2"] },
    hint: "password right, but the peer signs the addresses of vhid 8 on eth1: one side has the wrong addresses",
  },
  {
    peer: { addresses: [...own, "10.0.8.1", "10.0.8.2"] },
    hint: "password right, but the peer also signs the addresses of vhid 8 on eth1: remove them there",
  },
  {
    peer: { addresses: ["10.0.0.1", "10.0.0.4", "2001:db8::1"] },
    hint: "password right, but the peer signs 10.0.0.4 and not 10.0.0.3: correct one of them",
  },
  {
    peer: { addresses: [...own, "10.0.0.200"] },
    hint: "password right, but the peer also signs 10.0.0.200: remove it there, or add it to addresses",
  },
  {
    peer: { password: "of another" },
    hint: "addresses right, but the peer has the password of vhid 8 on eth1",
  },
  { peer: { password: "" }, hint: "addresses right, but the peer has no password: set it there" },
  {
    peer: { password: "Mekmitasdigoat\n" },
    hint: "addresses right, but the peer's password ends in a newline: write its password file again without",
  },
  {
    peer: { password: "Mekmitasdigoat\r" },
    hint: "addresses right, but the peer's password ends in a carriage return: write its password file again without",
  },
  {
    peer: { password: "Mekmitasdigoat\r\n" },
    hint:
      "addresses right, but the peer's password ends in carriage return and newline: " +
      "write its password file again without",
  },
  {
    peer: { password: "Mekmitasdigoat " },
    hint: "addresses right, but the peer's password ends in a space: write its password file again without",
  },
  {
    here: { password: "Mekmitasdigoat\n" },
    peer: {},
    hint: "addresses right, but password here begins or ends in white space, the peer's does not: remove it",
  },
  {
    here: { password: '"Mekmitasdigoat"' },
    peer: {},
    hint: "addresses right, but password here has quotation marks inside, the peer's has none: remove them",
  },
  {
    peer: { password: '"Mekmitasdigoat"' },
    hint: "addresses right, but the peer's password has quotation marks around it: remove them there",
  },
  {
    peer: { password: "Mekmitas" },
    hint: "addresses right, but the peer counts only 8 bytes of the password: use a shorter one on both sides",
  },
  {
    here: { password: digits },
    peer: { password: digits.slice(0, 16) },
    hint: "addresses right, but the peer counts only 16 bytes of the password: use a shorter one on both sides",
  },
  {
    here: { key: Buffer.from(`${digits}x`).toString("hex") },
    peer: { password: digits },
    hint: "addresses right, but the peer counts only 19 bytes of the password: use a shorter one on both sides",
  },
  {
    here: { password: digits },
    peer: { key: Buffer.from(`${digits}x`).toString("hex") },
    hint:
      "addresses right, but the peer counts a 20th byte of its password: " +
      "shorten the password to 19 bytes there",
  },
  { peer: { password: "mEKMITASDIGOAT" }, hint: caseHint },
  { peer: { password: "mekmitasdigoat" }, hint: caseHint },
  { peer: { password: "MEKMITASDIGOAT" }, hint: caseHint },
  {
    here: { password: "pässwörd" },
    peer: { key: Buffer.from("pässwörd".padEnd(20, "\0"), "latin1").toString("hex") },
    hint: "addresses right, but the peer's password is in Latin-1, password here in UTF-8: use ASCII characters only",
  },
  {
    here: { key: "ffeeddccbbaa99887766554433221100a1b2c3d4" },
    peer: { password: "ffeeddccbbaa9988776" },
    hint: "addresses right, but the peer took the hex digits of key for its password: use a password on both sides",
  },
  {
    peer: { password: "Mekmitasdigoat\n", addresses: ["10.0.0.3"] },
    hint:
      "the peer's password ends in a newline: write its password file again without; " +
      "and the peer signs 10.0.0.3 alone, as UCARP does",
  },
  {
    peer: { password: "of another", addresses: ["10.0.8.1", "10.0.8.2"] },
    hint: "the peer has password and addresses of vhid 8 on eth1: one side has the wrong vhid",
  },
  {
    peer: {},
    signedVhid: 9,
    hint:
      "password and addresses right, but signed for vhid 9, which the header does not say: " +
      "the sender is faulty, or it was altered",
  },
];

for (const { here = {}, peer, signedVhid, sourceMac, hint } of mistakes) {
  test(hint, () => {
    const ours = group(here);
    const misfit = { advertisement: advertisementBy(group(peer), signedVhid), source, sourceMac };
    assert.equal(diagnose(misfit, [ours], [ours, other])?.hint, hint);
  });
}

test("a password that is nothing like ours is not explained, with few addresses or many", () => {
  const many = Array.from({ length: 12 }, (_, i) => `10.0.0.${i + 1}`);
  for (const addresses of [own, many, ["10.0.0.1"]]) {
    const ours = group({ addresses });
    const advertisement = advertisementBy(group({ addresses, password: "nothing like it" }));
    assert.equal(diagnose({ advertisement, source, sourceMac: undefined }, [ours], [ours, other]), undefined);
  }
});

test("with many addresses one that is missing is still found", () => {
  const many = Array.from({ length: 12 }, (_, i) => `10.0.0.${i + 1}`);
  const ours = group({ addresses: many });
  const advertisement = advertisementBy(group({ addresses: many.slice(1) }));
  const found = diagnose({ advertisement, source, sourceMac: undefined }, [ours], [ours]);
  assert.match(found?.hint ?? "", /does not sign 10\.0\.0\.1:/);
});

test("the group of another interface with the same vhid is asked too", () => {
  const second = group({ interface: "eth1", password: "of eth1" });
  const advertisement = advertisementBy(group({ password: "of eth1", addresses: ["10.0.0.1"] }));
  const found = diagnose(
    { advertisement, source, sourceMac: undefined },
    [group({}), second],
    [group({}), second],
  );
  assert.match(found?.hint ?? "", /10\.0\.0\.1 alone, as UCARP/);
});

test("what explained the last packet of a peer is tried first", () => {
  const ours = group({});
  const misfit = { advertisement: advertisementBy(group({ password: "" })), source, sourceMac: undefined };
  const earlier = diagnose(misfit, [ours], [ours]);
  assert.ok(earlier);
  assert.equal(diagnose(misfit, [], [], earlier), earlier);
  const now = { ...misfit, advertisement: advertisementBy(group({ addresses: ["10.0.0.1"] })) };
  assert.match(diagnose(now, [ours], [ours], earlier)?.hint ?? "", /10\.0\.0\.1 alone/);
});

test("a vhid nobody has may be one of ours under another number", () => {
  const advertisement = advertisementBy(group({ vhid: 9 }));
  assert.equal(
    diagnoseVhid(advertisement, [other, group({ vhid: 9 })]),
    "this is vhid 9 on eth0 under another number: use the same vhid on both sides",
  );
  assert.equal(diagnoseVhid(advertisement, [other]), undefined);
});

test("no hint gives a password away, ours or another", () => {
  const password = fc.stringMatching(/^[!-~]{6,19}$/);
  const change = fc.constantFrom("", "\n", " ", "upper", "eight");
  fc.assert(
    fc.property(password, change, fc.boolean(), (typed, what, alone) => {
      const told =
        what === "upper" ? typed.toUpperCase() : what === "eight" ? typed.slice(0, 8) : typed + what;
      const ours = group({ password: typed, addresses: ["10.0.0.1", "10.0.0.3"] });
      const peer = group({ password: told, addresses: alone ? ["10.0.0.1"] : ["10.0.0.1", "10.0.0.3"] });
      const misfit = { advertisement: advertisementBy(peer), source, sourceMac: undefined };
      const hint = diagnose(misfit, [ours], [ours, other])?.hint ?? "";
      const secrets = [typed, typed.toUpperCase(), typed.slice(0, 8), Buffer.from(typed).toString("hex")];
      for (const secret of secrets.filter(({ length }) => length > 5)) assert.ok(!hint.includes(secret));
    }),
    { numRuns: 30 },
  );
});
