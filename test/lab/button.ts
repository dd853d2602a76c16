/**
 * The simulated button of a board in the lab, pressed through its socket as a
 * finger does. What a press ought to do is for the tests and the bench.
 */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { pressDown, touch as touchSocket } from "../finger.js";
import { type Moment, now } from "./child.js";
import type { Host } from "./host.js";

/** What the simulated board's contact bounces at most, as `board-schema` has it where a board says nothing. */
export const DEBOUNCE_MS = 20;
/** For tcpdump: an IPv4 advertisement with what the button raises the advskew to. */
export const RAISED = "ip proto 112 and ip[22] = 240 and ip[25] != 255";
/** How long a finger stays once it was felt: longer than a contact bounces, and less than a second. */
const FINGER_MS = 200;

/** A finger on the button of a board. */
export function touch(host: Host): Promise<Socket> {
  return touchSocket(`/proc/${host.namespace.pid}/root/run/carpio/button`);
}

/** A short press; says when the finger let go, which is when a press counts. */
export async function press(host: Host): Promise<Moment> {
  const finger = await touch(host);
  await pressDown(finger);
  await sleep(FINGER_MS);
  const releasedAt = now();
  finger.end("release\n");
  return releasedAt;
}
