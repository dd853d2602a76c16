/**
 * The client of the demo: it asks the floating address for an echo 1,000 times
 * a second, and beside it the address of a host that nobody touches. What is
 * lost there as well is the computer's noise.
 */
import type { Moment } from "../../test/lab/child.js";
import type { Lab } from "../../test/lab/lab.js";
import { VIRTUAL_ADDRESS } from "../../test/lab/peers.js";
import type { Probe, ProbeResult, Progress } from "../../test/lab/probe.js";

/** What a client has lived through so far. */
export interface Experience {
  readonly sent: number;
  readonly lost: number;
  readonly longestOutageMs: number;
  /** Since the last answer. */
  readonly silenceMs: number;
}

/** A time during which packets were lost. */
interface Episode {
  readonly lostBefore: number;
  readonly lastLossAt: Moment;
  readonly outageMs: number;
}

export interface Tally {
  readonly experience: Experience;
  readonly episode: Episode | undefined;
}

export interface Probes {
  readonly probe: Probe;
  readonly control: Probe;
}

/** The host that nobody touches. */
export const BYSTANDER = "still";
export const PROBE_INTERVAL_MS = 1;
const PROGRESS_MS = 50;
const ANSWER_MS = 20_000;
/** Losses that follow one another within this time are one outage; the probe judges 100 ms late. */
const EPISODE_MS = 250;

export const NO_TALLY: Tally = {
  experience: { sent: 0, lost: 0, longestOutageMs: 0, silenceMs: 0 },
  episode: undefined,
};

export async function startProbes(lab: Lab): Promise<Probes> {
  const [probe, control] = await Promise.all(
    [VIRTUAL_ADDRESS, lab.host(BYSTANDER).address].map((target) =>
      lab.client.probe({ target, intervalMs: PROBE_INTERVAL_MS, progressMs: PROGRESS_MS }),
    ),
  );
  if (!probe || !control) throw new Error("the probes did not start");
  await control.answered(ANSWER_MS);
  return { probe, control };
}

/**
 * Takes one report of the probe in. The longest outage is estimated from them:
 * it lasted as long as no answer came, and at least as long as the probes lost in it take to send.
 */
export function takeIn({ experience, episode: before }: Tally, progress: Progress): Tally {
  const { at, sent, lost, silenceMs } = progress;
  const lostMore = lost > experience.lost;
  const over = before !== undefined && !lostMore && at - before.lastLossAt > EPISODE_MS;
  let episode = over ? undefined : before;
  if (lostMore) {
    const lostBefore = episode?.lostBefore ?? experience.lost;
    const outageMs = Math.max(episode?.outageMs ?? 0, silenceMs, (lost - lostBefore) * PROBE_INTERVAL_MS);
    episode = { lostBefore, lastLossAt: at, outageMs };
  }
  const longestOutageMs = Math.max(experience.longestOutageMs, episode?.outageMs ?? 0);
  return { experience: { sent, lost, longestOutageMs, silenceMs }, episode };
}

/** The packets lost while the control lost nothing, and the others. */
export function tellLossFromNoise(
  result: ProbeResult,
  control: ProbeResult,
): { readonly lost: number; readonly noise: number } {
  const isNoise = ({ fromAt, untilAt }: ProbeResult["outages"][number]): boolean =>
    control.outages.some((other) => other.fromAt <= untilAt && other.untilAt >= fromAt);
  const noise = result.outages.filter(isNoise).reduce((sum, { lost }) => sum + lost, 0);
  return { lost: result.lost - noise, noise };
}

/** Follows a probe for a live display. */
export interface Follower {
  tally(): Tally;
  /** What was sent and lost since this was last asked. */
  news(): { readonly sent: number; readonly lost: number };
  /** Counts from zero again. */
  reset(): void;
}

export function follow(probe: Probe): Follower {
  let tally = NO_TALLY;
  let base = { sent: 0, lost: 0 };
  let told = { sent: 0, lost: 0 };
  probe.onProgress((progress) => {
    const sent = progress.sent - base.sent;
    // An answer later than 100 ms takes its loss back.
    const lost = Math.max(progress.lost - base.lost, 0);
    tally = takeIn(tally, { ...progress, sent, lost });
  });
  return {
    tally: () => tally,
    news() {
      const { sent, lost } = tally.experience;
      const news = { sent: sent - told.sent, lost: Math.max(lost - told.lost, 0) };
      told = { sent, lost };
      return news;
    },
    reset() {
      const { sent, lost, silenceMs } = tally.experience;
      base = { sent: base.sent + sent, lost: base.lost + lost };
      told = { sent: 0, lost: 0 };
      tally = { ...NO_TALLY, experience: { ...NO_TALLY.experience, silenceMs } };
    },
  };
}
