/**
 * `scripts/prepare.sh`, which installs and builds before anything else runs:
 * what it does and when, that it does it alone, and that nothing half-made and
 * no process stays when it is ended; and what is refused before it.
 *
 * The script is real, in a project in a folder of its own; what it calls is
 * false, because a real installation changes the computer and takes minutes.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const root = resolve(import.meta.dirname, "../..");
const WAIT_MS = 40_000;
const TEST_MS = 120_000;

// ---- What it does ----------------------------------------------------------

test("it installs and builds, once", { timeout: TEST_MS }, async () => {
  const project = makeProject();
  const { folder } = project;
  const prepare = async (): Promise<readonly string[]> => {
    const { status, stdout, stderr } = await ended(project.start());
    assert.deepEqual([status, stdout], [0, "prepared\n"], stderr);
    const done = project.calls();
    assert.equal(stderr === "", done.length === 0, `${done} and ${stderr}`);
    return done;
  };
  assert.deepEqual(await prepare(), ["npm install", "npm run"]);
  assert.deepEqual(await prepare(), []);
  writeFileSync(join(folder, "src/new.ts"), "");
  assert.deepEqual(await prepare(), ["npm run"], "a source is new");
  rmSync(join(folder, "src/new.ts"));
  assert.deepEqual(await prepare(), ["npm run"], "a source is gone");
  rmSync(join(folder, "dist"), { recursive: true });
  assert.deepEqual(await prepare(), ["npm run"], "the bundle is gone");
  writeFileSync(join(folder, "build/prepared"), "arm64 108\n");
  assert.deepEqual(await prepare(), ["npm run"], "built for another computer");
  writeFileSync(join(folder, "package-lock.json"), "{}");
  assert.deepEqual(await prepare(), ["npm install", "npm run"], "the lock file is new");
  assert.deepEqual(await prepare(), []);
});

test("it asks apt-get for what is missing, and for that alone", { timeout: TEST_MS }, async () => {
  const project = makeProject();
  const { status, stderr } = await ended(project.start("no-such-tool:its-package", "sh:dash"));
  assert.equal(status, 0, stderr);
  assert.match(stderr, /installs its-package \((sudo )?apt-get\)/);
  assert.deepEqual(project.calls(3).slice(0, 2), ["apt-get -qq update", "apt-get -qq -y"]);
});

test("it says which Node it found and which it wants", { timeout: TEST_MS }, async () => {
  const project = makeProject();
  project.tool("node", "echo 18.20.4");
  const { status, stderr } = await ended(project.start());
  assert.equal(status, 1);
  assert.match(stderr, /found Node 18\.20\.4 \(.*tools\/node\), wanted 20\.x or 22\.x or 24\.x/);
  assert.deepEqual(project.calls(), ["node -p"]);
});

const notRoot = process.getuid?.() !== 0 && "only root can be asked by sudo";
const [ROOT, USER, STRANGER] = [0, 65_534, 65_533];
const MADE = [
  "build",
  "build/prepare.lock",
  "build/prepared",
  "dist/carpio.cjs",
  "node_modules/.package-lock.json",
];
const BY_SUDO = { SUDO_UID: `${USER}`, SUDO_GID: `${USER}` };
const PACKAGE = "tools/no-such-tool";
// biome-ignore format: one way a line
const clones: readonly { readonly is: string; readonly of: number; readonly before?: string; readonly sudo: NodeJS.ProcessEnv; readonly makes: number }[] = [
  { is: "the user's own, by sudo", of: USER, sudo: BY_SUDO, makes: USER },
  { is: "root's, by sudo", of: ROOT, sudo: BY_SUDO, makes: ROOT },
  { is: "a stranger's, by sudo", of: STRANGER, sudo: BY_SUDO, makes: ROOT },
  { is: "the user's own, with something of root's in it already, by sudo", of: USER, before: "node_modules", sudo: BY_SUDO, makes: ROOT },
  { is: "the user's own, by sudo of root", of: USER, sudo: { SUDO_UID: "0", SUDO_GID: "0" }, makes: ROOT },
  { is: "the user's own, by root without sudo", of: USER, sudo: {}, makes: ROOT },
];
for (const { is, of, before, sudo, makes } of clones) {
  test(`in a clone that is ${is}, what is made is ${makes === ROOT ? "root's" : "the user's"}`, {
    skip: notRoot,
    timeout: TEST_MS,
  }, async () => {
    const project = makeProject("echo prepared", {
      HOME: "/of-root",
      SUDO_UID: undefined,
      SUDO_GID: undefined,
      ...sudo,
    });
    const at = (name: string) => join(project.folder, name);
    project.tool("npm", `echo "at home in $HOME"${fakes["npm"]}`);
    project.giveTo(of);
    if (before) mkdirSync(at(before));
    const { status, stdout, stderr } = await ended(project.start("no-such-tool:its-package"));
    assert.deepEqual([status, stdout], [0, "prepared\n"], stderr);
    assert.deepEqual(project.calls(), ["apt-get -qq", "apt-get -qq", "npm install", "npm run"]);
    const owners = MADE.map((name) => [name, statSync(at(name)).uid, statSync(at(name)).gid]);
    assert.deepEqual(
      owners,
      MADE.map((name) => [name, makes, makes]),
    );
    assert.equal(statSync(at(PACKAGE)).uid, ROOT, "packages are installed as root");
    // Another's would not let npm write what it keeps there.
    assert.equal(stderr.includes("at home in /of-root"), makes === ROOT, stderr);
  });
}

const hasPromtool = spawnSync("sh", ["-c", "command -v promtool"]).status === 0;
const UNPACKED =
  "mkdir -p usr/bin && echo '#!/bin/sh\necho checked' >usr/bin/promtool && chmod +x usr/bin/promtool && tar -c ./usr/bin/promtool";
/** As where the lists name a version that has gone from the mirror, until they are renewed. */
const OLD_LISTS = `
  case "$*" in
    *update*) touch renewed ;;
    *) [ -e ../../renewed ] && touch prometheus_1.deb ;;
  esac`;

