/**
 * A program that is run to its end.
 */
import { execFile } from "node:child_process";

/** Longer than any of them takes, on a slow board with a slow card. */
const DEADLINE_MS = 20_000;

/** Resolves when it has ended; says what went wrong, on one line. */
export function runProgram(argv: readonly string[], input = ""): Promise<string | undefined> {
  const [program = "", ...args] = argv;
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: DEADLINE_MS }, (error, _output, said) => {
      // Of a batch, ip says as well which line it was; and nft points at what it means.
      const lines = said.split("\n").filter((line) => !/^[\s^~]*$|^Command failed/.test(line));
      resolve(error ? `${program}: ${[...new Set(lines)].join("; ") || error.message}` : undefined);
    });
    // One that ends without reading is no mistake of ours.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}
