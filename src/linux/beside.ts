/**
 * A program that runs beside ours, and is talked to by pipes.
 *
 * Where the system is short of memory Node throws, and where it is short of
 * descriptors the child has no pipes. For whoever needs one that is the same as
 * a program that has ended, and another may be started later.
 */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";

export interface Beside {
  /** `undefined` when there was none from the beginning. */
  readonly child: ChildProcess | undefined;
  /** Resolves when it has ended; says what the system said, where it could not be started. */
  readonly ended: Promise<string | undefined>;
}

/** Starts a program in a session of its own: Ctrl-C on a terminal is for ours, which may need it on its way out. */
export function startBeside(argv: readonly string[], stdio: SpawnOptions["stdio"]): Beside {
  const [program = "", ...args] = argv;
  try {
    const child = spawn(program, args, { stdio, detached: true });
    const ended = new Promise<string | undefined>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", () => resolve(undefined));
    });
    // One that ends without reading is no mistake of ours.
    child.stdin?.on("error", () => {});
    return { child: child.stdio === undefined ? undefined : child, ended };
  } catch (error) {
    return {
      child: undefined,
      ended: Promise.resolve(error instanceof Error ? error.message : String(error)),
    };
  }
}