// biome-ignore format: one way a line
const downloads = [
  { with: "the package lists that are there", apt: "touch prometheus_1.deb", user: "1000", calls: ["apt-get -qq -o", "dpkg-deb --fsys-tarfile prometheus_1.deb"] },
  { with: "newer package lists, as root", apt: OLD_LISTS, user: "0", calls: ["apt-get -qq -o", "apt-get -qq update", "apt-get -qq -o", "dpkg-deb --fsys-tarfile prometheus_1.deb"] },
  { with: "newer package lists, by sudo", apt: OLD_LISTS, user: "1000", calls: ["apt-get -qq -o", "sudo apt-get -qq", "apt-get -qq update", "apt-get -qq -o", "dpkg-deb --fsys-tarfile prometheus_1.deb"] },
];
for (const { with: lists, apt, user, calls } of downloads) {
  test(`promtool is unpacked from its package, once, with ${lists}`, {
    skip: hasPromtool && "there is one",
    timeout: TEST_MS,
  }, async () => {
    const project = makeProject("fetch_promtool && build/promtool");
    project.tool("apt-get", apt);
    project.tool("dpkg-deb", UNPACKED);
    project.tool("id", `echo ${user}`);
    project.tool("sudo", 'exec "$@"');
    const first = await ended(project.start());
    assert.deepEqual([first.status, first.stdout], [0, "checked\n"], first.stderr);
    const made = project.calls(3).filter((call) => /^(sudo|apt-get|dpkg-deb) /.test(call));
    assert.deepEqual(made, calls);
    const second = await ended(project.start());
    assert.deepEqual([second.status, second.stdout, project.calls()], [0, "checked\n", []]);
    assert.ok(!existsSync(join(project.folder, "build/promtool.next")));
  });
}

/** What the kernel allows, said by a false `unshare`; `id` says who asks. */
const powers = [
  { who: "root", user: "0", allows: "anything", runs: "" },
  {
    who: "root who may not, in a user namespace",
    user: "0",
    allows: "--user",
    runs: "unshare --user --map-root-user --net --mount echo served",
  },
  {
    who: "a user, in a user namespace",
    user: "1000",
    allows: "--user",
    runs: "unshare --user --map-root-user --net --mount echo served",
  },
  {
    who: "a user where the kernel forbids that, by sudo",
    user: "1000",
    allows: "nothing",
    runs: "sudo -- env NO_COLOR=1 echo served",
  },
] as const;

