/**
 * Runs the operator's own command, such as the one that turns the power off.
 */
import { execute } from "./program.js";

/** Resolves when it has ended; says what went wrong. */
export async function runShell(command: string): Promise<string | undefined> {
  const { said, failure } = await execute(["sh", "-c", command]);
  return failure && `${command}: ${said.trim() || failure}`;
}
