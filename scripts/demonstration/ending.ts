/** How a program of ours ends when a signal ends it: tidily, and of that signal. */
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** A reader that went away counts as SIGPIPE, which Node does not hear of. */
export function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const each of SIGNALS) process.on(each, resolve);
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => resolve("SIGPIPE"));
  });
}

/** So that whoever started us knows of what we died. */
export async function dieOf(signal: NodeJS.Signals): Promise<never> {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  await sleep(100);
  process.exit(128 + constants.signals[signal]);
}
