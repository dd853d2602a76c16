/**
 * A rule of the configuration is a row: a text, and all that is said about it.
 * Where the line of a key is found is tried in toml-lines.test.ts.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { stringify } from "smol-toml";
import { keyOfPassphrase } from "../src/carp/digest.js";
import { DRIVERS } from "../src/config/board-schema.js";
import { HAPPENINGS } from "../src/config/schema.js";
import {
  type Config,
  defaultConfigPath,
  describeProblem,
  type GroupConfig,
  type HookConfig,
  type Parsed,
  parseConfig,
  readConfig,
} from "../src/config.js";
import { formatAddress, formatPrefix, parseAddress } from "../src/wire/address.js";

const full = readFileSync("test/config/full.toml", "utf8");

/** A whole `[[carp]]`, a key on each line from line 2 on; `undefined` leaves a key out. */
function group(changes: { readonly [key: string]: string | undefined } = {}): string {
  const keys: typeof changes = {
    vhid: "7",
    interface: '"eth0"',
    password: '"mekmitasdigoat"',
    addresses: '["192.0.2.1/24"]',
    ...changes,
  };
  const lines = Object.entries(keys).flatMap(([key, value]) =>
    value === undefined ? [] : `${key} = ${value}`,
  );
  return ["[[carp]]", ...lines, ""].join("\n");
}

const both = '["192.0.2.1/24", "2001:db8::1/64"]';
const another = group({ vhid: "8", addresses: '["192.0.2.2/24"]' });

function parse(text: string, secrets: { readonly [path: string]: string } = {}): Parsed {
  return parseConfig(text, {
    hostname: "box",
    readSecret: (path) => {
      const secret = secrets[path];
      if (secret === undefined) throw new Error("there is no such file");
      return secret;
    },
  });
}

function problemsOf(parsed: Parsed): string[] {
  return parsed.ok ? [] : parsed.problems.map((problem) => describeProblem("f", problem));
}

function warningsOf(parsed: Parsed): string[] {
  return parsed.warnings.map((problem) => describeProblem("f", problem));
}

function configOf(parsed: Parsed): Config {
  assert.deepEqual(problemsOf(parsed), []);
  assert.ok(parsed.ok);
  return parsed.config;
}

function groupOf(toml: string): GroupConfig {
  const [first] = configOf(parse(toml)).groups;
  assert.ok(first);
  return first;
}

interface Rule {
  readonly why: string;
  readonly toml: string;
  readonly says: readonly string[];
}

function rules(title: string, rows: readonly Rule[]): void {
  for (const { why, toml, says } of rows) {
    test(`${title}: ${why}`, () => assert.deepEqual(problemsOf(parse(toml)), says));
  }
}

rules("TOML", [
  {
    why: "an error has the line and the reason of the reader",
    toml: "name = \n",
    says: [
      'f:1: name: found an error in column 8 (invalid value), wanted a value: "text", a number, true, false or a [list]',
    ],
  },
  {
    why: "columns do not count the mark at the start of a file from Windows",
    toml: "\ufeffname = \n",
    says: [
      "f:1: name: found an error in column 8 (invalid value), " +
        'wanted a value: "text", a number, true, false or a [list]',
    ],
  },
  {
    why: "a text without quotes",
    toml: "[[carp]]\ninterface = eth0\n",
    says: [
      'f:2: interface: found an error in column 13 (invalid value), wanted a value: "text", a number, true, false or a [list]',
    ],
  },
  {
    why: "a quote that is not closed",
    toml: 'board = "auto"\nname = "left\nx = 1\n',
    says: ["f:2: name: found a text without its closing quote, wanted the same quote at both ends"],
  },
  {
    why: "a quote that is not closed before a CRLF",
    toml: 'name = "left\r\nx = 1\r\n',
    says: ["f:1: name: found a text without its closing quote, wanted the same quote at both ends"],
  },
  {
    why: "a quote that is not closed at the end of the file",
    toml: 'name = "left',
    says: ["f:1: name: found a text without its closing quote, wanted the same quote at both ends"],
  },
  {
    why: "a key that is there twice",
    toml: group({ "vhid ": "8" }),
    says: [
      "f:6: vhid: found an error in column 1 (trying to redefine an already defined table or value), " +
        "wanted each key and table once; [[carp]], with two brackets, begins another group",
    ],
  },
  {
    why: "[carp] twice",
    toml: "[carp]\nvhid = 1\n[carp]\nvhid = 2\n",
    says: [
      "f:3: found an error in column 2 (trying to redefine an already defined table or value), " +
        "wanted each key and table once; [[carp]], with two brackets, begins another group",
    ],
  },
  {
    why: "[carp] once",
    toml: "[carp]\nvhid = 1\n",
    says: ["f:1: carp: found a table, wanted [[carp]], with two brackets, for each group"],
  },
  {
    why: "a backslash",
    toml: '[status]\ntoken_file = "C:\\carpio"\n',
    says: [
      "f:2: token_file: found an error in column 18 (unrecognised escape sequence), " +
        "wanted \\\\ for a backslash, or 'single quotes' around the text",
    ],
  },
  {
    why: "a curly quote is named, and what else is wrong is said too",
    toml: group({ vhid: "300", interface: "“eth0”" }),
    says: [
      "f:2: carp[0].vhid: found 300, wanted a whole number from 1 to 255",
      'f:3: interface: found a curly quote “ (U+201C), wanted a straight quote "',
    ],
  },
  {
    why: "every line with curly quotes is named",
    toml: "name = ‘left’\nboard = “auto”\n",
    says: [
      "f:1: name: found a curly quote ‘ (U+2018), wanted a straight quote '",
      'f:2: board: found a curly quote “ (U+201C), wanted a straight quote "',
    ],
  },
  {
    why: "a curly quote that was to close a text",
    toml: 'name = "left”\nboard = "auto"\n',
    says: ['f:1: name: found a curly quote ” (U+201D), wanted a straight quote "'],
  },
  {
    why: "a space from a web page",
    toml: "advskew\u00a0= 1\n",
    says: [
      "f:1: advskew: found an odd space (U+00A0), wanted a plain space",
      "f:1: advskew: found a key that means nothing here, wanted it in [[carp]] or in [maintenance]",
    ],
  },
  {
    why: "something huge is no configuration",
    toml: "#".repeat(2_000_000),
    says: ["f: found more than a million characters, wanted a configuration file in TOML"],
  },
]);

rules("keys", [
  {
    why: "an unknown one, with the nearest",
    toml: group({ vhidd: "7" }),
    says: ["f:6: carp[0].vhidd: found a key that means nothing here, wanted vhid"],
  },
  {
    why: "an unknown one in capitals and with a hyphen",
    toml: `${group()}[carp.compat]\nLink-Local = "auto"\n`,
    says: ["f:7: carp[0].compat.Link-Local: found a key that means nothing here, wanted link_local"],
  },
  {
    why: "an unknown one, with all that are known",
    toml: "[maintenance]\nexpires = 7\n",
    says: ["f:2: maintenance.expires: found a key that means nothing here, wanted one of advskew"],
  },
  {
    why: "an unknown table",
    toml: "\n[lamps]\n",
    says: [
      "f:2: lamps: found a key that means nothing here, wanted one of name, board, carp, maintenance, status, panel, hook, network, ssh, ntp, log, console, router, update",
    ],
  },
  {
    why: "one that slipped under another header",
    toml: `${group()}[carp.compat]\ndemote = "byte"\nadvbase = 1\n`,
    says: ["f:8: carp[0].compat.advbase: found a key that means nothing here, wanted it in [[carp]]"],
  },
  {
    why: "a name that slipped under a header",
    toml: `[status]\nname = "left"\n`,
    says: [
      "f:2: status.name: found a key that means nothing here, wanted it above the first table or in [[network.interface]]",
    ],
  },
  {
    why: "one that JavaScript knows",
    toml: `${group()}[panel]\n__proto__ = 1\nconstructor = 1\n`,
    says: [
      "f:7: panel.__proto__: found a key that means nothing here, wanted one of driver, power_off",
      "f:8: panel.constructor: found a key that means nothing here, wanted one of driver, power_off",
    ],
  },
  {
    why: "one that would break the line is quoted",
    toml: '"a\\nb" = 1\n',
    says: [
      'f:1: "a\\nb": found a key that means nothing here, ' +
        "wanted one of name, board, carp, maintenance, status, panel, hook, network, ssh, ntp, log, console, router, update",
    ],
  },
  {
    why: "those that must be there, on the line of their table",
    toml: `\n[[carp]]\npassword = "x"\n`,
    says: [
      "f:2: carp[0].vhid: found nothing, wanted a whole number from 1 to 255",
      "f:2: carp[0].interface: found nothing, wanted an interface name",
      'f:2: carp[0].addresses: found nothing, wanted a list of addresses with their prefix lengths, such as ["192.0.2.1/24"]',
    ],
  },
  {
    why: "a value where a table belongs",
    toml: "maintenance = 240\n",
    says: ["f:1: maintenance: found 240, wanted a table"],
  },
  {
    why: "a date where a table belongs",
    toml: "status = 1979-05-27\n",
    says: ["f:1: status: found a date or time, wanted a table"],
  },
  {
    why: "two brackets where one belongs",
    toml: "[[panel]]\n",
    says: ["f:1: panel: found a list, wanted a table"],
  },
  {
    why: "a value where a list of tables belongs",
    toml: "carp = [7]\n",
    says: ["f:1: carp[0]: found 7, wanted a table"],
  },
]);

