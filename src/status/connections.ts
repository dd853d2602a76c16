/**
 * Who may have how many connections, so that one client, or one network full of
 * them, cannot keep the others out.
 *
 * A remote address has at most so many. When all places are taken, whoever has
 * the most gives up its oldest for somebody who has fewer.
 */
import { isIPv6, type Socket } from "node:net";

export interface Connections {
  /** Takes it in, or ends it. */
  admit(socket: Socket): void;
}

/** What all of them say at once is read in one turn of the loop. */
const MOST = 128;
const MOST_OF_ONE = 16;
/** A proxy on the board speaks for many. */
const MOST_OF_OURS = 64;

export function createConnections(): Connections {
  const byRemote = new Map<string, Set<Socket>>();
  let count = 0;

  const forget = (remote: string, socket: Socket): void => {
    const theirs = byRemote.get(remote);
    if (!theirs?.delete(socket)) return;
    count--;
    if (theirs.size === 0) byRemote.delete(remote);
  };

  /** Makes room for one more of a remote that has so many. */
  const makeRoom = (has: number): boolean => {
    if (count < MOST) return true;
    const [remote, theirs] = [...byRemote].reduce((most, each) =>
      each[1].size > most[1].size ? each : most,
    );
    const [oldest] = theirs;
    if (!oldest || theirs.size <= has) return false;
    forget(remote, oldest);
    oldest.destroy();
    return true;
  };

  return {
    admit(socket) {
      const remote = remoteOf(socket.remoteAddress ?? "");
      const theirs = byRemote.get(remote) ?? new Set();
      const most = remote === OURS ? MOST_OF_OURS : MOST_OF_ONE;
      if (theirs.size >= most || !makeRoom(theirs.size)) return void socket.destroy();
      byRemote.set(remote, theirs.add(socket));
      count++;
      socket.once("close", () => forget(remote, socket));
    },
  };
}

const OURS = "this board";

/** Of IPv6 a client has as many addresses as it likes, in a network of 64 bits. */
function remoteOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, "");
  if (plain === "::1" || plain.startsWith("127.")) return OURS;
  return isIPv6(plain) ? networkOf(plain) : plain;
}

/** The first four groups, as far as they are written out. */
function networkOf(address: string): string {
  const [before = ""] = address.split("::", 1);
  const groups = before.split(":");
  return [...groups, "0", "0", "0", "0"].slice(0, 4).join(":");
}
