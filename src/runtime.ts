/**
 * What a daemon leaves for the next one, should it die: a small file in the
 * run-time directory, and a lock that dies with it.
 *
 * The lock is a socket in Linux's abstract namespace, which belongs to the
 * network namespace as the addresses do, and has no file to leave behind.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import type { Changed } from "./linux/sysctl.js";

/** One group that was master, and so may be missed. */
export interface Serving {
  readonly interface: string;
  readonly vhid: number;
}

export interface Leftover {
  readonly guardPid?: number | undefined;
  readonly serving?: readonly Serving[];
  /** Kernel settings to put back. */
  readonly changed?: Changed;
}

export interface Lock {
  release(): void;
}

const LOCK = "\0carpio";
const FILE = "daemon.json";
const ANSWER_MS = 1_000;

export function runtimeDirectory(): string {
  return process.env["RUNTIME_DIRECTORY"] || "/run/carpio";
}

/** Takes the lock, or answers with the process that has it. */
export function takeLock(): Promise<Lock | { readonly heldBy: string }> {
  return new Promise((resolve, reject) => {
    const server = createServer((asker) => {
      asker.on("error", () => {});
      asker.end(String(process.pid));
    });
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") holder().then((heldBy) => resolve({ heldBy }));
      else reject(error);
    });
    server.listen({ path: LOCK }, () => {
      server.unref();
      resolve({ release: () => void server.close() });
    });
  });
}

export function readLeftover(): Leftover {
  try {
    return JSON.parse(readFileSync(join(runtimeDirectory(), FILE), "utf8")) as Leftover;
  } catch {
    return {};
  }
}

/** Says what went wrong; the daemon runs without it, but its crash is mended later. */
export function writeLeftover(leftover: Leftover): string | undefined {
  try {
    mkdirSync(runtimeDirectory(), { recursive: true, mode: 0o755 });
    writeFileSync(join(runtimeDirectory(), FILE), JSON.stringify(leftover));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export function removeLeftover(): void {
  rmSync(join(runtimeDirectory(), FILE), { force: true });
}

function holder(): Promise<string> {
  return new Promise((resolve) => {
    let pid = "";
    const socket = connect({ path: LOCK });
    // One that hangs does not answer, and holds it all the same.
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.setEncoding("utf8").on("data", (text: string) => {
      pid += text;
    });
    socket.once("error", () => resolve("another process"));
    socket.once("close", () => resolve(pid ? `process ${pid}` : "another process"));
  });
}
