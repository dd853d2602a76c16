/**
 * What may be there once and is there again: a vhid on an interface, an
 * address, a peer, a board, a happening. Each repetition names the line of the first.
 */
import { formatAddress, isLinkLocal } from "../wire/address.js";
import type { Fault } from "./problem.js";
import type { GroupSketch, Sketch } from "./sketch.js";
import { formatKey, type KeyPath, type LineOf } from "./toml-lines.js";

/** Something that may be there once, and what tells it from others. */
interface Entry {
  readonly id: string;
  readonly path: KeyPath;
  readonly shown: string;
  readonly wanted: string;
}

export function repeats(sketch: Sketch, lineOf: LineOf): Fault[] {
  const groups = sketch.carp ?? [];
  const urls = (sketch.status?.peers ?? []).flatMap((url, i): Entry[] => {
    return url === undefined
      ? []
      : [{ id: url, path: ["status", "peers", i], shown: url, wanted: "each board once" }];
  });
  const happenings = (sketch.hook ?? []).flatMap((hook, i) =>
    (hook?.on ?? []).flatMap((name, j): Entry[] => {
      const path = ["hook", i, "on", j];
      return name === undefined
        ? []
        : [{ id: `${name} of hook ${i}`, path, shown: name, wanted: "each once" }];
    }),
  );
  const interfaces = (sketch.network?.interface ?? []).flatMap(({ name, mac } = {}, i): Entry[] => {
    const path = ["network", "interface", i];
    const ofName = { id: `interface ${name}`, path: [...path, "name"], wanted: "each interface once" };
    const ofMac = { id: `MAC ${mac}`, path: [...path, "mac"], wanted: "each MAC once" };
    return [
      ...(name === undefined ? [] : [{ ...ofName, shown: name }]),
      ...(mac === undefined ? [] : [{ ...ofMac, shown: mac }]),
    ];
  });
  const first = new Map<string, KeyPath>();
  const ofGroups = groups.flatMap((group, i) => (group ? entriesOf(group, ["carp", i]) : []));
  const entries = [...ofGroups, ...urls, ...happenings, ...interfaces];
  return entries.flatMap(({ id, path, shown, wanted }) => {
    const before = first.get(id);
    if (!before) first.set(id, path);
    if (!before) return [];
    return [{ path, found: `${shown} again, as in ${formatKey(before)} on line ${lineOf(before)}`, wanted }];
  });
}

function entriesOf(group: GroupSketch, path: KeyPath): Entry[] {
  const { vhid, interface: name, addresses = [], peers = [] } = group;
  const entries: Entry[] = [];
  if (vhid !== undefined && name !== undefined) {
    const wanted = `another vhid: ${name} has a group with this one`;
    entries.push({ id: `${vhid} ${name}`, path: [...path, "vhid"], shown: `${vhid} on ${name}`, wanted });
  }
  addresses.forEach((prefix, i) => {
    if (!prefix) return;
    const shown = formatAddress(prefix.address);
    // A link-local address means something else on each interface: routers like to be fe80::1 on all.
    const scope = isLinkLocal(prefix.address) ? (name ?? formatKey(path)) : "";
    entries.push({
      id: `${shown}%${scope}`,
      path: [...path, "addresses", i],
      shown,
      wanted: "each address once",
    });
  });
  peers.forEach((peer, i) => {
    if (!peer) return;
    const shown = formatAddress(peer);
    const id = `peer ${shown} of ${formatKey(path)}`;
    entries.push({ id, path: [...path, "peers", i], shown, wanted: "each peer once" });
  });
  return entries;
}
