/**
 * The bundle as people use it: dist/carpio.cjs alone in an empty folder,
 * without node_modules. Built first when it is absent or older than its
 * sources. The addon is looked for in the memory map of a running `decode`.
 *
 * A mount namespace gives each of the places for unpacking its own small file
 * system, which allows the addon or refuses it in one of the ways real
 * computers do.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "acorn";
import { loadAddon } from "../src/addon.js";
import { version } from "../src/version.js";

const root = resolve(import.meta.dirname, "../..");
const built = join(root, "dist/carpio.cjs");
const node = process.versions.node.split(".")[0];
const DEADLINE_MS = 30_000;

let folder = "";
let bundle = "";

before(() => {
  const sources = [
    "src",
    "board",
    "scripts/addons.mjs",
    "scripts/build.mjs",
    "rollup.config.js",
    "package.json",
  ];
  if (!existsSync(built) || statSync(built).mtimeMs < Math.max(...sources.map(newestMs))) {
    execFileSync(process.execPath, [join(root, "scripts/build.mjs"), "--compiled"], { stdio: "inherit" });
  }
  folder = mkdtempSync(join(tmpdir(), "carpio-bundle-test-"));
  bundle = join(folder, "carpio.cjs");
  copyFileSync(built, bundle);
});

after(() => rmSync(folder, { recursive: true, force: true }));

function newestMs(source: string): number {
  const path = join(root, source);
  const inside = statSync(path).isDirectory() ? readdirSync(path, { recursive: true, encoding: "utf8" }) : [];
  return Math.max(...[path, ...inside.map((name) => join(path, name))].map((each) => statSync(each).mtimeMs));
}

/** Runs the file itself, as people do, with nothing of this checkout in its environment. */
function run(file: string, parameters: readonly string[]) {
  const env = { PATH: `${resolve(process.execPath, "..")}:/usr/bin:/bin` };
  const options = { cwd: folder, env, encoding: "utf8", timeout: DEADLINE_MS } as const;
  const { status, stdout, stderr } = spawnSync(file, parameters, options);
  return { status, stdout, stderr };
}

test("one file in an empty folder is enough", () => {
  assert.deepEqual(readdirSync(folder), ["carpio.cjs"]);

  const { status, stdout, stderr } = run(bundle, ["--version"]);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  assert.match(stdout, new RegExp(`\\b${version.replaceAll(".", "\\.")}\\b`));
});

test("it is executable, and small enough to send anywhere", () => {
  const { mode, size } = statSync(built);
  assert.equal(mode & 0o777, 0o755);
  assert.ok(size < 1_500_000, `${size} bytes`);
});

test("the source map leads to the TypeScript sources, and neither file names the place it was built in", () => {
  const map = readFileSync(`${built}.map`, "utf8");
  const { sources } = JSON.parse(map) as { sources: string[] };
  assert.ok(sources.includes("../src/main.ts"), sources.join(" "));
  const others = sources.filter((source) => !/^\.\.\/(src|node_modules)\//.test(source));
  assert.deepEqual(others, []);

  const text = readFileSync(bundle, "utf8");
  assert.match(text, /sourceMappingURL=carpio\.cjs\.map/);
  assert.ok(!text.includes(root) && !map.includes(root));
});

test("the licences of the packages inside travel with it", () => {
  const text = readFileSync(bundle, "utf8");
  for (const name of ["raw-socket", "epoll", "nan"]) {
    const licence = new RegExp(`^${name} [\\d.]+, MIT:\n\n(.*\n)*?.*Copyright`, "m");
    assert.ok(licence.test(text), `found no licence of ${name}`);
  }
});

test("a Node we were not built for is refused with a sentence", () => {
  const pretend = join(folder, "pretend.cjs");
  writeFileSync(pretend, `Object.defineProperty(process.versions, "node", { value: "18.20.8" });`);
  const { status, stdout, stderr } = run(process.execPath, ["--require", pretend, bundle, "--version"]);
  rmSync(pretend);

  assert.deepEqual(
    { status, stdout, stderr },
    { status: 1, stdout: "", stderr: "carpio needs Node 20, 22 or 24; this is Node 18.20.8.\n" },
  );
});

test("the lines it refuses are those of package.json", () => {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    engines: { node: string };
  };
  const [, refused] = /if \(\[(.*)\]\.indexOf/.exec(readFileSync(bundle, "utf8")) ?? [];
  assert.equal(refused?.replaceAll(",", ".x || ") + ".x", engines.node);
});

test("a Node as old as 10 can read all of it, and so gets to the sentence", () => {
  const text = readFileSync(bundle, "utf8");
  assert.doesNotThrow(() => parse(text, { ecmaVersion: 2018, allowHashBang: true }));
  // The sentence comes first, and what it needs is older still.
  const [head = ""] = text.split(/^}$/m, 1);
  assert.ok(head.length < 1000 && head.includes("this is Node"));
  assert.doesNotThrow(() => parse(`${head}}`, { ecmaVersion: 5, allowHashBang: true }));
});

