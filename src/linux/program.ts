/**
 * A program that is run to its end.
 */
import { type ExecFileException, execFile } from "node:child_process";

export interface Ran {
  readonly output: string;
  /** What it complained of, in its own lines. */
  readonly said: string;
  /** Why it failed, in the system's words; `undefined` when it did not. */
  readonly failure: string | undefined;
  /** Its exit status, or the system's word for why it could not be started, such as ENOENT. */
  readonly code: number | string | null | undefined;
}

/** Longer than any that sets a board up takes, on a slow board with a slow card. */
const DEADLINE_MS = 20_000;
/** For what one that is ended has said, and for its end. */
const LAST_WORDS_MS = 500;

/** Resolves when it has ended, or was ended at its deadline; without one it is waited for. Never rejects. */
export function execute(
  [program = "", ...args]: readonly string[],
  { input = "", deadlineMs = 0 } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const late = `${program} has not ended within ${deadlineMs / 1000} s`;
    let patience: NodeJS.Timeout | undefined;
    const end = (error: ExecFileException | null, output: string, said: string): void => {
      clearTimeout(patience);
      resolve({ output, said, failure: error?.killed ? late : error?.message, code: error?.code });
    };
    try {
      const child = execFile(program, args, { timeout: deadlineMs, killSignal: "SIGKILL" }, end);
      // One that ends without reading is no mistake of ours.
      child.stdin?.on("error", () => {});
      child.stdin?.end(input);
      if (deadlineMs === 0) return;
      // No signal reaches one that the kernel holds up: it is left behind.
      const leave = () => {
        child.unref();
        end(new Error(late), "", "");
      };
      // Where it was us who stood still, its words may be there already.
      patience = setTimeout(() => setImmediate(leave), deadlineMs + LAST_WORDS_MS);
    } catch (error) {
      // So Node says that the system is short of memory.
      end(error as Error, "", "");
    }
  });
}

/** What went wrong, on one line: the first that it said. */
export function problemOf({ said, failure }: Ran): string | undefined {
  return failure && (said.trim().split("\n")[0] || failure);
}

/** Resolves when it has ended; says what went wrong, on one line. */
export async function runProgram(argv: readonly string[], input = ""): Promise<string | undefined> {
  const { said, failure } = await execute(argv, { input, deadlineMs: DEADLINE_MS });
  // Of a batch, ip says as well which line it was; and nft points at what it means.
  const lines = said.split("\n").filter((line) => !/^[\s^~]*$|^Command failed/.test(line));
  return failure && `${argv[0]}: ${[...new Set(lines)].join("; ") || failure}`;
}
