/**
 * Who is measured: each daemon and setting worth comparing, how a pair of
 * them is started, and how its operator hands over. Configured as its manual
 * suggests for two hosts that share one IPv4 address.
 */
import { writeFile } from "node:fs/promises";
import type { Host } from "../../test/lab/host.js";
import {
  carpio,
  carpioDoes,
  type Daemon,
  KEEPALIVED_HANDOVER_FILE,
  keepalived,
  ucarp,
  VIRTUAL_ADDRESS,
} from "../../test/lab/peers.js";

export type Family = "carpio" | "ucarp" | "keepalived";
/** Who should serve when both can. */
export type Rank = "better" | "worse";

export type Comeback = "returns" | "stays away";

export interface Contender {
  readonly name: string;
  readonly family: Family;
  /** Where the worse host runs another daemon: a pair for the cases of such pairs alone. */
  readonly beside?: Family;
  /** How long to let things calm down: about two of its advertisements, and not less than 500 ms. */
  readonly calmMs: number;
  /** `comeback`: what the better one should do after it has left; for daemons that must be told when they start. */
  start(host: Host, rank: Rank, comeback?: Comeback): Daemon;
  /** With so many groups, each with an address of its own; as few processes as it can do with. */
  startGroups(host: Host, rank: Rank, groups: number): readonly Daemon[];
  /** What the operator of a master does before pulling its plug. */
  handOver(daemon: Daemon): Promise<void>;
  /** What a supervisor does after a crash; it waits for the end of the process first. */
  afterCrash(daemon: Daemon): Promise<void>;
}

interface CarpioSettings {
  readonly advbase: number;
  /** Of the better and the worse host. */
  readonly advskews: readonly [number, number];
  readonly mac: "virtual" | "interface";
}

const nothing = async (): Promise<void> => undefined;

const EQUAL = "carpio 0/0 and 0/1";

export const contenders: readonly Contender[] = [
  ucarpPair(),
  keepalivedPair("keepalived 1 s", 1000, false),
  keepalivedPair("keepalived 1 s, virtual MAC", 1000, true),
  keepalivedPair("keepalived 10 ms", 10, false),
  keepalivedPair("keepalived 10 ms, virtual MAC", 10, true),
  carpioPair("carpio 1 s", { advbase: 1, advskews: [0, 50], mac: "virtual" }),
  carpioPair("carpio 1 s, interface MAC", { advbase: 1, advskews: [0, 50], mac: "interface" }),
  carpioPair("carpio 0/1 and 0/2", { advbase: 0, advskews: [1, 2], mac: "virtual" }),
  carpioPair(EQUAL, { advbase: 0, advskews: [0, 1], mac: "virtual" }),
  carpioToUcarp("carpio 1 s to ucarp", true),
  carpioToUcarp("carpio 1 s to ucarp without preempt", false),
];

function ucarpPair(): Contender {
  // With --preempt it takes SIGUSR2 for a pause of three seconds.
  const options = (rank: Rank, comeback: Comeback) => ({
    advskew: rank === "better" ? 0 : 50,
    preempt: comeback === "returns",
  });
  return {
    name: "ucarp 1 s",
    family: "ucarp",
    calmMs: 2000,
    start: (host, rank, comeback = "returns") => ucarp(host, options(rank, comeback)),
    startGroups: (host, rank, groups) =>
      numbers(groups).map((vhid) =>
        ucarp(host, { ...options(rank, "returns"), vhid, address: groupAddress(vhid) }),
      ),
    handOver: (daemon) => daemon.child.kill("SIGUSR2"),
    afterCrash: nothing,
  };
}

function keepalivedPair(name: string, advertMs: number, virtualMac: boolean): Contender {
  const group = (rank: Rank) => ({ priority: rank === "better" ? 200 : 150, advertMs, virtualMac });
  return {
    name,
    family: "keepalived",
    calmMs: Math.max(2 * advertMs, 500),
    start: (host, rank) => keepalived(host, [group(rank)]),
    startGroups: (host, rank, groups) => [
      keepalived(
        host,
        numbers(groups).map((vrid) => ({ ...group(rank), vrid, addresses: [groupAddress(vrid)] })),
      ),
    ],
    handOver: ({ host }) => writeFile(`/proc/${host.namespace.pid}/root${KEEPALIVED_HANDOVER_FILE}`, "1\n"),
    afterCrash: nothing,
  };
}

/** 0/0 is as fast as 0/1, so that the two are equal and neither preempts the other. */
export function isRanked({ name }: Contender): boolean {
  return name !== EQUAL;
}

function carpioPair(name: string, settings: CarpioSettings): Contender {
  const { advskews, ...common } = settings;
  const start = (host: Host, rank: Rank, addresses: readonly string[]): Daemon =>
    carpio(host, carpioConfig(host, { ...common, advskew: advskews[rank === "better" ? 0 : 1] }, addresses));
  return {
    name,
    family: "carpio",
    calmMs: Math.max(2 * 1000 * settings.advbase, 500),
    start: (host, rank) => start(host, rank, [VIRTUAL_ADDRESS]),
    startGroups: (host, rank, groups) => [start(host, rank, numbers(groups).map(groupAddress))],
    handOver: async ({ host }) => void (await carpioDoes(host, "maintenance", "on")),
    afterCrash: async ({ host }) => void (await carpioDoes(host, "release")),
  };
}

/** UCARP serves with the interface's own MAC, so its peer does as well. */
function carpioToUcarp(name: string, preempt: boolean): Contender {
  const settings = { advbase: 1, advskew: 0, mac: "interface" } as const;
  return {
    name,
    family: "carpio",
    beside: "ucarp",
    calmMs: 2000,
    start: (host, rank) =>
      rank === "better"
        ? carpio(host, carpioConfig(host, settings, [VIRTUAL_ADDRESS]))
        : ucarp(host, { advskew: 50, preempt }),
    startGroups: () => [],
    handOver: async ({ host }) => void (await carpioDoes(host, "maintenance", "on")),
    afterCrash: nothing,
  };
}

/** A single address is vhid 7 with a panel, for its button; several are vhids 1, 2, 3, … */
function carpioConfig(
  host: Host,
  { advbase, advskew, mac }: Omit<CarpioSettings, "advskews"> & { readonly advskew: number },
  addresses: readonly string[],
): string {
  const groups = addresses.map(
    (address, index) => `[[carp]]
vhid = ${addresses.length === 1 ? 7 : index + 1}
interface = "eth0"
password = "mekmitasdigoat"
addresses = ["${address}/24"]
advbase = ${advbase}
advskew = ${advskew}
preempt = true
mac = "${mac}"
`,
  );
  return `name = "${host.name}"
board = "${addresses.length === 1 ? "simulated" : "none"}"
${groups.join("")}[status]
listen = "0.0.0.0:8080"
`;
}

function numbers(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

function groupAddress(vhid: number): string {
  return `192.0.2.${vhid + 100}`;
}
