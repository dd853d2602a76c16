/**
 * The bundle's command line from end to end: what it says to every kind of bad
 * configuration and bad usage, and what `decode` makes of packets that real
 * daemons sent, from a file, as hex and live.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Explained } from "../../src/decode.js";
import { version } from "../../src/version.js";
import { readPcap } from "../../src/wire/pcap.js";
import { boardConfig, ROLE_DEADLINE_MS, startBoard } from "./boards.js";
import type { Child } from "./child.js";
import { DEADLINE_MS, snapshotOf } from "./evidence.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { CARPIO, configFile, type Daemon, carpio as startCarpio, ucarp, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "carpio-cli-test-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Five lines that are right; what follows begins on line 6. */
const GOOD = `[[carp]]
vhid = 7
interface = "eth0"
password = "mekmitasdigoat"
addresses = ["192.0.2.1/24"]
`;
const KEYS =
  "vhid, interface, password, password_file, key, addresses, advbase, advskew, preempt, mac, peers, compat";

interface BadFile {
  readonly is: string;
  readonly text: string | Uint8Array;
  /** What is said, line for line, without the file's name. */
  readonly says: readonly string[];
}

const badFiles: readonly BadFile[] = [
  {
    is: "not text",
    text: Uint8Array.of(0xff, 0xfe, 0),
    says: [":1: found bytes that are not UTF-8, wanted a text file in UTF-8"],
  },
  {
    is: "not TOML",
    text: `${GOOD}advskew = = 3\n`,
    says: [
      ':6: advskew: found an error in column 11 (invalid value), wanted a value: "text", a number, true, false or a [list]',
    ],
  },
  {
    is: "a text without its end",
    text: `${GOOD}name = "left\n`,
    says: [":6: name: found a text without its closing quote, wanted the same quote at both ends"],
  },
  {
    is: "an unknown key",
    text: `${GOOD}colour = "red"\n`,
    says: [`:6: carp[0].colour: found a key that means nothing here, wanted one of ${KEYS}`],
  },
  {
    is: "a known key in the wrong table",
    text: `${GOOD}[panel]\nlisten = "0.0.0.0:8080"\n`,
    says: [":7: panel.listen: found a key that means nothing here, wanted it in [status]"],
  },
  {
    is: "a wrong type",
    text: `${GOOD}advskew = "much"\n`,
    says: [':6: carp[0].advskew: found "much", wanted a whole number from 0 to 254'],
  },
  {
    is: "values out of range, each of them",
    text: GOOD.replace("vhid = 7", "vhid = 256").concat("advbase = 256\nadvskew = 255\n"),
    says: [
      ":2: carp[0].vhid: found 256, wanted a whole number from 1 to 255",
      ":6: carp[0].advbase: found 256, wanted a whole number from 0 to 255",
      ":7: carp[0].advskew: found 255, wanted a whole number from 0 to 254",
    ],
  },
  {
    is: "without what must be there",
    text: '[[carp]]\npassword = "mekmitasdigoat"\n',
    says: [
      ":1: carp[0].vhid: found nothing, wanted a whole number from 1 to 255",
      ":1: carp[0].interface: found nothing, wanted an interface name",
      ':1: carp[0].addresses: found nothing, wanted a list of addresses with their prefix lengths, such as ["192.0.2.1/24"]',
    ],
  },
  {
    is: "a vhid and an address twice",
    text: `${GOOD}${GOOD}`,
    says: [
      ":7: carp[1].vhid: found 7 on eth0 again, as in carp[0].vhid on line 2, wanted another vhid: eth0 has a group with this one",
      ":10: carp[1].addresses[0]: found 192.0.2.1 again, as in carp[0].addresses[0] on line 5, wanted each address once",
    ],
  },
  {
    is: "one bracket",
    text: "[carp]\nvhid = 7\n",
    says: [":1: carp: found a table, wanted [[carp]], with two brackets, for each group"],
  },
  {
    is: "an address without its prefix length",
    text: GOOD.replace("/24", ""),
    says: [
      ':5: carp[0].addresses[0]: found "192.0.2.1", wanted the prefix length as well, such as 192.0.2.1/24',
    ],
  },
  {
    is: "the address of a network",
    text: GOOD.replace(".1/24", ".0/24"),
    says: [
      ':5: carp[0].addresses[0]: found "192.0.2.0/24", wanted an address that a host can have, not its network\'s own address',
    ],
  },
  {
    is: "an interface without other hosts",
    text: GOOD.replace("eth0", "lo"),
    says: [':3: carp[0].interface: found "lo", wanted an interface with other hosts on it'],
  },
  {
    is: "a device that carpio makes itself",
    text: GOOD.replace("eth0", "carp7"),
    says: [':3: carp[0].interface: found "carp7", wanted the interface below: carpio makes this one itself'],
  },
  {
    is: "a name that no interface can have",
    text: GOOD.replace("eth0", "a-name-of-sixteen"),
    says: [
      ':3: carp[0].interface: found "a-name-of-sixteen", wanted a name of 1 to 15 bytes without spaces, "/" and ":"',
    ],
  },
  {
    is: "a password that others would cut, and that is not shown",
    text: GOOD.replace("mekmitasdigoat", "mekmitasdigoatandmore"),
    says: [":4: carp[0].password: found 21 bytes, wanted at most 19 bytes: only 19 count everywhere"],
  },
  {
    is: "two passwords",
    text: `${GOOD}key = "${"00".repeat(20)}"\n`,
    says: [":6: carp[0].key: found key beside password, wanted one of password, password_file and key"],
  },
  {
    is: "a key that is too short",
    text: GOOD.replace('password = "mekmitasdigoat"', 'key = "00010203"'),
    says: [":4: carp[0].key: found 8 bytes, wanted 40 hex digits"],
  },
  {
    is: "a password file that is not there",
    text: GOOD.replace('password = "mekmitasdigoat"', 'password_file = "nowhere"'),
    says: [
      ':4: carp[0].password_file: found "nowhere": no such file or directory (ENOENT), wanted a file whose first line is the password',
    ],
  },
  {
    is: "peers that cannot be",
    text: `${GOOD}peers = ["2001:db8::2", "192.0.2.1"]\n`,
    says: [
      ':6: carp[0].peers[0]: found "2001:db8::2", wanted no IPv6 peer, as the group has no IPv6 address',
      ':6: carp[0].peers[1]: found "192.0.2.1", wanted the other host\'s own address, not one that both share',
    ],
  },
  {
    is: "words that [carp.compat] does not know",
    text: `${GOOD}[carp.compat]\norder = "random"\ndemote = 7\n`,
    says: [
      ':7: carp[0].compat.order: found "random", wanted "sorted" or "interface"',
      ':8: carp[0].compat.demote: found 7, wanted "advskew" or "byte"',
    ],
  },
  {
    is: "a status server that nobody can reach, and peers it cannot",
    text: `${GOOD}[status]\nlisten = "8080"\npeers = ["https://192.0.2.3"]\n`,
    says: [
      ':7: status.listen: found "8080", wanted host:port, such as 0.0.0.0:8080 or [::]:8080, or none',
      ':8: status.peers[0]: found "https://192.0.2.3", wanted http://HOST:PORT and nothing after it, such as http://192.0.2.3:8080',
    ],
  },
  {
    is: "from Windows, and wrong on the same line",
    text: `\ufeff${GOOD}mac = "other"\n`.replaceAll("\n", "\r\n"),
    says: [':6: carp[0].mac: found "other", wanted "virtual" or "interface"'],
  },
];

