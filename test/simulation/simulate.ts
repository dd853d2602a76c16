/**
 * A run of the world that one number decides: who takes part and with what
 * settings, what breaks and when, and what people do in between.
 *
 * A run goes in rounds: a storm of faults; the network is whole again; after
 * `settleMs` there is one master and nothing moves; somebody does one thing on
 * purpose; and again nothing moves. The referee watches all the time. Besides
 * its own rules, these are checked:
 *
 * - While the network is whole and has settled: exactly one master, it alone has
 *   the addresses, no role changes, and the best host serves if it preempts.
 * - What people do on purpose (a polite stop, a return, a demotion, a reload)
 *   leaves no moment without a holder as long as somebody else is there.
 * - What breaks is served again within the patience of the least patient survivor.
 * - Two hold the addresses for no longer than `handoverMs`, and a frozen one for
 *   no longer than its lease.
 *
 * Wall clocks do not appear: nothing in the core can read one (`tidy.test.ts`
 * sees to that), so a step of one is no event here. Each host's own clock starts
 * at another moment, and a frozen host finds that time has passed. Each of our
 * hosts has a disc (`wish.ts`), and nothing else outlives its power.
 */
import { intervalTicks } from "../machine.js";
import { describeAction } from "../trace.js";
import { addHost, type Core, createWorld, type Host, holders, runUntil } from "../world.js";
import { actOnPurpose, losePowerAt } from "./deeds.js";
import { claimOf, createReferee, fail, type Referee, standsAside, Violation } from "./referee.js";
import {
  boot,
  GUARD_MS,
  isRunning,
  LATE_MS,
  namesOf,
  type Run,
  reactionMs,
  STALE_MS,
  settle,
} from "./run.js";
import { createChance, drawScene } from "./scene.js";
import { heal, storm } from "./storm.js";
import { type Keeping, realKeeping } from "./wish.js";

export interface Result {
  readonly simulatedMs: number;
  readonly sightings: ReadonlyMap<string, number>;
  /** What was wrong, if anything was. */
  readonly violation: string | undefined;
}

interface Options {
  /** Another core than the real one. */
  readonly core?: Core;
  /** Another way to keep a wish than the real one. */
  readonly keeping?: Keeping;
  /** Is handed every line of the trace. */
  readonly trace?: (line: string) => void;
}

const ROUNDS = 4;

/** Plays the run of one seed. */
export function simulate(seed: number, options: Options = {}): Result {
  return play(createRun(seed, options), (run) => {
    for (const host of run.hosts) boot(run, host);
    for (let round = 0; round < (run.scene.pace < 1 ? 2 : ROUNDS); round++) playRound(run);
  });
}

/**
 * The hosts of one seed without a storm: the button of the master is pressed, and
 * after so many steps the power of that host, or of another, fails. `undefined`
 * when the handover took fewer steps, or is none of ours.
 */
export function simulatePowerLoss(
  seed: number,
  step: number,
  who: "master" | "another",
  options: Options = {},
): Result | undefined {
  let reached = false;
  const result = play(createRun(seed, options), (run) => {
    for (const host of run.hosts) boot(run, host);
    settle(run);
    beCalm(run);
    const master = run.hosts.find((host) => host.machine?.role() === "master");
    const others = run.hosts.filter((host) => host !== master);
    if (master?.spec.kind !== "carpio") return;
    const victim = who === "master" ? master : run.chance.pick(others);
    reached = losePowerAt(run, step, victim, master, others);
    settle(run);
    beCalm(run);
  });
  return reached || result.violation !== undefined ? result : undefined;
}

function createRun(seed: number, { core, keeping = realKeeping, trace }: Options): Run {
  const chance = createChance(seed);
  const scene = drawScene(chance, core);
  const world = createWorld({
    random: chance.next,
    delayMs: scene.delayMs,
    jitterMs: scene.jitterMs,
    claimMs: () => chance.between(0, scene.slowestClaimMs),
    releaseMs: () => chance.between(0, scene.slowestClaimMs),
    lateMs: () => chance.between(0, LATE_MS),
    guardMs: () => chance.between(0, GUARD_MS),
  });
  const referee = createReferee(world, { reactionMs: reactionMs(scene), staleMs: STALE_MS });
  const hosts = scene.specs.map((spec) => addHost(world, spec));
  const run: Run = { world, referee, chance, scene, hosts, discs: new Map(), keeping };
  if (trace) follow(run, trace);
  return run;
}

function play(run: Run, script: (run: Run) => void): Result {
  const { world, referee } = run;
  try {
    script(run);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return { simulatedMs: world.now, sightings: referee.sightings, violation: error.message };
  }
  return { simulatedMs: world.now, sightings: referee.sightings, violation: undefined };
}

function playRound(run: Run): void {
  const { chance, scene } = run;
  storm(run, scene.pace * chance.between(15_000, 90_000));
  heal(run);
  settle(run);
  beCalm(run);
  for (let i = 0; i < 2; i++) {
    actOnPurpose(run);
    settle(run);
    beCalm(run);
  }
}

/** Nothing happens, and nothing may. */
function beCalm({ world, referee, chance, scene, hosts }: Run): void {
  const running = hosts.filter(isRunning);
  const check = () => {
    const masters = running.filter((host) => host.machine?.role() === "master");
    if (masters.length !== 1) fail(referee, `${masters.length} masters: ${namesOf(masters)}`);
    const holding = holders(world, 7);
    if (holding.length !== 1 || holding[0] !== masters[0]) {
      fail(referee, `${namesOf(masters)} serves, and the addresses are on ${namesOf(holding)}`);
    }
    const best = bestOf(running, referee);
    if (best?.settings.preempt && best !== masters[0]) {
      fail(referee, `${namesOf(masters)} serves, although ${best.spec.name} is better and preempts`);
    }
  };
  check();
  referee.calm = true;
  runUntil(world, world.now + scene.pace * chance.between(5000, 70_000));
  referee.calm = false;
  check();
}

/** The one host that everybody prefers, if there is one; between dialects there may be two opinions. */
function bestOf(running: readonly Host[], referee: Referee): Host | undefined {
  const demoted = running.some((host) => claimOf(referee, host).demote > 0);
  if (demoted && running.some(({ spec }) => spec.kind !== "carpio" && spec.kind !== "openbsd"))
    return undefined;
  const rank = (host: Host) =>
    100_000 * claimOf(referee, host).demote + intervalTicks(claimOf(referee, host));
  const [first, second] = running
    .filter((host) => !standsAside(referee, host))
    .toSorted((a, b) => rank(a) - rank(b));
  if (!first || !second) return first;
  return rank(first) < rank(second) ? first : undefined;
}

/** Writes down what everybody does, for people. */
function follow(run: Run, trace: (line: string) => void): void {
  const { world, hosts } = run;
  const watch = world.observe;
  for (const { spec } of hosts) trace(`${spec.name} ${spec.kind} ${JSON.stringify(spec.settings)}`);
  world.observe = (host, what) => {
    const at = (world.now / 1000).toFixed(4).padStart(10);
    if (what.kind === "stepped" && what.actions.length > 0) {
      trace(`${at} ${host.spec.name} ${what.event.kind}: ${what.actions.map(describeAction).join(", ")}`);
    }
    if (what.kind === "holds")
      trace(`${at} ${host.spec.name} addresses ${what.holds ? "on" : "off"}: ${what.why}`);
    watch(host, what);
  };
}
