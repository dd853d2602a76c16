/**
 * Cleans up after a daemon that died: takes its addresses off the board, puts
 * the kernel's settings back, and, where it was master, tells the others at
 * once that the place is free.
 */
import type { GroupConfig } from "./config.js";
import { destinationsOf, familiesOf, signBowOut, UNSPECIFIED } from "./group.js";
import { anyLength, LINK_GROUP, readDevice } from "./linux/carp-device.js";
import { openSender } from "./linux/carp-socket.js";
import { waitForGuard } from "./linux/guard.js";
import { type Ip, openIp } from "./linux/ip.js";
import { ownPrefixes, sourceOf } from "./linux/parent.js";
import { unloadPrefilter } from "./linux/prefilter.js";
import { restoreSettings } from "./linux/sysctl.js";
import { readLeftover, removeLeftover, takeLock } from "./runtime.js";
import { formatAddress } from "./wire/address.js";

/** One packet can be lost. */
const BOW_OUTS = 2;

/** Answers with what stood in the way, if anything did. */
export async function releaseLeftovers(
  groups: readonly GroupConfig[],
  say: (line: string) => void,
): Promise<string | undefined> {
  const lock = await takeLock();
  if ("heldBy" in lock) return `carpio is running here, as ${lock.heldBy}: stop it instead`;

  const leftover = readLeftover();
  if (leftover.guardPid) await waitForGuard(leftover.guardPid);
  const ip = openIp();
  await takeOff(ip, groups);

  // The others wait for this, so it comes before the tidying up.
  const served = groups.filter((group) =>
    leftover.serving?.some(({ interface: name, vhid }) => name === group.interface && vhid === group.vhid),
  );
  for (const group of served) {
    const problem = await bowOut(ip, groups, group);
    say(`carp ${group.vhid} on ${group.interface}: ${problem ?? "bowed out"}`);
  }
  restoreSettings(leftover.changed ?? {});
  await Promise.all([unloadPrefilter(), ip.close()]);
  removeLeftover();
  lock.release();
  return undefined;
}

async function takeOff(ip: Ip, groups: readonly GroupConfig[]): Promise<void> {
  await ip.run([`link delete group ${LINK_GROUP}`]);
  for (const { interface: name, addresses } of groups.filter(({ mac }) => mac === "interface")) {
    const { answers } = await ip.run([`address show dev ${name}`]);
    const leased = readDevice(answers[0])?.addresses.filter((held) => held.leased) ?? [];
    const ours = leased.filter((held) =>
      addresses.some((it) => formatAddress(it.address) === formatAddress(held.address)),
    );
    await ip.run(anyLength({ name, addresses: ours }));
  }
}

/** Says 255/255 from the interface's own MAC: the virtual one is the successor's from now on. */
async function bowOut(
  ip: Ip,
  groups: readonly GroupConfig[],
  group: GroupConfig,
): Promise<string | undefined> {
  const { answers } = await ip.run([`address show dev ${group.interface}`]);
  const floating = new Set(groups.flatMap((it) => it.addresses.map(({ address }) => formatAddress(address))));
  const own = ownPrefixes(readDevice(answers[0]), floating);
  const sender = openSender();
  const errors: (Error | undefined)[] = [];
  for (let i = 0; i < BOW_OUTS; i++) {
    for (const family of familiesOf(group)) {
      const source = sourceOf(own, family) ?? UNSPECIFIED[family];
      for (const destination of destinationsOf(group, family)) {
        errors.push(await sender.send(signBowOut(group, source, destination), destination, group.interface));
      }
    }
  }
  sender.close();
  const failed = errors.find((error) => error !== undefined);
  return failed && `cannot bow out: ${failed.message}`;
}
