/**
 * How boards fare, as seen from outside: what their status says, which roles
 * their logs report, what they send, and who holds which address when. What
 * they ought to do is for the tests.
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { GroupSnapshot, Snapshot } from "../../src/status/snapshot.js";
import { ROLE_DEADLINE_MS } from "./boards.js";
import { type Moment, now } from "./child.js";
import type { Host } from "./host.js";
import type { Lab } from "./lab.js";
import { type Daemon, statusOf, VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6 } from "./peers.js";

/** Anything that should happen soon, on a machine that may be busy with other things. */
export const DEADLINE_MS = 15_000;
/** For tcpdump: advertisements of both families. */
export const CARP = "proto 112";
/** What most tests serve. */
export const FLOATING: readonly string[] = [VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6];

/** The board's status; it may still be starting. */
export async function snapshotOf(host: Host): Promise<Snapshot> {
  for (const untilAt = now() + DEADLINE_MS; ; await sleep(100)) {
    try {
      return (await statusOf(host)) as Snapshot;
    } catch (error) {
      if (now() > untilAt) throw error;
    }
  }
}

export async function groupOf(host: Host, vhid = 7): Promise<GroupSnapshot> {
  const group = (await snapshotOf(host)).carp.find((each) => each.vhid === vhid);
  assert.ok(group, `${host.name} has no vhid ${vhid}`);
  return group;
}

/** Asks the board until its status is as wanted. */
export async function until(
  host: Host,
  isSo: (snapshot: Snapshot) => boolean,
  deadlineMs = DEADLINE_MS,
): Promise<Snapshot> {
  for (const untilAt = now() + deadlineMs; ; await sleep(100)) {
    const snapshot = await snapshotOf(host);
    if (isSo(snapshot)) return snapshot;
    assert.ok(now() < untilAt, `${host.name} is never so that ${isSo}: ${JSON.stringify(snapshot)}`);
  }
}

export async function untilGroup(
  host: Host,
  vhid: number,
  isSo: (group: GroupSnapshot) => boolean,
): Promise<void> {
  await until(host, ({ carp }) => carp.some((group) => group.vhid === vhid && isSo(group)));
}

/** A moment from which a pair is at rest: boards that start together may both serve for a moment. */
export async function calm(lab: Lab): Promise<Moment> {
  await nextAdvertisement(lab.left);
  await until(lab.right, ({ role }) => role === "backup");
  return now();
}

/** The lines of these logs, since a moment, that report a change of role; of one vhid, or of all. */
export function roleChanges(daemons: readonly Daemon[], after: Moment, vhid?: number): readonly string[] {
  const change = new RegExp(`^carp ${vhid ?? "\\d+"} on \\S+: (init|backup|master) -> `);
  const lines = daemons.flatMap(({ child }) => child.lines.filter(({ at }) => at >= after));
  return lines.map(({ text }) => text).filter((text) => change.test(text));
}

/** Waits for an advertisement of this host; says when it was seen. */
export async function nextAdvertisement(host: Host): Promise<Moment> {
  const capture = await host.capture({ at: "port", filter: CARP, direction: "in" });
  const at = await capture.frame(DEADLINE_MS);
  await capture.stop();
  return at;
}

/** Between two frames in a row, as tcpdump printed them with `-tt`. */
export function longestSilenceMs(frames: readonly string[]): number {
  const moments = frames.map((line) => Number(line.split(" ")[0]) * 1000);
  return Math.max(0, ...moments.slice(1).map((moment, i) => moment - (moments[i] ?? moment)));
}

/** Waits until these boards, and no others, hold all of these addresses. */
export async function servedBy(
  lab: Lab,
  hosts: readonly string[],
  addresses: readonly string[] = FLOATING,
): Promise<void> {
  for (const address of addresses) await lab.holders.wait(address, hosts, ROLE_DEADLINE_MS);
}

/** When a host let go of an address, at this moment or later; waited for. */
export async function letsGo(lab: Lab, host: string, address: string, after: Moment): Promise<Moment> {
  for (const untilAt = now() + DEADLINE_MS; ; await sleep(5)) {
    const gone = lab.holders.history(address).find((it) => it.host === host && !it.holds && it.at >= after);
    if (gone) return gone.at;
    assert.ok(now() < untilAt, `${host} holds ${address} for ever`);
  }
}

export async function devicesOf(host: Host): Promise<readonly string[]> {
  const links: readonly { readonly ifname: string }[] = JSON.parse(await host.run(["ip", "-json", "link"]));
  return links.map(({ ifname }) => ifname);
}
