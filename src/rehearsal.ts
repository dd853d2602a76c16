/**
 * A start for nothing, while others still set up the network: what is done for the
 * first time takes an interpreter long, and a small board a second. Nothing is changed,
 * and what is wrong is said by the start itself, which finds its `ip` warm.
 */
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { readConfig } from "./config.js";
import { loadSockets } from "./linux/carp-socket.js";
import type { Ip } from "./linux/ip.js";
import { loadGpio } from "./panel/onoff.js";

export async function rehearse(path: string, ip: Ip): Promise<void> {
  const warm = ip.run(["address show dev lo"]);
  readConfig(path);
  createServer().close();
  createHmac("sha1", path).digest();
  for (const load of [loadSockets, loadGpio]) attempt(load);
  await warm;
}

/** A computer that we carry no addon for is told so when it wants to use it. */
function attempt(load: () => unknown): void {
  try {
    load();
  } catch {
    // It will be said then.
  }
}
