/**
 * A pair that is broken on purpose, in one way after the other: what the status
 * says first on the board where one would look, and that it is said no more when
 * it is mended. Both boards are asked over HTTP by each other.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { CheckName } from "../../src/diagnosis.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import { ADVSKEWS, boardConfig, type Group, maintenance, ROLE_DEADLINE_MS, type Sides } from "./boards.js";
import { until } from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { CARPIO, carpio, configFile, type Daemon, keepalived, VIRTUAL_ADDRESS } from "./peers.js";
import { obstruct, pidOf, REFUSES_LEASES } from "./sabotage.js";

await becomeLabRoot();

interface Breakage {
  readonly how: string;
  /** Of a pair that is well. Without it, it is broken from its start. */
  readonly breakIt?: (lab: Lab, pair: Sides<Daemon>) => Promise<unknown>;
  readonly mend?: (lab: Lab, pair: Sides<Daemon>) => Promise<unknown>;
  readonly check: CheckName;
  readonly says: RegExp;
}

/** A lab, and what is broken in it one after the other. */
interface Pair {
  /** What is done to the lab before the daemons start. */
  readonly beforehand?: (lab: Lab) => Promise<unknown>;
  readonly hosts?: readonly string[];
  /** What right has otherwise than left. */
  readonly right?: Group;
  /** Of right: `127.0.0.1:8080`, where others cannot ask. */
  readonly listen?: string;
  /** What left's configuration has otherwise. */
  readonly change?: (toml: string) => string;
  readonly breakages: readonly Breakage[];
}

/** Three advertisements and a status may pass before it is known who hears whom. */
const KNOWN_MS = ROLE_DEADLINE_MS + 20_000;
const CLOCK_AHEAD_HOURS = 3;

const noToken = (toml: string) => toml.replace("[status]", '[status]\ntoken_file = "/nonexistent"');
const noPanel = (toml: string) => toml.replace('board = "none"', 'board = "/run/board.toml"');
const badHook = (toml: string) => `${toml}[[hook]]\nrun = ["/bin/false"]\n`;

/**
 * Every check but four. A `status port` that somebody else has cannot be
 * asked by page or command line: the log says it, and the red lamp. `advskews`
 * is worth a word and never broken. A bad `configuration` runs on a board of an
 * image alone. And nobody looks whether a machine without CARP has an address
 * for itself.
 */
