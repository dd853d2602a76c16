/**
 * The network of emulated boards, for a user without any power: a QEMU without
 * a machine is the switch, and the way out. Nothing of it can be reached from
 * another computer.
 *
 *   ┌──────┐  ┌───────┐      ┌─────────┐
 *   │ left │  │ right │      │ browser │
 *   └─UDP──┘  └──UDP──┘      └────┬────┘      UDP and TCP of 127.0.0.1
 *   ┌──┴─────────┴───────────────TCP───┐
 *   │ hub            .2 router, DHCP   │      192.0.2.0/24
 *   └──────────────────────────────────┘
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { checksum } from "../../src/wire/checksum.js";
import { QEMU, STATUS_PORT } from "../../test/emulated/qemu.js";

/** A socket of the switch, and of the board at it. */
export interface Plug {
  readonly mac: string;
  /** What the board's QEMU is told, as a netdev. */
  readonly netdev: string;
}

export interface Forward {
  readonly port: number;
  /** Of a board, or one that boards share. */
  readonly address: string;
}

export interface LanOptions {
  /** Of the boards, in the order of their addresses. */
  readonly macs: readonly string[];
  readonly firstAddress: string;
  readonly forwards: readonly Forward[];
}

const LOCAL = "127.0.0.1";
/** QEMU opens its sockets as soon as it runs, and says nothing of it. */
const INTRODUCTIONS = 20;
const EVERY_MS = 100;
/** In a frame, behind Ethernet, IPv4 and UDP. */
const BOOTP_AT = 14 + 20 + 8;
const MAC_IN_BOOTP = 28;

export class Lan {
  readonly plugs: readonly Plug[];
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, plugs: readonly Plug[]) {
    this.#process = process;
    this.plugs = plugs;
  }

  static async open({ macs, firstAddress, forwards }: LanOptions): Promise<Lan> {
    const sockets = await Promise.all([...macs, "ours"].map(pairOfPorts));
    const forwarded = forwards.map(
      ({ port, address }) => `hostfwd=tcp:${LOCAL}:${port}-${address}:${STATUS_PORT}`,
    );
    const user = `user,id=out,ipv6=off,net=192.0.2.0/24,dhcpstart=${firstAddress}`;
    const hub = (netdev: string) => ["-netdev", `hubport,hubid=0,id=hub-${netdev},netdev=${netdev}`];
    const parameters = [
      ...[
        "-M",
        "none",
        "-nodefaults",
        "-display",
        "none",
        "-netdev",
        [user, ...forwarded].join(","),
        ...hub("out"),
      ],
      ...sockets.flatMap(({ atSwitch, atBoard }, index) => [
        ...["-netdev", `${dgram(atSwitch, atBoard)},id=port${index}`, ...hub(`port${index}`)],
      ]),
    ];
    const process = spawn("setpriv", ["--pdeathsig", "KILL", QEMU, ...parameters], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const said: string[] = [];
    process.stderr?.setEncoding("utf8").on("data", (text) => said.push(text));
    process.on("error", (error) => said.push(String(error)));
    const plugs = macs.map((mac, index) => ({ mac, netdev: dgram(...boardsEnd(sockets[index])) }));
    const lan = new Lan(process, plugs);
    const ours = sockets.at(-1);
    if (ours) await introduce(macs, ours);
    if (process.exitCode !== null) throw new Error(`the network of the boards: ${said.join("").trim()}`);
    return lan;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}

interface Ports {
  readonly atSwitch: number;
  readonly atBoard: number;
}

/** Both are held until both are known, or they might be one. */
async function pairOfPorts(): Promise<Ports> {
  const sockets = [createSocket("udp4").bind(0, LOCAL), createSocket("udp4").bind(0, LOCAL)] as const;
  await Promise.all(sockets.map((socket) => once(socket, "listening")));
  const [atSwitch, atBoard] = [sockets[0].address().port, sockets[1].address().port];
  for (const socket of sockets) socket.close();
  return { atSwitch, atBoard };
}

function boardsEnd(ports: Ports | undefined): [number, number] {
  return [ports?.atBoard ?? 0, ports?.atSwitch ?? 0];
}

function dgram(local: number, remote: number): string {
  const end = (name: string, port: number) => `${name}.type=inet,${name}.host=${LOCAL},${name}.port=${port}`;
  return `dgram,${end("local", local)},${end("remote", remote)}`;
}

/**
 * QEMU's DHCP gives its addresses to whoever asks first, and forwards know
 * addresses alone. So each board is asked for before it is there, in order.
 */
async function introduce(macs: readonly string[], { atBoard, atSwitch }: Ports): Promise<void> {
  const socket = createSocket("udp4").bind(atBoard, LOCAL);
  await once(socket, "listening");
  const known = new Set<string>();
  const macAt = BOOTP_AT + MAC_IN_BOOTP;
  socket.on("message", (frame) => known.add(frame.subarray(macAt, macAt + 6).toString("hex")));
  socket.on("error", () => undefined);
  for (const mac of macs) {
    for (let times = 0; times < INTRODUCTIONS && !known.has(mac.replaceAll(":", "")); times++) {
      socket.send(discover(mac), atSwitch, LOCAL);
      await delay(EVERY_MS);
    }
  }
  socket.close();
}

/** DHCPDISCOVER in UDP without a checksum, in IPv4, in Ethernet (RFC 2131). */
function discover(mac: string): Buffer {
  const hardware = Buffer.from(mac.replaceAll(":", ""), "hex");
  const frame = Buffer.alloc(BOOTP_AT + 300);
  frame.fill(0xff, 0, 6);
  hardware.copy(frame, 6);
  frame.writeUInt16BE(0x0800, 12);
  const ip = frame.subarray(14);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(17, 9);
  ip.fill(0xff, 16, 20);
  ip.writeUInt16BE(checksum(ip.subarray(0, 20)), 10);
  const udp = ip.subarray(20);
  udp.writeUInt16BE(68, 0);
  udp.writeUInt16BE(67, 2);
  udp.writeUInt16BE(udp.length, 4);
  const bootp = udp.subarray(8);
  Buffer.from([1, 1, 6, 0, ...hardware.subarray(2)]).copy(bootp);
  hardware.copy(bootp, MAC_IN_BOOTP);
  Buffer.from([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]).copy(bootp, 236);
  return frame;
}
