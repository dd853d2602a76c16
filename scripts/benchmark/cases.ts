/**
 * What is done to a pair of hosts, and what the client sees of it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { press, RAISED } from "../../test/lab/button.js";
import { type Moment, now } from "../../test/lab/child.js";
import type { Holding } from "../../test/lab/holders.js";
import type { Host } from "../../test/lab/host.js";
import { Lab } from "../../test/lab/lab.js";
import { type Daemon, VIRTUAL_ADDRESS } from "../../test/lab/peers.js";
import type { ProbeResult } from "../../test/lab/probe.js";
import type { Comeback, Contender, Family } from "./contenders.js";

export interface Case {
  readonly name: string;
  readonly what: string;
  /** Between two probes of the client. */
  readonly intervalMs: number;
  /** Who serves before and after. */
  readonly from: "left" | "right";
  readonly to: "left" | "right";
  /** Where it is a matter of one daemon alone. */
  readonly only?: Family;
  /** Where left and right run different daemons: what right runs. */
  readonly beside?: Family;
  prepare(scene: Scene): Promise<void>;
  act(scene: Scene): Promise<void>;
}

/** Left is the better host. */
export interface Scene {
  readonly lab: Lab;
  readonly contender: Contender;
  readonly comeback: Comeback;
  readonly daemons: Map<string, Daemon>;
  /** From the finger's leaving the button to the raised advskew on the wire. */
  readonly presses: number[];
}

export interface Measured {
  readonly lost: number;
  readonly outageMs: number;
  /** From the deed until the new host holds the address. */
  readonly takenAfterMs: number;
  /** From the deed until the old one holds it no more; `null`: it never let go, or was gone before. */
  readonly letGoAfterMs: number | null;
  readonly severalMs: number;
  readonly noneMs: number;
  /** The slowest handover, as left itself says. */
  readonly tookMs: number | null;
  /** The slowest press. */
  readonly pressToWireMs: number | null;
  /** Each of them. */
  readonly presses: readonly number[];
  /** How often somebody took the address; once is what it takes. */
  readonly moves: number;
  /** At the end of the observation. */
  readonly holdersAtEnd: readonly string[];
  /** The same client asking for an address that does not move: what is lost here is noise. */
  readonly control: Pick<ProbeResult, "lost" | "longestOutageMs" | "longestSilenceMs">;
  readonly probe: ProbeResult;
}

const ELECTION_MS = 15_000;
/** How often it goes to and fro in one run. */
const TIMES = 20;
const QUIET_MS = 300;

const toAndFro = {
  from: "right",
  to: "left",
  only: "carpio",
  prepare: startBoth,
  act: pressAgainAndAgain,
} as const;
const fromLeft = { intervalMs: 1, from: "left", to: "right", prepare: startBoth } as const;

export const cases: readonly Case[] = [
  { name: "handover", what: "planned handover", ...fromLeft, act: handOver },
  {
    name: "handover-10k",
    what: "planned handover, 10,000 probes/s",
    ...fromLeft,
    intervalMs: 0.1,
    act: handOver,
  },
  { name: "to-and-fro", what: `${TIMES} presses to and fro`, intervalMs: 1, ...toAndFro },
  {
    name: "to-and-fro-10k",
    what: `${TIMES} presses to and fro, 10,000 probes/s`,
    intervalMs: 0.1,
    ...toAndFro,
  },
  { name: "to-ucarp", what: "planned handover to ucarp", ...fromLeft, beside: "ucarp", act: handOver },
  { name: "sigterm", what: "SIGTERM of the master", ...fromLeft, act: (scene) => signal(scene, "SIGTERM") },
  { name: "sigkill", what: "SIGKILL of the master's daemon", ...fromLeft, act: crash },
  { name: "power-cut", what: "power of the master cut", ...fromLeft, act: ({ lab }) => lab.left.cutCable() },
  {
    name: "return",
    what: "better master returns",
    intervalMs: 1,
    from: "right",
    to: "left",
    prepare: startWorse,
    act: async (scene) => void start(scene, "left"),
  },
  {
    name: "cable-back",
    what: "better master's cable returns",
    intervalMs: 1,
    from: "right",
    to: "left",
    prepare: startBothAndCut,
    act: ({ lab }) => lab.left.plugIn(),
  },
];

