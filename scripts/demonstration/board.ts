/**
 * One board of the demo: a host of the lab with carpio on it, its supervisor,
 * and everything one can do to it. What it says of itself comes from its log
 * and its `GET /status`; which addresses it has, from its kernel. What its
 * panel looks like is for `panel.ts`.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SHORT_MS } from "../../src/panel/press.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import { touch } from "../../test/lab/button.js";
import { type End, type Moment, now } from "../../test/lab/child.js";
import type { Host } from "../../test/lab/host.js";
import type { Lab } from "../../test/lab/lab.js";
import { CARPIO, carpio, type Daemon, VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6 } from "../../test/lab/peers.js";
import { hanging, look, type SeenPanel, stopped, switchedOff, unused, wordsFor } from "./panel.js";

export type BoardName = "left" | "right";
export const BOARDS: readonly BoardName[] = ["left", "right"];
export const ADDRESSES: readonly string[] = [VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6];

/** Something that happened: what a daemon, its lamps or its supervisor said, what was done, what the client saw. */
export interface Note {
  readonly at: Moment;
  readonly who: BoardName | "client";
  readonly kind: "log" | "lamps" | "supervisor" | "deed" | "outcome";
  readonly text: string;
}

export type DaemonState =
  | { readonly is: "running" | "frozen" | "off"; readonly since: Moment }
  | { readonly is: "gone"; readonly since: Moment; readonly why: string };

/** What there is to see of a board. */
export interface BoardView {
  readonly name: BoardName;
  readonly address: string;
  readonly daemon: DaemonState;
  readonly pluggedIn: boolean;
  readonly handedOver: boolean;
  readonly panel: SeenPanel;
  /** The last answer of this run of the daemon. */
  readonly status: { readonly at: Moment; readonly snapshot: Snapshot } | undefined;
  /** Of the floating addresses, those its kernel has. */
  readonly holds: readonly string[];
}

/** Each deed says in a note what it did, and when; one that makes no sense now is an error that says why. */
export interface Board {
  view(): BoardView;
  start(): Promise<void>;
  /** Hands over, or takes back. */
  press(): Promise<void>;
  /** Hands over and powers off. */
  hold(): Promise<void>;
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
const STATUS_EVERY_MS = 100;
/** How long a finger stays at least. */
const FINGER_MS = 200;
/** It leaves when the daemon has felt it, and in time for a short press in any case. */
const FINGER_AT_MOST_MS = SHORT_MS - 300;
/** The threshold of a long press, and what a busy computer needs. */
const HOLD_AT_MOST_MS = 20_000;
/** From its start until it answers. */
const ANSWER_AT_MOST_MS = 20_000;
/** For people to see that the lamps have changed under the finger. */
const ADMIRE_MS = 1_500;
/** After this a watchdog sets the lamps of a daemon that hangs: src/panel/watchdog.ts. */
const WATCHDOG_MS = 5_000;

/** The board as it comes out of its box: the cable is in, and nothing runs. */
export function createBoard(lab: Lab, name: BoardName, onNote: (note: Note) => void): Board {
  const host = lab.host(name);
  let daemon: Daemon | undefined;
  let state: DaemonState = { is: "gone", since: now(), why: "not started yet" };
  let pluggedIn = true;
  let status: BoardView["status"];
  let panel: SeenPanel = unused;
  let cleanup: Promise<void> = Promise.resolve();
  let closed = false;

  const note = (kind: Note["kind"], text: string, at: Moment = now()): void =>
    onNote({ at, who: name, kind, text });

  const ended = (): boolean => state.is === "gone" || state.is === "off";

  /** What runs, or the reason why the deed must wait. */
  const running = (): Daemon => {
    if (state.is === "frozen") throw new Error(`the daemon of ${name} is frozen`);
    return alive();
  };

  const alive = (): Daemon => {
    if (daemon && !ended()) return daemon;
    throw new Error(state.is === "off" ? `${name} is switched off` : `no daemon runs on ${name}`);
  };

  const show = (next: SeenPanel): void => {
    const isNews = next.sight !== panel.sight;
    panel = next;
    if (isNews && !closed) note("lamps", `lamps: ${wordsFor(panel.sight)}`);
  };

  /** As systemd's ExecStopPost= would: board/common/carpio.service. */
  const supervise = async (end: End): Promise<void> => {
    const politely = end.status === 0;
    const why = politely ? "left politely" : end.signal ? `died of ${end.signal}` : `failed: ${end.status}`;
    const isOff = existsSync(offFile(host));
    state = isOff ? { is: "off", since: end.at } : { is: "gone", since: end.at, why };
    status = undefined;
    show(isOff ? switchedOff(panel, end.at) : stopped(panel, end.at));
    if (closed || politely) return;
    note("supervisor", `the daemon ${why}; runs carpio release`);
    const command = [process.execPath, CARPIO, "release", "--config", configFile(host)];
    const { stdout, stderr } = await host.attempt(command, { RUNTIME_DIRECTORY: "/run/carpio" });
    for (const line of `${stdout}${stderr}`.split("\n").filter(Boolean))
      note("supervisor", `release: ${brief(line)}`);
  };

  const press = async (): Promise<void> => {
    const finger = await touchButton();
    await Promise.all([sleep(FINGER_MS), soon(() => panel.pressed, FINGER_AT_MOST_MS)]);
    note("deed", "its button is pressed");
    finger.end("release\n");
  };

  /** A finger that presses; there is a daemon to feel it. */
  const touchButton = async () => {
    running();
    if (!status) throw new Error(`the daemon of ${name} has not answered yet`);
    const finger = await touch(host);
    finger.write("press\n");
    return finger;
  };

  const start = async (): Promise<void> => {
    if (!ended()) throw new Error(`the daemon of ${name} runs already`);
    await cleanup;
    note("deed", state.is === "off" ? "is switched on, and carpio starts" : "carpio starts");
    rmSync(offFile(host), { force: true });
    const started = carpio(host, configOf(name, offFile(host)));
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
    if (state.is !== "running" || at < state.since) return;
    status = { at, snapshot };
    show(look(panel, snapshot.panel, at));
  });