for (const { is, text, says } of badFiles) {
  test(`check of a file: ${is}`, () => {
    const file = write(text);
    const { status, stdout, stderr } = carpio("check", "--config", file);
    assert.deepEqual(
      stderr.split("\n").filter(Boolean),
      says.map((line) => `${file}${line}`),
    );
    assert.deepEqual([status, stdout], [78, ""]);
  });
}

test("every command that reads a configuration refuses a bad one in the same words", () => {
  const file = write(`${GOOD}advskew = "much"\ncolour = "red"\n`);
  const wanted = carpio("check", "--config", file).stderr;
  for (const command of [["run"], ["release"], ["decode", "00"]]) {
    const { status, stderr } = carpio(...command, "--config", file);
    assert.deepEqual([status, stderr], [78, wanted], command.join(" "));
  }
});

test("a folder, and a file that is not there: status 78", () => {
  const found = "found illegal operation on a directory (EISDIR), wanted a text file in UTF-8";
  mkdirSync(join(folder, "folder.toml"));
  assert.match(carpio("check", "--config", join(folder, "folder.toml")).stderr, new RegExp(escaped(found)));
  const { status, stderr } = carpio("run", "--config", join(folder, "none.toml"));
  assert.equal(status, 78);
  assert.match(
    stderr,
    /none\.toml: found no such file or directory \(ENOENT\), wanted a text file in UTF-8\n$/,
  );
});

