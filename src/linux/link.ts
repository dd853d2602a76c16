/**
 * What happens to the board's interfaces, as the kernel reports it: a cable
 * pulled, an interface gone or back, an address taken away. Says which
 * interface, and leaves it to the listener to look.
 */
import type { ChildProcess } from "node:child_process";
import { startBeside } from "./beside.js";

export interface LinkEvent {
  readonly name: string;
  /** Of an interface, or of an address on it: one that came, or a lease that was renewed. */
  readonly what: "up" | "down" | "gone" | "address" | "address-gone";
}

export interface LinkWatch {
  close(): void;
}

const RESTART_MS = 200;

/**
 * Watches until closed. `onRestart` is called each time it starts to listen,
 * the first time too: anything may have changed before.
 */
export function watchLinks(onEvent: (event: LinkEvent) => void, onRestart: () => void): LinkWatch {
  let closed = false;
  let child: ChildProcess | undefined;
  let restart: NodeJS.Timeout | undefined;

  const start = () => {
    const argv = ["ip", "-o", "monitor", "link", "address"];
    const { child: monitor, ended } = startBeside(argv, ["ignore", "pipe", "ignore"]);
    child = monitor;
    let rest = "";
    monitor?.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const event = readEvent(line);
        if (event) onEvent(event);
      }
    });
    monitor?.once("spawn", onRestart);
    ended.then(() => {
      if (!closed) restart = setTimeout(start, RESTART_MS);
    });
  };
  start();
  return {
    close() {
      closed = true;
      clearTimeout(restart);
      child?.kill("SIGKILL");
    },
  };
}

/** Reads a line of `ip -o monitor`: `Deleted 3: carp7@eth0: <…` or `2: eth0    inet 192.0.2.1/24 …`. */
export function readEvent(line: string): LinkEvent | undefined {
  const match = /^(Deleted )?\d+: ([^\s:@]+)\S*\s+(?:<(\S*)>|inet)/.exec(line);
  if (!match) return undefined;
  const [, gone, name = "", flags] = match;
  if (flags === undefined) return { name, what: gone ? "address-gone" : "address" };
  if (gone) return { name, what: "gone" };
  return { name, what: flags.split(",").includes("UP") ? "up" : "down" };
}