  return {
    view: () => ({
      name,
      address: host.address,
      daemon: state,
      pluggedIn,
      handedOver: status?.snapshot.maintenance.on ?? false,
      panel,
      status,
      holds: ADDRESSES.filter((address) => lab.holders.of(address).includes(name)),
    }),
    start,
    press,
    async hold() {
      const finger = await touchButton();
      note("deed", "its button is held");
      const isHeld = await soon(() => panel.sight === "power-off" || ended(), HOLD_AT_MOST_MS);
      if (isHeld) await sleep(ADMIRE_MS);
      note("deed", isHeld ? "its button is let go" : "its button is let go: the lamps did not change");
      finger.end("release\n");
    },
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
      const since = now();
      const frozen: DaemonState = { is: "frozen", since };
      state = frozen;
      show(hanging(panel, since));
      const watchdog = setTimeout(() => {
        if (state === frozen) show(stopped(panel, now()));
      }, WATCHDOG_MS);
      watchdog.unref();
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
        daemon: ended(),
        handedOver: status?.snapshot.maintenance.on ?? false,
      };
      if (!Object.values(wrong).includes(true)) throw new Error(`nothing is wrong with ${name}`);
      if (wrong.cable) await plugIn();
      if (wrong.ice) await thaw();
      if (wrong.daemon) {
        await start();
        await soon(() => status !== undefined || ended(), ANSWER_AT_MOST_MS);
      }
      // What was wished before a daemon died is wished still.
      if (status?.snapshot.maintenance.on) await press();
    },
    close() {
      closed = true;
    },
  };
}

/** Whether it becomes so in time. */
async function soon(isSo: () => boolean, deadlineMs: number): Promise<boolean> {
  for (const deadlineAt = now() + deadlineMs; !isSo(); await sleep(20)) if (now() > deadlineAt) return false;
  return true;
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

/** What there is when its power has been turned off by the button. */
function offFile(host: Host): string {
  return join(host.directory, "off");
}

function configOf(name: BoardName, off: string): string {
  return `name = "${name}"
board = "simulated"
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
power_off = ${JSON.stringify(`: >'${off}'`)}
`;
}

/** There is one group, so nobody needs its name. */
function brief(line: string): string {
  return line.replace("carp 7 on eth0: ", "");
}
