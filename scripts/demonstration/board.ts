/**
 * One board of the demo: a host of the lab with carpio on it, its supervisor,
 * and everything one can do to it. What it says of itself comes from its log
 * and its `GET /status`; which addresses it has, from its kernel.
 */
import { join } from "node:path";
import type { Snapshot } from "../../src/status/snapshot.js";
import { type End, type Moment, now } from "../../test/lab/child.js";
import type { Host } from "../../test/lab/host.js";
import type { Lab } from "../../test/lab/lab.js";
import { CARPIO, carpio, type Daemon, VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6 } from "../../test/lab/peers.js";

export type BoardName = "left" | "right";
export const BOARDS: readonly BoardName[] = ["left", "right"];
export const ADDRESSES: readonly string[] = [VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6];

/** Something that happened: what a daemon or its supervisor said, what was done, what the client saw. */
export interface Note {
  readonly at: Moment;
  readonly who: BoardName | "client";
  readonly kind: "log" | "supervisor" | "deed" | "outcome";
  readonly text: string;
}

export type DaemonState =
  | { readonly is: "running" | "frozen"; readonly since: Moment }
  | { readonly is: "gone"; readonly since: Moment; readonly why: string };

/** What there is to see of a board. */
export interface BoardView {
  readonly name: BoardName;
  readonly address: string;
  readonly daemon: DaemonState;
  readonly pluggedIn: boolean;
  readonly handedOver: boolean;
  /** The last answer of this run of the daemon. */
  readonly status: { readonly at: Moment; readonly snapshot: Snapshot } | undefined;
  /** Of the floating addresses, those its kernel has. */
  readonly holds: readonly string[];
}

/** Each deed says in a note what it did; one that makes no sense now is an error that says why. */
export interface Board {
  view(): BoardView;
  start(): Promise<void>;
  handOver(): Promise<void>;
  takeBack(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  cutCable(): Promise<void>;
  plugIn(): Promise<void>;
  /** Whatever was done to it, undoes it. */
  bringBack(): Promise<void>;
  /** No supervisor comes for what ends from here on. */
  close(): void;
}

const ADVSKEW: { readonly [B in BoardName]: number } = { left: 0, right: 50 };
const STATUS_PORT = 8080;
const STATUS_EVERY_MS = 200;

/** The board as it comes out of its box: the cable is in, and nothing runs. */
export function createBoard(lab: Lab, name: BoardName, onNote: (note: Note) => void): Board {
  const host = lab.host(name);
  let daemon: Daemon | undefined;
  let state: DaemonState = { is: "gone", since: now(), why: "not started yet" };
  let pluggedIn = true;
  let status: BoardView["status"];
  let cleanup: Promise<void> = Promise.resolve();
  let closed = false;

  const note = (kind: Note["kind"], text: string, at: Moment = now()): void =>
    onNote({ at, who: name, kind, text });

  /** What runs, or the reason why the deed must wait. */
  const running = (): Daemon => {
    if (daemon && state.is === "running") return daemon;
    throw new Error(state.is === "frozen" ? `the daemon of ${name} is frozen` : `no daemon runs on ${name}`);
  };

  const alive = (): Daemon => {
    if (daemon && state.is !== "gone") return daemon;
    throw new Error(`no daemon runs on ${name}`);
  };

  /** As systemd's ExecStopPost= would: board/common/carpio.service. */
  const supervise = async (end: End): Promise<void> => {
    const politely = end.status === 0;
    const why = politely ? "left politely" : end.signal ? `died of ${end.signal}` : `failed: ${end.status}`;
    state = { is: "gone", since: end.at, why };
    status = undefined;
    if (closed || politely) return;
    note("supervisor", `the daemon ${why}; runs carpio release`);
    const command = [process.execPath, CARPIO, "release", "--config", configFile(host)];
    const { stdout, stderr } = await host.attempt(command, { RUNTIME_DIRECTORY: "/run/carpio" });
    for (const line of `${stdout}${stderr}`.split("\n").filter(Boolean))
      note("supervisor", `release: ${brief(line)}`);
  };

  /** What the button on the board does. What comes of it is in the log. */
  const setMaintenance = async (on: boolean): Promise<void> => {
    running();
    if (!status) throw new Error(`the daemon of ${name} has not answered yet`);
    note("deed", on ? "hands over: carpio maintenance on" : "takes back: carpio maintenance off");
    const command = [
      process.execPath,
      CARPIO,
      "maintenance",
      on ? "on" : "off",
      "--config",
      configFile(host),
    ];
    await host.attempt(command);
  };

  const start = async (): Promise<void> => {
    if (state.is !== "gone") throw new Error(`the daemon of ${name} runs already`);
    await cleanup;
    note("deed", "carpio starts");
    const started = carpio(host, configOf(name));
    daemon = started;
    state = { is: "running", since: now() };
    started.child.onLine(({ at, text }) => note("log", brief(text), at));
    cleanup = started.child.ended.then(supervise);
  };

  const plugIn = async (): Promise<void> => {
    if (pluggedIn) throw new Error(`the cable of ${name} is in`);
    note("deed", "the cable is plugged in");
    await host.plugIn();
    pluggedIn = true;
  };

  const thaw = async (): Promise<void> => {
    if (state.is !== "frozen") throw new Error(`the daemon of ${name} is not frozen`);
    note("deed", "thawed (SIGCONT)");
    state = { is: "running", since: now() };
    await alive().child.kill("SIGCONT");
  };

  watchStatus(host, (at, snapshot) => {
    if (state.is !== "gone" && at > state.since) status = { at, snapshot };
  });

  return {
    view: () => ({
      name,
      address: host.address,
      daemon: state,
      pluggedIn,
      handedOver: status?.snapshot.maintenance.on ?? false,
      status,
      holds: ADDRESSES.filter((address) => lab.holders.of(address).includes(name)),
    }),
    start,
    handOver: () => setMaintenance(true),
    takeBack: () => setMaintenance(false),
    async kill() {
      const { child } = alive();
      note("deed", "kill -9 of the daemon");
      await child.kill("SIGKILL");
    },
    async stop() {
      const { child } = running();
      note("deed", "the daemon is asked to leave (SIGTERM)");
      await child.kill("SIGTERM");
    },
    async freeze() {
      const { child } = running();
      note("deed", "frozen (SIGSTOP): it hangs, and cannot let go itself");
      await child.kill("SIGSTOP");
      state = { is: "frozen", since: now() };
    },
    thaw,
    async cutCable() {
      if (!pluggedIn) throw new Error(`the cable of ${name} is out`);
      note("deed", "the cable is cut");
      pluggedIn = false;
      await host.cutCable();
    },
    plugIn,
    async bringBack() {
      const wrong = {
        cable: !pluggedIn,
        ice: state.is === "frozen",
        daemon: state.is === "gone",
        handedOver: status?.snapshot.maintenance.on ?? false,
      };
      if (!Object.values(wrong).includes(true)) throw new Error(`nothing is wrong with ${name}`);
      if (wrong.cable) await plugIn();
      if (wrong.ice) await thaw();
      if (wrong.daemon) await start();
      else if (wrong.handedOver) await setMaintenance(false);
    },
    close() {
      closed = true;
    },
  };
}

/** The helper remembers nothing: a demo may run for hours. */
function watchStatus(host: Host, onAnswer: (at: Moment, snapshot: Snapshot) => void): void {
  const asker = join(import.meta.dirname, "asker.js");
  const child = host.spawn([process.execPath, asker, String(STATUS_PORT), String(STATUS_EVERY_MS)]);
  child.onLine(({ at, text }) => {
    child.lines.length = 0;
    const snapshot = readSnapshot(text);
    if (snapshot) onAnswer(at, snapshot);
  });
}

/** The last line may be cut, when the helper is killed while it writes. */
function readSnapshot(text: string): Snapshot | undefined {
  try {
    return text.startsWith("{") ? (JSON.parse(text) as Snapshot) : undefined;
  } catch {
    return undefined;
  }
}

/** Where the lab's `carpio` looks for it. */
function configFile(host: Host): string {
  return join(host.directory, "carpio.toml");
}

function configOf(name: BoardName): string {
  return `name = "${name}"
board = "none"
[[carp]]
vhid = 7
interface = "eth0"
password = "mekmitasdigoat"
addresses = ["${VIRTUAL_ADDRESS}/24", "${VIRTUAL_ADDRESS6}/64"]
advbase = 1
advskew = ${ADVSKEW[name]}
preempt = true
[status]
listen = "127.0.0.1:${STATUS_PORT}"
[panel]
driver = "none"
`;
}

/** There is one group, so nobody needs its name. */
function brief(line: string): string {
  return line.replace("carp 7 on eth0: ", "");
}
