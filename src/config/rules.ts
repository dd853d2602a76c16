/**
 * What keys may not be together, and what works together but hardly as meant.
 * Relies on values that are right by themselves and passes over the others; what
 * may be there only once has a file of its own.
 */
import { TICKS_PER_SECOND } from "../carp/interval.js";
import { type Family, formatAddress, isLinkLocal, type Prefix, sameAddress } from "../wire/address.js";
import { formatMac, virtualMac } from "../wire/mac.js";
import type { Fault } from "./problem.js";
import type { GroupTable } from "./schema.js";
import type { GroupSketch, HookSketch, Sketch, StatusSketch } from "./sketch.js";
import type { KeyPath } from "./toml-lines.js";
import { describe } from "./values.js";

/** Of these a group has one, or none. */
const KEY_SOURCES = ["password", "password_file", "key"] as const;

export function contradictions(sketch: Sketch): Fault[] {
  const groups = sketch.carp ?? [];
  const ours = new Set(groups.map((group) => (group?.mac === "virtual" ? `carp${group.vhid}` : "")));
  const each = groups.flatMap((group, i) => (group ? groupFaults(group, ["carp", i], ours) : []));
  const hooks = (sketch.hook ?? []).flatMap((hook, i) => (hook ? hookFaults(hook, ["hook", i]) : []));
  return [...each, ...statusFaults(sketch.status), ...hooks];
}

/** What works, but hardly as meant. */
export function oddities(sketch: Sketch): Fault[] {
  const raised = sketch.maintenance?.advskew ?? Infinity;
  const each = (sketch.carp ?? []).flatMap((group, i) =>
    group ? groupOddities(group, ["carp", i], raised) : [],
  );
  if (sketch.carp?.length !== 0) return each;
  const wanted = 'at least one [[carp]]: until then the lamps show "starting"';
  return [{ path: ["carp"], found: "no group", wanted }, ...each];
}

function groupFaults(group: GroupSketch, path: KeyPath, devices: ReadonlySet<string>): Fault[] {
  const faults: Fault[] = [];
  const [first, ...others] = KEY_SOURCES.filter((name) => name in group);
  for (const name of others) {
    const wanted = "one of password, password_file and key";
    faults.push({ path: [...path, name], found: `${name} beside ${first}`, wanted });
  }
  if (group.interface !== undefined && devices.has(group.interface)) {
    const wanted = "the interface below: carpio makes this one itself";
    faults.push({ path: [...path, "interface"], found: describe(group.interface), wanted });
  }
  return [...faults, ...peerFaults(group, path), ...compatFaults(group, [...path, "compat"])];
}

function peerFaults(group: GroupSketch, path: KeyPath): Fault[] {
  const addresses = wellFormed(group.addresses);
  if (!addresses) return [];
  return (group.peers ?? []).flatMap((peer, i) => {
    if (!peer) return [];
    const fault = { path: [...path, "peers", i], found: describe(formatAddress(peer)) };
    if (!hasFamily(addresses, peer.family)) {
      return [
        { ...fault, wanted: `no IPv${peer.family} peer, as the group has no IPv${peer.family} address` },
      ];
    }
    const isOwn = addresses.some(({ address }) => sameAddress(address, peer));
    return isOwn ? [{ ...fault, wanted: "the other host's own address, not one that both share" }] : [];
  });
}

/** What would be ignored is refused, so that nobody counts on it. */
function compatFaults({ vhid, advbase, compat, ...group }: GroupSketch, path: KeyPath): Fault[] {
  const faults: Fault[] = [];
  const refuse = (key: keyof GroupTable["compat"], wanted: string, found = describe(compat?.[key])) => {
    faults.push({ path: [...path, key], found, wanted });
  };
  const addresses = wellFormed(group.addresses);
  if (compat?.checksum6 === "pseudo-header" && addresses && !hasFamily(addresses, 6)) {
    refuse("checksum6", '"plain", or an IPv6 address in addresses');
  }
  if (compat?.link_local === "with" && addresses && !addresses.some(({ address }) => isLinkLocal(address))) {
    refuse("link_local", '"auto", or a link-local address (fe80::/10) in addresses');
  }
  if (compat?.master_down === "classic" && advbase === 0) {
    refuse("master_down", '"scaled" or nothing: with advbase 0 the time is always scaled');
  }
  const lladdr = compat?.lladdr && formatMac(compat.lladdr);
  if (lladdr !== undefined && vhid !== undefined && lladdr === virtualMac(vhid)) {
    refuse("lladdr", `"": OpenBSD does not sign the default of vhid ${vhid}`, describe(lladdr));
  }
  return faults;
}

function statusFaults(status: StatusSketch = {}): Fault[] {
  if (status.listen !== "off" || status.token_file === undefined) return [];
  const found = `${describe(status.token_file)} without a status server`;
  return [{ path: ["status", "token_file"], found, wanted: "status.listen, or no token_file" }];
}

function hookFaults(hook: HookSketch, path: KeyPath): Fault[] {
  const wanted = "one of run and url";
  if ("run" in hook && "url" in hook) return [{ path: [...path, "url"], found: "url beside run", wanted }];
  if (!("run" in hook) && !("url" in hook)) return [{ path, found: "neither run nor url", wanted }];
  const [program] = hook.run ?? [];
  if (program === undefined || program.startsWith("/")) return [];
  return [
    { path: [...path, "run", 0], found: describe(program), wanted: "the whole path of a program, from / on" },
  ];
}

function groupOddities(group: GroupSketch, path: KeyPath, maintenanceAdvskew: number): Fault[] {
  const { interface: name = "", mac, advbase = 1, advskew = 0 } = group;
  const faults: Fault[] = [];
  if (!KEY_SOURCES.some((source) => source in group)) {
    faults.push({ path, found: "no password", wanted: "a password: anybody on the link can be master" });
  }
  // Specification, section 5.4: 3 x 86 s is more than the 255.996 s that a bow-out claims.
  if (advbase >= 86) {
    const wanted = "at most 85: above it, nobody who bows out is noticed";
    faults.push({ path: [...path, "advbase"], found: String(advbase), wanted });
  }
  if (advbase === 0 && advskew >= TICKS_PER_SECOND / 2) {
    const found = `${advskew} with advbase 0, half a second and more`;
    const wanted = "less, or advbase 1, which not only OpenBSD understands";
    faults.push({ path: [...path, "advskew"], found, wanted });
  }
  if (advskew >= maintenanceAdvskew) {
    const wanted = `less than maintenance.advskew, ${maintenanceAdvskew}: the button changes nothing`;
    faults.push({ path: [...path, "advskew"], found: String(advskew), wanted });
  }
  if (mac === "virtual" && name.startsWith("wl")) {
    const found = `${describe(name)} with mac = "virtual"`;
    faults.push({
      path: [...path, "interface"],
      found,
      wanted: 'mac = "interface": Wi-Fi carries one MAC a station',
    });
  }
  return faults;
}

function hasFamily(addresses: readonly Prefix[], family: Family): boolean {
  return addresses.some(({ address }) => address.family === family);
}

/** A list without gaps, or `undefined`: nothing can be said about what a broken one lacks. */
function wellFormed<T>(list: readonly (T | undefined)[] | undefined): readonly T[] | undefined {
  return list?.every((item) => item !== undefined) ? list : undefined;
}
