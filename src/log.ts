/**
 * Lines for people, on standard error. Levels are few: what happened, what is
 * wrong, and topics that are opened by name with `--debug`.
 */
export type Topic = "carp" | "wire" | "linux" | "status";
export const TOPICS: readonly Topic[] = ["carp", "wire", "linux", "status"];

export interface Log {
  info(line: string): void;
  warn(line: string): void;
  /** The line is made only when somebody listens. */
  debug(topic: Topic, line: () => string): void;
}

export function createLog(write: (text: string) => void, topics: ReadonlySet<Topic>): Log {
  return {
    info: (line) => write(`${line}\n`),
    warn: (line) => write(`warning: ${line}\n`),
    debug: (topic, line) => {
      if (topics.has(topic)) write(`${topic}: ${line()}\n`);
    },
  };
}
