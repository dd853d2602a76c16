/**
 * What people do on purpose to a network that is whole, and what may come of it.
 */
import { plan } from "../agenda.js";
import { intervalTicks, milliseconds, silenceTicks } from "../machine.js";
import {
  demote,
  freeze,
  type Host,
  holders,
  kill,
  leaseMs,
  pathBetween,
  runUntil,
  setLink,
  stop,
} from "../world.js";
import { claimOf, disturbed, fail, forget, longestOf, measure, saw, standsAside } from "./referee.js";
import {
  boot,
  GUARD_MS,
  handoverMs,
  isRunning,
  LEAVE_MS,
  losePower,
  patienceMs,
  type Run,
  reactionMs,
  reload,
  settle,
  wake,
} from "./run.js";
import { ask, isKept, isWriting } from "./wish.js";

type Deed = (run: Run, master: Host, others: readonly Host[]) => void;

const deeds: readonly Deed[] = [
  stopMaster,
  stopMasterUnluckily,
  stopBackup,
  cutPowerOfMaster,
  killMaster,
  bringBack,
  beDemoted,
  handOver,
  handOverUnluckily,
  handOverAndCallBack,
  handOverAllAtOnce,
  losePowerOnTheWay,
  reloadOne,
  freezeMaster,
  freezeBackup,
  pullCable,
];

/** One of them. */
export function actOnPurpose(run: Run): void {
  const running = run.hosts.filter(isRunning);
  const master = running.find((host) => host.machine?.role() === "master");
  const others = running.filter((host) => host !== master);
  measure(run.referee);
  if (master && others.length > 0) run.chance.pick(deeds)(run, master, others);
}

/** A polite stop: make before break. */
function stopMaster(run: Run, master: Host): void {
  stop(run.world, master);
  runUntil(run.world, run.world.now + LEAVE_MS + 200);
  if (master.machine) fail(run.referee, `${master.spec.name} did not leave`);
  if (master.spec.kind !== "carpio") return;
  neverNobody(run);
  neverTwoForLong(run);
}

/** A polite stop, and the next packet on some ways is lost: the first bow-out, the successor's first word. */
function stopMasterUnluckily(run: Run, master: Host, others: readonly Host[]): void {
  if (master.spec.kind !== "carpio") return;
  disturbed(run.referee);
  const paths = others.flatMap((other) => [pathBetween(master, other), pathBetween(other, master)]);
  for (const path of paths) path.loseNext = run.chance.whole(0, 2);
  stop(run.world, master);
  runUntil(run.world, run.world.now + LEAVE_MS + 200);
  for (const path of paths) path.loseNext = 0;
  neverNobody(run);
  const { twoMs } = longestOf(run.referee);
  const allowed = LEAVE_MS + handoverMs(run);
  if (twoMs > allowed) fail(run.referee, `two had the addresses for ${twoMs.toFixed(1)} ms`);
}

/** A polite stop of a backup: the others do not notice. */
function stopBackup(run: Run, _master: Host, [backup, ...rest]: readonly Host[]): void {
  if (!backup || rest.length === 0) return;
  stop(run.world, backup);
  unnoticed(run, () => settle(run));
}

function cutPowerOfMaster(run: Run, master: Host, others: readonly Host[]): void {
  losePower(run, master);
  servedAgain(run, others);
}

/** SIGKILL of the daemon. */
function killMaster(run: Run, master: Host, others: readonly Host[]): void {
  if (master.spec.kind !== "carpio") return;
  kill(run.world, master);
  forget(run.referee, master);
  runUntil(run.world, run.world.now + GUARD_MS);
  if (master.holds) fail(run.referee, `${master.spec.name} is dead and still has the addresses`);
  servedAgain(run, others);
}

function bringBack(run: Run): void {
  const off = run.hosts.find((host) => !host.machine);
  if (off) goesSmoothly(run, () => boot(run, off));
}

/** Something is wrong with the master, and is mended. */
function beDemoted(run: Run, master: Host): void {
  goesSmoothly(run, () => demote(run.world, master, "check gateway", 240));
  goesSmoothly(run, () => demote(run.world, master, "check gateway", 0));
}

/** The button is pressed: somebody else serves, until it is pressed again. */
function handOver(run: Run, master: Host): void {
  if (master.spec.kind !== "carpio") return;
  goesSmoothly(run, () => {
    press(run, master);
    runUntil(run.world, run.world.now + LEAVE_MS + 200);
    // Where several look alike it may take one for another, and then it waits for the next word of the one that serves.
    if (run.scene.addressed || run.hosts.length === 2) standsBy(run, master);
  });
  standsBy(run, master);
  goesSmoothly(run, () => release(run, master));
}

