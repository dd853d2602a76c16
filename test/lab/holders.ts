/**
 * Which host holds an address, at every moment: read from one `ip monitor` per
 * host, whose stamps are made beside the kernel and not when we come to read them.
 *
 * A host *holds* an address that is on one of its devices while that device is
 * up. Without a cable it may hold what it likes: nobody sees it, as if its
 * power were gone. It is not *reachable* then, and does not count in `between`.
 */
import type { Child, Moment } from "./child.js";
import { now } from "./child.js";

/** What one line of `ip monitor address link` says. */
export type Change =
  | {
      readonly kind: "link";
      readonly at: Moment;
      readonly index: number;
      readonly up: boolean;
      readonly carrier: boolean;
    }
  | { readonly kind: "gone"; readonly at: Moment; readonly index: number }
  | {
      readonly kind: "address";
      readonly at: Moment;
      readonly index: number;
      readonly address: string;
      readonly present: boolean;
    };

/** From `at` on, `host` holds the address or does not, and can be reached by it or cannot. */
export interface Holding {
  readonly at: Moment;
  readonly host: string;
  readonly holds: boolean;
  readonly reachable: boolean;
}

export interface Coverage {
  /** Time with no reachable holder, and with more than one. */
  readonly noneMs: number;
  readonly severalMs: number;
}

interface Device {
  readonly up: boolean;
  readonly carrier: boolean;
  readonly addresses: ReadonlySet<string>;
}

type Devices = Map<number, Device>;

const STAMP = /^\[(\S+)\] (Deleted )?(\d+): \S+\s+(?:<(\S*)>|inet6? ([^/ ]+))/;
const NO_DEVICE: Device = { up: false, carrier: false, addresses: new Set() };

/** Reads a line of `ip -tshort -oneline monitor address link`, run with TZ=UTC. */
export function parseChange(line: string): Change | undefined {
  const [, stamp, deleted, indexText, flags, address] = STAMP.exec(line) ?? [];
  if (stamp === undefined) return undefined;
  // Date reads milliseconds; the last three of the six digits are added by hand.
  const at = Date.parse(`${stamp.slice(0, -3)}Z`) + Number(stamp.slice(-3)) / 1000;
  const index = Number(indexText);
  if (address !== undefined) return { kind: "address", at, index, address, present: !deleted };
  if (deleted) return { kind: "gone", at, index };
  const set = (flags ?? "").split(",");
  return { kind: "link", at, index, up: set.includes("UP"), carrier: set.includes("LOWER_UP") };
}

export class Holders {
  readonly #hosts = new Map<string, Devices>();
  readonly #history = new Map<string, Holding[]>();
  readonly #listeners = new Set<() => void>();

  /** Follows a host from now on. `monitor` is its `ip monitor`, started before it has any address. */
  watch(host: string, monitor: Child): void {
    this.#hosts.set(host, new Map());
    const read = (text: string): void => {
      const change = parseChange(text);
      if (change) this.#take(host, change);
    };
    for (const line of monitor.lines) read(line.text);
    monitor.onLine((line) => read(line.text));
  }

  /** The hosts that hold the address now, in the order they were made; with cable or without. */
  of(address: string): readonly string[] {
    return [...this.#hosts]
      .filter(([, devices]) => holding(devices, address).length > 0)
      .map(([host]) => host);
  }

  /** Waits until exactly these hosts, in any order, hold the address. */
  async wait(address: string, hosts: readonly string[], deadlineMs: number): Promise<Moment> {
    const wanted = [...hosts].sort().join();
    const there = (): boolean => [...this.of(address)].sort().join() === wanted;
    if (there()) return now();
    return new Promise((resolve, reject) => {
      const listener = (): void => {
        if (!there()) return;
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(now());
      };
      const timer = setTimeout(() => {
        this.#listeners.delete(listener);
        const found = this.of(address).join(" and ") || "nobody";
        reject(
          new Error(`${address} is held by ${found} after ${deadlineMs} ms; wanted: ${wanted || "nobody"}`),
        );
      }, deadlineMs);
      this.#listeners.add(listener);
    });
  }

  /** Every change of hands, in the order of its stamps. */
  history(address: string): readonly Holding[] {
    return (this.#history.get(address) ?? []).toSorted((a, b) => a.at - b.at);
  }

  /** How long the address had no reachable holder, and how long more than one. */
  between(address: string, fromAt: Moment, untilAt: Moment): Coverage {
    const holders = new Set<string>();
    let noneMs = 0;
    let severalMs = 0;
    let since = fromAt;
    const account = (until: Moment): void => {
      const spanMs = Math.min(until, untilAt) - since;
      if (spanMs <= 0) return;
      if (holders.size === 0) noneMs += spanMs;
      if (holders.size > 1) severalMs += spanMs;
      since += spanMs;
    };
    for (const entry of this.history(address)) {
      account(entry.at);
      if (entry.reachable) holders.add(entry.host);
      else holders.delete(entry.host);
    }
    account(untilAt);
    return { noneMs, severalMs };
  }

  #take(host: string, change: Change): void {
    const devices = this.#devices(host);
    const device = devices.get(change.index) ?? NO_DEVICE;
    const touched = new Set(device.addresses);
    if (change.kind === "gone") {
      devices.delete(change.index);
    } else if (change.kind === "link") {
      devices.set(change.index, { ...device, up: change.up, carrier: change.carrier });
    } else {
      const addresses = new Set(device.addresses);
      if (change.present) addresses.add(change.address);
      else addresses.delete(change.address);
      devices.set(change.index, { ...device, addresses });
      touched.add(change.address);
    }
    for (const address of touched) this.#record(host, address, change.at);
    this.#tell();
  }

  /** Adds to the history what is new; a renewed lifetime or a second announcement is not. */
  #record(host: string, address: string, at: Moment): void {
    const history = this.#history.get(address) ?? [];
    this.#history.set(address, history);
    const last = history.findLast((entry) => entry.host === host);
    const devices = holding(this.#devices(host), address);
    const entry = {
      at,
      host,
      holds: devices.length > 0,
      reachable: devices.some((device) => device.carrier),
    };
    if (entry.holds === (last?.holds ?? false) && entry.reachable === (last?.reachable ?? false)) return;
    history.push(entry);
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #devices(host: string): Devices {
    const devices = this.#hosts.get(host);
    if (!devices) throw new Error(`nobody watches the host ${host}`);
    return devices;
  }
}

/** The devices that are up with this address on them. */
function holding(devices: Devices, address: string): readonly Device[] {
  return [...devices.values()].filter((device) => device.up && device.addresses.has(address));
}
