/**
 * Arguments in, exit status out.
 */
import "./memory.js";
import { runCommand } from "./cli.js";

// Whoever reads our lines may leave before we do.
process.stderr.on("error", () => {});

runCommand(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`carpio: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
    process.exit(1);
  },
);
