/**
 * From settings to what a board does at its start, as `carpio setup --dry-run`
 * shows it; and doing it, in a folder that stands for the board.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { parseConfig } from "../../src/config.js";
import { findCard } from "../../src/firmware/card.js";
import { describePlan, type Machine, planSystem } from "../../src/firmware/plan.js";
import { problemsOfCard, problemsOfStart, type Setting, setUp } from "../../src/firmware/setup.js";

const MAIN = join(import.meta.dirname, "../../src/main.js");
const parent = mkdtempSync(join(tmpdir(), "carpio-setup-"));
after(() => rmSync(parent, { recursive: true }));

const SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOWoNcEJL8fC8QkEcxfOqE9HDuGoCFL9vHBjDGY1xBnI me";
const GROUP = '[[carp]]\nvhid = 7\ninterface = "eth1"\npassword = "x"\naddresses = ["192.0.2.1/24"]\n';
const board: Machine = {
  interfaces: ["eth0", "eth1"],
  macs: new Map(),
  suffix: "1a2b",
  rules: undefined,
  port: 8080,
  updates: undefined,
};

function planOf(toml: string, machine: Partial<Machine> = {}) {
  const parsed = parseConfig(toml, { hostname: "box", readSecret: () => "" });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const { system, groups } = parsed.config;
  const carried = groups.map((group) => group.interface);
  return planSystem(system, carried, { ...board, ...machine });
}

/** What a table asks of a plan: the lines about one stage, or one service, or all problems. */
function about(toml: string, what: string, machine: Partial<Machine> = {}): readonly string[] {
  const lines = describePlan(planOf(toml, machine)).trimEnd().split("\n");
  const from = lines.findIndex((line) => line === what || line.startsWith(`service ${what}:`));
  if (from < 0) return [];
  const rest = lines.slice(from + 1);
  const end = rest.findIndex((line) => !line.startsWith(" "));
  return lines.slice(from, from + 1 + (end < 0 ? rest.length : end)).map((line) => line.trim());
}

const card = (name: string, more = "") => `[[network.interface]]\nname = "${name}"\n${more}\n`;
const vlan = card("lan", 'vlan = 10\nparent = "eth1"\naddresses = ["10.0.0.1/8"]');
const byMac = (name: string, mac: string, more = "") => card(name, `mac = "${mac}"\n${more}`);
const [A, B, C] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"] as const;
/** The kernel has numbered two adapters. */
const two = {
  macs: new Map([
    ["eth0", A],
    ["eth1", B],
  ]),
};
const IP = "run /sbin/ip -force -batch -";
/** Which one of that name is about to be set up. */
const note = (name: string) =>
  `write /run/carpio/interfaces/${name}/ifindex, as /sys/class/net/${name}/ifindex says it`;
const whenThere = 'echo $$ >"$0"; until [ -e "/sys/class/net/$1" ]; do sleep 1; done;';
const udhcpc = (name: string, hostname: string, metric = 10) =>
  `env METRIC=${metric} udhcpc -f -i ${name} -s /run/carpio/lease.sh -x hostname:${hostname} -t 4 -A 5`;
const leaseService = (name: string, hostname: string, metric?: number) =>
  `service dhcp-${name}: sh -c ${whenThere} shift; exec "$@" /run/carpio/udhcpc-${name}.pid ${name} ${udhcpc(name, hostname, metric)}`;

const inShell = (...lines: readonly string[]) => ["/sbin/ip -force -batch - <<'end'", ...lines, "end"];

const toServer =
  'sh -c server=$1; shift; { until "$@"; do sleep 1; done; ping -c 1 -w 10 "$server"; } >/dev/null 2>&1; exec syslogd -n -R "$0"';

