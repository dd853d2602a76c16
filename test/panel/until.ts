/**
 * Waits for something to become so, with a deadline that only a mistake misses.
 */
import { setTimeout as delay } from "node:timers/promises";

const DEADLINE_MS = 30_000;

export async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadlineAt = performance.now() + DEADLINE_MS;
  while (!isSo()) {
    if (performance.now() > deadlineAt) throw new Error(`waited ${DEADLINE_MS / 1000} s in vain: ${what}`);
    await delay(2);
  }
}
