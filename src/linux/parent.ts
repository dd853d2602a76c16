/**
 * An interface that groups stand on: whether it is there and its cable too,
 * which addresses it has, and the sockets that listen on it. It may be missing
 * at start, and come and go.
 */
import { type Address, type Family, formatAddress, isLinkLocal, type Prefix } from "../wire/address.js";
import type { Packet } from "../wire/packet.js";
import { type DeviceState, readDevice } from "./carp-device.js";
import { openReceiver, type Receiver } from "./carp-socket.js";
import type { Ip } from "./ip.js";
import { isIpv6Off } from "./sysctl.js";

export interface Parent {
  readonly name: string;
  readonly state: DeviceState | undefined;
  /** Whether the kernel was ever asked and has answered. Until then nothing may be concluded from `state`. */
  readonly known: boolean;
  /** Why it is not known whether it is there, if so: `ip` has never answered. */
  readonly unknown: string | undefined;
  /** Why packets of these families cannot be received on it, if so. */
  deafTo(families: readonly Family[]): string | undefined;
  /** Asks the kernel, and tells `onState` what has changed. Calls are served one after the other. */
  refresh(): Promise<void>;
  /**
   * Listens for these families from now on, and for neighbours that ask for these
   * IPv6 addresses of the carp devices, which do not say themselves that they do.
   */
  listen(families: ReadonlySet<Family>, addresses: readonly Address[]): void;
  close(): void;
}

export interface ParentOptions {
  readonly name: string;
  readonly ip: Ip;
  readonly onPacket: (packet: Packet) => void;
  /** `replaced`: it is another device than before, or there is none. */
  readonly onState: (state: DeviceState | undefined, replaced: boolean) => Promise<void>;
}

export function createParent({ name, ip, onPacket, onState }: ParentOptions): Parent {
  let state: DeviceState | undefined;
  let unknown: string | undefined;
  const deaf = new Map<Family, string>();
  let wanted: ReadonlySet<Family> = new Set();
  let askedFor: readonly Address[] = [];
  let todo = Promise.resolve();
  let known = false;
  let asked = false;
  let closed = false;
  const receivers = new Map<Family, Receiver>();

  const deafen = () => {
    for (const receiver of receivers.values()) receiver.close();
    receivers.clear();
  };
  const open = () => {
    deaf.clear();
    for (const family of wanted) {
      if (family === 6 && isIpv6Off(name)) {
        receivers.get(6)?.close();
        receivers.delete(6);
        deaf.set(6, `IPv6 is disabled on ${name}: net/ipv6/conf/${name}/disable_ipv6 is 1, wanted 0`);
        continue;
      }
      if (!state?.up || receivers.has(family)) continue;
      try {
        // The next look opens it again.
        const onError = () => {
          receivers.get(family)?.close();
          receivers.delete(family);
          deaf.set(family, `listening for IPv${family} on ${name} was interrupted`);
          refresh();
        };
        receivers.set(family, openReceiver({ name, index: state.index }, family, onPacket, onError));
      } catch (error) {
        const said = error instanceof Error ? error.message : error;
        deaf.set(family, `cannot listen for IPv${family} on ${name}: ${said}`);
      }
    }
    receivers.get(6)?.listenFor(askedFor);
  };
  const look = async () => {
    asked = false;
    // A look that was under way must not open again what is closed: that would keep the daemon from ending.
    if (closed) return;
    const { answered, answers, refusals } = await ip.run([`address show dev ${name}`]);
    // No answer is no news; the next review asks again.
    if (closed || (!answered && state)) return;
    const next = answered ? readDevice(answers[0]) : undefined;
    const replaced = next?.index !== state?.index;
    const before = all();
    state = next;
    known ||= answered;
    unknown = answered ? undefined : refusals[0]?.said;
    if (replaced) deafen();
    open();
    if (all() !== before) await onState(next, replaced);
  };
  const all = (): string => JSON.stringify([state, unknown, [...deaf]]);

  const refresh = (): Promise<void> => {
    // One look that is still to come sees whatever has happened until then.
    if (!asked) todo = todo.then(look);
    asked = true;
    return todo;
  };

  return {
    name,
    get state() {
      return state;
    },
    get known() {
      return known;
    },
    get unknown() {
      return unknown;
    },
    deafTo: (families) => families.map((family) => deaf.get(family)).find((said) => said !== undefined),
    refresh,
    listen(families, addresses) {
      wanted = families;
      askedFor = addresses;
      open();
    },
    close() {
      closed = true;
      deafen();
    },
  };
}

/** The networks that the interface is in by itself, floating addresses aside. */
export function ownPrefixes(state: DeviceState | undefined, floating: ReadonlySet<string>): Prefix[] {
  return (state?.addresses ?? []).filter(({ address }) => !floating.has(formatAddress(address)));
}

/**
 * Where our advertisements come from: in IPv6 a link-local address, as OpenBSD
 * does, else the first of the interface's own addresses.
 */
export function sourceOf(own: readonly Prefix[], family: Family): Address | undefined {
  const ofFamily = own.map(({ address }) => address).filter((address) => address.family === family);
  return ofFamily.find(isLinkLocal) ?? ofFamily[0];
}
