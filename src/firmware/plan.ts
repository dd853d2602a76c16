/**
 * What a board's own system does at its start, from what it was told: pure, so
 * that it can be shown before it is done, and tried in tables. Doing it is for
 * setup.ts.
 *
 * A plan has stages, first those of the network. What fails in one ends that stage alone, and is
 * told of. Then come services, which the first process starts, and starts again when they end.
 */
import type { InterfaceConfig, SystemConfig } from "../config/system.js";
import { formatAddress, formatPrefix, parseAddress } from "../wire/address.js";
import { LEASE_SCRIPT } from "./lease-script.js";
import { type Found, nameByMac, ownersOf, renaming } from "./naming.js";

export type Step =
  | { readonly write: string; readonly text: string; readonly mode?: number }
  /** What another file says at that moment. */
  | { readonly write: string; readonly source: string }
  | { readonly run: readonly string[]; readonly input?: string }
  /** A file that a command makes once, and the card keeps. */
  | { readonly keep: string; readonly at: string; readonly make: readonly string[] };

/** Such as the network is made of; a shell can take it too. */
type NetworkStep =
  | Extract<Step, { text: string }>
  | { readonly run: readonly string[]; readonly input: string };

/** What is wrong as long as an interface is not there. */
interface Missed {
  readonly plug: string;
  readonly problem: string;
}

export interface Stage {
  readonly about: string;
  readonly steps: readonly Step[];
}

export interface Service {
  readonly name: string;
  readonly argv: readonly string[];
  /** It complains again and again where nobody answers, and would fill the log. */
  readonly quiet?: true;
}

export interface Plan {
  /** What groups stand on, and so the daemon waits for. */
  readonly network: readonly Stage[];
  /** What services need. */
  readonly others: readonly Stage[];
  readonly services: readonly Service[];
  /** What was asked for and cannot be. */
  readonly problems: readonly string[];
}

/** Of a router, as rules.ts reads them. */
export interface Rules {
  readonly text: string;
  /** Where they lie. */
  readonly folder: string;
  /** As a board reads them, by the names that the text has for them. */
  readonly included: ReadonlyMap<string, string>;
}

/** What there is on the board. */
export interface Machine extends Found {
  /** Interfaces with a cable, the first one first. */
  readonly interfaces: readonly string[];
  /** Tells boards apart whose owners gave them no name: the end of a MAC. */
  readonly suffix: string;
  /** The text of `router.nftables` and of the files that it includes, or why there is none. */
  readonly rules: Rules | { readonly found: string } | undefined;
  /** Where the status page is; `undefined`: there is none. */
  readonly port: number | undefined;
  /** `undefined` where there are no slots to update. */
  readonly updates: { readonly config: string } | undefined;
}

/** Files that the system may write; the rest of it is read-only. */
export const RUN = "/run/carpio";
/** Pipes between the daemon and the service that writes slots, there from the start: in one a payload goes, from the other comes how far it is. */
export const PAYLOADS = "update.in";
export const PROGRESS = "update.out";
const RULES = `${RUN}/nftables.conf`;
const INCLUDED = `${RUN}/rules`;
const LEASE = `${RUN}/lease.sh`;
const SSH = `${RUN}/ssh`;
const MDNS = `${RUN}/mdns`;
/** For each interface that is or may be plugged in, a folder with what the porter needs of it. */
const INTERFACES = `${RUN}/interfaces`;
const PORTER = "/usr/lib/carpio/porter";
/** What the kernel calls the first one, where nobody knows it by another name. */
const USUAL_INTERFACE = "eth0";
const NO_ETHERNET = "found no Ethernet interface, wanted one";
/** Debian's busybox has an ip of its own, which knows less. */
const IP = ["/sbin/ip", "-force", "-batch", "-"];
/** A board starts in 1970: then the clock jumps, at whatever moment. Nobody may ask it. */
const CLOCK = ["makestep 1 -1", "port 0", "cmdport 0", "bindcmdaddress /", "pidfile /run/chronyd.pid"];
/** The terminal that /dev/console stands for: that one itself gives no shell control over its jobs. */
const CONSOLE =
  'tty=/dev/$(sed "s/.* //" /sys/class/tty/console/active); exec setsid -c /bin/sh -l <"$tty" >"$tty" 2>&1';