for (const { who, user, allows, runs } of powers) {
  test(`the program gets its power from: ${who}`, { timeout: TEST_MS }, async () => {
    const project = makeProject("exec_with_namespaces echo served");
    project.tool("id", `echo ${user}`);
    project.tool(
      "unshare",
      `case "${allows} $1" in "anything "* | "--user --user") [ "$5" != echo ] || exec echo served ;; *) exit 1 ;; esac`,
    );
    project.tool("sudo", "exec echo served");
    const { stdout, stderr } = await ended(project.start());
    assert.equal(stdout, "served\n", stderr);
    const last = project.calls(Number.POSITIVE_INFINITY).at(-1) ?? "";
    if (runs) assert.equal(last, runs);
    else assert.doesNotMatch(last, /served/);
    assert.equal(/sudo/.test(stderr), runs.startsWith("sudo"));
  });
}

const BOARDS = /wanted raspberrypi, virt or --update-lock$/;
// biome-ignore format: one order a line
const misordered: readonly { readonly order: readonly string[]; readonly says: RegExp }[] = [
  { order: [], says: BOARDS },
  { order: ["foo"], says: BOARDS },
  { order: ["simulated"], says: BOARDS },
  { order: ["../board/virt"], says: BOARDS },
  { order: ["--quick"], says: BOARDS },
  { order: ["virt", "raspberrypi"], says: /found raspberrypi after virt, wanted one board$/ },
  { order: ["virt", "--fast"], says: /found --fast, wanted --quick, --key FILE or --url ADDRESS after one of raspberrypi, virt$/ },
  { order: ["virt", "--key"], says: /found --key and no value, wanted --quick, --key FILE/ },
  { order: ["virt", "--url", "--quick"], says: /found --url and no value/ },
  { order: ["virt", "--update-lock"], says: /found --update-lock with others, wanted it alone$/ },
];
for (const { order, says } of misordered) {
  test(`scripts/image ${order.join(" ")} is refused before anything is installed or built`, {
    timeout: TEST_MS,
  }, async () => {
    const project = makeImageProject();
    const { status, stdout, stderr } = await ended(project.start(...order));
    assert.deepEqual([status, stdout, project.calls()], [64, "", []], stderr);
    assert.match(stderr.trimEnd(), says);
  });
}

const ordered: readonly { readonly order: readonly string[]; readonly builds: boolean }[] = [
  { order: ["virt"], builds: true },
  { order: ["--quick", "raspberrypi", "--url", "https://example.net/"], builds: true },
  { order: ["--key=a key", "virt", "--quick"], builds: true },
  { order: ["--update-lock"], builds: false },
];
for (const { order, builds } of ordered) {
  test(`scripts/image ${order.join(" ")} goes on as it was called, after ${builds ? "two builds" : "one build"}`, {
    timeout: TEST_MS,
  }, async () => {
    const project = makeImageProject();
    const { status, stdout, stderr } = await ended(project.start(...order));
    assert.deepEqual([status, stdout], [0, `${order.join("|")}\n`], stderr);
    const built = project.calls(Number.POSITIVE_INFINITY).filter((call) => call.startsWith("npm run"));
    const guest = "npm run --silent build -- --compiled --guest";
    assert.deepEqual(built, ["npm run --silent build", ...(builds ? [guest] : [])]);
  });
}

// ---- Several at once -------------------------------------------------------

test("of several that are started together one prepares, and the others wait until it has", {
  timeout: TEST_MS,
}, async () => {
  const project = makeProject();
  project.hang("run");
  const all = [1, 2, 3].map(() => project.start("no-such-tool:its-package"));
  const said = (): string => all.map(({ stderr }) => stderr()).join("");
  await until(() => count(said(), /hangs in run/g) === 1 && count(said(), /waits for another/g) === 2, said);
  assert.equal(all.map(({ stdout }) => stdout()).join(""), "");
  project.release("run");
  for (const { status, stdout, stderr } of await Promise.all(all.map(ended))) {
    assert.deepEqual([status, stdout], [0, "prepared\n"], stderr);
  }
  assert.deepEqual(project.calls(), ["apt-get -qq", "apt-get -qq", "npm install", "npm run"]);
});

