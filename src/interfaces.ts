/**
 * The interfaces that the groups stand on: opens and closes them, prepares a
 * group's device where its interface has come, and tells each group when the
 * link comes and goes.
 */
import { DEMOTED_ADVSKEW } from "./carp/interval.js";
import type { Sources } from "./carp/vhost.js";
import type { Group } from "./group.js";
import type { Groups } from "./groups.js";
import { type DeviceState, heldAddresses, isConfiguredOn } from "./linux/carp-device.js";
import type { Ip } from "./linux/ip.js";
import { createParent, ownPrefixes, type Parent, sourceOf } from "./linux/parent.js";
import { formatAddress, type Prefix } from "./wire/address.js";
import type { Packet } from "./wire/packet.js";

export interface Interfaces {
  /** Opens what the groups need now, and closes what none needs any more. */
  arrange(): Promise<void>;
  /** Something happened to an interface. */
  look(name: string): void;
  /** Looks at everything, in case a report was lost, and tries again what went wrong. */
  review(): void;
  /** From here on no news of its interface brings a group back. Resolves when nothing is under way. */
  retire(group: Group): Promise<void>;
  /** Why a group cannot hear, if so, although its interface is there. */
  deafnessOf(group: Group): string | undefined;
  /** The networks that an interface is in by itself, floating addresses aside. */
  prefixesOf(name: string): readonly Prefix[];
  /** `undefined` while there is no such interface. */
  macOf(name: string): string | undefined;
  readonly names: readonly string[];
  close(): void;
}

export interface InterfacesOptions {
  readonly ip: Ip;
  readonly groups: Groups;
  readonly onPacket: (name: string, packet: Packet) => void;
  /** Prepares the kernel's settings of an interface that has come, or serves other groups than before. */
  readonly tune: (name: string) => void;
}

/** Where a group stands: on the device with this number, and prepared for it or not. */
interface Place {
  index: number | undefined;
  prepared: boolean;
  retired: boolean;
  todo: Promise<void>;
}