test("V8 keeps its text at one byte for each character, and without our comments", () => {
  const text = readFileSync(bundle, "utf8");
  const beyond = /[^\0-\x7f].{0,40}/.exec(text)?.[0];
  assert.equal(beyond, undefined);
  assert.ok(!text.includes("How much memory the engine takes for itself"));
});

test("without an addon for this computer, what needs none works, and the rest says what is wrong", async (t) => {
  const tampered = join(folder, "tampered.cjs");
  const ours = `abi: "${process.versions.modules}"`;
  const text = readFileSync(bundle, "utf8");
  assert.ok(text.includes(ours));
  writeFileSync(tampered, text.replaceAll(ours, `abi: "999"`), { mode: 0o755 });
  t.after(() => rmSync(tampered));

  const config = join(root, "test/config/full.toml");
  assert.deepEqual(run(tampered, ["check", "--config", config]), run(bundle, ["check", "--config", config]));
  assert.equal(run(tampered, ["--version"]).status, 0);

  if (skipped(t)) return;
  const { status, stderr } = await startDecode(tampered, [], "noexec").ended;
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`this file carries raw for .*linux ${process.arch} Node ABI 999`));
  const here = `this is linux ${process.arch} Node ${node}: build with \`npm run build -- --all\``;
  assert.ok(stderr.includes(here), stderr);
});

test("from build/, without a bundle, the same addons load", () => {
  assert.ok("SocketWrap" in (loadAddon("raw") as object));
  assert.ok("Epoll" in (loadAddon("epoll") as object));
  assert.equal(loadAddon("raw"), loadAddon("raw"));
  assert.throws(() => loadAddon("none"), /this file carries none for no computer/);
});

/** Where the addon may be unpacked, in the order of trying; `pathOf` knows the folders. */
const places = ["runtime", "run", "temporary", "state", "shm", "home", "bundle"] as const;
type Place = (typeof places)[number];

/** What a place can have against an addon, as options of its file system. */
const refusals = { noexec: "noexec", "read-only": "ro", full: "size=4k" } as const;

const landings = [
  { refuse: [], how: "noexec", lands: "runtime", why: "the service's own directory comes first" },
  { refuse: ["runtime"], how: "noexec", lands: "run", why: "many systems mount /run noexec" },
  { refuse: ["runtime", "run"], how: "read-only", lands: "temporary", why: "read-only places are left out" },
  { refuse: ["runtime", "run", "temporary"], how: "full", lands: "state", why: "full places are left out" },
  { refuse: places.slice(0, 4), how: "noexec", lands: "shm", why: "shared memory after the state" },
  { refuse: places.slice(0, 5), how: "full", lands: "home", why: "then the home directory" },
  { refuse: places.slice(0, 6), how: "noexec", lands: "bundle", why: "at last beside the bundle" },
] as const;