test("what is odd is a warning, and no error", () => {
  const { status, stdout, stderr } = carpio("check", "--config", write(GOOD.replace(/password.*\n/, "")));
  assert.equal(status, 0);
  assert.match(stdout, /: good, 1 group\n$/);
  assert.match(stderr, /^warning: .*: carp\[0\]: found no password, wanted a password: /);
});

const usages: readonly { readonly args: readonly string[]; readonly says: RegExp }[] = [
  { args: [], says: /^carpio: a command is wanted\nusage: carpio COMMAND/ },
  { args: ["serve"], says: /^carpio: there is no command serve\nusage: carpio COMMAND/ },
  { args: ["toString"], says: /^carpio: there is no command toString\nusage: / },
  { args: ["check", "--conf", "x"], says: /^carpio: check: Unknown option '--conf'.*\nusage: /s },
  { args: ["check", "extra"], says: /^carpio: check: Unexpected argument 'extra'.*\nusage: /s },
  { args: ["run", "--config"], says: /^carpio: run: .*argument missing.*\nusage: /s },
  {
    args: ["run", "--debug", "all"],
    says: /^carpio: run: --debug: found all, wanted some of carp, .*\nusage: /,
  },
  { args: ["decode"], says: /^carpio decode: what is to be decoded\?\nusage: carpio decode / },
  { args: ["decode", "-i", "eth0", "00"], says: /^carpio decode: -i goes without a file or hex\nusage: / },
  { args: ["decode", "--xml", "00"], says: /^carpio decode: Unknown option '--xml'.*\nusage: /s },
];
for (const { args, says } of usages) {
  test(`carpio ${args.join(" ")}: status 64, what is wrong, and the usage`, () => {
    const { status, stdout, stderr } = carpio(...args);
    assert.match(stderr, says);
    assert.deepEqual([status, stdout], [64, ""]);
  });
}

test("--version and --help answer on standard output", () => {
  assert.deepEqual(carpio("--version"), { status: 0, stdout: `carpio ${version}\n`, stderr: "" });
  const help = carpio("--help");
  assert.deepEqual([help.status, help.stderr], [0, ""]);
  for (const command of ["run", "check", "status", "maintenance", "identify", "release", "decode"])
    assert.match(help.stdout, new RegExp(`^ {2}${command} `, "m"));
});

