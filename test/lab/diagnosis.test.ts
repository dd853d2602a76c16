/**
 * A pair that is broken on purpose, in one way after the other: what the status
 * says first on the board where one would look, and that it is said no more when
 * it is mended. Both boards are asked over HTTP by each other.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import { ADVSKEWS, boardConfig, type Group, ROLE_DEADLINE_MS, type Sides } from "./boards.js";
import { until } from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { CARPIO, carpio, type Daemon, keepalived, VIRTUAL_ADDRESS } from "./peers.js";
import { obstruct } from "./sabotage.js";

await becomeLabRoot();

type Side = keyof Sides<unknown>;

interface Breakage {
  readonly how: string;
  /** Where one would look. */
  readonly at?: Side;
  /** What right has otherwise than left. */
  readonly right?: Group;
  /** Of right: `127.0.0.1:8080`, where others cannot ask. */
  readonly listen?: string;
  readonly hosts?: readonly string[];
  readonly breakIt?: (lab: Lab) => Promise<unknown>;
  readonly mend?: (lab: Lab) => Promise<unknown>;
  readonly check: string;
  readonly says: RegExp;
}

/** Three advertisements and a status may pass before it is known who hears whom. */
const KNOWN_MS = ROLE_DEADLINE_MS + 20_000;

const breakages: readonly Breakage[] = [
  {
    how: "another password",
    right: { password: "Mekmitasdigoat" },
    check: "digest",
    says: /^\S+ advertises vhid 7 on eth0, but its digest is wrong: addresses right, but .*upper and lower case/,
  },
  {
    how: "a password that nobody can guess",
    right: { password: "something else" },
    check: "digest",
    says: /but its digest is wrong: its password or its addresses are not ours$/,
  },
  {
    how: "an address is missing on the other board",
    right: { addresses: [`${VIRTUAL_ADDRESS}/24`] },
    check: "digest",
    says: /but its digest is wrong: password right, but the peer signs 192\.0\.2\.1 alone/,
  },
  {
    how: "another advbase",
    right: { advbase: 2 },
    check: "peer's configuration",
    says: /^advbase of vhid 7 is 1 here and 2 on right$/,
  },
  {
    how: "another vhid",
    right: { vhid: 8 },
    check: "peer's configuration",
    says: /^right has no vhid 7, which has 192\.0\.2\.1, 2001:db8::1 here$/,
  },
  {
    how: "what this board sends is lost",
    breakIt: ({ right }) => loseAdvertisements(right),
    mend: ({ right }) => letThrough(right),
    check: "heard",
    says: /^left and right both serve vhid 7: right does not hear left, though left hears right$/,
  },
  {
    how: "multicast is lost both ways",
    breakIt: ({ left, right }) => loseAdvertisements(left, right),
    mend: ({ left, right }) => letThrough(left, right),
    check: "heard",
    says: /^left and right both serve vhid 7: neither hears the other$/,
  },
  {
    how: "the cable is cut",
    breakIt: ({ left }) => left.cutCable(),
    mend: ({ left }) => left.plugIn(),
    check: "link",
    says: /^eth0 has no link/,
  },
  {
    how: "the other board's cable is cut",
    breakIt: ({ right }) => right.cutCable(),
    mend: ({ right }) => right.plugIn(),
    check: "peers",
    says: /^right does not answer over HTTP: /,
  },
  {
    how: "the floating address is on the interface itself",
    breakIt: ({ left }) => left.run(["ip", "address", "add", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]),
    mend: ({ left }) => left.run(["ip", "address", "delete", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]),
    check: "address",
    says: /192\.0\.2\.1 is configured on eth0 itself/,
  },
  {
    how: "a setting of the kernel is overruled",
    breakIt: ({ left }) => left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=8"]),
    mend: ({ left }) => left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=0"]),
    check: "kernel settings",
    says: /arp_ignore/,
  },
  {
    how: "the disc cannot be written",
    breakIt: async ({ left }) => {
      await left.run(["mount", "-t", "tmpfs", "-o", "ro", "none", join(left.directory, "state")]);
      await left.attempt([
        process.execPath,
        CARPIO,
        "maintenance",
        "off",
        "--config",
        join(left.directory, "carpio.toml"),
      ]);
    },
    check: "disc",
    says: /^maintenance will be forgotten at a restart: .*EROFS/,
  },
  {
    how: "nftables does not work",
    breakIt: ({ left }) => obstruct(left, "nft", "echo broken >&2; exit 1"),
    check: "prefilter",
    says: /^no prefilter, so /,
  },
  {
    how: "the other board answers itself alone",
    listen: "127.0.0.1:8080",
    check: "peers",
    says: /^http:\S+ does not answer over HTTP: nobody listens there$/,
  },
  {
    how: "VRRP has our number",
    hosts: ["stranger"],
    breakIt: async (lab) => {
      keepalived(lab.host("stranger"), [{ priority: 200, advertMs: 1000, virtualMac: false }]);
    },
    check: "vrrp",
    says: /speaks VRRP with the number 7 on eth0/,
  },
];