test("half-way through a build nobody takes what is there for a whole one", {
  timeout: TEST_MS,
}, async () => {
  const project = makeProject();
  await ended(project.start());
  rmSync(join(project.folder, "dist"), { recursive: true });
  project.hang("run");
  const first = project.start();
  await until(() => /hangs in run/.test(first.stderr()), first.stderr);
  assert.ok(existsSync(join(project.folder, "dist/carpio.cjs")));
  const second = project.start();
  await until(() => /waits for another script/.test(second.stderr()), second.stderr);

  // The first one's end hands the turn on, and the second one builds anew.
  first.child.kill("SIGTERM");
  await until(() => /hangs in run/.test(second.stderr()), second.stderr);
  assert.equal(second.stdout(), "");
  project.release("run");
  assert.equal((await ended(second)).stdout, "prepared\n");
  assert.deepEqual(project.calls(), ["npm install", "npm run", "npm run", "npm run"]);
});

// ---- Its end ---------------------------------------------------------------

const ends = [
  { step: "install", signal: "SIGTERM", to: "it alone" },
  { step: "install", signal: "SIGINT", to: "all of its group, as Ctrl-C on a terminal does" },
  { step: "run", signal: "SIGTERM", to: "it alone" },
  { step: "run", signal: "SIGINT", to: "all of its group, as Ctrl-C on a terminal does" },
  { step: "run", signal: "SIGHUP", to: "all of its group, as a terminal does that closes" },
  { step: "run", signal: "SIGTERM", to: "it alone", sudo: BY_SUDO },
] as const;

for (const { step, signal, to, ...by } of ends) {
  const sudo = "sudo" in by ? by.sudo : undefined;
  test(`${signal} in npm ${step}${sudo ? " by sudo" : ""}, to ${to}: no process and no half-made file stays`, {
    skip: sudo && notRoot,
    timeout: TEST_MS,
  }, async () => {
    const project = makeProject(undefined, sudo);
    if (sudo) project.giveTo(USER);
    project.hang(step);
    const { child, stderr } = project.start();
    await until(() => stderr().includes(`hangs in ${step}`), stderr);
    const exited = once(child, "exit");
    process.kill(to === "it alone" ? Number(child.pid) : -Number(child.pid), signal);
    assert.deepEqual(await exited, [null, signal]);
    await until(
      () => inhabitants(project.folder).length === 0,
      () => `still running: ${inhabitants(project.folder).join(", ")}`,
    );
    assert.equal(existsSync(join(project.folder, "node_modules")), step === "run");
    const made = readdirSync(join(project.folder, "build"), { recursive: true, encoding: "utf8" });
    assert.deepEqual(
      made.filter((name) => /prepared|node/.test(name)),
      [],
    );
  });
}

// ---- Around it -------------------------------------------------------------

type Step = "install" | "run";

interface Running {
  readonly child: ChildProcess;
  /** It is gone, and so is everyone who could write. */
  readonly closed: Promise<unknown>;
  stdout(): string;
  stderr(): string;
}

interface Project {
  readonly folder: string;
  /** Starts the script that prepares; `wanted` is what it needs beside Node. */
  start(...wanted: readonly string[]): Running;
  /** Puts a tool before the system's own. That it was called is noted. */
  tool(name: string, does: string): void;
  /** Makes it another user's, with all that is in it. */
  giveTo(user: number): void;
  /** The false npm says that it hangs in this step, and goes on when it is released; or after a minute, because we may die. */
  hang(step: Step): void;
  release(step: Step): void;
  /** The calls of tools since this was last asked, each with so many of its words. */
  calls(words?: number): readonly string[];
}

const script = (then: string): string => `#!/bin/sh
set -eu
cd "$(dirname "$0")/.."
. scripts/prepare.sh
prepare sh "$@"
${then}
`;

