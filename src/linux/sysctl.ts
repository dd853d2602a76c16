/**
 * Kernel settings of interfaces under /proc/sys/net: changed where they would
 * break CARP, and put back.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { Family } from "../wire/address.js";

/** What a setting was before we changed it, by its path under /proc/sys/net. */
export type Changed = Record<string, string>;

interface Setting {
  readonly family: Family;
  readonly name: string;
  readonly value: number;
}

/** What a group needs of its parent. */
export interface Needs {
  readonly mac: "virtual" | "interface";
  readonly families: readonly Family[];
}

/** Otherwise the parent answers ARP for the floating address with its own MAC, or drops packets by strict filter. */
const parentSettings: readonly Setting[] = [
  { family: 4, name: "arp_ignore", value: 1 },
  { family: 4, name: "arp_announce", value: 2 },
];
/** Where the addresses are on the parent itself, it is the parent that announces them. */
const announcingSettings: readonly Setting[] = [
  { family: 4, name: "arp_notify", value: 1 },
  { family: 4, name: "promote_secondaries", value: 1 },
  { family: 6, name: "ndisc_notify", value: 1 },
];
/** A path as `pathOf` makes it. */
const SETTING_OF_INTERFACE = /^ipv[46]\/conf\/(?!\.\.?\/)[^/]+\/\w+$/;
/** Of `rp_filter`; 0 is none, and loose is more than strict. */
const STRICT = 1;
const looseFilter: Setting = { family: 4, name: "rp_filter", value: 2 };
/** A carp device has no address but the group's, believes no router and asks nobody whether it may. */
const deviceSettings: readonly Setting[] = [
  ...parentSettings,
  ...announcingSettings,
  looseFilter,
  { family: 6, name: "disable_ipv6", value: 0 },
  { family: 6, name: "addr_gen_mode", value: 1 },
  { family: 6, name: "accept_dad", value: 0 },
  { family: 6, name: "dad_transmits", value: 0 },
  { family: 6, name: "accept_ra", value: 0 },
  { family: 6, name: "autoconf", value: 0 },
];

/**
 * Prepares a carp device; it takes its settings with it when it goes. Answers with
 * what could not be set. A group without IPv6 leaves IPv6 as off as it is; but
 * where it is on, the device would give itself a link-local address and ask for
 * it from the virtual MAC, even when a successor has just spoken.
 */
export function tuneDevice(device: string, families: readonly Family[]): string[] {
  return deviceSettings
    .filter(({ name }) => name !== "disable_ipv6" || families.includes(6))
    .flatMap((it) => apply(device, it, {}));
}

/**
 * Prepares a parent, and notes in `changed` what was there before. Answers with
 * what could not be set.
 */
export function tuneParent(
  parent: string,
  mac: "virtual" | "interface",
  families: readonly Family[],
  changed: Changed,
): string[] {
  return settingsOf(parent, { mac, families }).flatMap((it) => apply(parent, it, changed));
}

/**
 * Looks whether a parent is still as its groups need it, and puts it right:
 * `sysctl -p` and network managers know nothing of us. Answers with all that is
 * wrong now. What could be put right is gone from the next answer; what was
 * found is noted in `changed`, because it is the latest that somebody wanted.
 * Reads a few small files, however many groups there are.
 */
export function reviewParent(parent: string, groups: readonly Needs[], changed: Changed): string[] {
  return kindsOf(groups)
    .flatMap((needs) => settingsOf(parent, needs))
    .flatMap((setting) => {
      const path = pathOf(parent, setting);
      const found = read(path);
      if (found === undefined || found === String(setting.value)) return [];
      const problems = apply(parent, setting, changed);
      return problems.length > 0
        ? problems
        : [`net/${path} was ${found}, wanted ${setting.value}: set again`];
    });
}

/**
 * What `all` overrides upwards so that CARP cannot work: the kernel takes the
 * larger of `all` and the interface's own value.
 */
export function overruledSettings(): string[] {
  const ignore = Number(read("ipv4/conf/all/arp_ignore") ?? 0);
  if (ignore <= 1) return [];
  return [
    `net/ipv4/conf/all/arp_ignore is ${ignore}, wanted 0 or 1: nobody would answer ARP for a floating address`,
  ];
}

/** A board without IPv6 on an interface hears nothing there by IPv6, although it can listen. */
export function isIpv6Off(device: string): boolean {
  return read(`ipv6/conf/${device}/disable_ipv6`) === "1";
}

/** A router says that it is one, in what it announces. */
export function isForwarding(device: string): boolean {
  return (read(`ipv6/conf/${device}/forwarding`) ?? "0") !== "0";
}

/**
 * Puts back what was changed, where nobody else has changed it since. A daemon that was taken over may have
 * left anything, and root may read it: what is no setting of an interface is left alone.
 */
export function restoreSettings(changed: Changed): void {
  for (const [path, before] of Object.entries(changed)) {
    const [file = "", ours = ""] = path.split("=");
    if (SETTING_OF_INTERFACE.test(file) && read(file) === ours) tryWrite(file, before);
  }
}

/** While a leaving master holds its addresses for the grace, it must not answer ARP for them: 8 is "never". */
export function stopAnsweringArp(device: string): void {
  tryWrite(`ipv4/conf/${device}/arp_ignore`, "8");
}

export function answerArp(device: string): void {
  tryWrite(`ipv4/conf/${device}/arp_ignore`, "1");
}

/** What many groups need, said once for each kind of MAC. */
function kindsOf(groups: readonly Needs[]): readonly Needs[] {
  return (["virtual", "interface"] as const).flatMap((mac) => {
    const alike = groups.filter((it) => it.mac === mac);
    return alike.length > 0 ? [{ mac, families: alike.flatMap(({ families }) => families) }] : [];
  });
}

/** Of the filters for all and for one interface the kernel takes the larger, and the strict one is in the middle. */
function settingsOf(parent: string, { mac, families }: Needs): readonly Setting[] {
  if (mac === "interface") return announcingSettings.filter((it) => families.includes(it.family));
  const filters = ["all", parent].map((name) => Number(read(`ipv4/conf/${name}/rp_filter`)));
  return Math.max(...filters) === STRICT ? [...parentSettings, looseFilter] : parentSettings;
}

function apply(device: string, setting: Setting, changed: Changed): string[] {
  const { value } = setting;
  const path = pathOf(device, setting);
  const before = read(path);
  if (before === undefined || before === String(value)) return [];
  if (!tryWrite(path, String(value)))
    return [`net/${path} is ${before}, wanted ${value}: not allowed to set it`];
  changed[`${path}=${value}`] = before;
  return [];
}

function pathOf(device: string, { family, name }: Setting): string {
  return `ipv${family}/conf/${device}/${name}`;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/net/${path}`, "utf8").trim();
  } catch {
    return undefined;
  }
}

function tryWrite(path: string, value: string): boolean {
  try {
    writeFileSync(`/proc/sys/net/${path}`, value);
    return true;
  } catch {
    return false;
  }
}
