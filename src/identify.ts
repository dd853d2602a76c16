/**
 * Which box is this? For a time the panel says so, to whoever stands before
 * the rack; asking again begins the time anew.
 */
import type { Log } from "./log.js";
import type { IdentifySnapshot } from "./status/snapshot.js";

export interface Identify {
  snapshot(): IdentifySnapshot;
  begin(forSeconds: number): IdentifySnapshot;
  /** The box is found, or is about to go. */
  stop(): void;
}

export function createIdentify(log: Log, onChange: () => void): Identify {
  let until: Date | undefined;
  let timer: NodeJS.Timeout | undefined;

  const end = (): void => {
    until = undefined;
    onChange();
  };
  const snapshot = (): IdentifySnapshot => ({ until: until?.toISOString() ?? null });
  return {
    snapshot,
    begin(forSeconds) {
      clearTimeout(timer);
      timer = setTimeout(end, forSeconds * 1000).unref();
      until = new Date(Date.now() + forSeconds * 1000);
      log.info(`identify: for ${forSeconds} s`);
      onChange();
      return snapshot();
    },
    stop() {
      clearTimeout(timer);
      if (until) end();
    },
  };
}
