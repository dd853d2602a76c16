/**
 * Boards that run carpio: their configuration, a pair of them at work, and
 * what a client loses while something happens to them. How they ought to
 * behave is for the tests.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Moment, now } from "./child.js";
import type { Host } from "./host.js";
import type { Lab } from "./lab.js";
import type { Output } from "./namespace.js";
import {
  CARPIO,
  carpio,
  configFile,
  type Daemon,
  statusOf,
  VIRTUAL_ADDRESS,
  VIRTUAL_ADDRESS6,
} from "./peers.js";
import type { Outage, Probe, ProbeResult } from "./probe.js";

/** One `[[carp]]` table; what is left out is what most tests want. */
export interface Group {
  readonly vhid?: number;
  readonly interface?: string;
  readonly password?: string;
  readonly addresses?: readonly string[];
  readonly advbase?: number;
  readonly advskew?: number;
  readonly preempt?: boolean;
  readonly mac?: "virtual" | "interface";
  readonly peers?: readonly string[];
  /** Lines of `[carp.compat]`. */
  readonly compat?: readonly string[];
}

/** One for each side of a pair. */
export interface Sides<T> {
  readonly left: T;
  readonly right: T;
}

/** What a client lost of one address. */
export interface Loss {
  readonly target: string;
  /** Without those that the control shows at the same moment. */
  readonly lost: number;
  readonly outages: readonly Outage[];
  readonly probe: ProbeResult;
  readonly control: ProbeResult;
}

export const BOTH_FAMILIES: readonly string[] = [`${VIRTUAL_ADDRESS}/24`, `${VIRTUAL_ADDRESS6}/64`];
/** Left is the better board, where a test does not say otherwise. */
export const ADVSKEWS: Sides<number> = { left: 0, right: 50 };
/** A role is due after a few seconds; the machine may be busy with other things. */
export const ROLE_DEADLINE_MS = 20_000;
/** A board to which nothing happens, for `Lab.open({ boards: ["left", "right", CONTROL] })`. */
export const CONTROL = "control";
/** Loss at the control this close to a loss has the same cause: the machine. */
const SAME_CAUSE_MS = 20;
const NOTHING: Sides<Group> = { left: {}, right: {} };

/** Status is for the board itself, on port 8080. */
export function boardConfig(name: string, groups: readonly Group[]): string {
  const head = [`name = "${name}"`, `board = "none"`, "[status]", `listen = "127.0.0.1:8080"`];
  return `${[...head, ...groups.flatMap(groupLines)].join("\n")}\n`;
}

export function startBoard(host: Host, groups: readonly Group[] = [{}]): Daemon {
  return carpio(host, boardConfig(host.name, groups));
}

/** The same with lamps and a button, which are simulated. */
export function startPanelBoard(host: Host, groups: readonly Group[] = [{}]): Daemon {
  const panel = `[panel]\npower_off = "echo powered off >${join(host.directory, "off")}"\n`;
  const config = boardConfig(host.name, groups).replace('board = "none"', 'board = "simulated"');
  return carpio(host, config.replace("[status]", `${panel}[status]`));
}

/** `carpio maintenance` on the board itself. */
export function maintenance(host: Host, wish: "on" | "off", ...more: readonly string[]): Promise<Output> {
  const command = [process.execPath, CARPIO, "maintenance", wish, ...more, "--config", configFile(host)];
  return host.attempt(command);
}

/** Gives a running board another configuration. */
export async function reconfigure({ host, child }: Daemon, groups: readonly Group[]): Promise<void> {
  writeFileSync(join(host.directory, "carpio.toml"), boardConfig(host.name, groups));
  await child.kill("SIGHUP");
}

/**
 * Starts both boards with the same groups, each group changed by what is said
 * of its side, and waits until left serves all addresses and right knows it.
 */
export async function startPair(
  lab: Lab,
  groups: readonly Group[] = [{}],
  differing: Sides<Group> = NOTHING,
): Promise<Sides<Daemon>> {
  const left = startBoard(lab.left, groupsOf("left", groups, differing));
  // On a busy machine right may be the first to have heard nobody, and without preempt it would stay.
  const stays = groupsOf("left", groups, differing).some(({ preempt }) => preempt === false);
  if (stays) await left.enters("master", ROLE_DEADLINE_MS);
  const right = startBoard(lab.right, groupsOf("right", groups, differing));
  await right.enters("backup", ROLE_DEADLINE_MS);
  for (const address of groups.flatMap(addressesOf)) {
    await lab.holders.wait(address, ["left"], ROLE_DEADLINE_MS);
  }
  // Until it has heard left, right's patience is that of its own start.
  await waitUntilHeard(right, 1);
  return { left, right };
}

