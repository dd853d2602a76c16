/**
 * The laboratory: real kernels' network stacks, joined by cables and a switch,
 * on this computer. It knows cables and addresses; who runs CARP on the hosts
 * is `peers.ts`.
 *
 *   ┌────────┐  ┌────────┐  ┌────────┐      ┌────────┐
 *   │  left  │  │ right  │  │ third  │  …   │ client │   each in namespaces of its own
 *   │  .2    │  │  .3    │  │  .4    │      │  .100  │
 *   └──eth0──┘  └──eth0──┘  └──eth0──┘      └──eth0──┘   192.0.2.0/24, 2001:db8::/64
 *       ┆           ┆           ┆               ┆        the cables: veth pairs
 *   ┌─left0───────right0──────third0──────────client0─┐
 *   │                     switch0                     │   a bridge in the namespace `switch`
 *   └─────────────────────────────────────────────────┘
 *
 * With `lans: 2` every host has eth1 in 198.51.100.0/24 and 2001:db8:1::/64 as
 * well, by ports left1, right1, … on the bridge switch1.
 *
 * The floating addresses of the lab are 192.0.2.1 and 2001:db8::1 (198.51.100.1, 2001:db8:1::1).
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Holders } from "./holders.js";
import { Host, type Socket } from "./host.js";
import { Namespace } from "./namespace.js";
import { compile, type Program } from "./program.js";

export interface LabOptions {
  /** The hosts beside `client`, in the order of their addresses. */
  readonly boards?: readonly string[];
  readonly lans?: 1 | 2;
}

const LANS = [
  { interface: "eth0", bridge: "switch0", network: "192.0.2", network6: "2001:db8:" },
  { interface: "eth1", bridge: "switch1", network: "198.51.100", network6: "2001:db8:1:" },
] as const;
const FIRST_BOARD = 2;
const CLIENT = 100;
const DIRECTORY_PREFIX = "carpio-lab-";

export class Lab implements AsyncDisposable {
  readonly holders = new Holders();
  readonly switch: Namespace;
  /** Configuration, state and captures; removed with the lab. */
  readonly directory: string;
  readonly #hosts = new Map<string, Host>();
  readonly #programs = new Map<Program, Promise<string>>();

  private constructor(directory: string, theSwitch: Namespace) {
    this.directory = directory;
    this.switch = theSwitch;
  }

  /** Everything is up and addressed when this returns; a failure on the way leaves nothing behind. */
  static async open({ boards = ["left", "right"], lans = 1 }: LabOptions = {}): Promise<Lab> {
    const directory = makeDirectory();
    const lab = new Lab(directory, await Namespace.open("switch"));
    try {
      await lab.#build(boards, LANS.slice(0, lans));
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (!host) throw new Error(`no host is called ${name}; there are ${[...this.#hosts.keys()].join(", ")}`);
    return host;
  }

  get left(): Host {
    return this.host("left");
  }

  get right(): Host {
    return this.host("right");
  }

  get client(): Host {
    return this.host("client");
  }

  get hosts(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  /** A program of ours, compiled when first wanted. */
  program(name: Program): Promise<string> {
    const program = this.#programs.get(name) ?? compile(name, this.directory, this.switch);
    this.#programs.set(name, program);
    return program;
  }

  async close(): Promise<void> {
    await Promise.all([...this.hosts.map((host) => host.namespace), this.switch].map((each) => each.close()));
    rmSync(this.directory, { recursive: true, force: true });
    open.delete(this.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #build(boards: readonly string[], lans: readonly (typeof LANS)[number][]): Promise<void> {
    const bridge = "type bridge stp_state 0 forward_delay 0 mcast_snooping 0";
    await this.switch.ip(...lans.map((lan) => `link add name ${lan.bridge} up ${bridge}`));
    const numbers = new Map([...boards.entries()].map(([index, name]) => [name, FIRST_BOARD + index]));
    numbers.set("client", CLIENT);
    // All are made before any is joined, so that a failure finds every one of them here.
    const namespaces = await Promise.allSettled([...numbers.keys()].map((name) => Namespace.open(name)));
    for (const [index, [name, number]] of [...numbers].entries()) {
      const namespace = namespaces[index];
      if (namespace?.status !== "fulfilled") continue;
      const sockets = lans.map((lan, lanIndex) => socket(name, number, lanIndex, lan));
      this.#hosts.set(name, new Host(this, namespace.value, sockets));
    }
    for (const outcome of namespaces) if (outcome.status === "rejected") throw outcome.reason;
    await Promise.all(this.hosts.map((host) => host.join()));
  }
}

/** Directories of labs that this process has open. */
const open = new Set<string>();
let sweeping = false;

/** Also clears away what labs left whose process was killed; their namespaces are gone by themselves. */
function makeDirectory(): string {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = new RegExp(`^${DIRECTORY_PREFIX}(\\d+)-`).exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid)))
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
  const directory = mkdtempSync(join(tmpdir(), `${DIRECTORY_PREFIX}${process.pid}-`));
  if (!sweeping) sweepAtExit();
  open.add(directory);
  return directory;
}

/**
 * Namespaces and processes end with us in any case (namespace.ts); the
 * directories are all that needs sweeping. A program with handlers of its own
 * decides itself whether a signal ends it.
 */
function sweepAtExit(): void {
  sweeping = true;
  const sweep = (): void => {
    for (const directory of open) rmSync(directory, { recursive: true, force: true });
  };
  process.on("exit", sweep);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const end = (): void => {
      if (process.listenerCount(signal) > 1) return;
      sweep();
      process.off(signal, end);
      process.kill(process.pid, signal);
    };
    process.on(signal, end);
  }
}

function socket(host: string, number: number, index: number, lan: (typeof LANS)[number]): Socket {
  return {
    interface: lan.interface,
    port: `${host}${index}`,
    bridge: lan.bridge,
    address: `${lan.network}.${number}`,
    address6: `${lan.network6}:${number}`,
    mac: `02:00:00:00:0${index}:${number.toString(16).padStart(2, "0")}`,
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