const pairs: readonly Pair[] = [
  {
    right: { password: "Mekmitasdigoat" },
    breakages: [
      {
        how: "another password",
        check: "digest",
        says: /^\S+ advertises vhid 7 on eth0, but its digest is wrong: addresses right, but .*upper and lower case/,
      },
    ],
  },
  {
    right: { password: "something else" },
    breakages: [
      {
        how: "a password that nobody can guess",
        check: "digest",
        says: /but its digest is wrong: its password or its addresses are not ours$/,
      },
    ],
  },
  {
    right: { addresses: [`${VIRTUAL_ADDRESS}/24`] },
    breakages: [
      {
        how: "an address is missing on the other board",
        check: "digest",
        says: /but its digest is wrong: password right, but the peer signs 192\.0\.2\.1 alone/,
      },
    ],
  },
  {
    right: { advbase: 2 },
    breakages: [
      {
        how: "another advbase",
        check: "peer's configuration",
        says: /^advbase of vhid 7 is 1 here and 2 on right$/,
      },
    ],
  },
  {
    right: { vhid: 8 },
    breakages: [
      {
        how: "another vhid",
        check: "peer's configuration",
        says: /^right has no vhid 7, which has 192\.0\.2\.1, 2001:db8::1 here$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "what this board sends is lost",
        breakIt: ({ right }) => loseAdvertisements([right]),
        mend: ({ right }) => letThrough(right),
        check: "heard",
        says: /^left and right both serve vhid 7: right does not hear left, though left hears right$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "multicast is lost both ways",
        breakIt: ({ left, right }) => loseAdvertisements([left, right]),
        mend: ({ left, right }) => letThrough(left, right),
        check: "heard",
        says: /^left and right both serve vhid 7: neither hears the other$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "what this board sends is lost over IPv6 alone",
        breakIt: ({ right }) => loseAdvertisements([right], "meta nfproto ipv6"),
        mend: ({ right }) => letThrough(right),
        check: "families",
        says: /^right hears advertisements of vhid 7 over IPv4, and none over IPv6$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "the cable is cut",
        breakIt: ({ left }) => left.cutCable(),
        mend: ({ left }) => left.plugIn(),
        check: "link",
        says: /^eth0 has no link/,
      },
      {
        how: "nothing can be sent",
        breakIt: ({ left }) => loseAdvertisements([left], "", "output"),
        // It is tried again when the link comes back, or when the board is needed.
        async mend({ left }) {
          await letThrough(left);
          await left.cutCable();
          await left.plugIn();
        },
        check: "sending",
        says: /^cannot send on eth0: Operation not permitted$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "the other board's cable is cut",
        breakIt: ({ right }) => right.cutCable(),
        mend: ({ right }) => right.plugIn(),
        check: "peers",
        says: /^right does not answer over HTTP: /,
      },
    ],
  },
  {
    breakages: [
      {
        how: "the floating address is on the interface itself",
        breakIt: ({ left }) => left.run(["ip", "address", "add", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]),
        mend: ({ left }) => left.run(["ip", "address", "delete", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]),
        check: "address",
        says: /192\.0\.2\.1 is configured on eth0 itself/,
      },
      {
        how: "the floating address is on the other board's interface itself",
        breakIt: ({ right }) => right.run(["ip", "address", "add", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]),
        mend: ({ right }) => right.run(["ip", "address", "delete", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]),
        check: "standby",
        says: /^nobody could take over vhid 7: right takes no part in it$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "a setting of the kernel is overruled",
        breakIt: ({ left }) => left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=8"]),
        mend: ({ left }) => left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=0"]),
        check: "kernel settings",
        says: /arp_ignore/,
      },
      {
        how: "somebody takes the addresses off",
        // They may be on again sooner than ip can look whether it has got them all.
        breakIt: ({ left }) => left.attempt(["ip", "address", "flush", "dev", "carp7"]),
        check: "addresses",
        says: /^the addresses of vhid 7 went missing from carp7 while this board served: they are on again$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "the kernel renews no lease",
        async breakIt({ left }, pair) {
          await obstruct(left, "ip", REFUSES_LEASES);
          process.kill(await pidOf(pair.left, "ip"), "SIGKILL");
        },
        async mend({ left }, { right }) {
          await obstruct(left, "ip", "");
          await right.child.stop();
        },
        check: "addresses held",
        says: /^this board could not hold the addresses of vhid 7 the last time that it was to$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "the interface has another name",
        breakIt: ({ left }) => rename(left, "eth0", "lan0"),
        mend: ({ left }) => rename(left, "lan0", "eth0"),
        check: "interface",
        says: /^there is no interface eth0$/,
      },
    ],
  },
  {
    breakages: [
      {
        how: "what this board sends comes back",
        breakIt: (lab) => hairpin(lab, "on"),
        mend: (lab) => hairpin(lab, "off"),
        check: "loop",
        says: /^this board's own advertisements of vhid 7 come back on eth0$/,
      },
      {
        how: "the disc cannot be written",
        async breakIt({ left }) {
          await left.run(["mount", "-t", "tmpfs", "-o", "ro", "none", join(left.directory, "state")]);
          await maintenance(left, "off");
        },
        check: "disc",
        says: /^maintenance will be forgotten at a restart: .*EROFS/,
      },
    ],
  },
  {
    beforehand: ({ left }) => obstruct(left, "nft", "echo broken >&2; exit 1"),
    breakages: [{ how: "nftables does not work", check: "prefilter", says: /^no prefilter, so / }],
  },
  {
    beforehand: ({ right }) => setClock(right, CLOCK_AHEAD_HOURS),
    breakages: [
      {
        how: "the other board's clock is wrong",
        check: "clock",
        says: /^the clock of right is 3 h ahead of that of this board$/,
      },
    ],
  },
  {
    listen: "127.0.0.1:8080",
    breakages: [
      {
        how: "the other board answers itself alone",
        check: "peers",
        says: /^http:\S+ does not answer over HTTP: nobody listens there$/,
      },
    ],
  },
  {
    hosts: ["stranger"],
    breakages: [
      {
        how: "VRRP has our number",
        breakIt: async (lab) =>
          keepalived(lab.host("stranger"), [{ priority: 200, advertMs: 1000, virtualMac: false }]),
        check: "vrrp",
        says: /speaks VRRP with the number 7 on eth0/,
      },
    ],
  },
  {
    beforehand: ({ left }) => describeBoard(left),
    change: (toml) => badHook(noPanel(noToken(toml))),
    breakages: [
      {
        how: "there is no token",
        mend: (lab, { left }) => reload(lab, left, (toml) => badHook(noPanel(toml))),
        check: "token",
        says: /^status\.token_file: \/nonexistent: found no such file/,
      },
      {
        how: "there are no lamps where the configuration says so",
        mend: (lab, { left }) => reload(lab, left, badHook),
        check: "panel",
        says: /^role lamp: .*: found no /,
      },
      {
        how: "a hook fails",
        mend: (lab, { left }) => reload(lab, left, (toml) => toml),
        check: "hooks",
        says: /^hook\[0\] \(\/bin\/false\) failed: exit status 1$/,
      },
    ],
  },
];

