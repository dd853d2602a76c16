/**
 * Arguments in, exit status out.
 */
import { runCommand } from "./cli.js";

runCommand(process.argv.slice(2)).then(
  (status) => {
    // What runs still, such as `run` until its signal, ends by itself.
    process.exitCode = status;
  },
  (error: unknown) => {
    process.stderr.write(`carpio: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
    process.exit(1);
  },
);