rules("name and board", [
  {
    why: "a long name is cut",
    toml: `name = "${"x".repeat(64)}"`,
    says: [`f:1: name: found "${"x".repeat(59)}…", wanted 1 to 63 characters on one line`],
  },
  { why: "a number is no name", toml: "name = 7", says: ["f:1: name: found 7, wanted a text"] },
  {
    why: "an empty name",
    toml: 'name = " "',
    says: ['f:1: name: found " ", wanted 1 to 63 characters on one line'],
  },
  {
    why: "a name of two lines",
    toml: 'name = "a\\nb"',
    says: ['f:1: name: found "a\\nb", wanted 1 to 63 characters on one line'],
  },
  {
    why: "no such board",
    toml: 'board = "rasberrypi"',
    says: [
      'f:1: board: found "rasberrypi", ' +
        'wanted "auto", "raspberrypi", "raspberrypi-3", "raspberrypi-4", "raspberrypi-5", "raspberrypi-cm4", ' +
        '"raspberrypi-zero-2-w", "simulated", "virt" or "none", or the path of a board.toml',
    ],
  },
]);

const wholeVhid = "wanted a whole number from 1 to 255";
rules("vhid", [
  { why: "too large", toml: group({ vhid: "256" }), says: [`f:2: carp[0].vhid: found 256, ${wholeVhid}`] },
  { why: "too small", toml: group({ vhid: "0" }), says: [`f:2: carp[0].vhid: found 0, ${wholeVhid}`] },
  { why: "a fraction", toml: group({ vhid: "7.5" }), says: [`f:2: carp[0].vhid: found 7.5, ${wholeVhid}`] },
  {
    why: "a large fraction",
    toml: group({ vhid: "300.5" }),
    says: [`f:2: carp[0].vhid: found 300.5, ${wholeVhid}`],
  },
  { why: "a text", toml: group({ vhid: '"7"' }), says: [`f:2: carp[0].vhid: found "7", ${wholeVhid}`] },
  { why: "no number", toml: group({ vhid: "nan" }), says: [`f:2: carp[0].vhid: found NaN, ${wholeVhid}`] },
  {
    why: "twice on an interface",
    toml: group() + group({ addresses: '["192.0.2.2/24"]' }),
    says: [
      "f:7: carp[1].vhid: found 7 on eth0 again, as in carp[0].vhid on line 2, " +
        "wanted another vhid: eth0 has a group with this one",
    ],
  },
]);

const interfaceShape = 'wanted a name of 1 to 15 bytes without spaces, "/" and ":"';
rules("interface", [
  ...["", "a-name-of-16-byt", "eth 0", "eth/0", "eth0:1", ".", "..", "eth\\t0", "ethé-ééé-ééé"].map(
    (name) => ({
      why: `"${name}" is no name for Linux`,
      toml: group({ interface: `"${name}"` }),
      says: [`f:3: carp[0].interface: found "${name}", ${interfaceShape}`],
    }),
  ),
  {
    why: "a list",
    toml: group({ interface: '["eth0"]' }),
    says: ["f:3: carp[0].interface: found a list, wanted an interface name"],
  },
  {
    why: "loopback has no neighbours",
    toml: group({ interface: '"lo"' }),
    says: ['f:3: carp[0].interface: found "lo", wanted an interface with other hosts on it'],
  },
  {
    why: "one that a group of ours makes",
    toml: group({ interface: '"carp8"' }) + another,
    says: ['f:3: carp[0].interface: found "carp8", wanted the interface below: carpio makes this one itself'],
  },
  {
    why: "one that this group makes",
    toml: group({ interface: '"carp7"' }),
    says: ['f:3: carp[0].interface: found "carp7", wanted the interface below: carpio makes this one itself'],
  },
]);

const oneOfThree = "wanted one of password, password_file and key";
rules("password", [
  {
    why: "too long, without showing it",
    toml: group({ password: '"12345678901234567890"' }),
    says: ["f:4: carp[0].password: found 20 bytes, wanted at most 19 bytes: only 19 count everywhere"],
  },
  {
    why: "bytes are counted, not letters",
    toml: group({ password: '"éééééééééé"' }),
    says: ["f:4: carp[0].password: found 20 bytes, wanted at most 19 bytes: only 19 count everywhere"],
  },
  {
    why: "empty",
    toml: group({ password: '""' }),
    says: [
      "f:4: carp[0].password: found an empty text, wanted 1 to 19 bytes; for the BSDs' empty key, leave it out",
    ],
  },
  {
    why: "a zero byte ends it for the others",
    toml: group({ password: '"a\\u0000b"' }),
    says: ["f:4: carp[0].password: found 3 bytes, wanted no zero byte in it: the others stop there"],
  },
  {
    why: "a number, without showing it",
    toml: group({ password: "12345" }),
    says: ["f:4: carp[0].password: found a number, wanted a text of 1 to 19 bytes"],
  },
  {
    why: "a key that is too short, without showing it",
    toml: group({ password: undefined, key: '"00ff"' }),
    says: ["f:5: carp[0].key: found 4 bytes, wanted 40 hex digits"],
  },
  {
    why: "a key with something else in it",
    toml: group({ password: undefined, key: `"${"0".repeat(39)}g"` }),
    says: ["f:5: carp[0].key: found 40 bytes, wanted 40 hex digits"],
  },
  {
    why: "beside a key and a file",
    toml: group({ password: '"x"', key: `"${"0".repeat(40)}"`, password_file: '"/secret"' }),
    says: [
      `f:6: carp[0].key: found key beside password, ${oneOfThree}`,
      `f:7: carp[0].password_file: found password_file beside password, ${oneOfThree}`,
    ],
  },
  {
    why: "a file that is not there",
    toml: group({ password: undefined, password_file: '"/secret"' }),
    says: [
      'f:5: carp[0].password_file: found "/secret": there is no such file, ' +
        "wanted a file whose first line is the password",
    ],
  },
  {
    why: "a file without a name",
    toml: group({ password: undefined, password_file: '""' }),
    says: ['f:5: carp[0].password_file: found "", wanted the path of a file'],
  },
]);

