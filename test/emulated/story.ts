/**
 * The whole story, told as it happens: two emulated arm64 boards and a client
 * on one network. Power, lamps, a press, "do not unplug", "safe", the plug
 * pulled and put back, another press. The client asks the floating address a
 * hundred times a second all the while, and loses nothing.
 *
 *   ┌──────────┐  ┌──────────┐  ┌─────────┐  ┌────────┐
 *   │   left   │  │  right   │  │ control │  │ client │
 *   │ QEMU .11 │  │ QEMU .12 │  │   .2    │  │  .100  │
 *   └──tap─────┘  └──tap─────┘  └──veth───┘  └─veth───┘
 *   └───────────────────── switch0 ───────────────────┘   a lab, as test/lab/lab.ts draws it
 *
 * Lamps, button and plug are outside the machines, as they are for a person.
 * `control` is left alone: what is lost at it as well, the computer has lost.
 * What the boards are made of is for whoever tells it.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { assertNothingLost, lossesDuring } from "../lab/boards.js";
import { type Moment, now } from "../lab/child.js";
import type { Lab } from "../lab/lab.js";
import { VIRTUAL_ADDRESS } from "../lab/peers.js";
import { group, untilStatus, waitForBlinks, waitForFace, waitForLamps } from "./board.js";
import { MAINTENANCE, ROLE } from "./lamps.js";
import type { Cable, Qemu } from "./qemu.js";

export type Name = "left" | "right";
export type Tell = (who: Name | "both" | "client", what: string) => void;

/** Of their addresses: 192.0.2.NUMBER. */
export const NUMBERS = { left: 11, right: 12 } as const;
/** It is configured and out of the house: waiting for its answer makes a handover long enough to be seen. */
const THIRD = 13;
const ADVSKEWS = { left: 0, right: 100 } as const;
export const WINK = { onMs: 50, offMs: 1950, beside: 0 };
const SAFE = { ...WINK, beside: MAINTENANCE };
const ASKED_EVERY_MS = 10;
/**
 * Two emulated boards share a computer's processors with whatever else runs there.
 * One that gets none for seconds is as good as dead, and its peer is right to take over
 * at one advertisement a second; that is not this story.
 */
const ADVBASE = 3;
/** More than a backup bears to miss. */
const SILENCE = 4;

/** `powerOn` gives a board whose program is about to run; one that had power before has kept its disc. */
export async function tellStory(lab: Lab, tell: Tell, powerOn: (name: Name) => Promise<Qemu>): Promise<void> {
  const boards: Qemu[] = [];
  const plugIn = async (name: Name): Promise<Qemu> => {
    const board = await powerOn(name);
    boards.push(board);
    return board;
  };
  try {
    tell("both", "power on");
    const [left, right] = await Promise.all([plugIn("left"), plugIn("right")]);
    await showsRoles(left, right, tell);

    const [loss] = await lossesDuring(
      lab,
      [VIRTUAL_ADDRESS],
      async () => {
        tell("client", `asks ${VIRTUAL_ADDRESS} a hundred times a second`);
        await handOver(left, right, tell);
        await pullPlug(left, right, tell);
        tell("left", "the plug is put back");
        const again = await plugIn("left");
        await comeBack(again, right, tell);
        await takeBack(again, right, tell);
      },
      ASKED_EVERY_MS,
    );
    assert.ok(loss);
    tell("client", `asked ${loss.probe.sent} times and lost ${loss.lost}`);
    assertNothingLost([loss]);
  } catch (error) {
    for (const board of boards) console.log(await board.log().catch(({ message }) => message));
    throw error;
  } finally {
    for (const board of boards) await board.close();
  }
}

/** Lines of carpio.toml for one of the two. */
export function storyConfig(name: Name): readonly string[] {
  const others = [...Object.values(NUMBERS), THIRD].filter((number) => number !== NUMBERS[name]);
  const peers = others.map((number) => `"http://192.0.2.${number}:8080"`);
  return [
    'board = "auto"',
    "[status]",
    `peers = [${peers}]`,
    ...group({ advbase: ADVBASE, advskew: ADVSKEWS[name] }),
  ];
}

