/**
 * The network of emulated boards, for a user without any power: a switch of our
 * own, and as the way out a QEMU without a machine. Nothing of it can be reached
 * from another computer.
 *
 *   ┌──────┐  ┌───────┐         ┌─────────┐
 *   │ left │  │ right │         │ browser │
 *   └─UDP──┘  └──UDP──┘         └────┬────┘      UDP and TCP of 127.0.0.1
 *   ┌──┴─────────┴──┐       ┌───────TCP───────┐
 *   │    switch     ├──UDP──┤ .2 router, DHCP │  192.0.2.0/24
 *   └───────────────┘       └─────────────────┘
 *
 * QEMU has a hub, which would show that router what boards say to each other; and
 * the router answers whatever it sees, also for somebody else.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { checksum } from "../../src/wire/checksum.js";
import { QEMU, STATUS_PORT } from "../../test/emulated/qemu.js";
import { createSwitch } from "./switch.js";

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

/** One end of a cable is a socket of ours; the other one's port is a QEMU's. */
interface Cable {
  readonly ours: Socket;
  readonly port: number;
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
  readonly #router: ChildProcess;
  readonly #cables: readonly Cable[];

  private constructor(router: ChildProcess, cables: readonly Cable[], macs: readonly string[]) {
    this.#router = router;
    this.#cables = cables;
    this.plugs = macs.map((mac, index) => ({ mac, netdev: dgram(cables[index]) }));
  }

  static async open({ macs, firstAddress, forwards }: LanOptions): Promise<Lan> {
    const cables = await Promise.all([...macs, "router"].map(openCable));
    const forwarded = forwards.map(
      ({ port, address }) => `hostfwd=tcp:${LOCAL}:${port}-${address}:${STATUS_PORT}`,
    );
    const user = `user,id=out,ipv6=off,net=192.0.2.0/24,dhcpstart=${firstAddress}`;
    const hub = (netdev: string) => ["-netdev", `hubport,hubid=0,id=hub-${netdev},netdev=${netdev}`];
    const parameters = [
      ...["-M", "none", "-nodefaults", "-display", "none"],
      ...["-netdev", [user, ...forwarded].join(","), ...hub("out")],
      ...["-netdev", `${dgram(cables.at(-1))},id=switch`, ...hub("switch")],
    ];
    const router = spawn("setpriv", ["--pdeathsig", "KILL", QEMU, ...parameters], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const said: string[] = [];
    router.stderr?.setEncoding("utf8").on("data", (text) => said.push(text));
    router.on("error", (error) => said.push(String(error)));
    const lan = new Lan(router, cables, macs);
    lan.#passFrames();
    await lan.#introduce(macs);
    if (router.exitCode === null) return lan;
    await lan.close();
    throw new Error(`the network of the boards: ${said.join("").trim()}`);
  }

  async close(): Promise<void> {
    for (const { ours } of this.#cables) ours.close();
    if (this.#router.exitCode !== null || this.#router.signalCode !== null) return;
    const gone = once(this.#router, "exit");
    this.#router.kill("SIGKILL");
    await gone;
  }

  #passFrames(): void {
    const waysOf = createSwitch(this.#cables.length);
    for (const [from, { ours }] of this.#cables.entries()) {
      ours.on("message", (frame) => {
        for (const to of waysOf(frame, from)) this.#send(frame, this.#cables[to]);
      });
      // As on a real cable, what cannot be sent is lost.
      ours.on("error", () => undefined);
    }
  }

  #send(frame: Buffer, cable: Cable | undefined): void {
    cable?.ours.send(frame, cable.port, LOCAL);
  }

  /**
   * QEMU's DHCP gives its addresses to whoever asks first, and forwards know
   * addresses alone. So each board is asked for before it is there, in order.
   */
  async #introduce(macs: readonly string[]): Promise<void> {
    const router = this.#cables.at(-1);
    const known = new Set<string>();
    const macAt = BOOTP_AT + MAC_IN_BOOTP;
    const hear = (frame: Buffer) => known.add(frame.subarray(macAt, macAt + 6).toString("hex"));
    router?.ours.on("message", hear);
    for (const mac of macs) {
      for (let times = 0; times < INTRODUCTIONS && !known.has(mac.replaceAll(":", "")); times++) {
        this.#send(discover(mac), router);
        await delay(EVERY_MS);
      }
    }
    router?.ours.off("message", hear);
  }
}

async function openCable(): Promise<Cable> {
  const [ours, theirs] = [createSocket("udp4").bind(0, LOCAL), createSocket("udp4").bind(0, LOCAL)] as const;
  await Promise.all([once(ours, "listening"), once(theirs, "listening")]);
  const { port } = theirs.address();
  theirs.close();
  return { ours, port };
}

/** The end of a cable that is a QEMU's, in its words. */
function dgram(cable: Cable | undefined): string {
  const end = (name: string, port?: number) => `${name}.type=inet,${name}.host=${LOCAL},${name}.port=${port}`;
  return `dgram,${end("local", cable?.port)},${end("remote", cable?.ours.address().port)}`;
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
