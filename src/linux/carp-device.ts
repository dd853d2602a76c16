/**
 * The device that carries a group's addresses, as lines for `ip -batch`.
 *
 * With `mac = "virtual"` it is a macvlan with the virtual MAC, and mastership
 * is one flag of it: the kernel announces every address when it comes up. With
 * `mac = "interface"` it is the parent itself, and mastership is the addresses.
 * Either way the addresses have a lifetime that the kernel counts down.
 *
 * Only says what to do, and reads what the kernel answers; `holder` does it.
 */
import {
  type Address,
  formatAddress,
  formatPrefix,
  inPrefix,
  type Prefix,
  parseAddress,
} from "../wire/address.js";

/** A link group of our own ("CARP"), so that all our devices can be taken down in one command. */
export const LINK_GROUP = 0x43415250;

export interface CarpDevice {
  /** The macvlan, or the parent itself. */
  readonly name: string;
  readonly parent: string;
  /** `undefined`: the parent's own. */
  readonly mac: string | undefined;
  readonly addresses: readonly Prefix[];
}

/** `carp7`, or, where that is taken by another interface's vhid 7, `carp7.eth1`. Linux allows 15 bytes. */
export function deviceName(vhid: number, parent: string, taken: ReadonlySet<string>): string {
  const plain = `carp${vhid}`;
  if (!taken.has(plain)) return plain;
  const room = 15 - plain.length - 1;
  const full = `${plain}.${parent.slice(-room)}`;
  for (let i = 2, name = full; ; i++) {
    if (!taken.has(name)) return name;
    name = `${plain}.${i}`;
  }
}

/** Asks for the device. One of that name that we did not make is answered as if there were none: it is not ours to touch. */
export function askCommand({ name, mac }: CarpDevice): string {
  const ours = mac ? ` group ${LINK_GROUP} type macvlan` : "";
  return `address show dev ${name}${ours}`;
}

export function createCommands({ name, parent, mac }: CarpDevice): string[] {
  if (!mac) return [];
  return [`link add link ${parent} name ${name} address ${mac} group ${LINK_GROUP} type macvlan mode bridge`];
}

export function destroyCommands(device: CarpDevice): string[] {
  return device.mac ? [`link delete dev ${device.name}`] : releaseCommands(device);
}

/**
 * The link up, then the addresses on: Linux gives an IPv6 address its route only
 * where the link is up already. Nothing is announced yet. Where the parent is in
 * an address's network already the address comes without a route of its own,
 * or replies would leave with the virtual MAC and drag the switch's table
 * along during a handover.
 */
export function claimCommands(
  device: CarpDevice,
  parentPrefixes: readonly Prefix[],
  leaseSeconds: number,
): string[] {
  const up = device.mac ? [`link set dev ${device.name} up`] : [];
  return [...up, ...renewCommands(device, parentPrefixes, leaseSeconds)];
}

/**
 * Linux acknowledges an IPv6 address and begins to receive for it later, when a
 * worker of its gets to it: one claim in ten was announced before. These ask
 * whether it has, and `isLocal` reads the answers.
 */
export function localityCommands({ addresses }: CarpDevice): string[] {
  return addresses
    .filter(({ address }) => address.family === 6)
    .map(({ address }) => `route get ${formatAddress(address)}`);
}

export function isLocal(answer: unknown): boolean {
  return (answer as { type?: string } | undefined)?.type === "local";
}

/** The same addresses with a full lifetime again. */
export function renewCommands(
  device: CarpDevice,
  parentPrefixes: readonly Prefix[],
  leaseSeconds: number,
): string[] {
  return device.addresses.map((prefix) => {
    const { address } = prefix;
    const known = parentPrefixes.some((own) => inPrefix(address, own));
    const text = known ? `${formatAddress(address)}/${hostLength(address)}` : formatPrefix(prefix);
    const dad = address.family === 6 ? " nodad" : "";
    return `address replace ${text} dev ${device.name} valid_lft ${leaseSeconds} preferred_lft ${leaseSeconds}${dad}`;
  });
}

