/**
 * What a board's interfaces are called, where its file knows some by their MAC: the kernel numbers
 * them as it finds them. Pure: plan.ts has it done, and setup.ts knows by it whether all are there.
 */

/** What the file says of one. */
export interface Asked {
  readonly name: string;
  readonly mac: string | undefined;
}

export interface Found {
  readonly interfaces: readonly string[];
  /** Of those that a cable goes into, if anybody asks for one. What stands on such a one has its MAC too. */
  readonly macs: ReadonlyMap<string, string>;
}

/** The same, by their new names. */
export interface Named extends Found {
  /** For `ip`, in this order. */
  readonly commands: readonly string[];
}

/**
 * Of several with one MAC none is renamed: nobody knows which one is meant. Who has the name of another one
 * makes room first: two may have exchanged theirs.
 */
export function nameByMac(asked: readonly Asked[], found: Found): Named {
  const { interfaces, macs } = found;
  const byMac = asked.filter(({ mac }) => mac !== undefined);
  const misnamed = interfaces.filter((name) =>
    byMac.some((each) => each.name === name && each.mac !== macs.get(name)),
  );
  const aside = new Map(misnamed.map((name, i) => [name, `aside.${i}`]));
  const named = new Map(
    byMac.flatMap(({ name, mac = "" }) => {
      const [owner = name, ...more] = ownersOf(mac, found);
      return owner === name || more.length > 0 ? [] : [[owner, name]];
    }),
  );
  const nameOf = (name: string) => named.get(name) ?? aside.get(name) ?? name;
  return {
    interfaces: interfaces.map(nameOf),
    macs: new Map([...macs].map(([name, mac]) => [nameOf(name), mac])),
    commands: [
      ...[...aside].flatMap(([from, to]) => renaming(from, to)),
      ...[...named].flatMap(([from, to]) => renaming(aside.get(from) ?? from, to)),
    ],
  };
}

export function ownersOf(mac: string, { interfaces, macs }: Found): readonly string[] {
  return interfaces.filter((name) => macs.get(name) === mac);
}

/** The kernel renames none that is up. */
export function renaming(from: string, to: string): readonly string[] {
  return [`link set dev ${from} down`, `link set dev ${from} name ${to}`];
}
