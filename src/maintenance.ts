/**
 * The maintenance wish: what the button, the command line and HTTP ask for.
 *
 * Kept on disc before anything is done. Then the other boards are asked, all
 * groups together hand over, and what came of it is told. The handover itself is
 * the state machine's; this knows who wished what, and how far it has come.
 */
import type { Instant } from "./carp/vhost.js";
import { lastHeard } from "./carp/vhost.js";
import type { Faults } from "./faults.js";
import type { Group } from "./group.js";
import type { Log } from "./log.js";
import { canTakeOver } from "./peer.js";
import type { State, Wish } from "./state.js";
import { askStatus } from "./status/client.js";
import type { MaintenanceSnapshot } from "./status/snapshot.js";
import { formatAddress } from "./wire/address.js";

export interface Maintenance {
  snapshot(): MaintenanceSnapshot;
  /** Takes up a wish from before a restart, also when the disc says it later; groups come after it. */
  resume(): Promise<void>;
  /** Resolves when it is known what came of it; another wish in between is the end of this one. */
  set(on: boolean, request: Request): Promise<MaintenanceSnapshot>;
  /** A group is new. */
  adopt(group: Group): void;
  /** A group's role may be another than before. */
  watch(): void;
  stop(): void;
}

export interface Request {
  /** Who asks, for the log. */
  readonly by: string;
  /** Without it, until it is taken back. */
  readonly forSeconds?: number | undefined;
}

export interface MaintenanceOptions {
  readonly groups: Iterable<Group>;
  readonly state: State;
  readonly advskew: () => number;
  /** The other boards' URLs. */
  readonly peers: () => readonly string[];
  readonly log: Log;
  readonly faults: Faults;
  readonly now: () => Instant;
  readonly onChange: () => void;
}

type Handover = MaintenanceSnapshot["handover"];

const REASON = "maintenance";
/** A disc that takes longer than this must not keep the address here, nor the daemon from starting. */
const KEEP_MS = 1_000;
/** DESIGN: asked without waiting long. */
const ASK_MS = 300;
/** Where nobody took over, somebody may have come since. */
const ASK_AGAIN_MS = 10_000;
const NOTHING: Handover = { state: "none", to: null, tookMs: null };