/**
 * What it is given before there is a way to the server is gone, and a name that it has
 * not found it looks up again after two minutes. The first packet finds out the server's
 * MAC: few others may wait for that. `$0` is where to, `$1` the server, and then comes
 * what succeeds once there is a way.
 */
const SYSLOG =
  'server=$1; shift; { until "$@"; do sleep 1; done; ping -c 1 -w 10 "$server"; } >/dev/null 2>&1; exec syslogd -n -R "$0"';
/** All lines of the board are in the kernel's log, which keeps them until somebody takes them on. */
const KLOG = "until [ -S /dev/log ]; do sleep 1; done; exec klogd -n";
/**
 * What stands on an interface waits until that is there. `$0` is where its number is found: the
 * porter ends it when the interface is another one, and `keep` starts it again.
 */
const ON_INTERFACE = 'echo $$ >"$0"; until [ -e "/sys/class/net/$1" ]; do sleep 1; done; ';
const ASK = `${ON_INTERFACE}shift; exec "$@"`;
/**
 * mdnsd says what addresses it has found at its start. It waits a little for one that others can
 * reach: most often that is the first lease.
 */
const ANNOUNCE = `${ON_INTERFACE}for wait in 1 1 1 1 0; do ip -o address show dev "$1" scope global | grep -q . && break; sleep $wait; done; exec mdnsd -n -l err -i "$1" "$2"`;
/** Ways that stand in the configuration come first. */
const FIRST_METRIC = 10;
const EXECUTABLE = 0o755;
const PRIVATE = 0o600;

/** `carried` are the interfaces of groups: they are up even when nobody says more of them. */
export function planSystem(system: SystemConfig, carried: readonly string[], unnamed: Machine): Plan {
  const { commands, ...named } = nameByMac(system.interfaces, unnamed);
  const machine = { ...unnamed, ...named };
  const { wanted, missed: missedByName } = interfacesOf(system, machine);
  const configured = wanted.map(({ name }) => name);
  // VLANs and groups stand on them, and nobody says more.
  const others = [...wanted.map(plugOf), ...carried].filter((name) => !configured.includes(name));
  const all = [...[...new Set(others)].map(bare), ...wanted];
  const missed = missedOf(missedByName, all, machine);
  const there = all.filter((each) => machine.interfaces.includes(plugOf(each)));
  const hostname = system.hostname ?? `carpio-${machine.suffix}`;
  return {
    network: [
      // First of all: what comes next knows them by these.
      ...(commands.length > 0 ? [{ about: "renaming", steps: [ipBatch(commands)] }] : []),
      { about: "host name", steps: [{ write: "/proc/sys/kernel/hostname", text: `${hostname}\n` }] },
      namesStage(system),
      ...there.map((each) => interfaceStage(each, system)),
      ...routerStages(system, machine),
    ],
    others: [
      mdnsStage(machine),
      { about: "leases", steps: [{ write: LEASE, text: LEASE_SCRIPT, mode: EXECUTABLE }] },
      porterStage(all, missed, system),
      ...sshStages(system),
    ],
    services: [
      { name: "porter", argv: [PORTER] },
      ...wanted.filter(({ dhcp }) => dhcp).map((each, place) => leaseService(each, place, hostname)),
      ...wanted.map(mdnsService),
      ...servicesOf(system),
      ...(machine.updates ? [updateService(machine.updates.config)] : []),
    ],
    problems: [...new Set(missed.map(({ problem }) => problem))],
  };
}