describe("decode, of what carpio and ucarp send", () => {
  const dual = { vhid: 7, password: "mekmitasdigoat" };
  const single = { vhid: 8, password: "mekmitasdigoat", addresses: ["192.0.2.8/24"] };
  const SENDERS = { carpio4: "192.0.2.2", carpio6: "fe80::ff:fe00:2", ucarp: "192.0.2.3" };
  let lab: Lab;
  let capture = "";
  let right: string;
  let wrong: string;

  before(async () => {
    lab = await Lab.open();
    right = join(lab.client.directory, "right.toml");
    writeFileSync(right, boardConfig("client", [dual, single]));
    // As somebody would write it who expects ucarp to sign all addresses of the vhid.
    wrong = join(lab.client.directory, "wrong.toml");
    const more = { ...single, addresses: ["192.0.2.8/24", "192.0.2.9/24"] };
    writeFileSync(wrong, boardConfig("client", [{ ...dual, password: "another" }, more]));

    const recording = await lab.client.capture({ filter: "proto 112", direction: "in" });
    const board = startBoard(lab.left, [dual]);
    const other = ucarp(lab.right, { vhid: 8, address: "192.0.2.8" });
    await Promise.all([board.enters("master", ROLE_DEADLINE_MS), other.enters("master", ROLE_DEADLINE_MS)]);
    await live(right, Object.values(SENDERS));
    capture = await recording.stop();
  });
  after(() => lab.close());

  test("live, with every field of each packet", async () => {
    const heard = await live(right, Object.values(SENDERS));
    const common = { advbase: 1, advskew: 0, demote: 0, verdict: "ok", digest: "plain", hint: null };
    const wanted: { readonly [source: string]: object } = {
      [SENDERS.carpio4]: { destination: "224.0.0.18", family: 4, vhid: 7 },
      [SENDERS.carpio6]: { destination: "ff02::12", family: 6, vhid: 7 },
      [SENDERS.ucarp]: { destination: "224.0.0.18", family: 4, vhid: 8 },
    };
    for (const [source, fields] of Object.entries(wanted)) {
      const found = heard.find((each) => each.source === source);
      assert.ok(found, `nothing of ${source}`);
      const { at, counter, ...rest } = found;
      assert.match(at ?? "", /^\d{4}-\d\d-\d\dT/);
      assert.match(counter ?? "", /^[0-9a-f]{16}$/);
      assert.deepEqual(rest, { source, ...common, ...fields });
    }
  });

  test("live, with a configuration that does not fit: the hints name why", async () => {
    const heard = await live(wrong, Object.values(SENDERS));
    const hintOf = (source: string) => heard.find((each) => each.source === source);
    const ours = hintOf(SENDERS.carpio4);
    assert.deepEqual([ours?.verdict, ours?.digest], ["badauth", null]);
    assert.match(ours?.hint ?? "", /password/);
    const theirs = hintOf(SENDERS.ucarp);
    assert.equal(theirs?.verdict, "badauth");
    assert.match(theirs?.hint ?? "", /192\.0\.2\.8 alone/);
  });

  test("from a file: the same packets, one line each, for people and as JSON", () => {
    const json = carpio("decode", capture, "--json", "--config", right);
    assert.equal(json.status, 0);
    const all = json.stdout.split("\n").filter(Boolean).map(parse);
    assert.equal(all.length, readPcap(readFileSync(capture)).packets.length);
    assert.deepEqual(new Set(all.map(({ verdict }) => verdict)), new Set(["ok"]));
    assert.deepEqual(new Set(all.map(({ source }) => source)), new Set(Object.values(SENDERS)));

    const text = carpio("decode", capture, "--config", right).stdout.split("\n").filter(Boolean);
    assert.equal(text.length, all.length);
    for (const [i, line] of text.entries()) {
      const { source, destination, vhid, counter } = all[i] ?? {};
      assert.ok(line.includes(`${source} > ${destination} vhid ${vhid} advbase 1 advskew 0 demote 0`), line);
      assert.ok(line.includes(`counter ${counter} ok (plain)`), line);
    }
    // A configuration without groups knows no vhid.
    writeFileSync(join(folder, "empty.toml"), "");
    const unknown = carpio("decode", capture, "--json", "--config", join(folder, "empty.toml"));
    assert.deepEqual(
      new Set(
        unknown.stdout
          .split("\n")
          .filter(Boolean)
          .map((line) => parse(line).verdict),
      ),
      new Set(["badvhid"]),
    );
  });

  test("as hex: a packet, and the CARP header alone", () => {
    const [packet] = readPcap(readFileSync(capture)).packets;
    const ip = Buffer.from(packet?.ip ?? []);
    const [first] = carpio("decode", capture, "--json", "--config", right).stdout.split("\n").map(parse);
    const whole = parse(carpio("decode", ip.toString("hex"), "--json", "--config", right).stdout);
    assert.deepEqual(whole, { ...first, at: null });
    const header = ip.subarray(ip.length - 36).toString("hex");
    const alone = parse(carpio("decode", header, "--json", "--config", right).stdout);
    assert.deepEqual(alone, { ...whole, source: null, destination: null, family: null });
  });

  test("an interface that is not there: status 1, and why", async () => {
    const argv = [process.execPath, CARPIO, "decode", "-i", "eth9", "--config", right];
    const { status, stderr } = await lab.client.attempt(argv);
    assert.equal(status, 1);
    assert.match(stderr, /^carpio decode: there is no interface eth9$/m);
  });

  /** Listens on the client until it has heard all of these, and ends as with Ctrl-C. */
  async function live(config: string, sources: readonly string[]): Promise<readonly Explained[]> {
    const argv = [process.execPath, CARPIO, "decode", "-i", "eth0", "--json", "--config", config];
    const child: Child = lab.client.spawn(argv);
    for (const source of sources) await child.waitForLine(new RegExp(`"source":"${source}"`), DEADLINE_MS);
    await child.kill("SIGINT");
    assert.equal((await child.silent).status, 0);
    return child.text("stdout").split("\n").filter(Boolean).map(parse);
  }
});