export function createInterfaces({ ip, groups, onPacket, tune }: InterfacesOptions): Interfaces {
  const parents = new Map<string, Parent>();
  /** Names that `ip` may remember a number for. */
  const seen = new Set<string>();
  const places = new WeakMap<Group, Place>();
  let floating: ReadonlySet<string> = new Set();
  let closed = false;

  const placeOf = (group: Group): Place => {
    const known = places.get(group);
    if (known) return known;
    const place = { index: undefined, prepared: false, retired: false, todo: Promise.resolve() };
    places.set(group, place);
    return place;
  };

  const prefixesOf = (name: string) => ownPrefixes(parents.get(name)?.state, floating);

  const deafnessOf = ({ config, vhost }: Group) => {
    const parent = parents.get(config.interface);
    return parent?.state && parent.deafTo(vhost.settings.families);
  };

  const sourcesOn = (name: string): Sources => {
    const own = prefixesOf(name);
    const sources = ([4, 6] as const).map((family) => [family, sourceOf(own, family)] as const);
    return Object.fromEntries(sources.filter(([, address]) => address));
  };

  /** One after the other: what a slow kernel still prepares is not prepared once more beside it. */
  const connect = (group: Group): Promise<void> => {
    const place = placeOf(group);
    place.todo = place.todo.then(() => settleIn(group, place));
    return place.todo;
  };

  /** Tells one group how its interface is. */
  const settleIn = async (group: Group, place: Place): Promise<void> => {
    const { interface: name } = group.config;
    const parent = parents.get(name);
    const state = parent?.state;
    // Its own addresses going off the parent are news of that parent.
    if (place.retired && state?.running) return;
    const link = (up: boolean, why: string) =>
      group.handle({ kind: "link", up, why, sources: sourcesOn(name) });

    const replaced = place.index !== undefined && state?.index !== place.index;
    if (replaced || !state) {
      if (state) link(false, `${name} is another than before`);
      else if (parent?.known) link(false, `there is no ${name}`);
      await group.settled();
      group.lost();
      place.prepared = false;
    }
    place.index = state?.index;
    const deaf = deafnessOf(group);
    const absent = parent?.unknown ?? `there is no interface ${name}`;
    group.fault("interface", state ? deaf : absent);
    if (!state) return;
    if (!place.prepared) {
      if (place.retired) return;
      const problem = await group.holder.prepare();
      group.fault("addresses", problem);
      place.prepared = problem === undefined;
      if (!place.prepared || place.retired) return;
    }
    // Who cannot hear a master must not believe that there is none.
    if (deaf) return link(false, deaf);
    const misplaced = ownAddressOf(group, state);
    group.fault("misplaced", misplaced);
    if (misplaced) return link(false, misplaced);
    // Who could not hold the addresses stays out of the way until the next review.
    if (group.faults.has("addresses") && group.vhost.role === "init") return;
    link(state.running, state.running ? "link up" : "link down");
  };

  const connectAll = async (name: string): Promise<void> => {
    await Promise.all(groups.on(name).map(connect));
    demoteForLinks();
  };

  /** A router with one leg in the air serves nobody: all its groups move together. */
  const demoteForLinks = (): void => {
    for (const { name, state, known } of parents.values()) {
      if (!known) continue;
      const advskew = state?.running ? 0 : DEMOTED_ADVSKEW;
      for (const group of groups) {
        if (group.config.interface !== name)
          group.handle({ kind: "demote", reason: linkDown(name), advskew });
      }
    }
  };

  const open = (name: string): Parent => {
    const parent = createParent({
      name,
      ip,
      onPacket: (packet) => onPacket(name, packet),
      async onState(state, replaced) {
        // What is there for the first time has no older number that could be remembered.
        if (replaced && seen.has(name)) ip.forget();
        if (state) seen.add(name);
        if (state && replaced) tune(name);
        await connectAll(name);
      },
    });
    parents.set(name, parent);
    return parent;
  };

  const shut = (parent: Parent): void => {
    parent.close();
    parents.delete(parent.name);
    for (const group of groups) group.handle({ kind: "demote", reason: linkDown(parent.name), advskew: 0 });
  };

  /** Listens for what the groups on it need, and sees that each of them knows how it stands. */
  const serve = async (parent: Parent): Promise<void> => {
    const all = groups.on(parent.name);
    const served = all.filter(({ holder }) => holder.device.mac).flatMap(({ config }) => config.addresses);
    parent.listen(
      new Set(all.flatMap(({ vhost }) => vhost.settings.families)),
      served.map(({ address }) => address).filter(({ family }) => family === 6),
    );
    const known = parent.state !== undefined;
    await parent.refresh();
    if (known) tune(parent.name);
    await connectAll(parent.name);
  };

  return {
    async arrange() {
      if (closed) return;
      const prefixes = [...groups].flatMap(({ config }) => config.addresses);
      floating = new Set(prefixes.map(({ address }) => formatAddress(address)));
      const names = new Set([...groups].map(({ config }) => config.interface));
      for (const parent of [...parents.values()]) if (!names.has(parent.name)) shut(parent);
      await Promise.all([...names].map((name) => serve(parents.get(name) ?? open(name))));
    },
    look(name) {
      parents.get(name)?.refresh();
    },
    review() {
      for (const parent of parents.values()) parent.refresh();
      for (const group of groups) {
        const { role, leaving } = group.vhost;
        if (group.faults.has("misplaced")) connect(group);
        if (role === "init" && group.faults.has("addresses")) {
          placeOf(group).prepared = false;
          connect(group);
        }
        if (role === "master" && !leaving && !group.holder.holding) group.reclaim();
        group.review();
      }
    },
    retire(group) {
      const place = placeOf(group);
      place.retired = true;
      return place.todo;
    },
    deafnessOf,
    prefixesOf,
    macOf: (name) => parents.get(name)?.state?.mac,
    get names() {
      return [...parents.keys()];
    },
    close() {
      closed = true;
      for (const parent of parents.values()) parent.close();
    },
  };
}

/**
 * A board that has a floating address for good answers for it whoever is the
 * master. With the interface's own MAC, `holder` looks: there ours are on it too.
 */
function ownAddressOf({ holder: { device } }: Group, state: DeviceState): string | undefined {
  const [found] = device.mac ? heldAddresses(device, state) : [];
  return found && isConfiguredOn(formatAddress(found.address), state.name);
}

function linkDown(name: string): string {
  return `link ${name} down`;
}
