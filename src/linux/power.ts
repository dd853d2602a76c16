/**
 * Runs the operator's own command, such as the one that turns the power off.
 */
import { execFile } from "node:child_process";

/** Resolves when it has ended; says what went wrong. */
export function runShell(command: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile("sh", ["-c", command], (error, _output, said) => {
      resolve(error ? `${command}: ${said.trim() || error.message}` : undefined);
    });
  });
}