const rows: readonly {
  why: string;
  toml: string;
  machine?: Partial<Machine>;
  what: string;
  is: readonly string[];
}[] = [
  {
    why: "an empty file: DHCP on the first interface",
    toml: "",
    what: "dhcp-eth0",
    is: [leaseService("eth0", "carpio-1a2b")],
  },
  {
    why: "an empty file: the first interface is up",
    toml: "",
    what: "eth0",
    is: ["eth0", note("eth0"), IP, "link set dev eth0 up"],
  },
  {
    why: "an empty file: the board can be asked for by its name",
    toml: "",
    what: "mdns-eth0",
    is: [
      `service mdns-eth0: sh -c ${whenThere} for wait in 1 1 1 1 0; do ip -o address show dev "$1" scope global | grep -q . && break; sleep $wait; done; exec mdnsd -n -l err -i "$1" "$2" /run/carpio/mdnsd-eth0.pid eth0 /run/carpio/mdns`,
    ],
  },
  {
    why: "who looks for pages in the network finds the board's",
    toml: "",
    what: "mdns",
    is: ["mdns", "write /run/carpio/mdns/board.service", "type _http._tcp", "port 8080"],
  },
  { why: "an empty file: the second one is left alone", toml: "", what: "eth1", is: [] },
  { why: "an empty file: nothing is listened to", toml: "", what: "ssh", is: [] },
  {
    why: "a board without a name has one of its MAC",
    toml: "",
    what: "host name",
    is: ["host name", "write /proc/sys/kernel/hostname", "carpio-1a2b"],
  },
  {
    why: "the board's name, where it can be a host's",
    toml: 'name = "left"\n',
    what: "host name",
    is: ["host name", "write /proc/sys/kernel/hostname", "left"],
  },
  {
    why: "a name with spaces is none of a host",
    toml: 'name = "left one"\n',
    what: "host name",
    is: ["host name", "write /proc/sys/kernel/hostname", "carpio-1a2b"],
  },
  {
    why: "the interface of a group is up, even if nobody says more of it",
    toml: GROUP,
    what: "eth1",
    is: ["eth1", note("eth1"), IP, "link set dev eth1 up"],
  },
  {
    why: "a static interface",
    toml: card(
      "eth0",
      'addresses = ["192.0.2.2/24", "2001:db8::2/64"]\ngateways = ["192.0.2.254", "fe80::1"]\nmtu = 1400',
    ),
    what: "eth0",
    is: [
      "eth0",
      note("eth0"),
      IP,
      "link set dev eth0 mtu 1400",
      "link set dev eth0 up",
      "address replace 192.0.2.2/24 broadcast + dev eth0",
      "address replace 2001:db8::2/64 dev eth0",
      "route replace 0.0.0.0/0 via 192.0.2.254 dev eth0",
      "route replace ::/0 via fe80::1 dev eth0",
    ],
  },
  {
    why: "a static interface asks for no lease",
    toml: card("eth0", 'addresses = ["192.0.2.2/24"]'),
    what: "dhcp-eth0",
    is: [],
  },
  {
    why: "two interfaces, a lease on the second",
    toml: card("eth0", "dhcp = false") + card("eth1"),
    what: "dhcp-eth1",
    is: [leaseService("eth1", "carpio-1a2b")],
  },
  {
    why: "a VLAN",
    toml: vlan,
    what: "lan",
    is: [
      "lan",
      IP,
      "link add link eth1 name lan type vlan id 10",
      "link set dev lan up",
      "address replace 10.0.0.1/8 broadcast + dev lan",
    ],
  },
  {
    why: "a VLAN, on an interface that nobody else speaks of: that one is up",
    toml: vlan,
    what: "eth1",
    is: ["eth1", note("eth1"), IP, "link set dev eth1 up"],
  },
  {
    why: "an interface that comes back is set up as it was, and then what is on it",
    toml: `${vlan}${card("eth1", "dhcp = true\nmtu = 1400")}[router]\nipv6 = true\n`,
    what: "interfaces",
    is: [
      "interfaces",
      "write /run/carpio/interfaces/eth1/commands",
      "/sbin/ip -force -batch - <<'end'",
      "link set dev eth1 mtu 1400",
      "link set dev eth1 up",
      "end",
      "cat >'/proc/sys/net/ipv6/conf/eth1/accept_ra' <<'end'",
      "2",
      "end",
      "/sbin/ip -force -batch - <<'end'",
      "link add link eth1 name lan type vlan id 10",
      "link set dev lan up",
      "address replace 10.0.0.1/8 broadcast + dev lan",
      "end",
    ],
  },
  {
    why: "interfaces that are known by their MAC are renamed, whatever the kernel calls them",
    toml: byMac("wan", B) + byMac("lan", A),
    machine: two,
    what: "renaming",
    is: [
      "renaming",
      IP,
      "link set dev eth1 down",
      "link set dev eth1 name wan",
      "link set dev eth0 down",
      "link set dev eth0 name lan",
    ],
  },
  {
    why: "what an interface is told by its MAC, it is told by its name",
    toml: byMac("wan", B, 'addresses = ["192.0.2.2/24"]'),
    machine: two,
    what: "wan",
    is: ["wan", note("wan"), IP, "link set dev wan up", "address replace 192.0.2.2/24 broadcast + dev wan"],
  },
  {
    why: "interfaces that are called so already are left as they are",
    toml: byMac("wan", B),
    machine: { interfaces: ["eth0", "wan"], macs: new Map([["wan", B]]) },
    what: "renaming",
    is: [],
  },
  {
    why: "who has the name of another one makes room",
    toml: byMac("wan", B) + byMac("lan", A),
    machine: {
      interfaces: ["lan", "wan"],
      macs: new Map([
        ["lan", B],
        ["wan", A],
      ]),
    },
    what: "renaming",
    is: [
      "renaming",
      IP,
      "link set dev lan down",
      "link set dev lan name aside.0",
      "link set dev wan down",
      "link set dev wan name aside.1",
      "link set dev aside.0 down",
      "link set dev aside.0 name wan",
      "link set dev aside.1 down",
      "link set dev aside.1 name lan",
    ],
  },
  { why: "without a MAC nothing is renamed", toml: card("eth1"), machine: two, what: "renaming", is: [] },
  {
    why: "one that is known by its MAC is no other one, though the kernel calls it so",
    toml: byMac("wan", B) + card("eth1"),
    machine: two,
    what: "problem: network.interface[1].name: found no eth1 on this board, wanted one of eth0, wan",
    is: ["problem: network.interface[1].name: found no eth1 on this board, wanted one of eth0, wan"],
  },
  {
    why: "one that is known by its MAC is no other one: nothing is done to it by that name",
    toml: byMac("wan", B) + card("eth1"),
    machine: two,
    what: "eth1",
    is: [],
  },
  {
    why: "a MAC that is not there",
    toml: byMac("wan", C) + byMac("lan", B),
    machine: two,
    what: `problem: network.interface[0].mac: found no ${C} on this board, wanted one of eth0 (${A}), lan (${B})`,
    is: [
      `problem: network.interface[0].mac: found no ${C} on this board, wanted one of eth0 (${A}), lan (${B})`,
    ],
  },
  {
    why: "a VLAN on a MAC that is not there",
    toml: byMac("wan", C) + card("lan", 'vlan = 10\nparent = "wan"'),
    machine: two,
    what: "problem: network.interface[1].parent: found no wan on this board, wanted one of eth0, eth1",
    is: ["problem: network.interface[1].parent: found no wan on this board, wanted one of eth0, eth1"],
  },
  {
    why: "a MAC on two of them: neither is meant",
    toml: byMac("wan", A),
    machine: {
      macs: new Map([
        ["eth0", A],
        ["eth1", A],
      ]),
    },
    what: `problem: network.interface[0].mac: found ${A} on eth0 and on eth1, wanted it on one alone`,
    is: [`problem: network.interface[0].mac: found ${A} on eth0 and on eth1, wanted it on one alone`],
  },
  {
    why: "a MAC on two of them: neither is renamed",
    toml: byMac("wan", A),
    machine: {
      macs: new Map([
        ["eth0", A],
        ["eth1", A],
      ]),
    },
    what: "renaming",
    is: [],
  },
  {
    why: "one that is known by its MAC may come: what calls it so is written down, and what is wrong until then",
    toml: byMac("wan", C),
    machine: two,
    what: "interfaces",
    is: [
      "interfaces",
      "write /run/carpio/interfaces/eth0/commands",
      ...inShell("link set dev eth0 up"),
      "write /run/carpio/interfaces/wan/commands",
      ...inShell("link set dev wan up"),
      "write /run/carpio/interfaces/wan/missed",
      `network.interface[0].mac: found no ${C} on this board, wanted one of eth0 (${A}), eth1 (${B})`,
      "write /run/carpio/interfaces/wan/mac",
      C,
      "write /run/carpio/interfaces/wan/rename",
      "/sbin/ip -force -batch - <<end",
      "address flush dev $1",
      "link set dev $1 down",
      "link set dev $1 name wan",
      "end",
    ],
  },
  {
    why: "who does that is kept alive",
    toml: "",
    what: "porter",
    is: ["service porter: /usr/lib/carpio/porter"],
  },
  {
    why: "an interface that is not there: it is said, and the first one asks for a lease",
    toml: card("eth5", 'addresses = ["192.0.2.2/24"]'),
    what: "problem: network.interface[0].name: found no eth5 on this board, wanted one of eth0, eth1",
    is: ["problem: network.interface[0].name: found no eth5 on this board, wanted one of eth0, eth1"],
  },
  {
    why: "an interface that is not there: the first one asks",
    toml: card("eth5"),
    what: "dhcp-eth0",
    is: [leaseService("eth0", "carpio-1a2b")],
  },
  {
    why: "a VLAN on what is not there",
    toml: card("lan", 'vlan = 10\nparent = "eth5"') + card("eth0"),
    what: "problem: network.interface[0].parent: found no eth5 on this board, wanted one of eth0, eth1",
    is: ["problem: network.interface[0].parent: found no eth5 on this board, wanted one of eth0, eth1"],
  },
  {
    why: "no interface at all",
    toml: "",
    machine: { interfaces: [] },
    what: "problem: found no Ethernet interface, wanted one",
    is: ["problem: found no Ethernet interface, wanted one"],
  },
  {
    why: "no interface at all, and one with a name that none may ever have: the usual one may come",
    toml: card("eht0"),
    machine: { interfaces: [] },
    what: "interfaces",
    is: [
      "interfaces",
      "write /run/carpio/interfaces/eth0/commands",
      ...inShell("link set dev eth0 up"),
      "write /run/carpio/interfaces/eth0/missed",
      "found no Ethernet interface, wanted one",
      "write /run/carpio/interfaces/eht0/commands",
      ...inShell("link set dev eht0 up"),
      "write /run/carpio/interfaces/eht0/missed",
      "network.interface[0].name: found no eht0 on this board, wanted one of none",
      "found no Ethernet interface, wanted one",
    ],
  },
  {
    why: "an interface that is not there may come: what it needs then is written down, and what is wrong until it does",
    toml: card("eth5", 'addresses = ["192.0.2.2/24"]'),
    what: "interfaces",
    is: [
      "interfaces",
      "write /run/carpio/interfaces/eth0/commands",
      ...inShell("link set dev eth0 up"),
      "write /run/carpio/interfaces/eth5/commands",
      ...inShell("link set dev eth5 up", "address replace 192.0.2.2/24 broadcast + dev eth5"),
      "write /run/carpio/interfaces/eth5/missed",
      "network.interface[0].name: found no eth5 on this board, wanted one of eth0, eth1",
    ],
  },
  {
    why: "an interface that is not there may come: nothing is done to it now",
    toml: card("eth5"),
    what: "eth5",
    is: [],
  },
  {
    why: "an interface that is not there may come: then it asks for a lease",
    toml: card("eth5"),
    what: "dhcp-eth5",
    is: [leaseService("eth5", "carpio-1a2b", 11)],
  },
  {
    why: "the interface of a group, when it comes",
    toml: GROUP,
    machine: { interfaces: ["eth0"] },
    what: "interfaces",
    is: [
      "interfaces",
      "write /run/carpio/interfaces/eth1/commands",
      ...inShell("link set dev eth1 up"),
      "write /run/carpio/interfaces/eth0/commands",
      ...inShell("link set dev eth0 up"),
    ],
  },
  {
    why: "no interface at all, and a group has one: whichever comes first ends that",
    toml: GROUP,
    machine: { interfaces: [] },
    what: "interfaces",
    is: [
      "interfaces",
      "write /run/carpio/interfaces/eth1/commands",
      ...inShell("link set dev eth1 up"),
      "write /run/carpio/interfaces/eth1/missed",
      "found no Ethernet interface, wanted one",
      "write /run/carpio/interfaces/eth0/commands",
      ...inShell("link set dev eth0 up"),
      "write /run/carpio/interfaces/eth0/missed",
      "found no Ethernet interface, wanted one",
    ],
  },
  {
    why: "no interface at all: the usual one asks for a lease when it comes",
    toml: "",
    machine: { interfaces: [] },
    what: "dhcp-eth0",
    is: [leaseService("eth0", "carpio-1a2b")],
  },
  {
    why: "servers for names, also until a lease brings others",
    toml: '[network]\ndns = ["192.0.2.53"]\n',
    what: "names",
    is: [
      "names",
      "write /run/carpio/resolv-static",
      "nameserver 192.0.2.53",
      "write /run/carpio/resolv.conf",
      "nameserver 192.0.2.53",
    ],
  },
  {
    why: "a router of IPv4",
    toml: "[router]\nipv4 = true\n",
    what: "router",
    is: ["router", "write /proc/sys/net/ipv4/ip_forward", "1"],
  },
  {
    why: "a router with rules has them first",
    toml: '[router]\nipv4 = true\nipv6 = true\nnftables = "rules"\n',
    machine: {
      rules: {
        text: "flush ruleset\n",
        folder: "/boot",
        included: new Map([["sets", "# sets\n"]]),
      },
    },
    what: "router",
    is: [
      "router",
      "write /run/carpio/rules/sets",
      "# sets",
      "write /run/carpio/nftables.conf",
      "flush ruleset",
      "run nft -c -I /run/carpio/rules -I /boot -f /run/carpio/nftables.conf",
      "run nft -I /run/carpio/rules -I /boot -f /run/carpio/nftables.conf",
      "write /proc/sys/net/ipv4/ip_forward",
      "1",
      "write /proc/sys/net/ipv6/conf/all/forwarding",
      "1",
    ],
  },
  {
    why: "a router that has lost its rules forwards nothing",
    toml: '[router]\nipv4 = true\nnftables = "rules"\n',
    machine: { rules: { found: "no such file" } },
    what: "router",
    is: [],
  },
  {
    why: "a router of IPv6 that has a lease listens to the one that gives it",
    toml: "[router]\nipv6 = true\n",
    what: "eth0",
    is: [
      "eth0",
      note("eth0"),
      IP,
      "link set dev eth0 up",
      "write /proc/sys/net/ipv6/conf/eth0/accept_ra",
      "2",
    ],
  },
  {
    why: "time",
    toml: '[ntp]\nservers = ["a.example", "192.0.2.1"]\n',
    what: "ntp",
    is: [
      "service ntp: chronyd -d -u root server a.example iburst server 192.0.2.1 iburst makestep 1 -1 port 0 cmdport 0 bindcmdaddress / pidfile /run/chronyd.pid",
    ],
  },
  {
    why: "a log elsewhere, once there is a way",
    toml: '[log]\nremote = "2001:db8::9"\n',
    what: "syslog",
    is: [`service syslog: ${toServer} [2001:db8::9]:514 2001:db8::9 ip route get 2001:db8::9`],
  },
  {
    why: "a log elsewhere, once its name is found",
    toml: '[log]\nremote = "log.example:5514"\n',
    what: "syslog",
    is: [`service syslog: ${toServer} log.example:5514 log.example nslookup log.example`],
  },
  {
    why: "nothing of the kernel's log is said before somebody is there to carry it",
    toml: '[log]\nremote = "2001:db8::9"\n',
    what: "klog",
    is: ["service klog: sh -c until [ -S /dev/log ]; do sleep 1; done; exec klogd -n"],
  },
  {
    why: "a key for SSH opens it to nobody else",
    toml: `[ssh]\nkey = "${SSH_KEY}"\n`,
    what: "ssh",
    is: [
      "ssh",
      "write /run/carpio/ssh/authorized_keys",
      SSH_KEY,
      "keep ssh_host_key as /run/carpio/ssh/host_key, made by dropbearkey -t ed25519 -f /run/carpio/ssh/host_key",
    ],
  },
  {
    why: "each key of a list opens it, and so does each line of one of them",
    toml: `[ssh]\nkey = ["${SSH_KEY}1", """\n${SSH_KEY}2\n${SSH_KEY}3\n"""]\n`,
    what: "ssh",
    is: [
      "ssh",
      "write /run/carpio/ssh/authorized_keys",
      `${SSH_KEY}1`,
      `${SSH_KEY}2`,
      `${SSH_KEY}3`,
      "keep ssh_host_key as /run/carpio/ssh/host_key, made by dropbearkey -t ed25519 -f /run/carpio/ssh/host_key",
    ],
  },
  {
    why: "a shell on the serial line",
    toml: '[console]\nserial = "shell"\n',
    what: "console",
    is: [
      'service console: sh -c tty=/dev/$(sed "s/.* //" /sys/class/tty/console/active); exec setsid -c /bin/sh -l <"$tty" >"$tty" 2>&1',
    ],
  },
  { why: "no slots, no updates", toml: "", what: "updates", is: [] },
  {
    why: "a board with slots takes updates from the daemon",
    toml: "",
    machine: { updates: { config: "/boot/carpio.toml" } },
    what: "updates",
    is: [
      'service updates: sh -c while :; do { carpio update - --json --config "$0"; cat >/dev/null; } <"$1" >"$2"; done /boot/carpio.toml /run/carpio/update.in /run/carpio/update.out',
    ],
  },
];
describe("a plan", () => {
  for (const { why, toml, machine, what, is } of rows) {
    test(why, () => assert.deepEqual(about(toml, what, machine), is));
  }

  test("nothing is done to an interface before it has its name", () => {
    const [first] = planOf(byMac("wan", B), two).network;
    assert.equal(first?.about, "renaming");
  });

  test("rules come after the interfaces that they may name, VLANs as well", () => {
    const toml = `${vlan}[router]\nipv4 = true\nnftables = "rules"\n`;
    const { network } = planOf(toml, { rules: { text: "", folder: "", included: new Map() } });
    const order = network.map(({ about }) => about).filter((about) => /^(eth1|lan|router)$/.test(about));
    assert.deepEqual(order, ["eth1", "lan", "router"]);
  });
});

