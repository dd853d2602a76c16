/**
 * Joins build/ and the packages it uses into dist/carpio.cjs. Started by
 * scripts/build.mjs; `--configBuild` says for whom, and so which addons go inside.
 */
import { chmodSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, deflateRawSync } from "node:zlib";
import commonjs from "@rollup/plugin-commonjs";
import nodeResolve from "@rollup/plugin-node-resolve";
import { transform } from "esbuild";
import { addonFile, addons, bundleFile, nodes, targets } from "./scripts/addons.mjs";

const root = resolve(fileURLToPath(import.meta.url), "..");
const manifest = JSON.parse(read("package.json"));

export default ({ configBuild = "host" }) => ({
  input: "build/src/main.js",
  external: (id, importer) =>
    !isLazy(id, importer) && (id.startsWith("node:") || builtinModules.includes(id)),
  // A warning is a bundle that may fail on somebody's board, but for two: a
  // circle inside a package, and an import whose only user was left out.
  onwarn: ({ code, ids, message }) => {
    if (code === "CIRCULAR_DEPENDENCY" && ids.every((id) => id.includes("/node_modules/"))) return;
    if (code === "UNUSED_EXTERNAL_IMPORT") return;
    throw new Error(message);
  },
  plugins: [
    carriedAddons(targets(configBuild)),
    carriedBoards(),
    carriedPage(),
    compiledSources(),
    lazyModules(),
    patchedPackages(),
    nodeResolve({ preferBuiltins: true, exportConditions: ["node"] }),
    commonjs({ ignoreDynamicRequires: true, ignore: lazyBuiltins }),
    plainProgram(),
    executable(),
  ],
  output: {
    file: bundleFile(configBuild),
    format: "cjs",
    sourcemap: true,
    inlineDynamicImports: true,
    externalLiveBindings: false,
    esModule: false,
    footer: licences,
  },
});

/**
 * Takes out what is newer than ES2018, and the comments: V8 keeps the text of a program
 * in memory for as long as it runs. A single character beyond Latin-1 would make it keep
 * all of it at two bytes each, so they are escaped.
 */
function plainProgram() {
  const options = { target: "es2018", charset: "utf8", sourcemap: true, banner: banner() };
  return {
    name: "plain-program",
    async renderChunk(source) {
      const { code, map } = await transform(source, options);
      return { code: code.replace(/[^\0-\x7f]/g, escapeOf), map };
    },
  };
}