/** What `startPair` configures on one side, to start it again. */
export function groupsOf(
  side: keyof Sides<Group>,
  groups: readonly Group[] = [{}],
  differing: Sides<Group> = NOTHING,
): readonly Group[] {
  return groups.map((group) => ({ advskew: ADVSKEWS[side], ...group, ...differing[side] }));
}

/** The floating addresses of a group, without their prefix lengths. */
export function addressesOf({ addresses = BOTH_FAMILIES }: Group): readonly string[] {
  return addresses.map((each) => each.replace(/\/.*/, ""));
}

/** Waits until a board has accepted so many advertisements. */
export async function waitUntilHeard({ host, child }: Daemon, count: number): Promise<void> {
  await child.waitForLine(/^carpio \S+ as /, ROLE_DEADLINE_MS); // its status is to be had from here on
  for (const untilAt = now() + ROLE_DEADLINE_MS; now() < untilAt; ) {
    const { carp } = (await statusOf(host)) as { carp: readonly { counters: { received: number } }[] };
    if ((carp[0]?.counters.received ?? 0) >= count) return;
  }
  throw new Error(`${host.name} did not accept ${count} advertisements`);
}

/** Waits until the client has seen so many IPv4 advertisements of whomever, from now on. */
export async function waitForAdvertisements(lab: Lab, count: number): Promise<void> {
  const capture = await lab.client.capture({ filter: "ip proto 112" });
  let seenAt: Moment = 0;
  for (let seen = 0; seen < count; seen++) seenAt = (await capture.frame(ROLE_DEADLINE_MS, seenAt)) + 1;
  await capture.stop();
}

/**
 * What the client loses of each address while `deed` is done. It begins when
 * all of them answer, and ends when they answer after the deed. The lab needs
 * a board called `CONTROL`.
 */
export async function lossesDuring(
  lab: Lab,
  targets: readonly string[],
  deed: () => Promise<unknown>,
  intervalMs = 1,
): Promise<readonly Loss[]> {
  const control = await lab.client.probe({ target: lab.host(CONTROL).address });
  const probes = await Promise.all(targets.map((target) => lab.client.probe({ target, intervalMs })));
  await Promise.all([control, ...probes].map((probe) => probe.answered(ROLE_DEADLINE_MS)));
  await deed();
  await Promise.all(probes.map((probe) => probe.answering(ROLE_DEADLINE_MS)));
  const results = await Promise.all(probes.map((probe: Probe) => probe.stop()));
  const noise = await control.stop();
  return results.map((result, index) => loss(targets[index] ?? "", result, noise));
}

/** Fails with what was lost, and how the machine was doing. */
export function assertNothingLost(losses: readonly Loss[]): void {
  for (const { target, lost, outages, probe, control } of losses) {
    const spans = outages.map((each) => `${each.lost} in ${(each.untilAt - each.fromAt).toFixed(1)} ms`);
    const machine = `skipped ${probe.skipped}, control lost ${control.lost}, silent ${control.longestSilenceMs} ms`;
    assert.equal(lost, 0, `${target}: lost ${spans.join(", ")} of ${probe.sent} (${machine})`);
    // A machine that stalls most of the time measures nothing.
    assert.ok(probe.sent > probe.skipped, `${target}: ${probe.sent} probes sent, ${probe.skipped} skipped`);
  }
}

function loss(target: string, probe: ProbeResult, control: ProbeResult): Loss {
  const isNoise = (outage: Outage): boolean =>
    control.outages.some(
      (each) => each.fromAt < outage.untilAt + SAME_CAUSE_MS && each.untilAt > outage.fromAt - SAME_CAUSE_MS,
    );
  const outages = probe.outages.filter((outage) => !isNoise(outage));
  return { target, lost: outages.reduce((sum, each) => sum + each.lost, 0), outages, probe, control };
}

function groupLines({ compat = [], ...group }: Group): readonly string[] {
  const settings = {
    vhid: 7,
    interface: "eth0",
    password: "mekmitasdigoat",
    addresses: BOTH_FAMILIES,
    ...group,
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return ["[[carp]]", ...lines, ...(compat.length > 0 ? ["[carp.compat]", ...compat] : [])];
}