/** The same, and the next packet on some ways is lost. */
function handOverUnluckily(run: Run, master: Host, others: readonly Host[]): void {
  if (master.spec.kind !== "carpio") return;
  disturbed(run.referee);
  const paths = others.flatMap((other) => [pathBetween(master, other), pathBetween(other, master)]);
  for (const path of paths) path.loseNext = run.chance.whole(0, 2);
  press(run, master);
  runUntil(run.world, run.world.now + LEAVE_MS + 200);
  for (const path of paths) path.loseNext = 0;
  neverNobody(run);
  const { twoMs } = longestOf(run.referee);
  // Whoever was not heard as the successor is heard again when its next advertisement is due.
  const slowest = Math.max(...others.map(({ settings }) => milliseconds(intervalTicks(settings))));
  const allowed = LEAVE_MS + slowest + handoverMs(run);
  if (twoMs > allowed) fail(run.referee, `two had the addresses for ${twoMs.toFixed(1)} ms`);
  settle(run);
  goesSmoothly(run, () => release(run, master));
}

/** A second press calls it back, whenever it comes. */
function handOverAndCallBack(run: Run, master: Host): void {
  if (master.spec.kind !== "carpio") return;
  measure(run.referee);
  press(run, master);
  runUntil(run.world, run.world.now + run.chance.between(0, run.chance.maybe(0.5) ? 120 : 2000));
  release(run, master);
  settle(run);
  neverNobody(run);
}

/** Everybody wants to be unplugged: somebody serves all the same. */
function handOverAllAtOnce(run: Run): void {
  // Equal hosts that nobody can tell from one another all give way.
  if (!run.scene.addressed) return;
  const ours = run.hosts.filter((host) => isRunning(host) && host.spec.kind === "carpio");
  measure(run.referee);
  for (const host of ours) {
    runUntil(run.world, run.world.now + run.chance.between(0, 5));
    ask(run, host, true);
  }
  settle(run);
  // UCARP reads late, and may give way to somebody who has begun to leave by then.
  const late = run.hosts.some(({ spec }) => spec.kind === "ucarp") ? 1000 : 0;
  if (longestOf(run.referee).nobodyMs > late) neverNobody(run);
  measure(run.referee);
  for (const host of ours) release(run, host);
  settle(run);
  neverNobody(run);
}

/** More than a handover takes: advertisements, bow-outs, claims and the rest, of all hosts. */
const STEPS = 60;

/** The button is pressed, and on the way somebody loses power: the one that goes, or one that stays. */
function losePowerOnTheWay(run: Run, master: Host, others: readonly Host[]): void {
  if (master.spec.kind !== "carpio") return;
  const victim = run.chance.maybe(0.6) ? master : run.chance.pick(others);
  losePowerAt(run, run.chance.whole(0, run.chance.maybe(0.5) ? 5 : STEPS), victim, master, others);
}

/**
 * The power fails after so many steps of a handover; at step 0 while the wish is
 * being written. Whoever is left serves, and whoever comes back does what its
 * disc says. False when the handover took fewer steps than that.
 */
export function losePowerAt(
  run: Run,
  step: number,
  victim: Host,
  master: Host,
  others: readonly Host[],
): boolean {
  const { world, referee } = run;
  measure(referee);
  const survivors = [master, ...others].filter((host) => host !== victim);
  let isCut = false;
  let isServed = false;
  const cut = (): void => {
    isCut = true;
    // Whoever has heard the victim as its successor lets go, and learns of its end by the silence.
    const believed = victim !== master && victim.machine?.role() === "master";
    isServed = !believed && survivors.some((host) => host.holds && host.machine?.role() === "master");
    losePower(run, victim);
  };
  const stopCounting = step > 0 ? afterSteps(run, step, cut) : undefined;
  ask(run, master, true);
  const endsAt = world.now + LEAVE_MS + 700;
  // A wish that is being written is no step yet.
  while (!isCut && world.now < endsAt) {
    runUntil(world, world.now + run.chance.between(0, 2));
    if (step === 0 && run.chance.maybe(0.2)) cut();
  }
  stopCounting?.();
  const inTime = isCut;
  if (!isCut) cut();

  if (victim !== master) runUntil(world, world.now + LEAVE_MS);
  servedAgain(run, survivors);
  if (isServed) neverNobody(run);
  if (isKept(run, master) && victim === master) saw(referee, "power failed after the wish was kept");
  if (!isKept(run, master) && victim === master) saw(referee, "power failed before the wish was kept");

  runUntil(world, world.now + run.chance.between(0, 3000));
  goesSmoothly(run, () => boot(run, victim));
  if (victim === master && standsAside(referee, master)) standsBy(run, master);
  if (run.chance.maybe(0.3)) losePowerCalledBack(run, master);
  goesSmoothly(run, () => release(run, master));
  return inTime;
}

