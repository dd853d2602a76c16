/**
 * One host of the lab: its sockets, its cables, and what one can do with it.
 * What runs CARP on it is started by `peers.ts`.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Capture, type CaptureOptions, startCapture } from "./capture.js";
import type { Child } from "./child.js";
import type { Holders } from "./holders.js";
import type { Namespace, Output } from "./namespace.js";
import { type Probe, type ProbeOptions, startProbe } from "./probe.js";
import type { Program } from "./program.js";

/** Where a cable goes in, and the port of the switch at its other end. */
export interface Socket {
  readonly interface: string;
  readonly port: string;
  readonly bridge: string;
  readonly address: string;
  readonly address6: string;
  readonly mac: string;
}

export interface CutOptions {
  /** Without it, all of the host's cables. */
  readonly interface?: string;
  /**
   * `both`: the port goes down and the host loses its carrier, as if it were unplugged or without power.
   * `sending`, `receiving`: what the host sends (or should get) vanishes in the switch; the link looks well.
   * `silently`: both of these, and the link looks well.
   */
  readonly what?: "both" | "sending" | "receiving" | "silently";
}

/** As `ip -json address` prints it, and only what we read. */
interface ListedDevice {
  readonly ifname: string;
  readonly addr_info: readonly { readonly local?: string; readonly prefixlen: number }[];
}

/** What a host needs of the lab it stands in. */
export interface Surroundings {
  readonly switch: Namespace;
  readonly holders: Holders;
  readonly directory: string;
  program(name: Program): Promise<string>;
}

export class Host {
  readonly name: string;
  readonly namespace: Namespace;
  readonly sockets: readonly Socket[];
  /** For configuration and state of whatever runs here. */
  readonly directory: string;
  readonly #lab: Surroundings;
  #captures = 0;

  constructor(lab: Surroundings, namespace: Namespace, sockets: readonly Socket[]) {
    this.#lab = lab;
    this.namespace = namespace;
    this.name = namespace.name;
    this.sockets = sockets;
    this.directory = join(lab.directory, namespace.name);
    mkdirSync(this.directory);
  }

  /** On eth0: the host's own address, which never moves. */
  get address(): string {
    return this.socket("eth0").address;
  }

  get address6(): string {
    return this.socket("eth0").address6;
  }

  socket(name: string): Socket {
    const socket = this.sockets.find((each) => each.interface === name);
    if (!socket) throw new Error(`${this.name} has no socket ${name}`);
    return socket;
  }

  /** Temporary files go into our directory: nobody else removes those of a program that is killed. */
  spawn(command: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
    return this.namespace.spawn(command, { TMPDIR: this.directory, ...env });
  }

  run(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    return this.namespace.run(command, { TMPDIR: this.directory, ...env });
  }

  attempt(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Output> {
    return this.namespace.attempt(command, { TMPDIR: this.directory, ...env });
  }

  /** Every address on every device here, as `eth0 192.0.2.2/24`. */
  async addresses(): Promise<readonly string[]> {
    const devices: readonly ListedDevice[] = JSON.parse(await this.run(["ip", "-json", "address"]));
    return devices.flatMap(({ ifname, addr_info: all }) =>
      all.map(({ local, prefixlen }) => `${ifname} ${local}/${prefixlen}`),
    );
  }

  /** Pulls cables, as `what` says; `plugIn` undoes all of it. */
  async cutCable({ interface: name, what = "both" }: CutOptions = {}): Promise<void> {
    for (const { interface: each, port } of this.sockets) {
      if (name !== undefined && each !== name) continue;
      if (what === "both") await this.#lab.switch.ip(`link set ${port} down`);
      else await this.#silence(port, what);
    }
  }

  async plugIn({ interface: name }: Pick<CutOptions, "interface"> = {}): Promise<void> {
    for (const { interface: each, port } of this.sockets) {
      if (name !== undefined && each !== name) continue;
      await this.#lab.switch.run(["nft", "-f", "-"], {}, withoutSilence(port));
      await this.#lab.switch.ip(`link set ${port} up`);
    }
  }

  async probe(options: ProbeOptions): Promise<Probe> {
    return startProbe(this.namespace, await this.#lab.program("probe"), options);
  }

  async capture(options: CaptureOptions = {}): Promise<Capture> {
    const { at = "host", interface: name = "eth0" } = options;
    const device = at === "host" ? name : this.socket(name).port;
    this.#captures += 1;
    const file = join(this.directory, `${this.#captures}-${device}.pcap`);
    const where = at === "host" ? this.namespace : this.#lab.switch;
    return startCapture(where, await this.#lab.program("capture"), device, file, options);
  }

  /** Watches our addresses from the first, then puts the cables in. For the lab that made us. */
  async join(): Promise<void> {
    await this.#watchAddresses();
    const { pid } = this.namespace;
    for (const { interface: name, port, bridge, mac } of this.sockets) {
      await this.#lab.switch.ip(
        `link add name ${port} type veth peer name ${name} address ${mac} netns ${pid}`,
        `link set ${port} master ${bridge} up`,
      );
    }
    const sockets = this.sockets;
    // Our own addresses need no check for duplicates, and nobody should wait for one.
    const settings = sockets.map(({ interface: name }) => `net.ipv6.conf.${name}.accept_dad=0`);
    await this.run(["sysctl", "-q", "-w", ...settings]);
    await this.namespace.ip(
      ...sockets.flatMap(({ interface: name, address, address6 }) => [
        `address add ${address}/24 dev ${name}`,
        `address add ${address6}/64 dev ${name} nodad`,
        `link set ${name} up`,
      ]),
    );
  }

  /** The loopback goes up to show that the watcher listens: until it says so, it may still be starting. */
  async #watchAddresses(): Promise<void> {
    const command = ["ip", "-tshort", "-oneline", "-rcvbuf", "4194304", "monitor", "address", "link"];
    const monitor = this.namespace.spawn(command, { TZ: "UTC" });
    this.#lab.holders.watch(this.name, monitor);
    for (let attempts = 1; ; attempts++) {
      await this.namespace.ip("link set lo down", "link set lo up");
      try {
        await monitor.waitForLine(/ lo: <.*UP/, 100);
        return;
      } catch (error) {
        if (attempts === 50 || !monitor.running) throw error;
      }
    }
  }

  /**
   * What comes in at a port is dropped before the bridge learns its sender,
   * as if it had never been sent; what would go out, after the bridge chose this port.
   */
  async #silence(port: string, what: "sending" | "receiving" | "silently"): Promise<void> {
    const rules = [withoutSilence(port)];
    const entering = `type filter hook ingress device "${port}" priority 0; drop;`;
    const leaving = `type filter hook forward priority 0; oifname "${port}" drop;`;
    if (what !== "receiving") rules.push(`table netdev ${port} { chain entering { ${entering} }; }`);
    if (what !== "sending") rules.push(`table bridge ${port} { chain leaving { ${leaving} }; }`);
    await this.#lab.switch.run(["nft", "-f", "-"], {}, rules.join("\n"));
  }
}

/** An empty table first, because one that is not there cannot be deleted. */
function withoutSilence(port: string): string {
  const tables = [`netdev ${port}`, `bridge ${port}`];
  return tables.map((table) => `table ${table} { }\ndelete table ${table}\n`).join("");
}