interface Start {
  readonly problems: readonly string[];
  /** What was run, in order. */
  readonly ran: readonly string[];
  /** Of that the programs that groups wait for. */
  readonly awaited: readonly string[];
  readonly root: string;
  readonly folder: string;
}

let starts = 0;

/** A start with a file, where some programs fail. */
async function start(toml: string | undefined, failing: RegExp = /^$/, again?: Start): Promise<Start> {
  const place = again ? join(again.root, "..") : join(parent, String(++starts));
  const [root, folder, runtime] = ["root", "card", "run"].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ];
  for (const each of [root, folder, runtime]) mkdirSync(each, { recursive: true });
  for (const name of ["eth0", "eth1"]) {
    const device = join(root, "sys/class/net", name);
    mkdirSync(device, { recursive: true });
    writeFileSync(join(device, "ifindex"), "2\n");
  }
  if (toml !== undefined) writeFileSync(join(folder, "carpio.toml"), toml);
  const ran: string[] = [];
  const awaited: string[] = [];
  const setting: Setting = {
    machine: async () => ({ interfaces: ["eth0", "eth1"], macs: new Map(), suffix: "1a2b" }),
    async run(argv) {
      ran.push(argv.join(" "));
      if (!existsSync(join(root, "run/carpio/network"))) awaited.push(argv[0] ?? "");
      if (argv[0] === "dropbearkey") writeFileSync(join(root, argv.at(-1) ?? ""), `key ${starts}`);
      return failing.test(argv.join(" ")) ? `${argv[0]}: no` : undefined;
    },
    say: () => {},
  };
  const order = { config: join(folder, "carpio.toml"), card: findCard(folder, runtime), root, dryRun: false };
  return { problems: await setUp(order, setting), ran, awaited, root, folder };
}

