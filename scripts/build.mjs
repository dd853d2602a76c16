/**
 * Builds dist/carpio.cjs, the one file that people copy to a board.
 *
 *   npm run build             with addons for this computer's Node
 *   npm run build -- --all    the release: Linux x64 and arm64, Node 20, 22 and 24
 *   npm run build -- --guest  for emulated boards: Linux arm64, Node 24, into build/guest.cjs
 *
 * Four steps: tsc writes build/, page.mjs makes the page's script and style in
 * build/page, addons.mjs compiles the native addons into build/addons, rollup
 * joins them all. `--compiled` says that build/ is fresh and leaves the first two out.
 */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { builds, bundleFile, compileAddons, targets } from "./addons.mjs";
import { makePage } from "./page.mjs";

const root = resolve(fileURLToPath(import.meta.url), "../..");
const known = [...builds.map((each) => `--${each}`), "--compiled"];

try {
  await build(process.argv.slice(2));
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
}

async function build(options) {
  const unknown = options.find((option) => !known.includes(option));
  if (unknown !== undefined) throw new Error(`found ${unknown}, wanted ${known.join(" or ")}`);
  const wanted = builds.find((each) => options.includes(`--${each}`)) ?? "host";

  if (!options.includes("--compiled")) {
    console.log("tsc: src and test to build/");
    run("tsc", ["--project", "tsconfig.json"]);
    console.log("page: script and style to build/page");
    await makePage();
  }
  compileAddons(targets(wanted), (line) => console.log(`addons: ${line}`));
  run("rollup", ["--config", "--silent", "--configBuild", wanted]);
  const bundle = bundleFile(wanted);
  console.log(`rollup: ${bundle}, ${Math.round(statSync(join(root, bundle)).size / 1000)} kB`);
}

function run(tool, parameters) {
  const { status, error } = spawnSync(join(root, "node_modules/.bin", tool), parameters, {
    cwd: root,
    stdio: "inherit",
  });
  if (error !== undefined) throw new Error(`${tool}: ${error.message} (npm ci installs it)`);
  if (status !== 0) throw new Error(`${tool} failed`);
}
