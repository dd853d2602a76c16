/**
 * Builds dist/carpio.cjs, the one file that people copy to a board.
 *
 *   npm run build             with addons for this computer's Node
 *   npm run build -- --all    the release: Linux x64 and arm64, Node 20, 22 and 24
 *
 * Three steps: tsc writes build/, addons.mjs compiles the native addons into
 * build/addons, rollup joins both. `--compiled` says that build/ is fresh and
 * leaves the first out.
 */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { compileAddons, targets } from "./addons.mjs";

const root = resolve(fileURLToPath(import.meta.url), "../..");
const known = ["--all", "--compiled"];

try {
  build(process.argv.slice(2));
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
}

function build(options) {
  const unknown = options.find((option) => !known.includes(option));
  if (unknown !== undefined) throw new Error(`found ${unknown}, wanted ${known.join(" or ")}`);
  const all = options.includes("--all");

  if (!options.includes("--compiled")) {
    console.log("tsc: src and test to build/");
    run("tsc", ["--project", "tsconfig.json"]);
  }
  compileAddons(targets(all), (line) => console.log(`addons: ${line}`));
  run("rollup", ["--config", "--silent", ...(all ? ["--configAll"] : [])]);
  console.log(
    `rollup: dist/carpio.cjs, ${Math.round(statSync(join(root, "dist/carpio.cjs")).size / 1000)} kB`,
  );
}

function run(tool, parameters) {
  const { status, error } = spawnSync(join(root, "node_modules/.bin", tool), parameters, {
    cwd: root,
    stdio: "inherit",
  });
  if (error !== undefined) throw new Error(`${tool}: ${error.message} (npm ci installs it)`);
  if (status !== 0) throw new Error(`${tool} failed`);
}
