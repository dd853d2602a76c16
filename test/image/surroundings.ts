/**
 * A carpio.toml that asks for as much as one can ask for, and a network in which
 * all of it can be tried.
 *
 *   ┌─ gate ───────────┐  ┌─ router ────────────────┐  ┌─ control ──┐  ┌─ client ─┐
 *   │ .31, ::31        │  │ .3, ::3                 │  │            │  │ .100     │
 *   │                  │  │ DHCP, names, time, log  │  │            │  │ SSH      │
 *   └─eth0──────inside─┘  └─eth0────────────────────┘  └──────eth1──┘  └─eth0─────┘
 *      │            ╰┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄│┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄╯           │  198.51.100.0/24,
 *      │                             │                                    │  2001:db8:1::/64
 *   ───┴─────────────────────────────┴────────────────────────────────────┴─
 *                          192.0.2.0/24, 2001:db8::/64
 *
 * `control` is inside: its way out is the board's. On its second cable, which it knows by its MAC,
 * the board has a VLAN too.
 */
import { join } from "node:path";
import { CONTROL } from "../lab/boards.js";
import type { Child } from "../lab/child.js";
import type { Host } from "../lab/host.js";
import type { Lab } from "../lab/lab.js";
import { addressOf, secondMacOf } from "./appliance.js";
import { openNetwork, ROUTER } from "./network.js";

/** Of the board, 192.0.2.NUMBER. */
export const NUMBER = 31;
export const OUTSIDE = {
  address: addressOf(NUMBER),
  address6: "2001:db8::31",
  floating: "192.0.2.1",
  router: addressOf(3),
  router6: "2001:db8::3",
} as const;
export const INSIDE = {
  network: "198.51.100.0/24",
  network6: "2001:db8:1::/64",
  address: "198.51.100.31",
  address6: "2001:db8:1::31",
  floating: "198.51.100.1",
  host: "198.51.100.2",
  host6: "2001:db8:1::2",
} as const;
export const GUESTS = { vlan: 20, address: "203.0.113.31", floating: "203.0.113.1" } as const;
/** The ports of the switches that the board's cables go to. */
export const PORTS = { outside: "gate0", inside: "gate1" } as const;
/** Where somebody inside tells callers who they are. */
export const TELLER = 7000;
export const TOKEN = "24 letters, for nobody else";
export const WAIT_MS = 120_000;
/** The clock of the network's server of time is ahead of ours by ten days. */
export const AHEAD_SECONDS = 864_000;
const SERVERS = { time: "time.example.net", log: "log.example.net" } as const;

/** As the README has them. */
const rules = [
  "table ip gate {",
  "  chain in { type nat hook prerouting priority dstnat;",
  `    fib daddr type local tcp dport ${TELLER} dnat to ${INSIDE.host}; }`,
  "  chain out { type nat hook postrouting priority srcnat;",
  `    oifname "eth0" ip saddr ${INSIDE.network} snat to ${OUTSIDE.floating}; }`,
  "}",
  "",
];

/** What is put on the card. `sshKey` is a line of a .pub file. */
export function filesOf(sshKey: string): Readonly<Record<string, string>> {
  return {
    "carpio.toml": configWith(sshKey),
    "nftables.conf": rules.join("\r\n"),
    "token.txt": `${TOKEN}\n`,
    "password.txt": "mekmitasdigoat\n",
  };
}

const configWith = (sshKey: string) => `name = "The gate of the house"
[[carp]]
vhid = 7
interface = "eth0"
password_file = "password.txt"
addresses = ["${OUTSIDE.floating}/24"]
[[carp]]
vhid = 8
interface = "inside"
password = "inside"
addresses = ["${INSIDE.floating}/24"]
[[carp]]
vhid = 9
interface = "guests"
password = "guests"
addresses = ["${GUESTS.floating}/24"]
[status]
token_file = "token.txt"
[network]
hostname = "gate"
[[network.interface]]
name = "eth0"
dhcp = true
addresses = ["${OUTSIDE.address6}/64"]
gateways = ["${OUTSIDE.router6}"]
mtu = 1480
[[network.interface]]
name = "guests"
vlan = ${GUESTS.vlan}
parent = "inside"
addresses = ["${GUESTS.address}/24"]
[[network.interface]]
name = "inside"
mac = "${secondMacOf(NUMBER).toUpperCase().replaceAll(":", "-")}"
addresses = ["${INSIDE.address}/24", "${INSIDE.address6}/64"]
[ssh]
key = "${sshKey}"
[ntp]
servers = ["${SERVERS.time}"]
[log]
remote = "${SERVERS.log}"
[router]
ipv4 = true
ipv6 = true
nftables = "nftables.conf"
`;

/** What a provider's router tells by DHCP beside the address. */
const LEASE = [`opt router ${OUTSIDE.router}`, `opt dns ${OUTSIDE.router}`];

export function openSurroundings(): Promise<Lab> {
  return openNetwork([NUMBER], 2, LEASE);
}

/** Gives what is served to the board: a line for whatever it asks or tells. */
export async function furnish(lab: Lab): Promise<Child> {
  const [router, inside] = [lab.host(ROUTER), lab.host(CONTROL)];
  await router.namespace.ip("link set eth1 down");
  await inside.namespace.ip(
    "link set eth0 down",
    `route add default via ${INSIDE.floating}`,
    `route add ::/0 via ${INSIDE.address6}`,
  );
  await lab.client.namespace.ip("link set eth1 down", `route add ${INSIDE.network6} via ${OUTSIDE.address6}`);
  for (const host of [inside, lab.client]) await tellCallers(host);
  const names = Object.values(SERVERS).map((name) => `${name}=${router.address}`);
  const provider = router.spawn(nodeProgram("provider", ...names, String(AHEAD_SECONDS)));
  await provider.waitForLine(/^ready$/, WAIT_MS);
  return provider;
}

/** One of the programs beside this file. */
export function nodeProgram(name: string, ...parameters: readonly string[]): readonly string[] {
  return [process.execPath, join(import.meta.dirname, `${name}.js`), ...parameters];
}

/** Tells everybody who calls by which address it knows him. */
async function tellCallers(host: Host): Promise<void> {
  const say = 'require("net").createServer((caller) => caller.end(caller.remoteAddress))';
  const script = `${say}.listen(${TELLER}, "0.0.0.0", () => console.log("listens"))`;
  await host.spawn([process.execPath, "-e", script]).waitForLine(/^listens$/, WAIT_MS);
}
