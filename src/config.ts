/**
 * What the operator wrote, as data.
 */
import type { MasterDownRule } from "./carp/interval.js";
import type { Address, Prefix } from "./wire/address.js";

export interface Config {
  readonly name: string;
  /** `auto`, a board's name, or a path to a board.toml. */
  readonly board: string;
  readonly groups: readonly GroupConfig[];
  readonly maintenance: { readonly advskew: number };
  readonly status: StatusConfig;
  readonly panel: { readonly driver: "onoff" | "led-class" | "simulated" | "none" };
}

/** One `[[carp]]` table: a vhid on an interface. */
export interface GroupConfig {
  readonly vhid: number;
  readonly interface: string;
  /** 20 bytes. */
  readonly key: Uint8Array;
  readonly addresses: readonly Prefix[];
  /** Seconds. */
  readonly advbase: number;
  /** 1/256 s. */
  readonly advskew: number;
  readonly preempt: boolean;
  readonly mac: "virtual" | "interface";
  /** Unicast peers; empty means multicast. */
  readonly peers: readonly Address[];
  readonly compat: Compat;
}

export interface Compat {
  readonly order: "sorted" | "interface";
  readonly linkLocal: "auto" | "with" | "without";
  /** 6 bytes. */
  readonly lladdr: Uint8Array | undefined;
  readonly checksum6: "plain" | "pseudo-header";
  readonly masterDown: MasterDownRule;
  readonly demote: "advskew" | "byte";
}

export interface StatusConfig {
  /** `undefined`: no status server. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  readonly tokenFile: string | undefined;
  readonly peers: readonly string[];
}

/** One thing that is wrong, or odd, in the file. */
export interface Problem {
  /** 1 is the first line; `undefined` when it is about the whole file. */
  readonly line: number | undefined;
  /** As people write it: `carp[2].advskew`. */
  readonly key: string;
  readonly found: string;
  readonly wanted: string;
}

export type Parsed =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };
