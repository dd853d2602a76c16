/**
 * What a board's own system does at its start, from what it was told: pure, so
 * that it can be shown before it is done, and tried in tables. Doing it is for
 * setup.ts.
 *
 * A plan has stages. What fails in one ends that stage alone, and is told of.
 * Then come services, which the first process starts, and starts again when they end.
 */
import type { InterfaceConfig, SystemConfig } from "../config/system.js";
import { formatAddress, formatPrefix, parseAddress } from "../wire/address.js";
import { LEASE_SCRIPT } from "./lease-script.js";

export type Step =
  | { readonly write: string; readonly text: string; readonly mode?: number }
  | { readonly run: readonly string[]; readonly input?: string }
  /** A file that a command makes once, and the card keeps. */
  | { readonly keep: string; readonly at: string; readonly make: readonly string[] };

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
  readonly stages: readonly Stage[];
  readonly services: readonly Service[];
  /** What was asked for and cannot be. */
  readonly problems: readonly string[];
}

/** What there is on the board. */
export interface Machine {
  /** Interfaces with a cable, the first one first. */
  readonly interfaces: readonly string[];
  /** Tells boards apart whose owners gave them no name: the end of a MAC. */
  readonly suffix: string;
  /** The text of `router.nftables`, or why there is none. */
  readonly rules: { readonly text: string } | { readonly found: string } | undefined;
  /** Where the status page is; `undefined`: there is none. */
  readonly port: number | undefined;
  /** `undefined` where there are no slots to update. */
  readonly updates: { readonly config: string } | undefined;
}

/** Files that the system may write; the rest of it is read-only. */
export const RUN = "/run/carpio";
/** Between the daemon and the service that writes slots: in one a payload goes, from the other comes how far it is. */
export const PAYLOADS = "update.in";
export const PROGRESS = "update.out";
const RULES = `${RUN}/nftables.conf`;
const LEASE = `${RUN}/lease.sh`;
const SSH = `${RUN}/ssh`;
const MDNS = `${RUN}/mdns`;
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
 * mdnsd says what addresses it has found at its start. It waits a little for one that others can
 * reach: most often that is the first lease.
 */
const ANNOUNCE =
  'echo $$ >"$0"; for wait in 1 1 1 1 0; do ip -o address show dev "$1" scope global | grep -q . && break; sleep $wait; done; exec mdnsd -n -l err -i "$1" "$2"';
const EXECUTABLE = 0o755;
const PRIVATE = 0o600;

/** `carried` are the interfaces of groups: they are up even when nobody says more of them. */
export function planSystem(system: SystemConfig, carried: readonly string[], machine: Machine): Plan {
  const { wanted, problems } = interfacesOf(system, machine);
  const named = wanted.flatMap(({ name, vlan }) => (vlan ? [name, vlan.parent] : [name]));
  const bare = [...new Set(carried)].filter(
    (name) => machine.interfaces.includes(name) && !named.includes(name),
  );
  const hostname = system.hostname ?? `carpio-${machine.suffix}`;
  return {
    stages: [
      { about: "host name", steps: [{ write: "/proc/sys/kernel/hostname", text: `${hostname}\n` }] },
      namesStage(system),
      mdnsStage(machine),
      ...routerStages(system, machine),
      { about: "lo", steps: [ipBatch(["link set dev lo up"])] },
      { about: "leases", steps: [{ write: LEASE, text: LEASE_SCRIPT, mode: EXECUTABLE }] },
      ...wanted.map((each) => interfaceStage(each, system)),
      ...bare.map((name) => ({ about: name, steps: [ipBatch([`link set dev ${name} up`])] })),
      ...sshStages(system),
      ...(machine.updates ? [{ about: "updates", steps: [makePipes] }] : []),
    ],
    services: [
      ...wanted.filter(({ dhcp }) => dhcp).map((each) => leaseService(each, hostname)),
      ...wanted.map(mdnsService),
      ...servicesOf(system),
      ...(machine.updates ? [updateService(machine.updates.config)] : []),
    ],
    problems,
  };
}

