/**
 * A few at a time: what many wait for is done in portions, one in each turn of
 * the loop, so that an advertisement never waits for all of them.
 */
export interface Turns {
  /** Resolves now, or in a later turn when enough is done in this one; in order. */
  next(): Promise<void>;
}

const PORTION = 16;

export function createTurns(): Turns {
  const waiting: (() => void)[] = [];
  let left = PORTION;
  let renewing = false;

  const spend = (): void => {
    left--;
    if (!renewing) setImmediate(renew);
    renewing = true;
  };

  const renew = (): void => {
    renewing = false;
    left = PORTION;
    for (const go of waiting.splice(0, PORTION)) {
      spend();
      go();
    }
  };

  return {
    async next() {
      if (left === 0) await new Promise<void>((resolve) => waiting.push(resolve));
      else spend();
    },
  };
}
