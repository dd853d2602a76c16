/**
 * Priority as arithmetic. A smaller advertisement interval is preferred; whole
 * 1/256 s are called ticks, and 256 of them make a second.
 */
export const TICKS_PER_SECOND = 256;
/**
 * The slowest interval there is: whoever advertises it is about to leave (specification, section 5.4). The
 * byte tells it to an OpenBSD with advbase 0, which without preempt does not look at intervals (section 5.2).
 */
export const BOW_OUT = { advbase: 255, advskew: 255, demote: 255 } as const;
/** The highest advskew that can be configured or reached by demotion. */
export const ADVSKEW_MAX = 254;
/** What FreeBSD, NetBSD and UCARP raise the advskew to when something is wrong. */
export const DEMOTED_ADVSKEW = 240;

export interface Interval {
  /** Seconds. */
  readonly advbase: number;
  /** 1/256 s. */
  readonly advskew: number;
}

/** How much silence a backup bears: `classic` is 3 x advbase + advskew, `scaled` 3 x (advbase + advskew). */
export type MasterDownRule = "classic" | "scaled";

/** The time between two advertisements; 0/0 is OpenBSD's 1/256 s. */
export function advertisementTicks({ advbase, advskew }: Interval): number {
  return Math.max(1, advbase * TICKS_PER_SECOND + advskew);
}

/** Silence after which a backup takes over. Without a base only `scaled` leaves room for a lost packet. */
export function masterDownTicks(interval: Interval, rule: MasterDownRule): number {
  if (rule === "scaled" || interval.advbase === 0) return 3 * advertisementTicks(interval);
  return 3 * interval.advbase * TICKS_PER_SECOND + interval.advskew;
}

export function ticksToMs(ticks: number): number {
  return (ticks * 1000) / TICKS_PER_SECOND;
}

export function isBowOut({ advbase, advskew }: Interval): boolean {
  return advbase === BOW_OUT.advbase && advskew === BOW_OUT.advskew;
}