describe("broken on purpose", { concurrency: 5, timeout: 600_000 }, () => {
  for (const pair of pairs) {
    const { beforehand, breakages, hosts = [] } = pair;
    test(breakages.map(({ how }) => how).join("; "), async (t) => {
      await using lab = await Lab.open({ boards: ["left", "right", ...hosts] });
      await beforehand?.(lab);
      const daemons = startPeers(lab, pair);
      for (const breakage of breakages) {
        await t.test(`${breakage.how}: ${breakage.check}`, (t) => tryOut(t, lab, daemons, breakage));
      }
    });
  }
});

async function tryOut(t: TestContext, lab: Lab, daemons: Sides<Daemon>, breakage: Breakage): Promise<void> {
  const { breakIt, mend, check, says } = breakage;
  if (breakIt) {
    await until(lab.left, isWell, KNOWN_MS);
    await breakIt(lab, daemons);
  }
  const { diagnosis } = await until(lab.left, isSaid(check, says), KNOWN_MS);
  const { says: said = "", advice } = diagnosis.broken ?? {};
  assert.ok(advice, "what to do");
  t.diagnostic(`${said} -> ${advice}`);
  assert.match(await statusTableOf(lab), new RegExp(`^wrong: ${escaped(said)}$`, "m"));
  const first = await firstOnPage(lab);
  assert.ok(first.includes(plain(said)), first);
  if (!mend) return;
  await mend(lab, daemons);
  await until(lab.left, ({ diagnosis: { broken } }) => broken?.check !== check, KNOWN_MS);
}

/** Nothing is broken but what a lab has not got. */
function isWell({ diagnosis, role, peers }: Snapshot): boolean {
  return role === "master" && diagnosis.broken === null && peers.every(({ reachable }) => reachable);
}

function isSaid(check: string, says: RegExp) {
  return ({ diagnosis: { broken } }: Snapshot): boolean => broken?.check === check && says.test(broken.says);
}

const asItIs = (toml: string): string => toml;