/** Plays one case once, in a lab of its own. */
export async function play(thisCase: Case, contender: Contender): Promise<Measured> {
  await using lab = await Lab.open();
  const scene: Scene = {
    lab,
    contender,
    comeback: thisCase.to === "left" ? "returns" : "stays away",
    daemons: new Map(),
    presses: [],
  };
  await thisCase.prepare(scene);

  // The control goes to right, which is neither cut nor killed.
  const { intervalMs } = thisCase;
  const probe = await lab.client.probe({ target: VIRTUAL_ADDRESS, intervalMs });
  const control = await lab.client.probe({ target: lab.right.address, intervalMs: 1 });
  await Promise.all([probe.answered(5000), control.answered(5000)]);
  await sleep(QUIET_MS);

  await advertisement(lab);
  const actedAt = now();
  await thisCase.act(scene);
  const takenAt = await holds(lab, thisCase.to, actedAt);
  await probe.answering(ELECTION_MS);
  await sleep(contender.calmMs);
  await probe.answering(ELECTION_MS);
  const untilAt = now();

  const [result, noise] = await Promise.all([probe.stop(), control.stop()]);
  const history = lab.holders.history(VIRTUAL_ADDRESS);
  const letGoAt = history.findLast(({ host }) => host === thisCase.from);
  return {
    lost: result.lost,
    outageMs: result.longestOutageMs,
    takenAfterMs: takenAt - actedAt,
    letGoAfterMs: letGoAt && !letGoAt.holds && letGoAt.at > actedAt ? letGoAt.at - actedAt : null,
    ...lab.holders.between(VIRTUAL_ADDRESS, actedAt, untilAt),
    tookMs: slowestHandover(scene, actedAt),
    pressToWireMs: scene.presses.length > 0 ? Math.max(...scene.presses) : null,
    presses: scene.presses,
    moves: takings(history, actedAt),
    holdersAtEnd: lab.holders.of(VIRTUAL_ADDRESS),
    control: noise,
    probe: result,
  };
}

/** A host that only lost its cable, or found it again, has taken nothing. */
function takings(history: readonly Holding[], afterAt: Moment): number {
  const holding = new Set<string>();
  let count = 0;
  for (const { at, host, holds } of history) {
    if (holds && !holding.has(host) && at > afterAt) count += 1;
    if (holds) holding.add(host);
    else holding.delete(host);
  }
  return count;
}

/** The worst moment to fail is just after an advertisement: the others have all their patience left. */
async function advertisement(lab: Lab): Promise<void> {
  const capture = await lab.client.capture({ filter: "proto 112" });
  await capture.frame(ELECTION_MS);
  void capture.stop();
}

function start({ lab, contender, comeback, daemons }: Scene, name: "left" | "right"): Daemon {
  const host: Host = lab.host(name);
  const daemon = contender.start(host, name === "left" ? "better" : "worse", comeback);
  daemons.set(name, daemon);
  return daemon;
}

async function startBoth(scene: Scene): Promise<void> {
  const ready = [start(scene, "left"), start(scene, "right")].map((each) =>
    each.enters("backup", ELECTION_MS),
  );
  await Promise.all(ready);
  await scene.lab.holders.wait(VIRTUAL_ADDRESS, ["left"], ELECTION_MS);
  await sleep(scene.contender.calmMs);
}

async function startWorse(scene: Scene): Promise<void> {
  await start(scene, "right").enters("master", ELECTION_MS);
  await scene.lab.holders.wait(VIRTUAL_ADDRESS, ["right"], ELECTION_MS);
  await sleep(scene.contender.calmMs);
}

async function startBothAndCut(scene: Scene): Promise<void> {
  await startBoth(scene);
  const cutAt = now();
  await scene.lab.left.cutCable();
  await holds(scene.lab, "right", cutAt);
  await sleep(scene.contender.calmMs);
}

async function handOver(scene: Scene): Promise<void> {
  await scene.contender.handOver(left(scene));
}

/** The button of left, and each time the others are heard, once to hand over and once to take back. */
async function pressAgainAndAgain(scene: Scene): Promise<void> {
  const { lab } = scene;
  const wire = await lab.client.capture({ filter: RAISED });
  for (let round = 1; round <= TIMES; round++) {
    const releasedAt = await press(lab.left);
    scene.presses.push((await wire.frame(ELECTION_MS, releasedAt)) - releasedAt);
    await lab.holders.wait(VIRTUAL_ADDRESS, ["right"], ELECTION_MS);
    await press(lab.left);
    await lab.holders.wait(VIRTUAL_ADDRESS, ["left"], ELECTION_MS);
  }
  await wire.stop();
}

function slowestHandover(scene: Scene, afterAt: Moment): number | null {
  const said = left(scene).child.lines.filter(({ at }) => at >= afterAt);
  const took = said.flatMap(({ text }) => /handed over to \S+ in ([\d.]+) ms$/.exec(text)?.slice(1) ?? []);
  return took.length > 0 ? Math.max(...took.map(Number)) : null;
}

async function signal(scene: Scene, name: NodeJS.Signals): Promise<void> {
  await left(scene).child.kill(name);
}

async function crash(scene: Scene): Promise<void> {
  await signal(scene, "SIGKILL");
  await left(scene).child.ended;
  await scene.contender.afterCrash(left(scene));
}

function left(scene: Scene): Daemon {
  const daemon = scene.daemons.get("left");
  if (!daemon) throw new Error("nothing was started on left");
  return daemon;
}

/** Waits until a host holds the address, whoever else does; says since when. */
async function holds(lab: Lab, host: string, afterAt: Moment): Promise<Moment> {
  for (const deadline = now() + ELECTION_MS; now() < deadline; await sleep(5)) {
    const entry = lab.holders.history(VIRTUAL_ADDRESS).findLast((each) => each.host === host);
    if (entry?.holds) return Math.max(entry.at, afterAt);
  }
  throw new Error(`${host} did not take ${VIRTUAL_ADDRESS} within ${ELECTION_MS} ms`);
}