/** What `--dry-run` prints. */
export function describePlan({ network, others, services, problems }: Plan): string {
  const indented = (text: string) => text.trimEnd().replace(/^/gm, "    ");
  const ofStep = (step: Step): string => {
    if ("text" in step) return `  write ${step.write}\n${indented(step.text)}`;
    if ("source" in step) return `  write ${step.write}, as ${step.source} says it`;
    if ("keep" in step) return `  keep ${step.keep} as ${step.at}, made by ${step.make.join(" ")}`;
    return [`  run ${step.run.join(" ")}`, ...(step.input ? [indented(step.input)] : [])].join("\n");
  };
  const lines = [
    ...problems.map((problem) => `problem: ${problem}`),
    ...[...network, ...others].flatMap(({ about, steps }) => [about, ...steps.map(ofStep)]),
    ...services.map(({ name, argv }) => `service ${name}: ${argv.join(" ")}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/**
 * Each VLAN after what carries it. One that is not there may come. A board that has none of them
 * must still be found.
 */
function interfacesOf(
  { interfaces: asked }: SystemConfig,
  machine: Machine,
): { readonly wanted: readonly InterfaceConfig[]; readonly missed: readonly Missed[] } {
  const { interfaces } = machine;
  const missing = (each: InterfaceConfig) => !interfaces.includes(plugOf(each));
  const missed = asked.flatMap((each, i) => {
    const problem = `network.interface[${i}].${lackOf(each, machine)}`;
    return missing(each) ? [{ plug: plugOf(each), problem }] : [];
  });
  const wanted = asked.toSorted((a, b) => Number(a.vlan !== undefined) - Number(b.vlan !== undefined));
  if (!wanted.every(missing)) return { wanted, missed };
  const [first] = interfaces;
  if (first !== undefined) return { wanted: [byLease(first), ...wanted], missed };
  const asksUsual = wanted.some((each) => plugOf(each) === USUAL_INTERFACE);
  return { wanted: asksUsual ? wanted : [byLease(USUAL_INTERFACE), ...wanted], missed };
}

/** How it is told that one is not there, from the key on. */
function lackOf(each: InterfaceConfig, { interfaces, macs }: Machine): string {
  const { mac, vlan } = each;
  if (mac === undefined) {
    const key = vlan ? "parent" : "name";
    const shown = interfaces.join(", ") || "none";
    return `${key}: found no ${plugOf(each)} on this board, wanted one of ${shown}`;
  }
  const owners = ownersOf(mac, { interfaces, macs });
  if (owners.length > 0) return `mac: found ${mac} on ${owners.join(" and on ")}, wanted it on one alone`;
  const shown = interfaces.map((name) => (macs.get(name) ? `${name} (${macs.get(name)})` : name)).join(", ");
  return `mac: found no ${mac} on this board, wanted one of ${shown || "none"}`;
}

/** Where there is none at all, whichever comes first ends that. */
function missedOf(
  named: readonly Missed[],
  all: readonly InterfaceConfig[],
  { interfaces }: Machine,
): readonly Missed[] {
  if (interfaces.length > 0) return named;
  return [...named, ...plugsOf(all).map(({ name }) => ({ plug: name, problem: NO_ETHERNET }))];
}

function plugsOf(all: readonly InterfaceConfig[]): readonly InterfaceConfig[] {
  return all.filter(({ vlan }) => !vlan);
}

function byLease(name: string): InterfaceConfig {
  return { ...bare(name), dhcp: true };
}

/** What a cable goes into. */
function plugOf({ name, vlan }: InterfaceConfig): string {
  return vlan?.parent ?? name;
}

/** Up, and no more. */
function bare(name: string): InterfaceConfig {
  return { name, mac: undefined, dhcp: false, addresses: [], gateways: [], mtu: undefined, vlan: undefined };
}

/** Which one was set up is noted before that is done: another one that comes meanwhile is noticed. */
function interfaceStage(wanted: InterfaceConfig, system: SystemConfig): Stage {
  const { name, vlan } = wanted;
  const note = { write: `${INTERFACES}/${name}/ifindex`, source: `/sys/class/net/${name}/ifindex` };
  return { about: name, steps: [...(vlan ? [] : [note]), ...stepsOf(wanted, system)] };
}

/**
 * The same steps for a shell, each interface's with those of the VLANs on it: they may be taken again. And
 * beside them which problems are over when it comes; and of one that is known by its MAC, that and what has
 * it called so.
 */
function porterStage(
  all: readonly InterfaceConfig[],
  missed: readonly Missed[],
  system: SystemConfig,
): Stage {
  const commands = (plug: string) =>
    all.filter((each) => plugOf(each) === plug).flatMap((each) => stepsOf(each, system).map(inShell));
  const problems = (name: string) =>
    missed.flatMap(({ plug, problem }) => (plug === name ? [`${problem}\n`] : []));
  const files = plugsOf(all).flatMap(({ name, mac = "" }) => [
    { write: `${INTERFACES}/${name}/commands`, text: commands(name).join("") },
    { write: `${INTERFACES}/${name}/missed`, text: problems(name).join("") },
    { write: `${INTERFACES}/${name}/mac`, text: mac && `${mac}\n` },
    { write: `${INTERFACES}/${name}/rename`, text: mac && renamingInShell(name) },
  ]);
  return { about: "interfaces", steps: files.filter(({ text }) => text !== "") };
}

/** `$1` is what the kernel calls it. Whoever took it for another one may have given it an address. */
function renamingInShell(name: string): string {
  const commands = ["address flush dev $1", ...renaming("$1", name)];
  return `${IP.join(" ")} <<end\n${commands.join("\n")}\nend\n`;
}

function inShell(step: NetworkStep): string {
  const [command, input] =
    "write" in step ? [`cat >'${step.write}'`, step.text] : [step.run.join(" "), step.input];
  return `${command} <<'end'\n${input}end\n`;
}

function stepsOf(wanted: InterfaceConfig, { router }: SystemConfig): readonly NetworkStep[] {
  const { name, dhcp, addresses, gateways, mtu, vlan } = wanted;
  const commands = [
    ...(vlan ? [`link add link ${vlan.parent} name ${name} type vlan id ${vlan.id}`] : []),
    ...(mtu === undefined ? [] : [`link set dev ${name} mtu ${mtu}`]),
    `link set dev ${name} up`,
    ...addresses.map((prefix) => {
      const broadcast = prefix.address.family === 4 && prefix.length < 31 ? " broadcast +" : "";
      return `address replace ${formatPrefix(prefix)}${broadcast} dev ${name}`;
    }),
    // A batch takes no -6; what says which family a route is of is its destination.
    ...gateways.map((gateway) => {
      const everywhere = gateway.family === 6 ? "::/0" : "0.0.0.0/0";
      return `route replace ${everywhere} via ${formatAddress(gateway)} dev ${name}`;
    }),
  ];
  // A router listens to no other one, unless it is told to.
  const listens = { write: `/proc/sys/net/ipv6/conf/${name}/accept_ra`, text: "2\n" };
  return [ipBatch(commands), ...(router.ipv6 && dhcp ? [listens] : [])];
}

function namesStage({ dns }: SystemConfig): Stage {
  const text = dns.map((server) => `nameserver ${formatAddress(server)}\n`).join("");
  return {
    about: "names",
    steps: [
      { write: `${RUN}/resolv-static`, text },
      { write: `${RUN}/resolv.conf`, text },
    ],
  };
}

/** What computers beside this one are told when they ask for its name with .local behind it. */
function mdnsStage({ port }: Machine): Stage {
  const page = port === undefined ? { type: "_device-info._tcp", port: 0 } : { type: "_http._tcp", port };
  return {
    about: "mdns",
    steps: [{ write: `${MDNS}/board.service`, text: `type ${page.type}\nport ${page.port}\n` }],
  };
}

/** One for each interface, so that nobody is told a floating address. The lease script finds it by its file. */
function mdnsService({ name }: InterfaceConfig): Service {
  const argv = ["sh", "-c", ANNOUNCE, `${RUN}/mdnsd-${name}.pid`, name, MDNS];
  return { name: `mdns-${name}`, argv, quiet: true };
}

/**
 * Rules may name the interfaces, which are there by then. They come before what forwards: a router
 * that has lost its own forwards nothing. No service has begun, and so nobody is reached meanwhile.
 */
function routerStages({ router }: SystemConfig, { rules }: Machine): Stage[] {
  const forward: Step[] = [
    ...(router.ipv4 ? [{ write: "/proc/sys/net/ipv4/ip_forward", text: "1\n" }] : []),
    ...(router.ipv6 ? [{ write: "/proc/sys/net/ipv6/conf/all/forwarding", text: "1\n" }] : []),
  ];
  if (router.nftables === undefined) return forward.length > 0 ? [{ about: "router", steps: forward }] : [];
  if (!rules || "found" in rules) return [];
  // What is included by a pattern is found in the folder alone.
  const load = ["-I", INCLUDED, "-I", rules.folder, "-f", RULES];
  const apply: Step[] = [
    ...[...rules.included].map(([name, text]) => ({ write: `${INCLUDED}/${name}`, text, mode: PRIVATE })),
    { write: RULES, text: rules.text, mode: PRIVATE },
    { run: ["nft", "-c", ...load] },
    { run: ["nft", ...load] },
  ];
  return [{ about: "router", steps: [...apply, ...forward] }];
}

function sshStages({ sshKeys }: SystemConfig): Stage[] {
  if (sshKeys.length === 0) return [];
  const text = sshKeys.map((key) => `${key}\n`).join("");
  const key = `${SSH}/host_key`;
  return [
    {
      about: "ssh",
      steps: [
        { write: `${SSH}/authorized_keys`, text, mode: PRIVATE },
        { keep: "ssh_host_key", at: key, make: ["dropbearkey", "-t", "ed25519", "-f", key] },
      ],
    },
  ];
}

/** Of two ways the first interface's is taken, also when that has come back. */
function leaseService({ name }: InterfaceConfig, place: number, hostname: string): Service {
  const options = ["-s", LEASE, "-x", `hostname:${hostname}`, "-t", "4", "-A", "5"];
  const ask = ["env", `METRIC=${FIRST_METRIC + place}`, "udhcpc", "-f", "-i", name, ...options];
  const argv = ["sh", "-c", ASK, `${RUN}/udhcpc-${name}.pid`, name, ...ask];
  return { name: `dhcp-${name}`, argv, quiet: true };
}

function servicesOf({ ntpServers, sshKeys, remoteLog, serial }: SystemConfig): Service[] {
  const services: Service[] = [];
  if (ntpServers.length > 0) {
    const servers = ntpServers.map((server) => `server ${server} iburst`);
    services.push({ name: "ntp", argv: ["chronyd", "-d", "-u", "root", ...servers, ...CLOCK] });
  }
  if (remoteLog) services.push(...logServices(remoteLog));
  // No password opens it, and nothing is forwarded through it.
  if (sshKeys.length > 0) {
    services.push({
      name: "ssh",
      argv: ["dropbear", "-F", "-E", "-s", "-j", "-k", "-D", SSH, "-r", `${SSH}/host_key`],
    });
  }
  if (serial === "shell") {
    services.push({ name: "console", argv: ["sh", "-c", CONSOLE] });
  }
  return services;
}

function logServices({ host, port }: NonNullable<SystemConfig["remoteLog"]>): readonly Service[] {
  const remote = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const look = parseAddress(host) ? ["ip", "route", "get", host] : ["nslookup", host];
  return [
    { name: "syslog", argv: ["sh", "-c", SYSLOG, remote, host, ...look] },
    { name: "klog", argv: ["sh", "-c", KLOG] },
  ];
}

/**
 * Waits in its shell until somebody has a payload, and costs nothing until then. What is left of one that
 * failed is thrown away: the next update would take it for the beginning of its own.
 */
function updateService(config: string): Service {
  const script = 'while :; do { carpio update - --json --config "$0"; cat >/dev/null; } <"$1" >"$2"; done';
  return {
    name: "updates",
    argv: ["sh", "-c", script, config, `${RUN}/${PAYLOADS}`, `${RUN}/${PROGRESS}`],
  };
}

function ipBatch(commands: readonly string[]): NetworkStep {
  return { run: IP, input: commands.map((command) => `${command}\n`).join("") };
}