describe("asking a board from another computer", { timeout: 120_000 }, () => {
  let lab: Lab;
  let left: Daemon;
  let token: string;
  before(async () => {
    lab = await Lab.open();
    token = join(lab.left.directory, "token");
    writeFileSync(token, "open sesame\n");
    left = board();
    await left.enters("master", ROLE_DEADLINE_MS);
  });
  after(() => lab.close());

  const board = (): Daemon => {
    const status = `listen = "0.0.0.0:8080"\ntoken_file = "${token}"`;
    return startCarpio(lab.left, boardConfig("left", [{}]).replace(/^listen = .*$/m, status));
  };
  const ask = (...args: readonly string[]) => lab.client.attempt([process.execPath, CARPIO, ...args]);

  test("its status, by its own and by the floating address, and its role for scripts", async () => {
    for (const host of [lab.left.address, VIRTUAL_ADDRESS]) {
      const { status, stdout, stderr } = await ask("status", host, "--exit-code");
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^left: master \(carpio \S+ on none\)\n/);
      assert.match(stdout, /^7 +eth0 +master +\d+ s +192\.0\.2\.1\/24 2001:db8::1\/64 +this board +\S/m);
      assert.match(stdout, /^latest changes:\n {2}\S+Z {2}vhid 7 on eth0 {2}backup -> master +\S/m);
    }
  });

  test("a computer where nobody listens, and one that is not there", async () => {
    const refused = await ask("status", lab.right.address);
    assert.deepEqual(
      [refused.status, refused.stderr],
      [1, `carpio: ${lab.right.address}: nobody listens there\n`],
    );
    const gone = await ask("status", "192.0.2.99");
    assert.equal(gone.status, 1);
    assert.match(gone.stderr, /^carpio: 192\.0\.2\.99: (no answer within 5 s|no way there)\n$/);
  });

  test("maintenance with no token, a wrong one, and the right one", async () => {
    const wish = ["maintenance", "on", lab.left.address];
    const none = await ask(...wish);
    assert.equal(none.status, 1);
    assert.match(
      none.stderr,
      /^carpio: 192\.0\.2\.2: authorization: found none, .* \(--token-file FILE\)\n$/,
    );
    const other = join(lab.client.directory, "token");
    writeFileSync(other, "open barley\n");
    const wrong = await ask(...wish, "--token-file", other);
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /^carpio: 192\.0\.2\.2: authorization: the token is wrong \(/);
    writeFileSync(other, "open sesame\n");
    const right = await ask(...wish, "--token-file", other);
    assert.deepEqual(
      [right.status, right.stderr],
      [1, "carpio: 192.0.2.2: nobody took over, so it still serves: do not unplug it\n"],
    );
    const off = await ask("maintenance", "off", lab.left.address, "--token-file", other);
    assert.deepEqual([off.status, off.stdout], [0, "192.0.2.2: maintenance is off\n"]);
  });

  test("identify, with the token: its lamps blink for as long as was said, and its status says until when", async () => {
    const command = ["identify", lab.left.address, "--for", "2m"];
    const none = await ask(...command);
    assert.equal(none.status, 1);
    assert.match(none.stderr, /^carpio: 192\.0\.2\.2: authorization: found none, /);
    assert.equal((await snapshotOf(lab.left)).identify.until, null);
    const file = join(lab.client.directory, "identify-token");
    writeFileSync(file, "open sesame\n");
    const { status, stdout, stderr } = await ask(...command, "--token-file", file);
    assert.equal(status, 0, stderr);
    const [, end] = /^192\.0\.2\.2: all its lamps blink until (\S+Z)\n$/.exec(stdout) ?? [];
    const { identify, panel, at } = await snapshotOf(lab.left);
    assert.deepEqual([identify.until, panel.face], [end, "identify"]);
    const seconds = (Date.parse(end ?? "") - Date.parse(at)) / 1000;
    assert.ok(seconds > 60 && seconds <= 120, `${seconds} s`);
  });

  test("the token of this computer's configuration opens the boards that it names, and no other", async () => {
    const here = join(lab.client.directory, "token-here");
    const config = join(lab.client.directory, "carpio.toml");
    writeFileSync(here, "open sesame\n");
    writeFileSync(config, `[status]\ntoken_file = "${here}"\npeers = ["http://${lab.left.address}:8080"]\n`);
    const named = await ask("identify", lab.left.address, "--config", config);
    assert.deepEqual([named.status, named.stderr], [0, ""]);
    const floating = await ask("identify", VIRTUAL_ADDRESS, "--config", config);
    assert.equal(floating.status, 1);
    assert.match(
      floating.stderr,
      /^carpio: 192\.0\.2\.1: authorization: found none, .* \(--token-file FILE; the one of this computer is shown to the boards of status\.peers alone\)\n$/,
    );
  });

  test("the board itself needs no token", async () => {
    const own = [process.execPath, CARPIO, "identify", "--config", configFile(lab.left)];
    const { status, stdout } = await lab.left.attempt(own);
    assert.equal(status, 0);
    assert.match(stdout, /^this board: all its lamps blink until \S+Z\n$/);
  });

  test("watched, it goes away and comes back", async () => {
    const watched: Child = lab.client.spawn([
      process.execPath,
      CARPIO,
      "status",
      lab.left.address,
      "--watch",
    ]);
    await watched.waitForLine(/^left: master /, DEADLINE_MS);
    await left.child.kill("SIGKILL");
    const goneAt = (
      await watched.waitForLine(/^192\.0\.2\.2: no answer since \S+Z \(nobody listens there\)$/, DEADLINE_MS)
    ).at;
    left = board();
    await watched.waitForLine(/^left: master /, ROLE_DEADLINE_MS, goneAt);
    await watched.kill("SIGINT");
    assert.equal((await watched.silent).status, 0);
  });
});

/** The file itself, as people run it. */
function carpio(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(CARPIO, args, { encoding: "utf8", timeout: DEADLINE_MS });
  return { status, stdout, stderr };
}

function write(text: string | Uint8Array): string {
  const file = join(folder, "carpio.toml");
  writeFileSync(file, text);
  return file;
}

function parse(line: string): Explained {
  return JSON.parse(line || "{}");
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
