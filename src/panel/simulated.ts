/**
 * A panel without hardware. Lamps are seen in the status, as patterns. The
 * button is a socket in the file system: `press` and `release`, each on a
 * line and answered with what the contact is then; whoever hangs up lets go.
 *
 *   (echo press; sleep 0.2; echo release) | nc -N -U /run/carpio/button
 */
import { mkdirSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import type { Contact, PanelDriver } from "./driver.js";

/** For one who does not read what it is answered, and for a line that does not end. */
const MOST_WAITING_BYTES = 4 << 10;
const NEWLINE = 0x0a;

export function simulated(socketPath: string): PanelDriver {
  return {
    openLed: async () => ({ blinks: true, show: async () => {}, writes: () => [], close: () => {} }),
    openContact: (_, onEdge) => listen(socketPath, onEdge),
  };
}

async function listen(path: string, onEdge: (pressed: boolean) => void): Promise<Contact> {
  if (await isTaken(path)) {
    throw new Error(
      `no simulated button: found another daemon at ${path}, wanted a $RUNTIME_DIRECTORY for each`,
    );
  }
  const fingers = new Set<Socket>();
  const sockets = new Set<Socket>();
  const put = (socket: Socket, pressed: boolean) => {
    if (pressed) fingers.add(socket);
    else fingers.delete(socket);
    onEdge(fingers.size > 0);
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      put(socket, false);
    });
    const lines = createInterface({ input: socket });
    // Lines pass on what happens to their socket: both want a listener, or whoever hangs up ends the daemon.
    for (const source of [socket, lines]) source.on("error", () => {});
    let unended = 0;
    socket.on("data", (chunk: Buffer) => {
      const end = chunk.lastIndexOf(NEWLINE);
      unended = end < 0 ? unended + chunk.length : chunk.length - end - 1;
      if (unended > MOST_WAITING_BYTES) socket.destroy();
    });
    lines.on("line", (line) => {
      if (socket.destroyed) return;
      if (line !== "press" && line !== "release") return;
      put(socket, line === "press");
      socket.write(fingers.size > 0 ? "pressed\n" : "released\n");
      if (socket.writableLength > MOST_WAITING_BYTES) socket.destroy();
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new Error(`no simulated button: ${error.message}`)));
    try {
      mkdirSync(dirname(path), { recursive: true });
      // Of a program that died.
      rmSync(path, { force: true });
    } catch {
      // Listening will say what is wrong.
    }
    server.listen(path, () => {
      server.on("error", () => {});
      const close = () => {
        server.close();
        for (const socket of sockets) socket.destroy();
      };
      resolve({ read: async () => fingers.size > 0, close });
    });
  });
}

/** Daemons in several network namespaces may share the directory, and must not take each other's button. */
function isTaken(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}
