/**
 * What a board's own system is told, as the rest of the program has it.
 */
import type { Address, Prefix } from "../wire/address.js";
import type { Endpoint } from "./system-notation.js";
import { isHostname } from "./system-notation.js";
import { type InterfaceTable, type SystemTable, systemEntries } from "./system-schema.js";
import type { Table } from "./toml.js";

export interface SystemConfig {
  /** Those of its tables that somebody wrote. */
  readonly tables: readonly string[];
  /** `undefined`: one is made up, from a MAC. */
  readonly hostname: string | undefined;
  readonly dns: readonly Address[];
  /** Empty: DHCP on the first Ethernet interface. */
  readonly interfaces: readonly InterfaceConfig[];
  /** Lines of `authorized_keys`; none, no SSH. */
  readonly sshKeys: readonly string[];
  readonly ntpServers: readonly string[];
  readonly remoteLog: Endpoint | undefined;
  readonly serial: "log" | "shell";
  readonly router: RouterConfig;
  /** A payload that nobody has signed may go to a slot. */
  readonly unsignedUpdates: boolean;
}

export interface InterfaceConfig {
  readonly name: string;
  /** Whichever has it is called so; `undefined`: whichever the kernel calls so. */
  readonly mac: string | undefined;
  readonly dhcp: boolean;
  readonly addresses: readonly Prefix[];
  readonly gateways: readonly Address[];
  readonly mtu: number | undefined;
  readonly vlan: { readonly id: number; readonly parent: string } | undefined;
}

export interface RouterConfig {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly nftables: string | undefined;
}

/** `name` is the board's, and its host name where it can be one. */
export function toSystem(file: SystemTable, name: string | undefined, written: Table): SystemConfig {
  const { network, ssh, ntp, log, console: wire, router, update } = file;
  return {
    tables: Object.keys(systemEntries).filter((table) => Object.hasOwn(written, table)),
    hostname: network.hostname ?? (name !== undefined && isHostname(name) ? name : undefined),
    dns: network.dns,
    interfaces: network.interface.map(toInterface),
    sshKeys: ssh?.key ?? [],
    ntpServers: ntp?.servers ?? [],
    remoteLog: log?.remote,
    serial: wire.serial,
    router: { ipv4: router.ipv4, ipv6: router.ipv6, nftables: router.nftables },
    unsignedUpdates: update.unsigned,
  };
}

function toInterface({
  name,
  mac,
  dhcp,
  addresses,
  gateways,
  mtu,
  vlan,
  parent,
}: InterfaceTable): InterfaceConfig {
  return {
    name,
    mac,
    dhcp: dhcp ?? addresses.length === 0,
    addresses,
    gateways,
    mtu,
    vlan: vlan === undefined || parent === undefined ? undefined : { id: vlan, parent },
  };
}