/** The power fails while it is written that the board is called back. */
function losePowerCalledBack(run: Run, host: Host): void {
  ask(run, host, false);
  runUntil(run.world, run.world.now + run.chance.between(0, 20));
  losePower(run, host);
  runUntil(run.world, run.world.now + run.chance.between(0, 3000));
  boot(run, host);
  settle(run);
}

/** Once the hosts have done so much from now on, and the step that did it is over. Returns what stops the counting. */
function afterSteps({ world }: Run, count: number, then: () => void): () => void {
  const { observe } = world;
  let left = count;
  world.observe = (host, what) => {
    observe(host, what);
    left--;
    if (left === 0) plan(world.agenda, world.now, then);
  };
  return () => {
    world.observe = observe;
  };
}

function press(run: Run, host: Host): void {
  ask(run, host, true);
  untilKept(run, host);
}

function release(run: Run, host: Host): void {
  ask(run, host, false);
  untilKept(run, host);
}

function untilKept(run: Run, host: Host): void {
  while (isWriting(run, host)) runUntil(run.world, run.world.now + 1);
}

function standsBy({ referee }: Run, { machine, spec }: Host): void {
  if (machine?.role() === "master") fail(referee, `${spec.name} stands aside and still serves`);
}

function reloadOne(run: Run): void {
  const host = run.chance.pick(run.hosts.filter((it) => isRunning(it) && it.spec.kind === "carpio"));
  if (host) goesSmoothly(run, () => reload(run, host));
}

/** SIGSTOP: the lease lets go of the addresses, and when the daemon wakes it does not insist. */
function freezeMaster(run: Run, master: Host, others: readonly Host[]): void {
  if (master.spec.kind !== "carpio") return;
  const claim = claimOf(run.referee, master);
  const intervalMs = milliseconds(intervalTicks(claim));
  const lease = leaseMs(master.settings, claim);
  const oversleptMs = intervalMs + Math.max(250, milliseconds(silenceTicks(master.settings)));
  freeze(master);
  runUntil(run.world, run.world.now + oversleptMs + lease + run.scene.pace * run.chance.between(0, 20_000));
  if (master.holds) fail(run.referee, `${master.spec.name} hangs and still has the addresses`);

  const soonest = Math.min(...others.map(({ settings }) => milliseconds(silenceTicks(settings))));
  const allowed = Math.max(0, lease - soonest) + intervalMs + handoverMs(run);
  const { twoMs } = longestOf(run.referee);
  if (twoMs > allowed) fail(run.referee, `a hanging master and another served together for ${twoMs} ms`);
  goesSmoothly(run, () => wake(run, master));
}

/** SIGSTOP of a backup: what is in its queue is read before it judges. */
function freezeBackup(run: Run, _master: Host, others: readonly Host[]): void {
  const backup = others.find(({ spec }) => spec.kind === "carpio");
  if (!backup) return;
  unnoticed(run, () => {
    freeze(backup);
    runUntil(run.world, run.world.now + run.scene.pace * run.chance.between(100, 20_000));
    wake(run, backup);
    settle(run);
  });
}

/** A cable is pulled, and later put back. */
function pullCable(run: Run, master: Host, others: readonly Host[]): void {
  setLink(run.world, master, false);
  servedAgain(run, others);
  settle(run);
  goesSmoothly(run, () => setLink(run.world, master, true));
}

/** Somebody may follow somebody, but never is there nobody, and never two for long. */
function goesSmoothly(run: Run, deed: () => void): void {
  measure(run.referee);
  deed();
  settle(run);
  neverNobody(run);
  neverTwoForLong(run);
}

/** No role may change, and the addresses stay where they are. */
function unnoticed(run: Run, deed: () => void): void {
  run.referee.calm = true;
  deed();
  run.referee.calm = false;
  neverNobody(run);
}

/** Make before break. Of equal masters that all give way there may be none for a moment: the fault of the BSDs. */
function neverNobody({ referee, scene }: Run): void {
  const { nobodyMs } = longestOf(referee);
  if (nobodyMs > 0 && !scene.draws) fail(referee, `nobody had the addresses for ${nobodyMs.toFixed(1)} ms`);
}

function neverTwoForLong(run: Run): void {
  const { twoMs } = longestOf(run.referee);
  if (twoMs > handoverMs(run)) fail(run.referee, `two had the addresses for ${twoMs.toFixed(1)} ms`);
}

/** A survivor takes over when its patience is at an end. */
function servedAgain(run: Run, others: readonly Host[]): void {
  const allowed = Math.min(...others.map(patienceMs)) + reactionMs(run.scene);
  runUntil(run.world, run.world.now + allowed);
  const { nobodyMs } = longestOf(run.referee);
  if (holders(run.world, 7).length === 0 && !run.scene.draws) {
    fail(run.referee, `nobody serves ${nobodyMs.toFixed(1)} ms after the master was lost`);
  }
}