for (const { refuse, how, lands, why } of landings) {
  test(`the addon is loaded from ${lands}, and no file stays: ${why}`, async (t) => {
    if (skipped(t)) return;
    const { child, ended } = startDecode(bundle, refuse, how);
    try {
      const early = ended.then(({ stderr }) => assert.fail(`decode ended: ${stderr}`));
      const device = await Promise.race([until(() => deviceOfAddon(child)), early]);
      const landed = places.find((place) => statSync(seenBy(child, place)).dev === device);
      assert.equal(landed, lands);
      assert.ok(await until(() => filesOf(child).length === 1), filesOf(child).join(" "));
      assert.deepEqual(filesOf(child), ["bundle/carpio.cjs"]);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  });
}

test("when every place refuses, the error names each with its reason, and no file stays", async (t) => {
  if (skipped(t)) return;
  const { status, stdout, stderr } = await startDecode(bundle, places, "noexec").ended;

  assert.match(stderr, /cannot load raw from any of these places:/);
  assert.equal(status, 1);
  for (const place of places) {
    assert.match(stderr, new RegExp(`^ *${pathOf(place)}: .*failed to map segment`, "m"));
  }
  assert.deepEqual(stdout.match(/^found .*$/gm), [`found ${pathOf("bundle")}/carpio.cjs`]);
});

function skipped(t: TestContext): boolean {
  const { status, stderr } = spawnSync("unshare", [...namespaces(), "true"], { encoding: "utf8" });
  if (status === 0) return false;
  t.skip(`needs a mount namespace: ${stderr || "there is no unshare"}`);
  return true;
}

/** Root needs no user namespace; anybody else becomes root in one. */
function namespaces(): readonly string[] {
  return ["--mount", "--net", ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"])];
}

function pathOf(place: Place): string {
  if (place === "run") return "/run/carpio";
  return place === "shm" ? "/dev/shm" : join(folder, "places", place);
}

/**
 * `decode -i` in namespaces of its own, where some places have something
 * against addons. It replaces the shell, so that the child is carpio itself;
 * but where no place is left it ends at once, and the shell lists the files.
 */
function startDecode(file: string, refuse: readonly Place[], how: keyof typeof refusals): Decode {
  const directory = pathOf("bundle");
  const mounts = places.flatMap((place) => {
    const options = refuse.includes(place) ? refusals[how] : "size=8m";
    return [`mkdir -p ${pathOf(place)}`, `mount -t tmpfs -o ${options} tmpfs ${pathOf(place)}`];
  });
  const decode = [
    `env -i PATH="$PATH" RUNTIME_DIRECTORY=/nonexistent:${pathOf("runtime")}`,
    `TMPDIR=${pathOf("temporary")} STATE_DIRECTORY=${pathOf("state")} HOME=${pathOf("home")}`,
    `${process.execPath} carpio.cjs decode -i probe`,
  ].join(" ");
  const list = `find ${places.map(pathOf).join(" ")} -type f -printf 'found %p\\n'`;
  const script = [
    "set -e",
    "mount -t tmpfs tmpfs /run",
    ...mounts,
    `cp ${file} ${directory}/carpio.cjs`,
    "ip link add probe type veth peer name other",
    "ip link set probe up",
    `cd ${directory}`,
    ...(refuse.includes("bundle") ? [`${decode} || status=$?`, list, "exit $status"] : [`exec ${decode}`]),
  ];
  const child = spawn("unshare", [...namespaces(), "sh", "-c", script.join("\n")], { timeout: DEADLINE_MS });
  return { child, ended: endOf(child) };
}

interface Decode {
  readonly child: ChildProcess;
  readonly ended: Promise<{
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
  }>;
}

async function endOf(child: ChildProcess): Decode["ended"] {
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (data) => (output.stdout += data));
  child.stderr?.on("data", (data) => (output.stderr += data));
  const [status] = await once(child, "close");
  return { status, ...output };
}

async function until<T>(look: () => T): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const seen = look();
    if (seen || Date.now() > deadline) return seen;
    await delay(10);
  }
}

/**
 * The file system the addon came from, once its file has no name any more. Its
 * code counts: glibc leaves the other parts mapped where the code was refused.
 */
function deviceOfAddon(child: ChildProcess): number | undefined {
  if (child.exitCode !== null) return undefined;
  const maps = readFileSync(`/proc/${child.pid}/maps`, "utf8");
  const [, major, minor] = /r-xp \w+ (\w+):(\w+) \d+ +\S*\/raw\.node \(deleted\)/.exec(maps) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  // As in Linux's new_encode_dev(): 8 low bits of the minor number, 12 of the major, 12 of the minor.
  const [high, low] = [Number.parseInt(major, 16), Number.parseInt(minor, 16)];
  return (low & 0xff) | (high << 8) | ((low & ~0xff) << 12);
}

/** A place as the child sees it, through its mounts. */
function seenBy(child: ChildProcess, place: Place): string {
  return `/proc/${child.pid}/root${pathOf(place)}`;
}

function filesOf(child: ChildProcess): readonly string[] {
  return places.flatMap((place) => readdirSync(seenBy(child, place)).map((file) => `${place}/${file}`));
}
