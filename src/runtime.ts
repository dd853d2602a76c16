/**
 * What a daemon leaves for the next one, should it die: a small file in the
 * run-time directory, and a lock that dies with it. Both belong to the network
 * namespace, as the addresses do: a computer may have a daemon in each of several.
 *
 * The lock is a socket in Linux's abstract namespace, and has no file to leave
 * behind. The directory may be shared, so the file is named after the network.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
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

/** Of the daemon. */
const LOCK = "carpio";
const ANSWER_MS = 1_000;

const USUAL = "/run/carpio";
/** On a board of an image the daemon may write to this part alone. */
const USUAL_OF_IMAGE = `${USUAL}/daemon`;

/** What the daemon writes while it runs. */
export function runtimeDirectory(): string {
  return given() ?? (existsSync(USUAL_OF_IMAGE) ? USUAL_OF_IMAGE : USUAL);
}

/** Where the base and the system of a board leave word for carpio. */
export function systemDirectory(): string {
  return given() ?? USUAL;
}

function given(): string | undefined {
  // systemd gives several directories as one value, with colons between.
  return process.env["RUNTIME_DIRECTORY"]?.split(":")[0] || undefined;
}

/** Takes the lock, or answers with the process that has it. */
export function takeLock(name = LOCK): Promise<Lock | { readonly heldBy: string }> {
  return new Promise((resolve, reject) => {
    const server = createServer((asker) => {
      asker.on("error", () => {});
      asker.end(String(process.pid));
    });
    // Later as well: who cannot be let in learns that another process has it, and no more.
    server.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") holder(name).then((heldBy) => resolve({ heldBy }));
      else reject(error);
    });
    server.listen({ path: `\0${name}` }, () => {
      server.unref();
      resolve({ release: () => void server.close() });
    });
  });
}

export function readLeftover(): Leftover {
  try {
    return JSON.parse(readFileSync(leftoverFile(), "utf8")) as Leftover;
  } catch {
    return {};
  }
}

/**
 * Says what went wrong; the daemon runs without it, but its crash is mended later.
 * Whoever reads it finds all that was said before, or all that is said now.
 */
export function writeLeftover(leftover: Leftover): string | undefined {
  try {
    mkdirSync(runtimeDirectory(), { recursive: true, mode: 0o755 });
    writeFileSync(draftFile(), JSON.stringify(leftover));
    renameSync(draftFile(), leftoverFile());
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export function removeLeftover(): void {
  for (const file of [leftoverFile(), draftFile()]) rmSync(file, { force: true });
}

function leftoverFile(): string {
  return join(runtimeDirectory(), `daemon${networkSuffix()}.json`);
}

/** The kernel's name of a network namespace is `net:[4026531840]`; it may be built without any. */
function networkSuffix(): string {
  try {
    return readlinkSync("/proc/self/ns/net").replace(/^net:\[(\d+)\]$/, "-$1");
  } catch {
    return "";
  }
}

function draftFile(): string {
  return `${leftoverFile()}.new`;
}

function holder(name: string): Promise<string> {
  return new Promise((resolve) => {
    let pid = "";
    const socket = connect({ path: `\0${name}` });
    // One that hangs does not answer, and holds it all the same.
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.setEncoding("utf8").on("data", (text: string) => {
      pid += text;
    });
    socket.once("error", () => resolve("another process"));
    socket.once("close", () => resolve(pid ? `process ${pid}` : "another process"));
  });
}