const hostAddress = "wanted an address that a host can have, not";
const prefixShape = "wanted an address with its prefix length, such as 192.0.2.1/24";
const prefixes: readonly (readonly [address: string, wanted: string, why: string])[] = [
  ["192.0.2.1", "wanted the prefix length as well, such as 192.0.2.1/24", "no prefix length"],
  ["2001:db8::1", "wanted the prefix length as well, such as 2001:db8::1/64", "no prefix length, IPv6"],
  ["192.0.2.1/33", "wanted a prefix length from 1 to 32", "prefix length too large"],
  ["2001:db8::1/129", "wanted a prefix length from 1 to 128", "prefix length too large, IPv6"],
  ["192.0.2.1/0", "wanted a prefix length from 1 to 32", "prefix length 0"],
  ["192.0.2.1/", "wanted a prefix length from 1 to 32", "prefix length empty"],
  ["192.0.2.1/255.255.255.0", "wanted a prefix length from 1 to 32", "a netmask"],
  ["192.0.2.256/24", prefixShape, "no address"],
  ["192.0.2.1/24/24", prefixShape, "two prefix lengths"],
  ["eth0", prefixShape, "a name"],
  ["fe80::1%eth0/64", "wanted no zone: interface says where the address belongs", "a zone"],
  ["224.0.0.18/24", `${hostAddress} a multicast address`, "multicast"],
  ["ff02::12/64", `${hostAddress} a multicast address`, "multicast, IPv6"],
  ["0.0.0.0/8", `${hostAddress} the unspecified address`, "unspecified"],
  ["::/64", `${hostAddress} the unspecified address`, "unspecified, IPv6"],
  ["127.0.0.2/8", `${hostAddress} a loopback address`, "loopback"],
  ["::1/128", `${hostAddress} a loopback address`, "loopback, IPv6"],
  ["255.255.255.255/32", `${hostAddress} the broadcast address`, "broadcast"],
  ["192.0.2.255/24", `${hostAddress} its network's broadcast address`, "broadcast of its network"],
  ["192.0.2.192/26", `${hostAddress} its network's own address`, "its network"],
  ["192.0.2.4/30", `${hostAddress} its network's own address`, "its network, a small one"],
  ["2001:db8::/64", `${hostAddress} its network's own address`, "its network, IPv6"],
  ["::ffff:192.0.2.1/128", `${hostAddress} IPv4 written as IPv6`, "IPv4 in IPv6"],
];
rules("addresses", [
  ...prefixes.map(([address, wanted, why]) => ({
    why,
    toml: group({ addresses: `[\n  "198.51.100.1/32", # fine\n  "${address}",\n]` }),
    says: [`f:7: carp[0].addresses[1]: found "${address}", ${wanted}`],
  })),
  {
    why: "none",
    toml: group({ addresses: "[]" }),
    says: ["f:5: carp[0].addresses: found an empty list, wanted at least one address"],
  },
  {
    why: "not in a list",
    toml: group({ addresses: '"192.0.2.1/24"' }),
    says: [
      'f:5: carp[0].addresses: found "192.0.2.1/24", ' +
        'wanted a list of addresses with their prefix lengths, such as ["192.0.2.1/24"]',
    ],
  },
  {
    why: "not a text",
    toml: group({ addresses: "[192.0]" }),
    says: [
      "f:5: carp[0].addresses[0]: found 192, " +
        'wanted a list of addresses with their prefix lengths, such as ["192.0.2.1/24"]',
    ],
  },
  {
    why: "twice in an entry, however written",
    toml: group({ addresses: '[\n"2001:db8::1/64",\n"2001:DB8:0::1/128"]' }),
    says: [
      "f:7: carp[0].addresses[1]: found 2001:db8::1 again, as in carp[0].addresses[0] on line 6, " +
        "wanted each address once",
    ],
  },
  {
    why: "in two entries",
    toml: group() + group({ vhid: "8", interface: '"eth1"', addresses: '["192.0.2.1/32"]' }),
    says: [
      "f:10: carp[1].addresses[0]: found 192.0.2.1 again, as in carp[0].addresses[0] on line 5, " +
        "wanted each address once",
    ],
  },
  {
    why: "in two entries, of which one has other problems",
    toml: group({ vhid: "0", addresses: '["192.0.2.300/24", "192.0.2.1/24"]' }) + group(),
    says: [
      `f:2: carp[0].vhid: found 0, ${wholeVhid}`,
      `f:5: carp[0].addresses[0]: found "192.0.2.300/24", ${prefixShape}`,
      "f:10: carp[1].addresses[0]: found 192.0.2.1 again, as in carp[0].addresses[1] on line 5, " +
        "wanted each address once",
    ],
  },
  {
    why: "a link-local one twice on an interface",
    toml: group({ addresses: '["fe80::1/64"]' }) + group({ vhid: "8", addresses: '["fe80::1/64"]' }),
    says: [
      "f:10: carp[1].addresses[0]: found fe80::1 again, as in carp[0].addresses[0] on line 5, " +
        "wanted each address once",
    ],
  },
]);

const anAddress = "wanted an IPv4 or IPv6 address without prefix length, port and zone";
const otherHost = "wanted the address of another host, not";
const peers: readonly (readonly [peer: string, wanted: string])[] = [
  ["router", anAddress],
  ["192.0.2.2/24", anAddress],
  ["192.0.2.2:112", anAddress],
  ["fe80::2%eth0", anAddress],
  ["224.0.0.18", `${otherHost} a multicast address`],
  ["0.0.0.0", `${otherHost} the unspecified address`],
  ["127.0.0.1", `${otherHost} a loopback address`],
  ["2001:db8::2", "wanted no IPv6 peer, as the group has no IPv6 address"],
  ["192.0.2.1", "wanted the other host's own address, not one that both share"],
];
rules("peers", [
  ...peers.map(([peer, wanted]) => ({
    why: `${peer}: ${wanted}`,
    toml: group({ peers: `["${peer}"]` }),
    says: [`f:6: carp[0].peers[0]: found "${peer}", ${wanted}`],
  })),
  {
    why: "an IPv4 peer beside IPv6 addresses",
    toml: group({ addresses: '["2001:db8::1/64"]', peers: '["192.0.2.2"]' }),
    says: ['f:6: carp[0].peers[0]: found "192.0.2.2", wanted no IPv4 peer, as the group has no IPv4 address'],
  },
  {
    why: "twice",
    toml: group({ peers: '["192.0.2.2", "192.0.2.2"]' }),
    says: [
      "f:6: carp[0].peers[1]: found 192.0.2.2 again, as in carp[0].peers[0] on line 6, wanted each peer once",
    ],
  },
  {
    why: "not in a list",
    toml: group({ peers: '"192.0.2.2"' }),
    says: ['f:6: carp[0].peers: found "192.0.2.2", wanted a list of addresses'],
  },
]);

rules("intervals, preempt and mac", [
  {
    why: "advbase too large",
    toml: group({ advbase: "256" }),
    says: ["f:6: carp[0].advbase: found 256, wanted a whole number from 0 to 255"],
  },
  {
    why: "advskew too large: 255 is for bowing out",
    toml: group({ advskew: "255" }),
    says: ["f:6: carp[0].advskew: found 255, wanted a whole number from 0 to 254"],
  },
  {
    why: "advskew below zero",
    toml: group({ advskew: "-1" }),
    says: ["f:6: carp[0].advskew: found -1, wanted a whole number from 0 to 254"],
  },
  {
    why: "preempt as a text",
    toml: group({ preempt: '"yes"' }),
    says: ['f:6: carp[0].preempt: found "yes", wanted true or false'],
  },
  {
    why: "another kind of mac",
    toml: group({ mac: '"real"' }),
    says: ['f:6: carp[0].mac: found "real", wanted "virtual" or "interface"'],
  },
  {
    why: "maintenance.advskew too small: the button would do nothing",
    toml: "[maintenance]\nadvskew = 0\n",
    says: ["f:2: maintenance.advskew: found 0, wanted a whole number from 1 to 254"],
  },
  {
    why: "maintenance.advskew too large",
    toml: "[maintenance]\nadvskew = 255\n",
    says: ["f:2: maintenance.advskew: found 255, wanted a whole number from 1 to 254"],
  },
]);

const compat = (key: string, changes = {}) => `${group(changes)}[carp.compat]\n${key}\n`;
const octets = "wanted six octets of a unicast address, such as 00:11:22:33:44:55, or nothing";
const at = "f:7: carp[0].compat";
rules("compat", [
  {
    why: "order",
    toml: compat('order = "random"'),
    says: [`${at}.order: found "random", wanted "sorted" or "interface"`],
  },
  {
    why: "link_local",
    toml: compat('link_local = "both"'),
    says: [`${at}.link_local: found "both", wanted "auto", "with" or "without"`],
  },
  {
    why: "checksum6",
    toml: compat("checksum6 = true"),
    says: [`${at}.checksum6: found true, wanted "plain" or "pseudo-header"`],
  },
  {
    why: "master_down",
    toml: compat('master_down = "new"'),
    says: [`${at}.master_down: found "new", wanted "classic" or "scaled"`],
  },
  {
    why: "demote",
    toml: compat('demote = "both"'),
    says: [`${at}.demote: found "both", wanted "advskew" or "byte"`],
  },
  ...[
    "00:11:22:33:44",
    "00-11-22-33-44-55",
    "01:00:5e:00:00:12",
    "00:00:00:00:00:00",
    "00:11:22:33:44:5g",
  ].map((lladdr) => ({
    why: `lladdr ${lladdr}`,
    toml: compat(`lladdr = "${lladdr}"`),
    says: [`${at}.lladdr: found "${lladdr}", ${octets}`],
  })),
  {
    why: "the default of OpenBSD, which it does not sign",
    toml: compat('lladdr = "0:0:5e:0:1:7"'),
    says: [`${at}.lladdr: found "00:00:5e:00:01:07", wanted "": OpenBSD does not sign the default of vhid 7`],
  },
  {
    why: "checksum6 without IPv6 would be ignored",
    toml: compat('checksum6 = "pseudo-header"'),
    says: [`${at}.checksum6: found "pseudo-header", wanted "plain", or an IPv6 address in addresses`],
  },
  {
    why: "link_local without such an address would be ignored",
    toml: compat('link_local = "with"', { addresses: both }),
    says: [`${at}.link_local: found "with", wanted "auto", or a link-local address (fe80::/10) in addresses`],
  },
  {
    why: "master_down is not classic with advbase 0",
    toml: `${group({ advbase: "0" })}compat.master_down = "classic"\n`,
    says: [
      'f:7: carp[0].compat.master_down: found "classic", ' +
        'wanted "scaled" or nothing: with advbase 0 the time is always scaled',
    ],
  },
  {
    why: "belongs to the last [[carp]]",
    toml: `${another}${compat('order = "random"')}`,
    says: ['f:12: carp[1].compat.order: found "random", wanted "sorted" or "interface"'],
  },
]);

