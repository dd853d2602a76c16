/**
 * What is wrong at this moment, each told once when it comes and once when it
 * has gone.
 */
import type { Log } from "./log.js";

export interface Faults {
  /** By what each is about. */
  readonly all: ReadonlyMap<string, string>;
  /** `said` is a sentence, or `undefined` when all is well. */
  set(about: string, said: string | undefined): void;
}

export type OnFault = (about: string, said: string | undefined) => void;

/** `subject` opens every line in the log. */
export function createFaults(log: Log, subject = "", onChange: OnFault = () => {}): Faults {
  const all = new Map<string, string>();
  return {
    all,
    set(about, said) {
      if (all.get(about) === said) return;
      if (said === undefined) {
        all.delete(about);
        log.info(`${subject}${about}: well again`);
      } else {
        all.set(about, said);
        log.warn(`${subject}${said}`);
      }
      onChange(about, said);
    },
  };
}