const at = ({ root }: Start, path: string) => readFileSync(join(root, path), "utf8");

describe("a start", () => {
  test("lets groups begin when there are interfaces and rules, before a key is made", async () => {
    const place = await start('name = "left"\n');
    writeFileSync(join(place.folder, "main.nft"), "flush ruleset\n");
    const toml = `[ssh]\nkey = "${SSH_KEY}"\n[router]\nnftables = "main.nft"\n`;
    rmSync(join(place.root, "run/carpio/network"));
    const done = await start(toml, undefined, place);
    assert.deepEqual(done.problems, []);
    assert.deepEqual(done.awaited, ["/sbin/ip", "nft", "nft"]);
    assert.equal(done.ran.filter((line) => line.startsWith("dropbearkey")).length, 1);
  });

  test("that fails in the end has its groups begin all the same, and says all that was wrong", async () => {
    const toml = `[ssh]\nkey = "${SSH_KEY}"\n[router]\nnftables = "none.nft"\n`;
    const done = await start(toml, /^dropbearkey/);
    assert.deepEqual(done.awaited, ["/sbin/ip"]);
    assert.match(at(done, "run/carpio/carpio-errors.txt"), /^router\.nftables: .*\nssh: dropbearkey: no\n$/);
  });

  test("of a good file leaves its files, its services and no errors", async () => {
    const done = await start(`name = "left"\r\n[ssh]\r\nkey = "${SSH_KEY}"\r\n`);
    assert.deepEqual(done.problems, []);
    assert.equal(at(done, "proc/sys/kernel/hostname"), "left\n");
    assert.equal(
      at(done, "run/carpio/services/dhcp-eth0"),
      `sh -c '${whenThere} shift; exec "$@"' /run/carpio/udhcpc-eth0.pid eth0 ${udhcpc("eth0", "left")} 2>/dev/null\n`,
    );
    assert.equal(statSync(join(done.root, "run/carpio/lease.sh")).mode & 0o111, 0o111);
    assert.equal(existsSync(join(done.folder, "carpio-errors.txt")), false);
  });

  for (const [is, toml, says] of [
    ["a broken file", "[[carp]\n", /carpio\.toml:1: .*found an error/],
    ["no file", undefined, /carpio\.toml: found no such file/],
    ["a wrong value", "[[carp]]\nvhid = 300\n", /carpio\.toml:2: carp\[0\]\.vhid: found 300/],
  ] as const) {
    test(`of ${is} has DHCP on the first interface, and says why on the card`, async () => {
      const done = await start(toml);
      assert.match(at(done, "run/carpio/services/dhcp-eth0"), / udhcpc .*hostname:carpio-1a2b/);
      const text = readFileSync(join(done.folder, "carpio-errors.txt"), "utf8");
      assert.match(text, says);
      assert.match(text, /until that is put right, this board has DHCP/);
      assert.deepEqual(at(done, "run/carpio/carpio-errors.txt").trimEnd().split("\n"), done.problems);
    });
  }

  test("of a file that is still broken writes nothing to the card", async () => {
    const before = await start("[[carp]\n");
    const path = join(before.folder, "carpio-errors.txt");
    utimesSync(path, 1, 1);
    const after = await start("[[carp]\n", undefined, before);
    assert.deepEqual(after.problems, before.problems);
    assert.equal(statSync(path).mtimeMs, 1000);
  });

  test("leaves to the daemon, in a sentence, what is wrong", async () => {
    const said = ({ root }: Start) => problemsOfStart(join(root, "run/carpio"));
    const toml = '[router]\nipv4 = true\nnftables = "carpio.toml"\n';
    assert.equal(said(await start(toml, /^nft -c/)), "the board's start found: router: nft: no");
    assert.equal(said(await start(toml)), undefined);
  });

  test("says on the card what was found wrong with it before, and holds it against nobody", async () => {
    const before = await start('name = "left"\n');
    writeFileSync(join(before.root, "run/carpio/card-problems"), "slot a: it is damaged\n");
    const after = await start('name = "left"\n', undefined, before);
    const runtime = join(after.root, "run/carpio");
    assert.deepEqual(
      [problemsOfCard(runtime), problemsOfStart(runtime)],
      ["slot a: it is damaged", undefined],
    );
    assert.match(readFileSync(join(after.folder, "carpio-errors.txt"), "utf8"), /^slot a: it is damaged$/m);
  });

  test("says which of the card's records cannot be read, and holds it against nobody", async () => {
    const before = await start('name = "left"\n');
    const records = join(before.root, "run/records");
    // Nobody reads a folder as a file.
    mkdirSync(join(records, "slots-b"), { recursive: true });
    writeFileSync(join(records, "slots-a"), "");
    const after = await start('name = "left"\n', undefined, before);
    assert.deepEqual(after.problems, []);
    const said = problemsOfCard(join(after.root, "run/carpio")) ?? "";
    assert.match(said, /^the card: its record slots-b cannot be read, so replace the card: [^;]+$/);
    assert.match(readFileSync(join(after.folder, "carpio-errors.txt"), "utf8"), /record slots-b/);
  });

  test("of a file that was put right takes the errors away", async () => {
    const bad = await start("[[carp]\n");
    const good = await start('name = "left"\n', undefined, bad);
    assert.deepEqual(good.problems, []);
    assert.equal(existsSync(join(good.folder, "carpio-errors.txt")), false);
    assert.equal(existsSync(join(good.root, "run/carpio/carpio-errors.txt")), false);
  });

  test("with rules that nft refuses forwards nothing, and goes on", async () => {
    const toml = '[router]\nipv4 = true\nnftables = "carpio.toml"\n';
    const done = await start(toml, /^nft -c/);
    assert.deepEqual(done.problems, ["router: nft: no"]);
    assert.equal(existsSync(join(done.root, "proc/sys/net/ipv4/ip_forward")), false);
    assert.deepEqual(
      done.ran.filter((line) => line.startsWith("nft")),
      [`nft -c -I /run/carpio/rules -I ${done.folder} -f /run/carpio/nftables.conf`],
    );
    assert.ok(existsSync(join(done.root, "run/carpio/services/dhcp-eth0")));

    const good = await start(toml);
    assert.equal(at(good, "proc/sys/net/ipv4/ip_forward"), "1\n");
    assert.equal(at(good, "run/carpio/nftables.conf"), toml);
  });

  test("takes the files along that the rules include, and those that these include", async () => {
    const before = await start('name = "left"\n');
    const rules = {
      "main.nft": 'include "sets.nft"\r\ninclude "gone.nft"\r\n',
      "sets.nft": 'include "main.nft"\r\n',
    };
    for (const [name, text] of Object.entries(rules)) writeFileSync(join(before.folder, name), text);
    const done = await start('[router]\nnftables = "main.nft"\n', undefined, before);
    assert.deepEqual(done.problems, []);
    assert.equal(at(done, "run/carpio/nftables.conf"), 'include "sets.nft"\ninclude "gone.nft"\n');
    assert.equal(at(done, "run/carpio/rules/sets.nft"), 'include "main.nft"\n');
    assert.deepEqual(readdirSync(join(done.root, "run/carpio/rules")), ["main.nft", "sets.nft"]);
  });

  test("without the rules that were promised says so, and forwards nothing", async () => {
    const done = await start('[router]\nipv4 = true\nnftables = "none.conf"\n');
    assert.match(done.problems.join(), /router\.nftables: found no such file.*nothing is forwarded/);
    assert.equal(existsSync(join(done.root, "proc/sys/net/ipv4/ip_forward")), false);
  });

  test("keeps the host key on the card, and takes it from there", async () => {
    const toml = `[ssh]\nkey = "${SSH_KEY}"\n`;
    const first = await start(toml);
    const second = await start(toml, undefined, first);
    assert.equal(
      at(second, "run/carpio/ssh/host_key"),
      readFileSync(join(first.folder, "ssh_host_key"), "utf8"),
    );
    assert.deepEqual(
      [first, second].map(({ ran }) => ran.filter((line) => line.startsWith("dropbearkey")).length),
      [1, 0],
    );
  });
});