const hook = (...lines: readonly string[]) => ["[[hook]]", ...lines, ""].join("\n");
const runShape = 'wanted the program and its arguments in a list, such as ["/usr/local/bin/notify", "left"]';
const happeningShape = 'a list of "master", "backup", "init", "maintenance" or "fault"';
const webhook = 'url = "https://hooks.example.org/x"';
rules("hook", [
  {
    why: "neither a program nor a URL",
    toml: hook('on = ["master"]'),
    says: ["f:1: hook[0]: found neither run nor url, wanted one of run and url"],
  },
  {
    why: "both, on the line of the second",
    toml: hook('run = ["/bin/true"]', webhook),
    says: ["f:3: hook[0].url: found url beside run, wanted one of run and url"],
  },
  {
    why: "a command for a shell",
    toml: hook('run = "/usr/local/bin/notify left"'),
    says: [`f:2: hook[0].run: found "/usr/local/bin/notify left", ${runShape}`],
  },
  {
    why: "no program at all",
    toml: hook("run = []"),
    says: [`f:2: hook[0].run: found an empty list, ${runShape}`],
  },
  {
    why: "an argument that is no text",
    toml: hook('run = ["/bin/true", 7]'),
    says: [`f:2: hook[0].run[1]: found 7, ${runShape}`],
  },
  {
    why: "an argument of two lines",
    toml: hook('run = ["/bin/true", "a\\nb"]'),
    says: ['f:2: hook[0].run[1]: found "a\\nb", wanted a text on one line'],
  },
  {
    why: "a program that would be looked for",
    toml: hook('run = ["notify"]'),
    says: ['f:2: hook[0].run[0]: found "notify", wanted the whole path of a program, from / on'],
  },
  ...["hooks.example.org/x", "ftp://hooks.example.org/x", "https://", "https:///x"].map((url) => ({
    why: `${url} is nowhere to POST, and is not shown`,
    toml: hook(`url = "${url}"`),
    says: [`f:2: hook[0].url: found ${url.length} bytes, wanted a URL that begins with https:// or http://`],
  })),
  {
    why: "something that never happens",
    toml: hook(webhook, 'on = ["master", "slave"]'),
    says: ['f:3: hook[0].on[1]: found "slave", wanted "master", "backup", "init", "maintenance" or "fault"'],
  },
  {
    why: "of nothing",
    toml: hook(webhook, "on = []"),
    says: [`f:3: hook[0].on: found an empty list, wanted ${happeningShape}`],
  },
  {
    why: "of one thing without a list",
    toml: hook(webhook, 'on = "master"'),
    says: [`f:3: hook[0].on: found "master", wanted ${happeningShape}`],
  },
  {
    why: "of one thing twice, though another hook may have it as well",
    toml: hook(webhook, 'on = ["fault"]') + hook(webhook, 'on = ["fault", "fault"]'),
    says: ["f:6: hook[1].on[1]: found fault again, as in hook[1].on[0] on line 6, wanted each once"],
  },
  ...["0", "301", "1.5", '"10s"'].map((seconds) => ({
    why: `a timeout of ${seconds}`,
    toml: hook(webhook, `timeout_seconds = ${seconds}`),
    says: [`f:3: hook[0].timeout_seconds: found ${seconds}, wanted a whole number from 1 to 300`],
  })),
  {
    why: "an unknown key",
    toml: hook(webhook, "timeout = 5"),
    says: [
      "f:3: hook[0].timeout: found a key that means nothing here, wanted one of run, url, on, timeout_seconds",
    ],
  },
  {
    why: "a key that slipped elsewhere",
    toml: "[panel]\ntimeout_seconds = 5\n",
    says: ["f:2: panel.timeout_seconds: found a key that means nothing here, wanted it in [[hook]]"],
  },
  {
    why: "one bracket",
    toml: `[hook]\n${webhook}\n`,
    says: ["f:1: hook: found a table, wanted [[hook]], with two brackets, for each program or URL"],
  },
  {
    why: "more than there are shells for",
    toml: hook(webhook).repeat(9),
    says: ["f:1: hook: found a list, wanted at most 8 of them"],
  },
]);

const listenShape = "wanted host:port, such as 0.0.0.0:8080 or [::]:8080, or none";
const nameShape = 'wanted a host name, such as "left.example.org"';
const urlShape = "wanted http://HOST:PORT and nothing after it, such as http://192.0.2.3:8080";
rules("status and panel", [
  ...["", "left.example.org:8080", "http://left", "a b", "left..org", "[::1]"].map((name) => ({
    why: `name ${name}`,
    toml: `[status]\nnames = ["${name}"]\n`,
    says: [`f:2: status.names[0]: found "${name}", ${nameShape}`],
  })),
  ...["8080", ":8080", "192.0.2.300:80", "[192.0.2.1]:80", "[::1]", "a b:80", "host:port", "10.1:80"].map(
    (listen) => ({
      why: `listen ${listen}`,
      toml: `[status]\nlisten = "${listen}"\n`,
      says: [`f:2: status.listen: found "${listen}", ${listenShape}`],
    }),
  ),
  ...["0.0.0.0:0", "0.0.0.0:65536"].map((listen) => ({
    why: `listen ${listen}`,
    toml: `[status]\nlisten = "${listen}"\n`,
    says: [`f:2: status.listen: found "${listen}", wanted a port from 1 to 65535`],
  })),
  {
    why: "listen with IPv6 without brackets",
    toml: '[status]\nlisten = "::1:8080"\n',
    says: [
      'f:2: status.listen: found "::1:8080", ' +
        "wanted brackets around IPv6: host:port, such as 0.0.0.0:8080 or [::]:8080, or none",
    ],
  },
  {
    why: "listen as a number",
    toml: "[status]\nlisten = 8080\n",
    says: [`f:2: status.listen: found 8080, ${listenShape}`],
  },
  {
    why: "a token for a server that is off would be ignored",
    toml: '[status]\nlisten = "none"\ntoken_file = "/token"\n',
    says: [
      'f:3: status.token_file: found "/token" without a status server, wanted status.listen, or no token_file',
    ],
  },
  {
    why: "a token beside a listen that is wrong",
    toml: '[status]\nlisten = "8080"\ntoken_file = "/token"\n',
    says: [`f:2: status.listen: found "8080", ${listenShape}`],
  },
  {
    why: "a token file without a name",
    toml: '[status]\ntoken_file = ""\n',
    says: ['f:2: status.token_file: found "", wanted the path of a file'],
  },
  ...[
    "192.0.2.3:8080",
    "https://192.0.2.3",
    "http://",
    "http://192.0.2.3/status",
    "http://a b",
    "http://h:99999",
  ].map((url) => ({
    why: `peer ${url}`,
    toml: `[status]\npeers = ["${url}"]\n`,
    says: [`f:2: status.peers[0]: found "${url}", ${urlShape}`],
  })),
  {
    why: "a password in a URL is not shown",
    toml: '[status]\npeers = ["http://me:secret@192.0.2.3"]\n',
    says: [`f:2: status.peers[0]: found "http://…@192.0.2.3", ${urlShape}`],
  },
  {
    why: "two wrong peers are not one twice",
    toml: '[status]\npeers = ["a", "b"]\n',
    says: [`f:2: status.peers[0]: found "a", ${urlShape}`, `f:2: status.peers[1]: found "b", ${urlShape}`],
  },
  {
    why: "a peer twice",
    toml: '[status]\npeers = [\n  "http://192.0.2.3",\n  "http://192.0.2.3:80/",\n]\n',
    says: [
      "f:4: status.peers[1]: found http://192.0.2.3 again, as in status.peers[0] on line 3, wanted each board once",
    ],
  },
  {
    why: "no such driver",
    toml: '[panel]\ndriver = "gpio"\n',
    says: ['f:2: panel.driver: found "gpio", wanted "onoff", "led-class", "simulated" or "none"'],
  },
]);