/** Link down, then the addresses off: their local routes would outlive the flag. */
export function releaseCommands({ name, mac, addresses }: CarpDevice, held?: readonly Prefix[]): string[] {
  if (mac) return [`link set dev ${name} down`, `address flush dev ${name}`];
  return (held ?? addresses).map((prefix) => `address delete ${formatPrefix(prefix)} dev ${name}`);
}

/** The kernel announces all addresses of a device when its MAC is set, also to what it was. */
export function announceCommands({ name }: CarpDevice, currentMac: string): string[] {
  return [`link set dev ${name} address ${currentMac}`];
}

/**
 * What the guard does when the daemon dies. Devices are deleted, not set down:
 * the kernel does that for all of them at once, where each set down takes it 15 ms.
 */
export function guardCommands(devices: readonly CarpDevice[]): string[] {
  // What somebody configured for good is not ours, even where it is the same address.
  const onParents = devices
    .filter(({ mac }) => !mac)
    .flatMap(({ name, addresses }) =>
      addresses.map(({ address }) => `address flush dev ${name} dynamic to ${formatAddress(address)}`),
    );
  return [...onParents, `link delete group ${LINK_GROUP}`];
}

export interface DeviceState {
  readonly name: string;
  readonly index: number;
  readonly up: boolean;
  /** The interface is up and its cable too. */
  readonly running: boolean;
  readonly mac: string;
  readonly addresses: readonly HeldAddress[];
}

export interface HeldAddress extends Prefix {
  /** False for an address that somebody configured for good. */
  readonly leased: boolean;
}

/** What `address show dev` answers, read. `undefined` when there is no such device. */
export function readDevice(answer: unknown): DeviceState | undefined {
  const link = answer as
    | {
        ifname: string;
        ifindex: number;
        flags: string[];
        address?: string;
        addr_info?: Record<string, unknown>[];
      }
    | undefined;
  if (!link?.flags) return undefined;
  return {
    name: link.ifname,
    index: link.ifindex,
    up: link.flags.includes("UP"),
    running: link.flags.includes("UP") && link.flags.includes("LOWER_UP"),
    mac: link.address ?? "",
    addresses: (link.addr_info ?? []).flatMap((info) => {
      const address = parseAddress(String(info["local"]));
      if (!address) return [];
      return [{ address, length: Number(info["prefixlen"]), leased: info["dynamic"] === true }];
    }),
  };
}

/** The addresses of a group that a device holds now. */
export function heldAddresses(device: CarpDevice, state: DeviceState | undefined): HeldAddress[] {
  const wanted = new Set(device.addresses.map(({ address }) => formatAddress(address)));
  return (state?.addresses ?? []).filter(({ address }) => wanted.has(formatAddress(address)));
}

/** Whether a device holds every address of a group. One that is on twice, with two lengths, stands for no other. */
export function holdsAll(device: CarpDevice, state: DeviceState | undefined): boolean {
  const held = new Set(heldAddresses(device, state).map(({ address }) => formatAddress(address)));
  return device.addresses.every(({ address }) => held.has(formatAddress(address)));
}

/** What is wrong with a board that has floating addresses of its own. */
export function isConfiguredOn(addresses: string, device: string): string {
  return `${addresses} is configured on ${device} itself: a floating address must belong to no board, remove it there`;
}

function hostLength({ family }: Address): number {
  return family === 4 ? 32 : 128;
}

/** Takes addresses off, with either of the lengths that they may have been put on with. */
export function anyLength({ name, addresses }: Pick<CarpDevice, "name" | "addresses">): string[] {
  return addresses.flatMap(({ address, length }) =>
    [...new Set([hostLength(address), length])].map(
      (bits) => `address delete ${formatAddress(address)}/${bits} dev ${name}`,
    ),
  );
}
