/**
 * The groups of this board, found by the interface they stand on and their
 * vhid.
 */
import type { Group } from "./group.js";

/** What no two groups have in common. */
export interface GroupId {
  readonly interface: string;
  readonly vhid: number;
}

export interface Groups extends Iterable<Group> {
  readonly size: number;
  find(interfaceName: string, vhid: number): Group | undefined;
  on(interfaceName: string): readonly Group[];
  add(group: Group): void;
  remove(group: Group): void;
}

export function createGroups(): Groups {
  const all = new Map<string, Group>();
  const keyOf = ({ interface: name, vhid }: GroupId) => `${name} ${vhid}`;
  return {
    [Symbol.iterator]: () => all.values(),
    get size() {
      return all.size;
    },
    find: (name, vhid) => all.get(keyOf({ interface: name, vhid })),
    on: (name) => [...all.values()].filter(({ config }) => config.interface === name),
    add: (group) => void all.set(keyOf(group.config), group),
    remove: (group) => void all.delete(keyOf(group.config)),
  };
}