rules("fine", [
  { why: "an empty file", toml: "", says: [] },
  { why: "one group", toml: group(), says: [] },
  { why: "an interface name of 15 bytes", toml: group({ interface: '"a-name-of-15-by"' }), says: [] },
  { why: "no password", toml: group({ password: undefined }), says: [] },
  { why: "a password of 19 bytes", toml: group({ password: '"1234567890123456789"' }), says: [] },
  {
    why: "one vhid on two interfaces",
    toml: group() + group({ interface: '"eth1"', addresses: '["192.0.2.2/24"]' }),
    says: [],
  },
  {
    why: "fe80::1 on two interfaces",
    toml:
      group({ addresses: '["fe80::1/64"]' }) + group({ interface: '"eth1"', addresses: '["fe80::1/64"]' }),
    says: [],
  },
  { why: "an interface that another program named carp9", toml: group({ interface: '"carp9"' }), says: [] },
  {
    why: "carp8 when no device is made",
    toml:
      group({ interface: '"carp8"' }) +
      group({ vhid: "8", mac: '"interface"', addresses: '["192.0.2.2/24"]' }),
    says: [],
  },
  {
    why: "networks of one and two",
    toml: group({ addresses: '["192.0.2.0/31", "192.0.2.255/32", "2001:db8::/127", "2001:db8:1::/128"]' }),
    says: [],
  },
  {
    why: "the last address of an IPv6 network",
    toml: group({ addresses: '["2001:db8::ffff:ffff:ffff:ffff/64"]' }),
    says: [],
  },
  {
    why: "peers of both families",
    toml: group({ addresses: both, peers: '["192.0.2.2", "fe80::2"]' }),
    says: [],
  },
  {
    why: "all of compat",
    toml: compat(
      'checksum6 = "pseudo-header"\nlink_local = "with"\norder = "interface"\ndemote = "byte"\nmaster_down = "scaled"\nlladdr = "00:11:22:33:44:55"',
      { addresses: '["fe80::1/64"]', advbase: "0" },
    ),
    says: [],
  },
  {
    why: "dotted keys and inline tables",
    toml: 'status.listen = "none"\npanel = { driver = "none" }\ncarp = [{ vhid = 7, interface = "eth0", addresses = ["192.0.2.1/24"], compat = { demote = "byte" } }]\n',
    says: [],
  },
]);

const warnings: readonly Rule[] = [
  { why: "nothing odd", toml: group(), says: [] },
  {
    why: "no group at all",
    toml: 'name = "left"\n',
    says: ['f: carp: found no group, wanted at least one [[carp]]: until then the lamps show "starting"'],
  },
  {
    why: "no password",
    toml: `\n${group({ password: undefined })}`,
    says: ["f:2: carp[0]: found no password, wanted a password: anybody on the link can be master"],
  },
  { why: "a wrong password is not a missing one", toml: group({ password: '""' }), says: [] },
  {
    why: "advbase 86 does not notice a bow-out",
    toml: group({ advbase: "86" }),
    says: ["f:6: carp[0].advbase: found 86, wanted at most 85: above it, nobody who bows out is noticed"],
  },
  { why: "advbase 85 does", toml: group({ advbase: "85" }), says: [] },
  { why: "a fast advbase 0", toml: group({ advbase: "0", advskew: "127" }), says: [] },
  {
    why: "a slow advbase 0",
    toml: group({ advbase: "0", advskew: "128" }),
    says: [
      "f:7: carp[0].advskew: found 128 with advbase 0, half a second and more, " +
        "wanted less, or advbase 1, which not only OpenBSD understands",
    ],
  },
  {
    why: "a button that raises nothing",
    toml: `${group({ advskew: "100" })}[maintenance]\nadvskew = 100\n`,
    says: [
      "f:6: carp[0].advskew: found 100, wanted less than maintenance.advskew, 100: the button changes nothing",
    ],
  },
  {
    why: "the default of the button",
    toml: group({ advskew: "240" }),
    says: [
      "f:6: carp[0].advskew: found 240, wanted less than maintenance.advskew, 240: the button changes nothing",
    ],
  },
  {
    why: "a second MAC on Wi-Fi",
    toml: group({ interface: '"wlan0"' }),
    says: [
      'f:3: carp[0].interface: found "wlan0" with mac = "virtual", ' +
        'wanted mac = "interface": Wi-Fi carries one MAC a station',
    ],
  },
  {
    why: "not of what is wrong anyway",
    toml: `${group({ advskew: "254" })}[maintenance]\nadvskew = 255\n`,
    says: [],
  },
  { why: "one MAC on Wi-Fi", toml: group({ interface: '"wlan0"', mac: '"interface"' }), says: [] },
];
for (const { why, toml, says } of warnings) {
  test(`warning: ${why}`, () => assert.deepEqual(warningsOf(parse(toml)), says));
}

const card = (toml: string) => `[[network.interface]]\nname = "eth0"\n${toml}\n`;
const MAC = "b8:27:eb:12:34:56";
const byMac = (name: string, mac: string, more = "") =>
  `[[network.interface]]\nname = "${name}"\nmac = "${mac}"\n${more}\n`;
const ownName =
  'wanted beside mac a name that nobody else gives, such as "wan": letters, digits, "-" and "_", and not eth1, usb0, wlan0, wwan0, carp7, en…, all or default';
const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOWoNcEJL8fC8QkEcxfOqE9HDuGoCFL9vHBjDGY1xBnI me";

