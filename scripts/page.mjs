/**
 * Makes what the page carries, from src/page: build/page/script.js, one script of
 * all modules that a browser runs, and build/page/style.css. Part of `npm run compile`.
 *
 *   node scripts/page.mjs
 *
 * Comments and indentation stay behind; names stay, so that who looks at the
 * page's source can read it.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { rollup } from "rollup";

const root = resolve(fileURLToPath(import.meta.url), "../..");
const BROWSER = "src/page/browser";

if (process.argv[1] === fileURLToPath(import.meta.url)) await makePage();

export async function makePage() {
  const tsc = join(root, "node_modules/.bin/tsc");
  const { status } = spawnSync(tsc, ["--project", join(root, BROWSER)], { stdio: "inherit" });
  if (status !== 0) throw new Error("tsc failed");
  const bundle = await rollup({
    input: join(root, "build/browser", BROWSER, "live.js"),
    onwarn: ({ message }) => {
      throw new Error(message);
    },
  });
  const { output } = await bundle.generate({ format: "iife", indent: false });
  await bundle.close();
  mkdirSync(join(root, "build/page"), { recursive: true });
  write("script.js", output[0].code);
  write("style.css", readFileSync(join(root, "src/page/page.css"), "utf8").replace(/\/\*[\s\S]*?\*\//g, ""));
}

/** A script in a page ends at the first `</script`, wherever it stands. */
function write(name, text) {
  const small = text
    .replace(/^[ \t]+/gm, "")
    .replace(/\n{2,}/g, "\n")
    .trim();
  if (/<\/(script|style)/i.test(small)) throw new Error(`${name} contains the end of its own element`);
  writeFileSync(join(root, "build/page", name), `${small}\n`);
}