export function createMaintenance(options: MaintenanceOptions): Maintenance {
  const { groups, state, log, faults, now, onChange } = options;
  let wish: Wish = { maintenance: false, since: null, forSeconds: null };
  let until: Date | undefined;
  let handover = NOTHING;
  let askedAt: Instant | undefined;
  /** What was to be handed over. */
  let leavers: readonly Group[] = [];
  /** When all successors were heard; the addresses stay here for a moment more. */
  let servedAt: Instant | undefined;
  /** Counts the wishes, so that what an earlier one still waits for is not done to a later. */
  let turn = 0;
  /** Whether the groups know of the wish, and that they are to preempt nobody. */
  let begun = false;
  let standingAside = true;
  /** The disc has not said yet what was wished before the restart, and nobody has wished anything since. */
  let unread = false;
  let expiry: NodeJS.Timeout | undefined;
  let again: NodeJS.Timeout | undefined;
  const waiting: (() => void)[] = [];

  /** Of the latest wish. */
  let carrying = Promise.resolve();

  const isUnderWay = () => handover.state === "asking" || handover.state === "handing-over";
  /** Whoever was overtaken by another wish hears what came of that. */
  const outcome = async (): Promise<MaintenanceSnapshot> => {
    for (let last: Promise<void> | undefined; last !== carrying; ) {
      last = carrying;
      await last;
    }
    if (isUnderWay()) await new Promise<void>((resolve) => waiting.push(resolve));
    return self.snapshot();
  };

  const masters = () => [...groups].filter(({ vhost }) => vhost.role === "master");

  const tell = (next: Handover): void => {
    if (next.state === handover.state) return;
    handover = next;
    onChange();
    if (!isUnderWay()) for (const resolve of waiting.splice(0)) resolve();
    const took = next.tookMs === null ? "" : ` in ${next.tookMs} ms`;
    if (next.state === "handed-over") log.info(`maintenance: handed over to ${next.to}${took}`);
    if (next.state === "no-taker") log.warn("maintenance: nobody else serves, so this board does");
  };

  /** Raises the advskew of all, and with `standAside` hands over what this board is master of. */
  const demoteAll = (standAside: boolean): void => {
    demoteEach(standAside);
    begun = true;
    watch();
  };

  const demoteEach = (standAside: boolean): void => {
    standingAside = standAside;
    const advskew = options.advskew();
    for (const group of groups) group.handle({ kind: "demote", reason: REASON, advskew, standAside });
  };

  const discIsLate = (): Promise<{ readonly late: string }> =>
    new Promise((resolve) => {
      const late = `the disc took longer than ${KEEP_MS / 1000} s`;
      setTimeout(resolve, KEEP_MS, { late }).unref();
    });

  /** A disc that is full or slow costs the memory of the wish, and not the wish. */
  const keep = async (next: Wish): Promise<void> => {
    const written = state.write(next).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const tell = (problem: string | undefined): void =>
      faults.set("state", problem && `maintenance will be forgotten at a restart: ${problem}`);
    tell(await Promise.race([written, discIsLate().then(({ late }) => late)]));
    // A disc that was only slow has kept it in the end, and may say so where nothing newer was asked of it.
    written.then((problem) => next === wish && tell(problem));
  };

  const handOver = async (mine: number): Promise<void> => {
    askedAt = now();
    servedAt = undefined;
    leavers = masters();
    if (leavers.length === 0) return demoteAll(true);
    // Whoever asks once more, because nobody took over, has nothing new to tell yet.
    const isFirst = handover.state !== "no-taker";
    const peers = options.peers();
    if (peers.length > 0) {
      if (isFirst) tell({ ...NOTHING, state: "asking" });
      const willing = await anyoneWilling(peers, leavers);
      if (mine !== turn) return;
      if (!willing) return demoteAll(false);
    }
    if (isFirst) tell({ ...NOTHING, state: "handing-over" });
    demoteAll(true);
  };

  const watch = (): void => {
    if (!begun) return;
    const left = masters();
    if (left.every(({ vhost }) => vhost.leaving?.successor)) servedAt ??= now();
    if (left.some(({ vhost }) => vhost.leaving)) return;
    if (left.length > 0) {
      askedAt = undefined;
      leavers = left;
      tell({ ...NOTHING, state: "no-taker" });
    } else if (isUnderWay() || handover.state === "no-taker") {
      tell(leavers.every(isSucceeded) ? handedOver() : NOTHING);
      // Where nobody was willing at first, the groups do not know yet that they are to stay out of the way.
      if (!standingAside) demoteEach(true);
    }
  };

  const handedOver = (): Handover => {
    const tookMs = askedAt === undefined ? null : Math.round(((servedAt ?? now()) - askedAt) * 10) / 10;
    return { state: "handed-over", to: successorOf(leavers), tookMs };
  };

  const endAfter = (seconds: number | null): void => {
    clearTimeout(expiry);
    until = seconds === null ? undefined : new Date(Date.now() + seconds * 1000);
    if (seconds !== null) expiry = setTimeout(() => void self.set(false, { by: "its end" }), seconds * 1000);
    expiry?.unref();
  };

  const begin = (forSeconds: number | null): void => {
    endAfter(forSeconds);
    again = setInterval(() => {
      if (handover.state === "no-taker") handOver(turn);
    }, ASK_AGAIN_MS);
    again.unref();
  };

  /** The groups have been told, or come after it. */
  const takeUp = (kept: Wish | undefined): void => {
    if (!kept?.maintenance) return;
    wish = kept;
    log.info("maintenance: on, as before the restart");
    // What is left of its time is not known without a clock, so it begins anew.
    begin(kept.forSeconds);
    begun = true;
    onChange();
  };

  /**
   * What the disc says late counts as if it had been in time, unless somebody has
   * wished since. The groups have stood aside until then, so neither answer is a
   * surprise: who was in maintenance has taken over nothing that another would
   * serve, and who was not goes on as after any start.
   */
  const takeUpLate = (kept: Wish | undefined): void => {
    if (!unread) return;
    unread = false;
    faults.set("state", undefined);
    takeUp(kept);
    if (wish.maintenance) watch();
    else serveAsUsual();
  };

  const serveAsUsual = (): void => {
    for (const group of groups) group.handle({ kind: "demote", reason: REASON, advskew: 0 });
  };

  const carryOut = async (mine: number): Promise<void> => {
    await keep(wish);
    if (mine !== turn) return;
    if (wish.maintenance) {
      begin(wish.forSeconds);
      const unheard = handover.state === "no-taker";
      if (unheard) handover = NOTHING;
      if (!begun || unheard) await handOver(mine);
    } else serveAsUsual();
  };

  const self: Maintenance = {
    snapshot: () => ({
      on: wish.maintenance,
      since: wish.since,
      until: until?.toISOString() ?? null,
      handover,
    }),
    async resume() {
      const reading = state.read();
      const kept = await Promise.race([reading, discIsLate()]);
      if (!kept || !("late" in kept)) return takeUp(kept);
      unread = true;
      const cost =
        "it is not known whether this board is to be in maintenance, so it stays behind the others";
      faults.set("state", `${cost}: ${kept.late}`);
      reading.then(takeUpLate);
    },
    set(on, { by, forSeconds = null }) {
      turn++;
      unread = false;
      clearInterval(again);
      endAfter(null);
      begun &&= on;
      wish = { maintenance: on, since: on ? new Date().toISOString() : null, forSeconds };
      log.info(`maintenance: ${on ? "on" : "off"}, by ${by}`);
      if (!on) tell(NOTHING);
      onChange();
      carrying = carryOut(turn);
      return outcome();
    },
    adopt(group) {
      if (!wish.maintenance && !unread) return;
      group.handle({ kind: "demote", reason: REASON, advskew: options.advskew(), standAside: true });
    },
    watch,
    stop() {
      clearTimeout(expiry);
      clearInterval(again);
    },
  };
  return self;
}

/** True for a group that stands by for a master that it has heard; a link that was lost is no successor. */
function isSucceeded({ vhost }: Group): boolean {
  return vhost.role === "backup" && lastHeard(vhost) !== undefined;
}

/** Whose advertisements the groups hear now; of two families people know IPv4 better. */
function successorOf(groups: Iterable<Group>): string | null {
  const heard = [...groups].flatMap(({ vhost }) => vhost.masters[4] ?? lastHeard(vhost) ?? []);
  const [last] = heard.toSorted((a, b) => b.at - a.at);
  return last ? formatAddress(last.from) : null;
}

/** False only when every board has answered and none of them could: who cannot be asked may still take over. */
async function anyoneWilling(peers: readonly string[], leaving: readonly Group[]): Promise<boolean> {
  const replies = await Promise.all(peers.map((url) => askStatus(url, { deadlineMs: ASK_MS })));
  return replies.some(
    (reply) => !reply.ok || leaving.some(({ config }) => canTakeOver(reply.body, config.vhid)),
  );
}
