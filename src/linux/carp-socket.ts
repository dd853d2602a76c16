/**
 * CARP packets to and from the kernel, by raw sockets of IP protocol 112.
 *
 * We listen on the parent interface, where a rival's packets arrive whatever
 * their Ethernet address, and send whole IP packets through whichever device
 * the caller names: through the carp device a frame carries the virtual MAC.
 */
import { AddressFamily, createSocket, type Socket } from "raw-socket";
import { type Address, type Family, formatAddress, parseAddress } from "../wire/address.js";
import { decodePacket, GROUP, type Packet, PROTOCOL_CARP } from "../wire/packet.js";

/** Linux's numbers (asm/socket.h, linux/in.h, linux/in6.h). */
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const SO_RCVBUFFORCE = 33;
const IPPROTO_IP = 0;
const IP_MULTICAST_LOOP = 34;
const IP_ADD_MEMBERSHIP = 35;
const IPPROTO_IPV6 = 41;
const IPV6_MULTICAST_LOOP = 19;
const IPV6_ADD_MEMBERSHIP = 20;
/** Such a socket sends packets with their header, and receives nothing. */
const IPPROTO_RAW = 255;
/** Room for the packets of a busy moment: a master's own must not be lost among a flood. */
const RECEIVE_BUFFER_BYTES = 4 << 20;
/** An advertisement with the longest IPv4 header is 96 bytes; anything longer is cut, and still judged. */
const PACKET_BYTES = 512;
/**
 * The shortest lease. Whoever was stopped for so long with a packet in its hands may not hold what it says there;
 * and whoever waits for the kernel to take it waits no longer, because the release may be next.
 */
const STALE_MS = 1_000;

/**
 * A socket that nobody holds is collected as garbage, and closed with all that
 * it had still to send. We hold ours until we close them.
 */
const held = new Set<Socket>();

export interface Receiver {
  /** Joins the groups in which neighbours ask for these IPv6 addresses. */
  listenFor(addresses: readonly Address[]): void;
  close(): void;
}

export interface Sender {
  /** Sends a whole IP packet through a device at once, or says why not. */
  send(packet: Uint8Array, destination: Address, device: string): Promise<Error | undefined>;
  /** Why nothing can be sent in one of these families, if so. Opens a socket that is still to be opened. */
  mutenessIn(families: readonly Family[]): string | undefined;
  close(): void;
}

/** Ahead of the first socket. Throws what `addon` says where we carry none. */
export function loadSockets(): unknown {
  return AddressFamily.IPv4;
}

/**
 * Listens to CARP on one interface. Throws what the kernel says when the
 * interface is not there or the capability is missing (CAP_NET_RAW).
 */
export function openReceiver(
  parent: { readonly name: string; readonly index: number },
  family: Family,
  onPacket: (packet: Packet) => void,
  onError: (error: Error) => void,
): Receiver {
  const socket = createSocket({
    protocol: PROTOCOL_CARP,
    addressFamily: family === 4 ? AddressFamily.IPv4 : AddressFamily.IPv6,
    bufferSize: PACKET_BYTES,
  });
  try {
    bindToDevice(socket, parent.name);
    growReceiveBuffer(socket);
    join(socket, GROUP[family], parent.index);
  } catch (error) {
    socket.close();
    throw error;
  }
  // The buffer is used again for the next packet, and decoding copies what it keeps.
  socket.on("message", (buffer: Buffer, source: string) => {
    const packet = family === 4 ? decodePacket(buffer) : withoutHeader(buffer, source);
    if (packet) throwOutside(() => onPacket(packet));
  });
  socket.on("error", onError);
  hold(socket);
  const joined = new Set<string>();
  return {
    listenFor(addresses) {
      for (const group of addresses.map(solicitedNodeGroup)) {
        const name = formatAddress(group);
        if (joined.has(name)) continue;
        joined.add(name);
        try {
          join(socket, group, parent.index);
        } catch {
          // Too many groups for one socket. Only switches that prune multicast care.
        }
      }
    },
    close: () => void socket.removeAllListeners("message").close(),
  };
}