/** What `prepare` calls, in small: they leave behind what it looks for. */
const fakes: { readonly [name: string]: string } = {
  npm: `
    hang() {
      [ -e "hang-$1" ] || return 0
      echo "hangs in $1"
      for each in $(seq 600); do [ ! -e "hang-$1" ] || sleep 0.1; done &
      wait
    }
    case "$1" in
      install)
        mkdir -p node_modules && touch node_modules/half
        hang install
        touch node_modules/.package-lock.json ;;
      run)
        mkdir -p dist build/addons && touch dist/carpio.cjs build/addons/raw.node.123
        hang run
        rm build/addons/raw.node.123 ;;
    esac`,
  "apt-get": `
    case "$*" in *no-such-tool* | *its-package*)
      printf '#!/bin/sh\\n' >tools/no-such-tool && chmod +x tools/no-such-tool ;;
    esac`,
  "apt-cache": 'echo "  Candidate: 20.19.2+dfsg-1"',
};

const folders: string[] = [];
/** Also when a test was given up, which would leave its scripts waiting. */
afterEach(() => {
  for (const folder of folders.splice(0)) {
    for (const pid of inhabitants(folder)) endIfThere(Number(pid));
    rmSync(folder, { recursive: true, force: true });
  }
});

/** A project with the real `prepare.sh`, and false tools before the real ones. */
function makeProject(then = "echo prepared", given: NodeJS.ProcessEnv = {}): Project {
  const folder = mkdtempSync(join(tmpdir(), "carpio-prepare-test-"));
  folders.push(folder);
  for (const each of ["scripts", "src", "test", "board", "tools"]) mkdirSync(join(folder, each));
  const files = ["package.json", "package-lock.json", "tsconfig.json", "rollup.config.js", "LICENSE"];
  for (const each of [...files, "scripts/prepare.sh"]) cpSync(join(root, each), join(folder, each));
  const executable = (name: string, text: string): void =>
    writeFileSync(join(folder, name), text, { mode: 0o755 });
  const record = join(folder, "calls");
  const tool = (name: string, does: string): void =>
    executable(`tools/${name}`, `#!/bin/sh\necho ${name} "$@" >>${record}\n${does}\n`);
  executable("scripts/it", script(then));
  executable("tools/sudo", '#!/bin/sh\nexec "$@"\n');
  for (const [name, does] of Object.entries(fakes)) tool(name, does);
  const env = { ...process.env, PATH: `${folder}/tools:${process.env["PATH"]}`, NO_COLOR: "1", ...given };
  return {
    folder,
    tool,
    giveTo(user) {
      // Everybody notes calls in it.
      writeFileSync(record, "");
      chmodSync(record, 0o666);
      for (const name of ["", ...readdirSync(folder, { recursive: true, encoding: "utf8" })])
        chownSync(join(folder, name), user, user);
    },
    start(...wanted) {
      // In a group of its own, which can be signalled as a terminal does it.
      const child = spawn(join(folder, "scripts/it"), wanted, {
        env,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
      return {
        child,
        closed: once(child, "close"),
        stdout: collect(child.stdout),
        stderr: collect(child.stderr),
      };
    },
    hang: (step) => writeFileSync(join(folder, `hang-${step}`), ""),
    release: (step) => rmSync(join(folder, `hang-${step}`)),
    calls(words = 2) {
      const lines = existsSync(record) ? readFileSync(record, "utf8").split("\n").filter(Boolean) : [];
      rmSync(record, { force: true });
      return lines.map((line) => line.split(" ").slice(0, words).join(" "));
    },
  };
}

/** One in which the real scripts/image is called, up to where the image would be made. */
function makeImageProject(): Project {
  const project = makeProject();
  cpSync(join(root, "scripts/image"), join(project.folder, "scripts/it"));
  cpSync(join(root, "board"), join(project.folder, "board"), { recursive: true });
  const says = 'console.log(process.argv.slice(2).join("|"));\n';
  writeFileSync(join(project.folder, "scripts/image.mjs"), says);
  return project;
}

async function ended({ child, closed, stdout, stderr }: Running) {
  await closed;
  return { status: child.exitCode, stdout: stdout(), stderr: stderr() };
}

/** The text that came out so far. */
function collect(stream: NodeJS.ReadableStream): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  return () => text;
}

/** The processes that work in a folder: everything that `prepare` starts does. */
function inhabitants(folder: string): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    } catch {
      return false; // gone since, or not ours to look into
    }
  });
}

function endIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It went first.
  }
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

async function until(condition: () => boolean, complaint: () => string): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS; !condition(); await sleep(50)) {
    assert.ok(performance.now() < deadline, complaint());
  }
}
