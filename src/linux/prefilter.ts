/**
 * What the kernel drops before it reaches JavaScript, by nftables: IPv6 packets
 * that a router has forwarded (their hop limit is not shown to us), virtual
 * hosts that are not ours, and floods. And what it must not say by itself: with
 * every lease that is renewed Linux reports the multicast groups of the address,
 * some milliseconds later. Sent from the virtual MAC when a successor has just
 * spoken, that report turns the switch back to us. `parent` reports the groups.
 *
 * Optional: without `nft` everything else works, and the daemon says so.
 */
import { execute, problemOf } from "./program.js";

export interface FilteredInterface {
  readonly name: string;
  readonly vhids: readonly number[];
  /** Devices on it that have a virtual MAC. */
  readonly devices: readonly string[];
}

/** Packets dropped by the kernel since the rules were loaded. */
export type FilterCounters = { readonly [name in "badttl" | "badvhid" | "flooded"]: number };

const TABLE = "carpio";
/** CARPv2: version, type and authlen as everybody sends them. VRRP on the same interface is left alone. */
const IS_CARP = "@th,0,8 0x21 @th,24,8 7";
const MLD_REPORTS = "mld-listener-report, mld-listener-done, mld2-listener-report";
/** Of one source: twice what the fastest virtual host sends, 1/256 s apart. */
const PACKETS_PER_SECOND_A_VHID = 512;
/** Above what 255 groups at ten advertisements a second send, below what keeps a small board busy. */
const MOST_PACKETS_PER_SECOND = 4_000;
const READ_EVERY_MS = 1_000;
/** Of the time at most: on a board that is slow or busy a program is long in starting, and carpio needs the processor. */
const READ_SHARE = 0.05;
/** After one that took very long they are asked for again all the same. */
const LONGEST_REST_MS = 30_000;
const DEADLINE_MS = 5_000;

export interface Prefilter {
  /** Loads the rules for these interfaces in place of earlier ones. Answers with what `nft` said if it failed. */
  load(interfaces: readonly FilteredInterface[]): Promise<string | undefined>;
  /** Takes the rules away, after whatever is still being loaded. */
  unload(): Promise<void>;
  /** As they were last read; `undefined` without a prefilter. */
  readonly counters: FilterCounters | undefined;
  /** Reads the counters from the kernel: at most once a second, and less often where that takes long. */
  read(): Promise<void>;
}

export function createPrefilter(): Prefilter {
  let loaded = false;
  let todo: Promise<unknown> = Promise.resolve();
  let counters: FilterCounters | undefined;
  let restUntil = Number.NEGATIVE_INFINITY;
  return {
    load(interfaces) {
      const loading = todo.then(async () => {
        const { problem } = await nft(["-f", "-"], prefilterRules(interfaces));
        loaded = problem === undefined;
        // Older rules would drop what newer groups must hear.
        if (problem) await unloadPrefilter();
        return problem;
      });
      todo = loading;
      return loading;
    },
    async unload() {
      await todo;
      await unloadPrefilter();
    },
    get counters() {
      return loaded ? counters : undefined;
    },
    async read() {
      const askedAt = performance.now();
      if (!loaded || askedAt < restUntil) return;
      restUntil = Number.POSITIVE_INFINITY;
      try {
        counters = await readCounters();
      } finally {
        const restMs = (performance.now() - askedAt) / READ_SHARE;
        restUntil = askedAt + Math.min(Math.max(READ_EVERY_MS, restMs), LONGEST_REST_MS);
      }
    },
  };
}

/** Takes away what this daemon, or one before it, has loaded. */
export async function unloadPrefilter(): Promise<void> {
  await nft(["-f", "-"], `table inet ${TABLE} {}\ndelete table inet ${TABLE}\n`);
}

/** The rules, as a script that replaces the table in one transaction. */
export function prefilterRules(interfaces: readonly FilteredInterface[]): string {
  const vhidCount = interfaces.reduce((count, { vhids }) => count + vhids.length, 0);
  const perSecond = Math.min(MOST_PACKETS_PER_SECOND, PACKETS_PER_SECOND_A_VHID * vhidCount);
  const tooMany = `limit rate over ${perSecond}/second burst ${perSecond} packets } counter name flooded drop`;
  const jumps = interfaces.map(({ name }, i) => `iifname "${name}" meta l4proto 112 jump carp${i}`);
  const chains = interfaces.map(
    ({ vhids }, i) => `  chain carp${i} {
    ip6 hoplimit != 255 counter name badttl drop
    ${IS_CARP} @th,8,8 != { ${vhids.join(", ")} } counter name badvhid drop
    update @sources4 { ether saddr . ip saddr ${tooMany}
    update @sources6 { ether saddr . ip6 saddr ${tooMany}
  }`,
  );
  const devices = interfaces.flatMap((it) => it.devices.map((name) => `"${name}"`));
  const silence =
    devices.length > 0 ? `oifname { ${devices.join(", ")} } icmpv6 type { ${MLD_REPORTS} } drop` : "";
  return `table inet ${TABLE} {}
delete table inet ${TABLE}
table inet ${TABLE} {
  counter badttl {}
  counter badvhid {}
  counter flooded {}
  set sources4 { type ether_addr . ipv4_addr; size 4096; flags dynamic,timeout; timeout 10s; }
  set sources6 { type ether_addr . ipv6_addr; size 4096; flags dynamic,timeout; timeout 10s; }
${chains.join("\n")}
  chain prerouting {
    type filter hook prerouting priority raw; policy accept;
    ${jumps.join("\n    ")}
  }
  chain output {
    type filter hook output priority filter; policy accept;
    ${silence}
  }
}
`;
}

async function readCounters(): Promise<FilterCounters | undefined> {
  const { output, problem } = await nft(["-j", "list", "counters", "table", "inet", TABLE], "");
  return problem ? undefined : countersIn(output);
}

/** An `nft` of another kind may print what is no JSON, or another. */
function countersIn(output: string): FilterCounters | undefined {
  try {
    const { nftables } = JSON.parse(output) as {
      nftables: { counter?: { name: string; packets: number } }[];
    };
    const packets = (name: string) =>
      nftables.find(({ counter }) => counter?.name === name)?.counter?.packets ?? 0;
    return { badttl: packets("badttl"), badvhid: packets("badvhid"), flooded: packets("flooded") };
  } catch {
    return undefined;
  }
}

async function nft(
  args: readonly string[],
  input: string,
): Promise<{ output: string; problem: string | undefined }> {
  const ran = await execute(["nft", ...args], { input, deadlineMs: DEADLINE_MS });
  return { output: ran.output, problem: problemOf(ran) };
}