async function handOver(left: Qemu, right: Qemu, tell: Tell): Promise<void> {
  const pressedAt = now();
  tell("left", "a finger presses the button");
  await left.press();
  const ms = await showsHandingOver(left, pressedAt);
  tell("left", `green is lit and amber in quick motion: do not unplug, for ${Math.round(ms)} ms`);
  const { maintenance } = await waitForFace(left, "safe");
  assert.equal(maintenance.handover.to, `192.0.2.${NUMBERS.right}`);
  await waitForBlinks(left, ROLE, SAFE);
  tell("left", "amber is lit and green winks: safe to unplug");
  await waitForFace(right, "master");
  await waitForLamps(right, ROLE);
  tell("right", "green is lit: it serves");
}

/** Right must not even notice. */
async function pullPlug(left: Qemu, right: Qemu, tell: Tell): Promise<void> {
  const { events, carp } = await waitForFace(right, "master");
  await left.close();
  tell("left", "the plug is pulled");
  const sent = (carp[0]?.counters.sent ?? 0) + SILENCE;
  const later = await untilStatus(
    right,
    `a master that has sent ${SILENCE} advertisements more`,
    (it) => it.panel.face === "master" && (it.carp[0]?.counters.sent ?? 0) >= sent,
  );
  assert.deepEqual(later.events, events);
  await waitForLamps(right, ROLE);
  tell("right", `green is lit: it serves, ${SILENCE} advertisements later`);
}

/**
 * The wish was on the disc, and is obeyed before anybody says it again. While
 * it has not yet heard right the board asks for patience.
 */
async function comeBack(left: Qemu, right: Qemu, tell: Tell): Promise<void> {
  const { maintenance, panel } = await waitForFace(left, "safe");
  assert.deepEqual([maintenance.on, panel.button.presses], [true, 0]);
  await waitForBlinks(left, ROLE, SAFE);
  tell("left", "amber is lit and green winks: it still stands aside");
  await waitForLamps(right, ROLE);
  tell("right", "green is lit: it serves");
}

async function takeBack(left: Qemu, right: Qemu, tell: Tell): Promise<void> {
  tell("left", "a finger presses the button");
  await left.press();
  await showsRoles(left, right, tell);
}

async function showsRoles(master: Qemu, backup: Qemu, tell: Tell): Promise<void> {
  await waitForFace(master, "master");
  await waitForLamps(master, ROLE);
  tell("left", "green is lit: it serves");
  await waitForFace(backup, "backup");
  await waitForBlinks(backup, ROLE, WINK);
  tell("right", "green winks: it stands by");
}

/**
 * Waits until green, lit all the while, goes dark. Until then amber was lit and
 * dark again beside it, which no other face shows without red. Says for how long.
 */
async function showsHandingOver(left: Qemu, pressedAt: Moment): Promise<number> {
  const look = () => {
    const readings = left.lamps.since(pressedAt);
    const from = readings.findIndex(({ bits }) => bits & MAINTENANCE);
    const end = readings.find(({ bits }, i) => from >= 0 && i > from && !(bits & ROLE));
    return { readings, shown: readings.slice(Math.max(from, 0)), end };
  };
  const holds = ({ end }: ReturnType<typeof look>) => end !== undefined;
  const { shown, end, readings } = await left.until(look, { holds, what: "the end of a handover" });
  const bits = shown.slice(0, 2).map((reading) => reading.bits);
  assert.deepEqual(bits, [ROLE | MAINTENANCE, ROLE], JSON.stringify(readings));
  return (end?.at ?? 0) - (shown[0]?.at ?? 0);
}

/** Why boards cannot be wired on this computer, if so. */
export function noCables(): string | false {
  return existsSync("/dev/net/tun")
    ? false
    : "found no /dev/net/tun, wanted one for the boards' cables: modprobe tun";
}

/** A port of the lab's switch. Without power at its other end it has no carrier, as a real one. */
export async function cableOf(lab: Lab, name: string, lan: 0 | 1 = 0): Promise<Cable> {
  assert.equal(noCables(), false);
  const device = `${name}${lan}`;
  await lab.switch.ip(`tuntap add ${device} mode tap`, `link set ${device} master switch${lan} up`);
  return { device, door: lab.switch.door(["--net"]), visitor: lab.client.namespace.door(["--net"]) };
}

export function storyteller(): Tell {
  const startedAt = now();
  return (who, what) => {
    const seconds = ((now() - startedAt) / 1000).toFixed(1).padStart(6);
    console.log(`${seconds} s  ${who.padEnd(7)} ${what}`);
  };
}