function escapeOf(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * Refuses a Node we were not built for, in words that any Node understands. One that cannot
 * read the whole file would say "SyntaxError" and never get to them, so the program below
 * is written as Node 10 can read it (Ubuntu 22.04 still has Node 12).
 */
function banner() {
  const majors = nodes.map(({ major }) => major);
  const wanted = `${majors.slice(0, -1).join(", ")} or ${majors.at(-1)}`;
  return `#!/usr/bin/env node
"use strict";
/*! ${manifest.name} ${manifest.version}: ${manifest.description}. Licences are at the end. */
if (${JSON.stringify(majors)}.indexOf(parseInt(process.versions.node, 10)) < 0) {
  console.error("carpio needs Node ${wanted}; this is Node " + process.versions.node + ".");
  process.exit(1);
}`;
}

/** Hands rollup the source maps that tsc left beside its output, so that ours leads back to the .ts files. */
function compiledSources() {
  return {
    name: "compiled-sources",
    load(id) {
      if (id === join(root, "build/package.json")) {
        return generated(`export default ${JSON.stringify({ version: manifest.version })};`);
      }
      if (!id.startsWith(join(root, "build/")) || !existsSync(`${id}.map`)) return null;
      return { code: readFileSync(id, "utf8"), map: JSON.parse(readFileSync(`${id}.map`, "utf8")) };
    },
  };
}

/**
 * Packages that load an addon as they begin: `check` must work on a computer that we carry no
 * addon for. And what takes long to load and not every command uses, nor every daemon, which
 * would keep it in memory for good.
 */
const lazyPackages = ["raw-socket", "onoff", "tiny-json-http"];
/** Packages ask for them without `node:`. */
const lazyBuiltins = ["child_process", "crypto", "http", "https", "net", "readline", "vm", "zlib"].flatMap(
  (name) => [name, `node:${name}`],
);
const lazy = [...lazyPackages, ...lazyBuiltins];

function isLazy(source, importer) {
  return lazy.includes(source) && importer?.startsWith(join(root, "build/"));
}

/** Our imports of these become a stand-in that runs the module at the first use of a name from it. */
function lazyModules() {
  const idOf = (name) => join(root, `lazy-${name}.js`);
  return {
    name: "lazy-modules",
    resolveId: (source, importer) => (isLazy(source, importer) ? idOf(source) : null),
    load(id) {
      const name = lazy.find((each) => id === idOf(each));
      if (name === undefined) return null;
      return generated(`let it, refusal;
const load = () => require("${name}");
// One that refused is half there, and would say the second time what nobody understands: it stays refused.
const loadOnce = () => {
  if (refusal) throw refusal;
  try {
    return load();
  } catch (error) {
    throw (refusal = error);
  }
};
module.exports = new Proxy({}, {
  // Whoever imports it asks this first, and it is no use of the module.
  get: (_, key) => (key === "__esModule" ? undefined : (it ??= loadOnce())[key]),
});`);
    },
  };
}

/** What has to change in the packages. A text that is not there as often as we knew it stops the build. */
function patchedPackages() {
  const loading = (name) => `require("carpio:addon").loadAddon("${name}")`;
  const patches = {
    "raw-socket/index.js": [
      { from: `require ("./build/Release/raw.node")`, to: loading("raw"), times: 1 },
      // Assigns to an undeclared name, which strict code may not.
      { from: "for (key in object)", to: "for (const key in object)", times: 1 },
    ],
    "epoll/epoll.js": [{ from: `require('bindings')('epoll.node')`, to: loading("epoll"), times: 1 }],
    "tiny-json-http/dist.js": [
      // Node 24 prints a deprecation warning for the old parser.
      { from: "url.parse(options.url)", to: "url.urlToHttpOptions(new URL(options.url))", times: 3 },
    ],
  };
  return {
    name: "patched-packages",
    resolveId: (source) => (source === "carpio:addon" ? join(root, "build/src/addon.js") : null),
    transform(code, id) {
      const file = Object.keys(patches).find((each) => id === join(root, "node_modules", each));
      if (file === undefined) return null;
      const patched = patches[file].reduce((text, { from, to, times }) => {
        const found = text.split(from).length - 1;
        if (found !== times) this.error(`${file}: found ${from} ${found} times, wanted ${times}`);
        return text.replaceAll(from, () => to);
      }, code);
      return { code: patched, map: null };
    },
  };
}

/** Puts the addons into the bundle as text, in the place of src/carried.ts. */
function carriedAddons(wanted) {
  const entry = (addon, target) => {
    const bytes = readFileSync(join(root, addonFile(addon, target)));
    const text = deflateRawSync(bytes, { level: constants.Z_BEST_COMPRESSION }).toString("base64");
    return `  { name: "${addon.name}", arch: "${target.arch}", abi: "${target.node.abi}", bytes: () => unpack("${text}") },\n`;
  };
  return {
    name: "carried-addons",
    load(id) {
      if (id !== join(root, "build/src/carried.js")) return null;
      const entries = wanted.flatMap((target) => addons.map((addon) => entry(addon, target)));
      // Not brotli, though it packs better: its tables take a megabyte of memory.
      return generated(`import { inflateRawSync } from "node:zlib";
const unpack = (text) => inflateRawSync(Buffer.from(text, "base64"));
export const carried = [\n${entries.join("")}];`);
    },
  };
}

/** Puts every board/NAME/board.toml into the bundle, in the place of src/carried-boards.ts. */
function carriedBoards() {
  return {
    name: "carried-boards",
    load(id) {
      if (id !== join(root, "build/src/carried-boards.js")) return null;
      const boards = readdirSync(join(root, "board"))
        .sort()
        .filter((name) => existsSync(join(root, "board", name, "board.toml")))
        .map((name) => ({ name, text: read(`board/${name}/board.toml`) }));
      return generated(`export const carriedBoards = ${JSON.stringify(boards, undefined, 2)};`);
    },
  };
}

/** Puts the page's script and style, as scripts/page.mjs made them, in the place of src/carried-page.ts. */
function carriedPage() {
  return {
    name: "carried-page",
    load(id) {
      if (id !== join(root, "build/src/carried-page.js")) return null;
      const page = { style: read("build/page/style.css"), script: read("build/page/script.js") };
      return generated(`export const carriedPage = ${JSON.stringify(page, undefined, 2)};`);
    },
  };
}

/** Code that stands in no source file; the source map leaves it out. */
function generated(code) {
  return { code, map: { mappings: "" } };
}

function executable() {
  return {
    name: "executable",
    writeBundle: ({ file }) => chmodSync(resolve(root, file), 0o755),
  };
}

/**
 * The licence of every package inside, as most of them ask. They stand in the
 * file itself because it is copied about on its own. nan is in the addons.
 */
function licences({ moduleIds }) {
  const packages = new Set(["nan", ...addons.map(({ source }) => source.split("/")[1])]);
  for (const id of moduleIds) {
    const [, name] =
      relative(root, id.replace(/^\0/, "")).match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//) ?? [];
    if (name !== undefined) packages.add(name);
  }
  const texts = [
    `carpio itself:\n\n${existsSync(join(root, "LICENSE")) ? read("LICENSE") : manifest.license}`,
  ];
  for (const name of [...packages].sort()) texts.push(licence(name));
  const text = texts.map((each) => each.trim().replaceAll("*/", "* /")).join(`\n\n${"-".repeat(72)}\n\n`);
  return `/*!\nLicences of what is in this file.\n\n${text}\n*/`;
}

function licence(name) {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(read(`${folder}/package.json`));
  const file = ["LICENSE", "LICENSE.md", "LICENSE.txt"].find((each) => existsSync(join(root, folder, each)));
  const text = file === undefined ? unfiled[name] : () => read(`${folder}/${file}`);
  if (text === undefined) throw new Error(`${name}: found no licence text, wanted one here`);
  return `${name} ${version}, ${license}:\n\n${text()}`;
}

/** Packages without a licence file. */
const unfiled = {
  "raw-socket": () => read("node_modules/raw-socket/README.md").split("# License\n")[1],
  // It names the Apache licence and leaves the text out; TypeScript is under the same one.
  "tiny-json-http": () => `Copyright Brian LeRoux.\n\n${read("node_modules/typescript/LICENSE")}`,
};

function read(file) {
  return readFileSync(join(root, file), "utf8");
}