rules("a board's own system", [
  {
    why: "a VLAN on another",
    toml: `${card("")}${card('vlan = 10\nparent = "eth0"').replace("eth0", "lan")}`,
    says: [],
  },
  {
    why: "a VLAN on nothing",
    toml: card("vlan = 10"),
    says: [
      "f:3: network.interface[0].vlan: found 10 without parent, wanted parent: the interface that carries the VLAN",
    ],
  },
  {
    why: "a parent for nothing",
    toml: card('parent = "eth1"'),
    says: ['f:3: network.interface[0].parent: found "eth1" without vlan, wanted vlan: its number'],
  },
  {
    why: "a VLAN on itself",
    toml: card('vlan = 10\nparent = "eth0"'),
    says: [
      'f:4: network.interface[0].parent: found "eth0", which is a VLAN, wanted an interface with a cable',
    ],
  },
  {
    why: "a number that no VLAN has",
    toml: card('vlan = 4095\nparent = "eth1"'),
    says: ["f:3: network.interface[0].vlan: found 4095, wanted a whole number from 1 to 4094"],
  },
  {
    why: "an interface twice",
    toml: `${card("")}${card("")}`,
    says: [
      "f:5: network.interface[1].name: found eth0 again, as in network.interface[0].name on line 2, wanted each interface once",
    ],
  },
  { why: "an interface by its MAC", toml: byMac("wan", MAC), says: [] },
  ...["B8:27:eb:12:34:56", "B8-27-EB-12-34-56"].map((mac) => ({
    why: `a MAC as ${mac}, and the same again`,
    toml: byMac("wan", mac) + byMac("lan", MAC),
    says: [
      `f:7: network.interface[1].mac: found ${MAC} again, as in network.interface[0].mac on line 3, wanted each MAC once`,
    ],
  })),
  ...[
    "b8:27:eb:12:34",
    "b8:27:eb:12:34:56:78",
    "b8:27:eb-12:34:56",
    "b8:27:eb:12:34:5",
    "b827eb123456",
    "01:00:5e:00:00:01",
    "00:00:00:00:00:00",
    "",
  ].map((mac) => ({
    why: `${mac || "nothing"}, which is the MAC of none`,
    toml: byMac("wan", mac),
    says: [
      `f:3: network.interface[0].mac: found "${mac}", wanted six octets of a unicast address, such as b8:27:eb:12:34:56`,
    ],
  })),
  {
    why: "a number for a MAC",
    toml: byMac("wan", MAC).replace(`"${MAC}"`, "1"),
    says: [
      "f:3: network.interface[0].mac: found 1, wanted six octets of a unicast address, such as b8:27:eb:12:34:56",
    ],
  },
  {
    why: "the MAC of a VLAN",
    toml: byMac("lan", MAC, 'vlan = 10\nparent = "eth0"'),
    says: [
      "f:3: network.interface[0].mac: found mac beside vlan, wanted no mac: a VLAN has no cable, and what carries it may have one",
    ],
  },
  {
    why: "a VLAN on an interface that is known by its MAC",
    toml: `${card('vlan = 10\nparent = "wan"').replace("eth0", "lan")}${byMac("wan", MAC)}`,
    says: [],
  },
  ...["eth1", "ETH1", "usb0", "wlan0", "wwan0", "end0", "enxb827eb123456", "carp7", "all", "default"]
    .concat("wan.1", "wan%d", "1st", "-x")
    .map((name) => ({
      why: `${name} beside a MAC`,
      toml: byMac(name, MAC),
      says: [`f:2: network.interface[0].name: found "${name}", ${ownName}`],
    })),
  ...["wan", "wan1", "Uplink-2", "ethernet", "usb", "l_an", "allow"].map((name) => ({
    why: `${name} beside a MAC`,
    toml: byMac(name, MAC),
    says: [],
  })),
  {
    why: "a group on an interface that is known by its MAC",
    toml: byMac("wan", MAC) + group({ interface: '"wan"' }),
    says: [],
  },
  {
    why: "a gateway out of reach",
    toml: card('addresses = ["192.0.2.2/24"]\ngateways = ["192.0.3.1"]'),
    says: [
      'f:4: network.interface[0].gateways[0]: found "192.0.3.1", wanted one in the network of an address of this interface; DHCP brings its own',
    ],
  },
  {
    why: "a gateway of an interface without addresses",
    toml: card('gateways = ["192.0.2.1"]'),
    says: [
      'f:3: network.interface[0].gateways[0]: found "192.0.2.1", wanted one in the network of an address of this interface; DHCP brings its own',
    ],
  },
  { why: "a gateway by its link-local address", toml: card('gateways = ["fe80::1"]'), says: [] },
  {
    why: "a gateway at the edge of an odd network",
    toml: card('addresses = ["10.0.3.1/22"]\ngateways = ["10.0.0.1"]'),
    says: [],
  },
  {
    why: "several keys on a line each",
    toml: `[ssh]\nkey = """\n${KEY}\n\n# another\n${KEY}2\n"""\n`,
    says: [],
  },
  {
    why: "a private key, which it does not show",
    toml: '[ssh]\nkey = "-----BEGIN OPENSSH PRIVATE KEY-----"\n',
    says: ["f:2: ssh.key: found 35 bytes, wanted the public key, from the .pub file: this one is private"],
  },
  { why: "several keys in a list", toml: `[ssh]\nkey = ["${KEY}", "${KEY}2"]\n`, says: [] },
  {
    why: "a wrong key in a list, by its index",
    toml: `[ssh]\nkey = [\n  "${KEY}",\n  "ssh-dss AAAA",\n]\n`,
    says: [
      "f:4: ssh.key[1]: found 12 bytes, wanted the line of a .pub file, such as ssh-ed25519 AAAA… somebody",
    ],
  },
  {
    why: "a private key in a list, which it does not show either",
    toml: '[ssh]\nkey = ["-----BEGIN OPENSSH PRIVATE KEY-----"]\n',
    says: ["f:2: ssh.key[0]: found 35 bytes, wanted the public key, from the .pub file: this one is private"],
  },
  {
    why: "a list of no keys",
    toml: "[ssh]\nkey = []\n",
    says: [
      "f:2: ssh.key: found an empty list, wanted the line of a .pub file, such as ssh-ed25519 AAAA… somebody, or a list of them",
    ],
  },
  {
    why: "a number for a key",
    toml: "[ssh]\nkey = 1\n",
    says: [
      "f:2: ssh.key: found a number, wanted the line of a .pub file, such as ssh-ed25519 AAAA… somebody, or a list of them",
    ],
  },
  {
    why: "no key at all",
    toml: "[ssh]\n",
    says: [
      "f:1: ssh.key: found nothing, wanted the line of a .pub file, such as ssh-ed25519 AAAA… somebody, or a list of them",
    ],
  },
  {
    why: "an empty key",
    toml: '[ssh]\nkey = ""\n',
    says: [
      "f:2: ssh.key: found an empty text, wanted the line of a .pub file, such as ssh-ed25519 AAAA… somebody",
    ],
  },
  {
    why: "a server that would be an option",
    toml: '[ntp]\nservers = ["-x"]\n',
    says: ['f:2: ntp.servers[0]: found "-x", wanted the name or the address of a server'],
  },
  { why: "a syslog server by its name alone", toml: '[log]\nremote = "logs.example.org"\n', says: [] },
  {
    why: "a syslog server with a wrong port",
    toml: '[log]\nremote = "192.0.2.9:99999"\n',
    says: [
      'f:2: log.remote: found "192.0.2.9:99999", wanted a name or an address, with or without :PORT, such as 192.0.2.9:514',
    ],
  },
  {
    why: "a host name with a dot",
    toml: '[network]\nhostname = "left.example.org"\n',
    says: [
      'f:2: network.hostname: found "left.example.org", wanted a host name without dots, such as "left": 1 to 63 letters, digits and hyphens',
    ],
  },
  {
    why: "a key that belongs to an interface",
    toml: "[network]\ndhcp = true\n",
    says: ["f:2: network.dhcp: found a key that means nothing here, wanted it in [[network.interface]]"],
  },
  {
    why: "one bracket instead of two",
    toml: '[network.interface]\nname = "eth0"\n',
    says: [
      "f:1: network.interface: found a table, wanted [[network.interface]], with two brackets, for each interface",
    ],
  },
]);

const address = (text: string) => parseAddress(text) ?? assert.fail(text);
const leftGroup: GroupConfig = {
  vhid: 7,
  interface: "eth0",
  key: keyOfPassphrase("mekmitasdigoat"),
  addresses: [
    { address: address("192.0.2.1"), length: 24 },
    { address: address("2001:db8::1"), length: 64 },
  ],
  advbase: 1,
  advskew: 0,
  preempt: true,
  mac: "virtual",
  peers: [],
  compat: {
    order: "sorted",
    linkLocal: "auto",
    lladdr: undefined,
    checksum6: "plain",
    masterDown: "classic",
    demote: "advskew",
  },
};
const left: Config = {
  name: "left",
  board: "auto",
  groups: [leftGroup],
  maintenance: { advskew: 240 },
  status: {
    listen: { host: "0.0.0.0", port: 8080 },
    tokenFile: "/etc/carpio.token",
    names: ["left.example.org"],
    peers: ["http://192.0.2.3:8080"],
  },
  panel: { driver: "onoff", powerOff: "poweroff" },
  system: {
    tables: ["network", "ssh", "ntp", "log", "console", "router", "update"],
    hostname: "left",
    dns: [address("192.0.2.53")],
    interfaces: [
      {
        name: "eth0",
        mac: undefined,
        dhcp: false,
        addresses: [
          { address: address("192.0.2.2"), length: 24 },
          { address: address("2001:db8::2"), length: 64 },
        ],
        gateways: [address("192.0.2.254"), address("fe80::1")],
        mtu: 1500,
        vlan: undefined,
      },
      {
        name: "lan",
        mac: undefined,
        dhcp: true,
        addresses: [],
        gateways: [],
        mtu: undefined,
        vlan: { id: 10, parent: "eth0" },
      },
      {
        name: "wan",
        mac: "b8:27:eb:12:34:56",
        dhcp: true,
        addresses: [],
        gateways: [],
        mtu: undefined,
        vlan: undefined,
      },
    ],
    sshKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOWoNcEJL8fC8QkEcxfOqE9HDuGoCFL9vHBjDGY1xBnI somebody"],
    ntpServers: ["192.0.2.123", "pool.ntp.org"],
    remoteLog: { host: "192.0.2.9", port: 514 },
    serial: "log",
    router: { ipv4: true, ipv6: true, nftables: "nftables.conf" },
    unsignedUpdates: true,
  },
  hooks: [
    { call: { run: ["/usr/local/bin/notify", "operators"] }, on: HAPPENINGS, timeoutSeconds: 10 },
    {
      call: { url: "https://hooks.example.org/carpio?token=open-sesame" },
      on: ["master", "fault"],
      timeoutSeconds: 10,
    },
  ],
};

test("the example of the documents", () => {
  const parsed = parse(full);
  assert.deepEqual(configOf(parsed), left);
  assert.deepEqual(warningsOf(parsed), []);
});

test("a file from Windows", () =>
  assert.deepEqual(configOf(parse(`\ufeff${full.replaceAll("\n", "\r\n")}`)), left));

test("problems in a file from Windows are on the same lines", () => {
  const wrong = full.replace("vhid = 7", "vhid = 300").replace('driver = "onoff"', "driver = 3");
  const windows = `\ufeff${wrong.replaceAll("\n", "\r\n")}`;
  assert.equal(problemsOf(parse(wrong)).length, 2);
  assert.deepEqual(problemsOf(parse(windows)), problemsOf(parse(wrong)));
});