test("carpio setup --dry-run shows the plan and does nothing", () => {
  const root = join(parent, "dry");
  mkdirSync(join(root, "sys/class/net/end0"), { recursive: true });
  writeFileSync(join(root, "sys/class/net/end0/type"), "1\n");
  writeFileSync(join(root, "sys/class/net/end0/address"), "dc:a6:32:00:c0:de\n");
  const { status, stderr } = spawnSync(
    process.execPath,
    [MAIN, "setup", "--dry-run", "--root", root, "--config", join(root, "none.toml")],
    { encoding: "utf8" },
  );
  assert.equal(status, 0);
  assert.match(stderr, /^problem: .*none\.toml: found no such file/);
  assert.match(stderr, /write \/proc\/sys\/kernel\/hostname\n {4}carpio-c0de\n/);
  assert.match(stderr, /service dhcp-end0: .* udhcpc -f -i end0/);
  assert.equal(existsSync(join(root, "run")), false);
});

/** What the kernel shows of an interface; `root` stands for a board. */
function plugIn(root: string, name: string, mac: string, more: readonly string[] = []): string {
  const place = join(root, "sys/class/net", name);
  for (const path of ["", ...more]) mkdirSync(join(place, path), { recursive: true });
  writeFileSync(join(place, "type"), "1\n");
  const address = join(place, "address");
  writeFileSync(address, `${mac}\n`);
  return address;
}