describe("broken on purpose", { concurrency: 5, timeout: 600_000 }, () => {
  for (const breakage of breakages) {
    const { how, at = "left", check, says, breakIt, mend, hosts = [] } = breakage;
    test(`${how}: ${check}`, async (t) => {
      await using lab = await Lab.open({ boards: ["left", "right", ...hosts] });
      // Before the daemon starts, for what it only looks at then.
      const early = check === "prefilter";
      if (early) await breakIt?.(lab);
      const { left } = startPeers(lab, breakage);
      await left.enters("master", ROLE_DEADLINE_MS);
      if (!early && breakIt) {
        await until(lab.left, isWell, KNOWN_MS);
        await breakIt(lab);
      }
      const { diagnosis } = await until(lab.host(at), isSaid(check, says), KNOWN_MS);
      assert.ok(diagnosis.broken?.advice, "what to do");
      t.diagnostic(`${diagnosis.broken?.says} -> ${diagnosis.broken?.advice}`);
      assert.match(
        await statusTableOf(lab),
        new RegExp(`^wrong: ${escaped(diagnosis.broken?.says ?? "")}$`, "m"),
      );
      const first = await firstOnPage(lab);
      assert.ok(first.includes(plain(diagnosis.broken?.says ?? "")), first);
      if (!mend) return;
      await mend(lab);
      await until(lab.host(at), ({ diagnosis: { broken } }) => broken?.check !== check, KNOWN_MS);
    });
  }
});

/** Nothing is broken but what a lab has not got. */
function isWell({ diagnosis, role, peers }: Snapshot): boolean {
  return role === "master" && diagnosis.broken === null && peers.every(({ reachable }) => reachable);
}

function isSaid(check: string, says: RegExp) {
  return ({ diagnosis: { broken } }: Snapshot): boolean => broken?.check === check && says.test(broken.says);
}

function startPeers(lab: Lab, { right = {}, listen = "0.0.0.0:8080" }: Breakage): Sides<Daemon> {
  const open = (side: Side, other: Side, group: Group, at: string) =>
    carpio(
      lab[side],
      boardConfig(side, [{ advskew: ADVSKEWS[side], ...group }]).replace(
        /listen = .*/,
        `listen = "${at}"\npeers = ["http://${lab[other].address}:8080"]`,
      ),
    );
  return { left: open("left", "right", {}, "0.0.0.0:8080"), right: open("right", "left", right, listen) };
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
async function loseAdvertisements(...hosts: readonly Host[]): Promise<void> {
  const chain = "chain lose { type filter hook prerouting priority -400; meta l4proto 112 drop; }";
  for (const host of hosts) {
    const file = join(host.directory, "sabotage.nft");
    writeFileSync(file, `${TABLE} {\n${chain}\n}\n`);
    await host.run(["nft", "-f", file]);
  }
}

async function letThrough(...hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) await host.run(["nft", "delete", ...TABLE.split(" ")]);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