export function openSender(): Sender {
  const sockets = new Map<Family, Socket>();
  const waiting = new Map<Family, Set<(error: Error) => void>>();
  const waitingOn = (family: Family) => {
    const all = waiting.get(family) ?? new Set();
    waiting.set(family, all);
    return all;
  };
  /** A socket that fails forgets what it was asked to send. */
  const onClose = (family: Family) => {
    sockets.delete(family);
    for (const answer of waitingOn(family)) answer(new Error("the socket was closed"));
    waitingOn(family).clear();
  };
  const socketOf = (family: Family): Socket => {
    const socket = sockets.get(family) ?? openSendSocket(family, () => onClose(family));
    sockets.set(family, socket);
    return socket;
  };
  return {
    send(packet, destination, device) {
      return new Promise((resolve) => {
        const pending = waitingOn(destination.family);
        let patience: NodeJS.Timeout | undefined;
        const answer = (error: Error | null) => {
          clearTimeout(patience);
          pending.delete(answer);
          resolve(error ?? undefined);
        };
        pending.add(answer);
        const bytes = Buffer.from(packet);
        const socket = openOr(answer, () => socketOf(destination.family));
        if (!socket) return;
        const askedAt = performance.now();
        const before = () => {
          const lateMs = performance.now() - askedAt;
          if (lateMs > STALE_MS) throw new Error(`it could not be sent for ${(lateMs / 1000).toFixed(1)} s`);
          bindToDevice(socket, device);
        };
        /** An interface that sends no more has filled the socket, for all others too: another has room. */
        const giveUp = () => {
          if (!pending.has(answer)) return;
          const error = new Error(`the kernel has taken no packet for ${STALE_MS / 1000} s`);
          for (const each of pending) each(error);
          socket.close();
        };
        // Where it was us who stood still, the socket may be found ready before it is judged.
        patience = setTimeout(() => setImmediate(giveUp), STALE_MS);
        socket.send(bytes, 0, bytes.length, formatAddress(destination), before, answer);
      });
    },
    mutenessIn(families) {
      const said: string[] = [];
      for (const family of families) {
        const refuse = ({ message }: Error) =>
          said.push(`cannot open a socket to send IPv${family}: ${message}`);
        openOr(refuse, () => socketOf(family));
      }
      return said[0];
    },
    close() {
      for (const socket of sockets.values()) socket.close();
    },
  };
}

/**
 * `raw-socket` takes what is thrown in its events for an error of the socket, and
 * a mistake of ours would go unseen. It is to end the daemon: the guard takes
 * the addresses off.
 */
function throwOutside(act: () => void): void {
  try {
    act();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Opens a socket, or says why the kernel would not. */
function openOr(refuse: (error: Error) => void, open: () => Socket): Socket | undefined {
  try {
    return open();
  } catch (error) {
    refuse(error instanceof Error ? error : new Error(String(error)));
    return undefined;
  }
}

function openSendSocket(family: Family, onClose: () => void): Socket {
  const addressFamily = family === 4 ? AddressFamily.IPv4 : AddressFamily.IPv6;
  const socket = createSocket({ protocol: IPPROTO_RAW, addressFamily });
  socket.on("error", onClose);
  socket.on("close", onClose);
  socket.pauseRecv();
  if (family === 4) setNumber(socket, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
  else setNumber(socket, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
  hold(socket);
  return socket;
}

function hold(socket: Socket): void {
  held.add(socket);
  socket.on("close", () => held.delete(socket));
}

/** IPv6 packets come without their header. The prefilter has looked at the hop limit. */
function withoutHeader(payload: Buffer, sourceText: string): Packet | undefined {
  const source = parseAddress(sourceText.replace(/%.*$/, ""));
  return source && { source, destination: GROUP[6], ttl: undefined, payload: Uint8Array.from(payload) };
}

function bindToDevice(socket: Socket, device: string): void {
  const name = Buffer.from(`${device}\0`);
  socket.setOption(SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
}

function growReceiveBuffer(socket: Socket): void {
  try {
    setNumber(socket, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES);
  } catch {
    setNumber(socket, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
  }
}

/** `struct ip_mreqn` and `struct ipv6_mreq`: the group, and the interface by its index. */
function join(socket: Socket, { family, bytes }: Address, index: number): void {
  const request = Buffer.alloc(family === 4 ? 12 : 20);
  request.set(bytes);
  writeHostInt(request, index, request.length - 4);
  const [level, option] =
    family === 4 ? [IPPROTO_IP, IP_ADD_MEMBERSHIP] : [IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP];
  socket.setOption(level, option, request, request.length);
}

/** ff02::1:ffXX:XXXX, with the last three bytes of the address (RFC 4291, section 2.7.1). */
function solicitedNodeGroup({ bytes }: Address): Address {
  const group = new Uint8Array(16);
  group.set([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
  group.set(bytes.subarray(-3), 13);
  return { family: 6, bytes: group };
}

function setNumber(socket: Socket, level: number, option: number, value: number): void {
  const bytes = Buffer.alloc(4);
  writeHostInt(bytes, value, 0);
  socket.setOption(level, option, bytes, bytes.length);
}

/** The kernel reads numbers in the host's byte order; Node runs on little-endian Linux alone here. */
function writeHostInt(buffer: Buffer, value: number, offset: number): void {
  buffer.writeInt32LE(value, offset);
}