test("what is not written has the defaults of the example", () => {
  const config = configOf(parse(group({ addresses: both })));
  const status = { ...left.status, tokenFile: undefined, names: [], peers: [] };
  const panel = { ...left.panel, driver: undefined };
  const system = {
    tables: [],
    hostname: undefined,
    dns: [],
    interfaces: [],
    sshKeys: [],
    ntpServers: [],
    remoteLog: undefined,
    serial: "log",
    router: { ipv4: false, ipv6: false, nftables: undefined },
    unsignedUpdates: false,
  };
  assert.deepEqual(config, { ...left, name: "box", status, panel, hooks: [], system });
});

test("several problems at once, in the order of the file", () => {
  const toml = [
    'nane = "left"',
    "[[carp]]",
    "vhid = 300",
    'interface = "lo"',
    'addresses = [ "192.0.2.1",',
    '  "192.0.2.2/24" ]',
    "[carp.compat]",
    'checksum6 = "pseudo-header"',
    "[status]",
    'listen = "everywhere"',
    "[[carp]]",
    "vhid = 8",
    'addresses = ["192.0.2.2/24"]',
  ];
  assert.deepEqual(problemsOf(parse(toml.join("\n"))), [
    "f:1: nane: found a key that means nothing here, wanted name",
    "f:3: carp[0].vhid: found 300, wanted a whole number from 1 to 255",
    'f:4: carp[0].interface: found "lo", wanted an interface with other hosts on it',
    'f:5: carp[0].addresses[0]: found "192.0.2.1", wanted the prefix length as well, such as 192.0.2.1/24',
    `f:10: status.listen: found "everywhere", ${listenShape}`,
    "f:11: carp[1].interface: found nothing, wanted an interface name",
    "f:13: carp[1].addresses[0]: found 192.0.2.2 again, as in carp[0].addresses[1] on line 6, wanted each address once",
  ]);
});

test("values are read as what they mean", () => {
  const listen = (text: string) => configOf(parse(`status.listen = "${text}"`)).status.listen;
  assert.deepEqual(listen("[::1]:80"), { host: "::1", port: 80 });
  assert.deepEqual(listen("board.local:8080"), { host: "board.local", port: 8080 });
  assert.equal(listen(""), undefined);
  assert.equal(listen("none"), undefined);

  const urls = configOf(parse('status.peers = ["HTTP://Left.Local:80/", "http://[2001:DB8::3]:8080"]')).status
    .peers;
  assert.deepEqual(urls, ["http://left.local", "http://[2001:db8::3]:8080"]);

  const read = groupOf(compat('lladdr = "0:11:22:33:44:55"', { addresses: both, peers: '["192.0.2.2"]' }));
  assert.deepEqual(read.compat.lladdr, Uint8Array.of(0, 0x11, 0x22, 0x33, 0x44, 0x55));
  assert.deepEqual(read.peers, [address("192.0.2.2")]);
  assert.deepEqual(configOf(parse('board = "./my/board.toml"')).board, "./my/board.toml");
});

test("the key is that of the password, the file or the digits", () => {
  const hex = "00112233445566778899aabbccddeeff00112233";
  assert.deepEqual(groupOf(group({ password: '"abc"' })).key, keyOfPassphrase("abc"));
  assert.deepEqual(groupOf(group({ password: undefined })).key, new Uint8Array(20));
  assert.deepEqual(
    groupOf(group({ password: undefined, key: `"${hex.toUpperCase()}"` })).key,
    Uint8Array.from(Buffer.from(hex, "hex")),
  );
  const file = group({ password: undefined, password_file: '"/secret"' });
  for (const text of ["abc", "abc\n", "abc\r\n", "abc\nsecond line", "\ufeffabc\r\n"]) {
    const [read] = configOf(parse(file, { "/secret": text })).groups;
    assert.deepEqual(read?.key, keyOfPassphrase("abc"), JSON.stringify(text));
  }
  assert.deepEqual(problemsOf(parse(file, { "/secret": "12345678901234567890\n" })), [
    'f:5: carp[0].password_file: found 20 bytes in the first line of "/secret", ' +
      "wanted at most 19 bytes: only 19 count everywhere",
  ]);
  assert.deepEqual(problemsOf(parse(file, { "/secret": "\nabc" })), [
    'f:5: carp[0].password_file: found an empty text in the first line of "/secret", ' +
      "wanted 1 to 19 bytes; for the BSDs' empty key, leave it out",
  ]);
});

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "carpio-config-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test("a file is read with those beside it", (t) => {
  const here = folder(t);
  const path = join(here, "carpio.toml");
  const toml = 'board = "boards/board.toml"\nstatus.token_file = "token"\n';
  writeFileSync(path, toml + group({ password: undefined, password_file: '"secret.txt"' }));
  writeFileSync(join(here, "secret.txt"), "abc\r\n");
  mkdirSync(join(here, "boards"));
  writeFileSync(join(here, "boards/board.toml"), 'title = "mine"\n');

  const config = configOf(readConfig(path));
  assert.equal(config.name, hostname());
  assert.equal(config.board, join(here, "boards/board.toml"));
  assert.equal(config.status.tokenFile, join(here, "token"));
  assert.deepEqual(config.groups[0]?.key, keyOfPassphrase("abc"));
});

test("what is wrong with the board.toml is said with its own lines", (t) => {
  const here = folder(t);
  const path = join(here, "carpio.toml");
  writeFileSync(path, 'board = "./board.toml"\n');
  const said = () => problemsOf(readConfig(path));
  assert.deepEqual(said(), [
    `${here}/board.toml: found no such file or directory (ENOENT), wanted a board.toml in UTF-8`,
  ]);
  writeFileSync(join(here, "board.toml"), 'title = "mine"\n[button]\nlime = 4\n');
  assert.deepEqual(said(), [
    `${here}/board.toml:2: button.line: found a button without line, wanted which line of the chip the button is on`,
    `${here}/board.toml:3: button.lime: found a key that means nothing here, wanted line`,
  ]);
});

test("a file that cannot be read is a problem that names it", (t) => {
  const here = folder(t);
  const described = (path: string) => {
    const parsed = readConfig(path);
    return parsed.ok ? [] : parsed.problems.map((problem) => describeProblem(path, problem));
  };
  const missing = join(here, "carpio.toml");
  assert.deepEqual(described(missing), [
    `${missing}: found no such file or directory (ENOENT), wanted a text file in UTF-8`,
  ]);
  assert.deepEqual(described(here), [
    `${here}: found illegal operation on a directory (EISDIR), wanted a text file in UTF-8`,
  ]);
  const latin1 = join(here, "latin1.toml");
  writeFileSync(latin1, Buffer.from('board = "auto"\nname = "Zürich"\n', "latin1"));
  assert.deepEqual(described(latin1), [
    `${latin1}:2: found bytes that are not UTF-8, wanted a text file in UTF-8`,
  ]);
});

test("a password file that cannot be read is a problem of its key", (t) => {
  const here = folder(t);
  const path = join(here, "carpio.toml");
  writeFileSync(path, group({ password: undefined, password_file: '"secret"' }));
  const missing = readConfig(path);
  assert.deepEqual(problemsOf(missing), [
    'f:5: carp[0].password_file: found "secret": no such file or directory (ENOENT), ' +
      "wanted a file whose first line is the password",
  ]);
  writeFileSync(join(here, "secret"), Buffer.from("passé", "latin1"));
  assert.deepEqual(problemsOf(readConfig(path)), [
    'f:5: carp[0].password_file: found "secret": bytes that are not UTF-8, ' +
      "wanted a file whose first line is the password",
  ]);
});

test("the file on the boot partition comes first", () => {
  assert.equal(
    defaultConfigPath((path) => path === "/boot/carpio.toml"),
    "/boot/carpio.toml",
  );
  assert.equal(
    defaultConfigPath(() => false),
    "/etc/carpio.toml",
  );
});

test("a problem is one line", () => {
  const problem = { line: 7, key: "carp[0].vhid", found: "300", wanted: "a whole number from 1 to 255" };
  assert.equal(
    describeProblem("carpio.toml", problem),
    "carpio.toml:7: carp[0].vhid: found 300, wanted a whole number from 1 to 255",
  );
});

/** Whatever the text, there is an answer; its lines are lines of the text and hide no control characters. */
function answers(text: string): Parsed {
  const parsed = parse(text);
  const lines = text.split("\n").length;
  for (const problem of [...(parsed.ok ? [] : parsed.problems), ...parsed.warnings]) {
    assert.ok(problem.line === undefined || (problem.line >= 1 && problem.line <= lines));
    assert.match(describeProblem("f", problem), /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u);
  }
  assert.ok(parsed.ok || parsed.problems.length > 0);
  return parsed;
}

test("no text at all makes it throw", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => void answers(text)));
});