function startPeers(lab: Lab, { right = {}, listen = "0.0.0.0:8080", change = asItIs }: Pair): Sides<Daemon> {
  return {
    left: carpio(lab.left, change(configOf(lab.left, lab.right, { advskew: ADVSKEWS.left }))),
    right: carpio(lab.right, configOf(lab.right, lab.left, { advskew: ADVSKEWS.right, ...right }, listen)),
  };
}

function configOf(host: Host, other: Host, group: Group, listen = "0.0.0.0:8080"): string {
  const status = `listen = "${listen}"\npeers = ["http://${other.address}:8080"]`;
  return boardConfig(host.name, [group]).replace(/listen = .*/, status);
}

/** What a person at the board reads. */
async function statusTableOf({ left }: Lab): Promise<string> {
  const file = join(left.directory, "carpio.toml");
  const { stdout } = await left.attempt([process.execPath, CARPIO, "status", "--config", file]);
  return stdout;
}

/** What a person with a browser at the board sees first, as text. */
async function firstOnPage({ left }: Lab): Promise<string> {
  const program =
    'fetch("http://127.0.0.1:8080/", { headers: { accept: "text/html" } }).then((it) => it.text()).then((it) => process.stdout.write(it))';
  const page = await left.run([process.execPath, "-e", program]);
  const [, first = ""] = /<[^>]* class="first"[^>]*>(.*?)<\/p>/s.exec(page) ?? [];
  return plain(first);
}

/** Without markup, and whether or not it begins a sentence. */
function plain(text: string): string {
  return text
    .replace(/<[^>]*>|`/g, "")
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
    .toLowerCase();
}

const TABLE = "table inet sabotage";

/** As behind a switch that snoops and has nobody to ask: pings and HTTP arrive. */
async function loseAdvertisements(
  hosts: readonly Host[],
  which = "",
  hook: "prerouting" | "output" = "prerouting",
): Promise<void> {
  const chain = `chain lose { type filter hook ${hook} priority -400; ${which} meta l4proto 112 drop; }`;
  for (const host of hosts) {
    const file = join(host.directory, "sabotage.nft");
    writeFileSync(file, `${TABLE} {\n${chain}\n}\n`);
    await host.run(["nft", "-f", file]);
  }
}

async function letThrough(...hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) await host.run(["nft", "delete", ...TABLE.split(" ")]);
}

/** The port sends back what comes in by it, as two cables between two switches do. */
function hairpin(lab: Lab, how: "on" | "off"): Promise<unknown> {
  return lab.switch.ip(`link set ${lab.left.socket("eth0").port} type bridge_slave hairpin ${how}`);
}

function rename(host: Host, from: string, to: string): Promise<unknown> {
  return host.namespace.ip(`link set ${from} down`, `link set ${from} name ${to}`, `link set ${to} up`);
}

/** A board whose chip no computer has, lest the lines of this one be driven. */
function describeBoard(host: Host): Promise<unknown> {
  const known = join(import.meta.dirname, "../../../board/raspberrypi-4/board.toml");
  return host.run(["sh", "-c", `sed s/pinctrl-bcm2711/no-such-chip/ "$0" >/run/board.toml`, known]);
}

/** From now on Node on this host takes it to be later: all namespaces share the kernel's clock. */
async function setClock(host: Host, aheadHours: number): Promise<void> {
  const file = join(host.directory, "clock.cjs");
  const program = `const { Date: Right } = globalThis;
    const now = () => Right.now() + ${aheadHours * 3_600_000};
    globalThis.Date = class extends Right {
      constructor(...moment) { super(...(moment.length > 0 ? moment : [now()])); }
      static now() { return now(); }
    };`;
  writeFileSync(file, program);
  await obstruct(host, "node", `set -- --require "${file}" "$@"`);
}

/** Gives a running board its configuration again, with changes. */
async function reload(lab: Lab, { host, child }: Daemon, change: (toml: string) => string): Promise<void> {
  writeFileSync(configFile(host), change(configOf(host, lab.right, { advskew: ADVSKEWS.left })));
  await child.kill("SIGHUP");
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