test("a start knows by its MAC what has a cable, and not what stands on it", () => {
  const root = join(parent, "macs");
  plugIn(root, "eth0", A);
  plugIn(root, "eth1", B);
  plugIn(root, "lan", B, ["lower_eth1"]);
  const config = join(root, "carpio.toml");
  writeFileSync(config, byMac("wan", B));
  const argv = [MAIN, "setup", "--dry-run", "--root", root, "--config", config];
  const { stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  assert.match(stderr, /^renaming\n.*\n {4}link set dev eth1 down\n {4}link set dev eth1 name wan\n/);
  assert.match(stderr, /carpio-000a\n/);
});

test("a start waits for the MAC that its file names, and not for a name that the kernel gives", async () => {
  const root = join(parent, "late");
  plugIn(root, "eth0", A);
  const address = plugIn(root, "eth1", C);
  const [other, right] = [`${address}.other`, `${address}.right`];
  writeFileSync(right, `${B}\n`);
  // Whoever has opened it has looked, and the next one to look finds another file.
  assert.equal(spawnSync("mkfifo", [other]).status, 0);
  renameSync(other, address);
  const config = join(root, "carpio.toml");
  writeFileSync(config, byMac("wan", B));
  const argv = [MAIN, "setup", "--dry-run", "--root", root, "--config", config];
  const setup = spawn(process.execPath, argv, { stdio: ["ignore", "inherit", "pipe"] });
  const said = text(setup.stderr);
  const looked = await open(address, "w");
  renameSync(right, address);
  await looked.writeFile(`${C}\n`);
  await looked.close();
  assert.match(await said, /^renaming\n.*\n {4}link set dev eth1 down\n {4}link set dev eth1 name wan\n/);
});

test("where there is no MAC to end it with, the name of a board ends with its serial number", () => {
  const root = join(parent, "serial");
  mkdirSync(join(root, "sys/class/net/end0"), { recursive: true });
  writeFileSync(join(root, "sys/class/net/end0/type"), "1\n");
  mkdirSync(join(root, "proc/device-tree"), { recursive: true });
  writeFileSync(join(root, "proc/device-tree/serial-number"), "00000000abcd1f2e\0");
  const argv = [MAIN, "setup", "--dry-run", "--root", root, "--config", join(root, "none.toml")];
  const { stderr } = spawnSync(process.execPath, argv, { encoding: "utf8" });
  assert.match(stderr, /write \/proc\/sys\/kernel\/hostname\n {4}carpio-1f2e\n/);
});
