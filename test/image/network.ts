/**
 * A lab for boards that come without an address: beside the hosts of
 * test/lab/lab.ts there is a `router` on the switch, which gives each board the
 * address of its number by DHCP, as a home's router does.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONTROL } from "../lab/boards.js";
import { Lab } from "../lab/lab.js";
import { addressOf, macOf } from "./appliance.js";

export const ROUTER = "router";
/** For whoever has no number: an address that no test asks for. */
const STRANGERS = { from: 200, to: 210 } as const;

/** `more` are lines of udhcpd's. */
export async function openNetwork(
  numbers: readonly number[],
  lans: 1 | 2 = 1,
  more: readonly string[] = [],
): Promise<Lab> {
  const lab = await Lab.open({ boards: [CONTROL, ROUTER], lans });
  const known = numbers.map((number) => `static_lease ${macOf(number)} ${addressOf(number)}`);
  const router = lab.host(ROUTER);
  const leases = join(router.directory, "leases");
  mkdirSync(leases);
  writeFileSync(join(leases, "given"), "");
  const settings = join(leases, "udhcpd.conf");
  const lines = [
    `start ${addressOf(STRANGERS.from)}`,
    `end ${addressOf(STRANGERS.to)}`,
    "interface eth0",
    `lease_file ${join(leases, "given")}`,
    `pidfile ${join(leases, "pid")}`,
    "opt subnet 255.255.255.0",
    "opt lease 864000",
    ...known,
    ...more,
  ];
  writeFileSync(settings, `${lines.join("\n")}\n`);
  router.spawn(["busybox", "udhcpd", "-f", settings]);
  return lab;
}
