/**
 * What the keys of a board's own system may not be together. Relies on values
 * that are right by themselves and passes over the others.
 */
import { type Address, formatAddress, isLinkLocal, type Prefix } from "../wire/address.js";
import type { Fault } from "./problem.js";
import type { InterfaceTable } from "./system-schema.js";
import type { KeyPath } from "./toml-lines.js";
import { describe } from "./values.js";

/** It would be in the way when interfaces are named: the kernel's own, carpio's, and what Linux keeps for itself. */
const TAKEN = /^(?:(?:eth|usb|wlan|wwan|carp)\d.*|en.*|all|default)$/i;
const OWN_NAME =
  'beside mac a name that nobody else gives, such as "wan": letters, digits, "-" and "_", and not eth1, usb0, wlan0, wwan0, carp7, en…, all or default';

export type InterfaceSketch = Partial<Omit<InterfaceTable, "addresses" | "gateways">> & {
  readonly addresses?: readonly (Prefix | undefined)[];
  readonly gateways?: readonly (Address | undefined)[];
};

export function interfaceFaults(sketches: readonly (InterfaceSketch | undefined)[]): Fault[] {
  const vlans = sketches.filter((sketch) => sketch && "vlan" in sketch).map((sketch) => sketch?.name);
  return sketches.flatMap((sketch, i) =>
    sketch ? faultsOf(sketch, ["network", "interface", i], vlans) : [],
  );
}

function faultsOf(sketch: InterfaceSketch, path: KeyPath, vlans: readonly (string | undefined)[]): Fault[] {
  const { vlan, parent } = sketch;
  const faults: Fault[] = [];
  if ("vlan" in sketch && !("parent" in sketch)) {
    const found = `${vlan} without parent`;
    faults.push({ path: [...path, "vlan"], found, wanted: "parent: the interface that carries the VLAN" });
  }
  if ("parent" in sketch && !("vlan" in sketch)) {
    const found = `${describe(parent)} without vlan`;
    faults.push({ path: [...path, "parent"], found, wanted: "vlan: its number" });
  }
  if (parent !== undefined && vlans.includes(parent)) {
    const found = `${describe(parent)}, which is a VLAN`;
    faults.push({ path: [...path, "parent"], found, wanted: "an interface with a cable" });
  }
  return [...faults, ...macFaults(sketch, path), ...gatewayFaults(sketch, path)];
}

function macFaults(sketch: InterfaceSketch, path: KeyPath): Fault[] {
  if (!("mac" in sketch)) return [];
  const faults: Fault[] = [];
  const { name } = sketch;
  const ofVlan = (["vlan", "parent"] as const).find((key) => key in sketch);
  if (ofVlan !== undefined) {
    const wanted = "no mac: a VLAN has no cable, and what carries it may have one";
    faults.push({ path: [...path, "mac"], found: `mac beside ${ofVlan}`, wanted });
  }
  if (name !== undefined && (TAKEN.test(name) || !/^[a-z][\w-]*$/i.test(name))) {
    faults.push({ path: [...path, "name"], found: describe(name), wanted: OWN_NAME });
  }
  return faults;
}

/** A gateway that is in none of the networks is never reached. */
function gatewayFaults({ addresses = [], gateways = [] }: InterfaceSketch, path: KeyPath): Fault[] {
  if (addresses.some((prefix) => prefix === undefined)) return [];
  return gateways.flatMap((gateway, i) => {
    if (!gateway || isLinkLocal(gateway)) return [];
    if (addresses.some((prefix) => prefix && holds(prefix, gateway))) return [];
    const found = describe(formatAddress(gateway));
    const wanted = "one in the network of an address of this interface; DHCP brings its own";
    return [{ path: [...path, "gateways", i], found, wanted }];
  });
}

function holds({ address, length }: Prefix, other: Address): boolean {
  if (address.family !== other.family) return false;
  return address.bytes.every((byte, i) => {
    const mask = 0xff & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i)));
    return (byte & mask) === ((other.bytes[i] ?? 0) & mask);
  });
}