test("no text of TOML's own characters makes it throw", () => {
  const unit = fc.constantFrom(
    ..."[]{}=.,#\"'\\\n\r \t“”ab10-",
    "carp",
    "vhid",
    "compat",
    '"""',
    "'''",
    "\ufeff",
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 60 }), (text) => void answers(text)),
    { numRuns: 2000 },
  );
});

test("a good file with some characters changed never throws and never shows the password", () => {
  const edit = fc.record({
    at: fc.nat({ max: full.length }),
    remove: fc.nat({ max: 12 }),
    insert: fc.oneof(
      fc.string({ maxLength: 3 }),
      fc.constantFrom('"', "\n", "”", "[", "=", "\\", "carp", "\u00a0"),
    ),
  });
  fc.assert(
    fc.property(edit, ({ at, remove, insert }) => {
      const parsed = answers(full.slice(0, at) + insert + full.slice(at + remove));
      const said = [...problemsOf(parsed), ...warningsOf(parsed)].join("\n");
      assert.doesNotMatch(said, /mekmit|digoat|sesame/);
    }),
    { numRuns: 3000 },
  );
});

/** Right keys, and under each something right, something wrong, or another table. */
const { anyTable } = fc.letrec((tie) => ({
  anyTable: fc.dictionary(fc.constantFrom(...keysOfAll()), tie("anyValue"), { maxKeys: 8 }),
  anyValue: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(0, 1, 7, 255, 1.5, true, new Date(0), "", "none", "eth0", "carp7", "with", "classic"),
    fc.constantFrom("192.0.2.1", "192.0.2.1/24", "fe80::1/64", "0:0:5e:0:1:7", "http://a", "::1:80"),
    fc.array(tie("anyValue"), { maxLength: 3 }),
    tie("anyTable"),
  ),
}));

function keysOfAll(): string[] {
  return [...full.matchAll(/^\[*([a-z_.]+)/gm)].flatMap(([, name = ""]) => name.split("."));
}

test("no values under right keys make it throw", () => {
  fc.assert(
    fc.property(anyTable, fc.array(anyTable, { maxLength: 3 }), (file, carp) => {
      answers(stringify({ ...(file as object), carp }));
    }),
    { numRuns: 2000 },
  );
});

/** Configurations, and their text: addresses and vhids are numbered so that no two are alike. */
const interfaceName = fc
  .stringMatching(/^[a-km-z][a-z0-9._-]{0,13}$/)
  .filter((name) => !name.startsWith("carp"));
const anyGroup = fc.record({
  interface: interfaceName,
  password: fc.stringMatching(/^[ -~]{1,19}$/),
  families: fc.constantFrom("4", "6", "46"),
  length: fc.integer({ min: 9, max: 30 }),
  advbase: fc.integer({ min: 0, max: 255 }),
  advskew: fc.integer({ min: 0, max: 254 }),
  preempt: fc.boolean(),
  mac: fc.constantFrom("virtual" as const, "interface" as const),
  withPeers: fc.boolean(),
  order: fc.constantFrom("sorted" as const, "interface" as const),
  masterDown: fc.constantFrom("classic" as const, "scaled" as const),
  demote: fc.constantFrom("advskew" as const, "byte" as const),
  lladdr: fc.option(fc.uint8Array({ minLength: 6, maxLength: 6 }), { nil: undefined }),
});
const anyHook: fc.Arbitrary<HookConfig> = fc.record(
  {
    call: fc.oneof(
      fc
        .array(fc.stringMatching(/^[ -~]{0,20}$/), { maxLength: 3 })
        .map((rest) => ({ run: ["/bin/notify", ...rest] })),
      fc.webUrl({ validSchemes: ["http", "https"] }).map((url) => ({ url: new URL(url).href })),
    ),
    on: fc.subarray([...HAPPENINGS], { minLength: 1 }),
    timeoutSeconds: fc.integer({ min: 1, max: 300 }),
  },
  { noNullPrototype: true },
);
const anyConfig = fc
  .record({
    name: fc.stringMatching(/^[ -~]{1,63}$/).filter((name) => name.trim() !== ""),
    groups: fc.array(anyGroup, { maxLength: 5 }),
    raised: fc.integer({ min: 1, max: 254 }),
    port: fc.option(fc.integer({ min: 1, max: 65535 }), { nil: undefined }),
    driver: fc.constantFrom(undefined, ...DRIVERS),
    powerOff: fc.option(fc.stringMatching(/^[ -~]{1,40}$/), { nil: undefined }),
    hooks: fc.array(anyHook, { maxLength: 3 }),
    unsignedUpdates: fc.boolean(),
    serial: fc.constantFrom("log" as const, "shell" as const),
  })
  .map(({ name, groups, raised, port, hooks, unsignedUpdates, serial, ...panel }): Config => {
    const listen = port === undefined ? undefined : { host: "::1", port };
    return {
      name,
      board: "none",
      groups: groups.map(groupFrom),
      maintenance: { advskew: raised },
      status: {
        listen,
        tokenFile: listen && "/token",
        names: ["left.lan"],
        peers: ["http://192.0.2.3:8080"],
      },
      panel,
      hooks,
      system: { ...left.system, unsignedUpdates, serial },
    };
  });

type Ingredients = typeof anyGroup extends fc.Arbitrary<infer T> ? T : never;

function groupFrom(from: Ingredients, i: number): GroupConfig {
  const { families, length, withPeers, order, masterDown, demote, lladdr, password, ...same } = from;
  const v4 = families.includes("4") ? [{ address: address(`198.51.${i}.1`), length }] : [];
  const v6 = families.includes("6") ? [{ address: address(`2001:db8:${i}::1`), length: length + 34 }] : [];
  const peers = v4.length > 0 && withPeers ? [address(`192.0.2.${i + 1}`)] : [];
  return {
    ...same,
    vhid: 255 - i,
    key: keyOfPassphrase(password),
    addresses: [...v4, ...v6],
    peers,
    compat: {
      order,
      linkLocal: i % 2 === 0 ? "auto" : "without",
      lladdr: lladdr && Uint8Array.of(2, ...lladdr.subarray(1)),
      checksum6: v6.length > 0 ? "pseudo-header" : "plain",
      masterDown: from.advbase === 0 ? "scaled" : masterDown,
      demote,
    },
  };
}

function write({ name, board, groups, maintenance, status, panel, hooks, system }: Config): string {
  const { listen, tokenFile } = status;
  return stringify({
    name,
    board,
    carp: groups.map((each) => ({
      ...each,
      key: Buffer.from(each.key).toString("hex"),
      addresses: each.addresses.map(formatPrefix),
      peers: each.peers.map(formatAddress),
      compat: {
        order: each.compat.order,
        link_local: each.compat.linkLocal,
        lladdr: Array.from(each.compat.lladdr ?? [], (byte) => byte.toString(16).padStart(2, "0")).join(":"),
        checksum6: each.compat.checksum6,
        master_down: each.compat.masterDown,
        demote: each.compat.demote,
      },
    })),
    maintenance,
    status: {
      listen: listen ? `[${listen.host}]:${listen.port}` : "none",
      ...(tokenFile === undefined ? {} : { token_file: tokenFile }),
      peers: status.peers,
      names: status.names,
    },
    panel: {
      power_off: panel.powerOff ?? "",
      ...(panel.driver === undefined ? {} : { driver: panel.driver }),
    },
    hook: hooks.map(({ call, on, timeoutSeconds }) => ({ ...call, on, timeout_seconds: timeoutSeconds })),
    ...writeSystem(system),
  });
}

function writeSystem({ hostname, dns, interfaces, router, ...system }: Config["system"]) {
  const { host, port } = system.remoteLog ?? {};
  return {
    network: {
      hostname,
      dns: dns.map(formatAddress),
      interface: interfaces.map(({ name, mac, dhcp, addresses, gateways, mtu, vlan }) => ({
        name,
        ...(mac === undefined ? {} : { mac }),
        dhcp,
        addresses: addresses.map(formatPrefix),
        gateways: gateways.map(formatAddress),
        ...(mtu === undefined ? {} : { mtu }),
        ...(vlan === undefined ? {} : { vlan: vlan.id, parent: vlan.parent }),
      })),
    },
    ssh: { key: system.sshKeys.join("\n") },
    ntp: { servers: system.ntpServers },
    log: { remote: `${host}:${port}` },
    console: { serial: system.serial },
    router,
    update: { unsigned: system.unsignedUpdates },
  };
}

test("what is written is read back, whatever it is", () => {
  fc.assert(fc.property(anyConfig, (config) => assert.deepEqual(configOf(parse(write(config))), config)));
});