/** What `--dry-run` prints. */
export function describePlan({ stages, services, problems }: Plan): string {
  const indented = (text: string) => text.trimEnd().replace(/^/gm, "    ");
  const ofStep = (step: Step): string => {
    if ("write" in step) return `  write ${step.write}\n${indented(step.text)}`;
    if ("keep" in step) return `  keep ${step.keep} as ${step.at}, made by ${step.make.join(" ")}`;
    return [`  run ${step.run.join(" ")}`, ...(step.input ? [indented(step.input)] : [])].join("\n");
  };
  const lines = [
    ...problems.map((problem) => `problem: ${problem}`),
    ...stages.flatMap(({ about, steps }) => [about, ...steps.map(ofStep)]),
    ...services.map(({ name, argv }) => `service ${name}: ${argv.join(" ")}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

/** Those that are there, each VLAN after what carries it. A board that has none of them must still be found. */
function interfacesOf(system: SystemConfig, { interfaces }: Machine) {
  const shown = interfaces.length > 0 ? interfaces.join(", ") : "none";
  const isThere = ({ name, vlan }: InterfaceConfig) => interfaces.includes(vlan?.parent ?? name);
  const problems = system.interfaces.flatMap((each, i) => {
    const { name, vlan } = each;
    const missing = vlan?.parent ?? name;
    const key = `network.interface[${i}].${vlan ? "parent" : "name"}`;
    return isThere(each) ? [] : [`${key}: found no ${missing} on this board, wanted one of ${shown}`];
  });
  const wanted = system.interfaces
    .filter(isThere)
    .toSorted((a, b) => Number(a.vlan !== undefined) - Number(b.vlan !== undefined));
  const [first] = interfaces;
  if (wanted.length > 0) return { wanted, problems };
  if (first === undefined)
    return { wanted, problems: [...problems, "found no Ethernet interface, wanted one"] };
  return { wanted: [byLease(first)], problems };
}

function byLease(name: string): InterfaceConfig {
  return { name, dhcp: true, addresses: [], gateways: [], mtu: undefined, vlan: undefined };
}

function interfaceStage(wanted: InterfaceConfig, { router }: SystemConfig): Stage {
  const { name, dhcp, addresses, gateways, mtu, vlan } = wanted;
  const commands = [
    ...(vlan ? [`link set dev ${vlan.parent} up`] : []),
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
  const listens: Step[] =
    router.ipv6 && dhcp ? [{ write: `/proc/sys/net/ipv6/conf/${name}/accept_ra`, text: "2\n" }] : [];
  return { about: name, steps: [ipBatch(commands), ...listens] };
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
  const argv = ["sh", "-c", ANNOUNCE, `${RUN}/mdns-${name}.pid`, name, MDNS];
  return { name: `mdns-${name}`, argv, quiet: true };
}

/** Rules first: a router that has lost its own forwards nothing. */
function routerStages({ router }: SystemConfig, { rules }: Machine): Stage[] {
  const forward: Step[] = [
    ...(router.ipv4 ? [{ write: "/proc/sys/net/ipv4/ip_forward", text: "1\n" }] : []),
    ...(router.ipv6 ? [{ write: "/proc/sys/net/ipv6/conf/all/forwarding", text: "1\n" }] : []),
  ];
  if (router.nftables === undefined) return forward.length > 0 ? [{ about: "router", steps: forward }] : [];
  if (!rules || "found" in rules) return [];
  const apply: Step[] = [
    { write: RULES, text: rules.text, mode: PRIVATE },
    { run: ["nft", "-c", "-f", RULES] },
    { run: ["nft", "-f", RULES] },
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

function leaseService({ name }: InterfaceConfig, hostname: string): Service {
  const argv = ["udhcpc", "-f", "-i", name, "-s", LEASE, "-x", `hostname:${hostname}`, "-t", "4", "-A", "5"];
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

const makePipes: Step = { run: ["mkfifo", "-m", "600", `${RUN}/${PAYLOADS}`, `${RUN}/${PROGRESS}`] };

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

function ipBatch(commands: readonly string[]): Step {
  return { run: IP, input: commands.map((command) => `${command}\n`).join("") };
}
