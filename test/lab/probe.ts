/**
 * A client that asks an address for an echo a thousand times a second or
 * more. The asking is done by `scripts/probe.c`, which knows why; this file
 * starts it and reads its lines.
 */
import type { Child, Moment } from "./child.js";
import { now } from "./child.js";
import type { Namespace } from "./namespace.js";

export interface ProbeOptions {
  readonly target: string;
  /** 1: a thousand times a second. 0.1 is kept as well. */
  readonly intervalMs?: number;
  /** How often `latest` is renewed. */
  readonly progressMs?: number;
}

export interface Outage {
  /** From the first probe that got no answer to the next answer. */
  readonly fromAt: Moment;
  readonly untilAt: Moment;
  readonly lost: number;
}

export interface ProbeResult {
  readonly intervalMs: number;
  readonly startedAt: Moment;
  readonly endedAt: Moment;
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Moments at which nothing was asked because the machine did not let us. */
  readonly skipped: number;
  readonly sendErrors: number;
  readonly latencyMaxMs: number;
  /** 0 when nothing was lost. */
  readonly longestOutageMs: number;
  /** Between two answers, lost probes or not: what a stalled machine looks like. */
  readonly longestSilenceMs: number;
  /** The first probe without an answer. */
  readonly firstLossAt?: Moment;
  /** The end of the longest outage; missing when it lasted to the end. */
  readonly answeredAgainAt?: Moment;
  readonly outages: readonly Outage[];
}

export interface Progress {
  readonly at: Moment;
  readonly sent: number;
  readonly received: number;
  /** Unanswered for 100 ms so far. */
  readonly lost: number;
  /** Since the last answer. */
  readonly silenceMs: number;
}

export class Probe {
  /** The newest progress; before the first there is none. */
  latest: Progress | undefined;
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
    child.onLine((line) => {
      const { progress } = read(line.text);
      if (progress) this.latest = progress;
    });
  }

  /** Waits for the first answer of all. */
  async answered(deadlineMs: number): Promise<void> {
    await this.#child.waitForLine(/^\{"answering":/, deadlineMs);
  }

  /** Waits until the target answers, judged by progress made after this call. */
  async answering(deadlineMs: number): Promise<void> {
    const untilAt = now() + deadlineMs;
    for (let after = now(); ; after = now()) {
      const line = await this.#child.waitForLine(/^\{"progress":/, Math.max(untilAt - now(), 0), after);
      const silenceMs = read(line.text).progress?.silenceMs;
      if (silenceMs !== undefined && silenceMs < 50) return;
    }
  }

  /** Calls `listener` with each new progress, for a live display. */
  onProgress(listener: (progress: Progress) => void): void {
    this.#child.onLine((line) => {
      const { progress } = read(line.text);
      if (progress) listener(progress);
    });
  }

  /** Stops asking, waits for stragglers, and says how it went. */
  async stop(): Promise<ProbeResult> {
    await this.#child.kill("SIGTERM");
    const line = await this.#child.waitForLine(/^\{"result":/, 10_000);
    await this.#child.ended;
    const { result } = read(line.text);
    if (!result) throw new Error(`the prober ended with ${line.text}`);
    return result;
  }
}

export function startProbe(host: Namespace, program: string, options: ProbeOptions): Probe {
  const { target, intervalMs = 1, progressMs = 50 } = options;
  const intervalUs = Math.round(intervalMs * 1000);
  return new Probe(host.spawn([program, target, String(intervalUs), String(progressMs)]));
}

function read(text: string): { readonly progress?: Progress; readonly result?: ProbeResult } {
  return text.startsWith("{") ? JSON.parse(text) : {};
}
