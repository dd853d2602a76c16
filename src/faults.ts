/**
 * What is wrong at this moment, each told once when it comes and once when it
 * has gone.
 */
import type { Log } from "./log.js";

export interface Faults {
  /** By what each is about. */
  readonly all: ReadonlyMap<string, string>;
  /** `said` is a sentence, or `undefined` when all is well; `detail` is for the log alone. */
  set(about: string, said: string | undefined, detail?: string): void;
}

export type OnFault = (about: string, said: string | undefined) => void;

/** `subject` opens every line in the log. */
export function createFaults(log: Log, subject = "", onChange: OnFault = () => {}): Faults {
  const all = new Map<string, string>();
  const told = new Map<string, string>();
  return {
    all,
    set(about, said, detail) {
      const before = all.get(about);
      if (said === undefined) {
        if (before === undefined) return;
        all.delete(about);
        told.delete(about);
        log.info(`${subject}${about}: well again`);
      } else {
        const line = detail === undefined ? said : `${said}: ${detail}`;
        if (told.get(about) === line) return;
        all.set(about, said);
        told.set(about, line);
        log.warn(`${subject}${line}`);
      }
      if (before !== said) onChange(about, said);
    },
  };
}
