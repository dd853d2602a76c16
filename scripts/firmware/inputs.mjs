/**
 * What a board's system is made of, and where it comes from: Debian's packages
 * for arm64, each pinned by version and sha256 in board/inputs.json. Node, the
 * other input, is pinned in scripts/addons.mjs and fetched by node.mjs.
 *
 * A package comes through this computer's own package sources, whichever mirror
 * that is, and is kept in build/inputs. None is installed. What the lock file
 * says is what is used: a package that is another one now, or is there no more,
 * ends the build.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(fileURLToPath(import.meta.url), "../../..");
export const lockFile = "board/inputs.json";
export const store = join(root, "build/inputs");
const suite = "trixie";
/** Debian has apt's downloader here, where no PATH looks. */
const aptPrograms = "/usr/lib/apt";
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What depends on the newest kernel of the suite. */
const kernelPackage = "linux-image-arm64";

/**
 * Programs, and the libraries that they are linked to; gcc-14-base has the
 * licence of two of these, and base-files the texts that licences name. dash, because busybox's
 * shell prefers its own ip to iproute2's; util-linux for its setpriv alone, and mount for a losetup that knows
 * where to end.
 */
const userland = [
  ...["busybox-static", "dash", "iproute2", "nftables", "util-linux", "mount"],
  ...["dropbear-bin", "chrony", "mdnsd"],
  ...["libc6", "libstdc++6", "libgcc-s1", "gcc-14-base", "zlib1g", "libzstd1"],
  ...["libbpf1", "libcap2", "libcap-ng0", "libelf1t64", "libmnl0", "libselinux1", "libpcre2-8-0"],
  ...["libxtables12", "libnftables1", "libnftnl11", "libedit2", "libgmp10", "libjansson4"],
  ...["libbsd0", "libtinfo6", "libmd0", "libcrypt1", "libtomcrypt1", "libtommath1"],
  ...["libseccomp2", "libgnutls30t64", "libnettle8t64", "libhogweed6t64", "libp11-kit0", "libidn2-0"],
  ...["libunistring5", "libtasn1-6", "libffi8", "libmdnsd1t64", "libsmartcols1", "base-files"],
];

/** What a Raspberry Pi's own boot loader reads before any kernel. */
const firmware = ["raspi-firmware"];

/** One input as the lock file has it: `archive` is `debian` or `debian-security`, `path` what follows its address. */
export function readLock() {
  return JSON.parse(readFileSync(join(root, lockFile), "utf8"));
}

/** The pinned packages for a use (`kernel`, `userland` or `firmware`), each with the `file` it lies in. */
export function fetchInputs(use, say) {
  const { packages } = readLock();
  const wanted = packages.filter((each) => each.use === use);
  const fetched = wanted.map((each) => ({ ...each, file: join(store, basename(each.path)) }));
  for (const each of fetched.filter(({ file, sha256 }) => digestOf(file) !== sha256)) {
    say(`fetching ${each.name} ${each.version}`);
    fetchPackage(each);
  }
  return fetched;
}

/** By apt's own downloader: it knows how this computer gets out, and looks at the digest. */
function fetchPackage({ name, version, archive, path, sha256, file }) {
  mkdirSync(store, { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  const uri = `${archives().get(archive) ?? noArchive(archive)}${path}`;
  const options = ["-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root"];
  const parameters = [...options, "download-file", uri, unfinished, `SHA256:${sha256}`];
  try {
    run("apt-helper", parameters, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: `${process.env.PATH}:${aptPrograms}` },
    });
    renameSync(unfinished, file);
  } catch (error) {
    const wrong = whatIsWrong(error, sha256);
    throw new Error(`${name} ${version}: ${wrong} (${lockFile} wants ${path})`, { cause: error });
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/** Of what apt says, in English: its last line is only that it failed. */
function whatIsWrong({ stdout, stderr, message }, sha256) {
  const said = `${stdout ?? ""}${stderr ?? ""}`;
  const renew = "scripts/image --update-lock takes what is there now";
  if (/\b404\b|File not found/.test(said))
    return `found it no more at the mirror, wanted it as pinned: ${renew}`;
  if (/Hash Sum mismatch|unexpected size/i.test(said)) {
    const found = /received file:\s+- SHA256:(\S+)/.exec(said)?.[1] ?? "of another file";
    return `found sha256 ${found} at the mirror, wanted ${sha256}: ${renew}`;
  }
  return `could not be downloaded: ${/^E: Failed to fetch \S+ {2}(.+)$/m.exec(said)?.[1] ?? message}`;
}

/** Where this computer gets Debian's packages from: the address of each archive. */
function archives() {
  const format = "$(LABEL) $(REPO_URI)";
  const known = run("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]).split("\n");
  const uriOf = (label) => known.find((line) => line.startsWith(`${label} `))?.slice(label.length + 1);
  const found = [
    ["debian", uriOf("Debian")],
    ["debian-security", uriOf("Debian-Security")],
  ];
  return new Map(found.filter(([, uri]) => uri !== undefined));
}

function noArchive(archive) {
  throw new Error(`found no package source of ${archive}, wanted one: apt-get update`);
}

/** Writes the lock file anew, with what the suite has now, and says what is another one. */
export function updateLock(say) {
  mkdirSync(store, { recursive: true });
  const apt = mkdtempSync(join(store, "apt-"));
  try {
    const known = archives();
    const flags = privateApt(apt, known);
    say("reading the package lists of Debian's arm64");
    const unread = "the package lists could not be read, apt says why";
    ask("apt-get", ["-qq", ...flags, "update"], `${unread}; ${lockFile} stays as it was`);
    const depends = run("apt-cache", [...flags, "depends", kernelPackage]);
    const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (kernel === undefined) throw new Error(`found no kernel that ${kernelPackage} depends on`);

    const uses = { kernel: [kernel], userland, firmware };
    const packages = Object.entries(uses).flatMap(([use, names]) =>
      names.toSorted().map((name) => ({ use, ...locate(name, flags, known) })),
    );
    const before = existsSync(join(root, lockFile)) ? readLock().packages : [];
    for (const { name, version } of packages) {
      const old = before.find((each) => each.name === name)?.version;
      if (old !== version) say(`${name}: ${old ?? "new"} to ${version}`);
    }
    writeFileSync(join(root, lockFile), `${JSON.stringify({ suite, packages }, undefined, 2)}\n`);
    say(`${lockFile}: ${packages.length} packages`);
  } finally {
    rmSync(apt, { recursive: true, force: true });
  }
}

/** A private apt, for another architecture and another release than this computer's. */
function privateApt(folder, known) {
  for (const part of ["etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg"]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  mkdirSync(join(folder, "var/lib/apt/lists/partial"), { recursive: true });
  mkdirSync(join(folder, "var/cache/apt/archives/partial"), { recursive: true });
  writeFileSync(join(folder, "var/lib/dpkg/status"), "");
  const suites = { debian: suite, "debian-security": `${suite}-security` };
  const lines = [...known].map(
    ([archive, uri]) =>
      `deb [arch=arm64 signed-by=${keyring}] ${uri} ${suites[archive]} main non-free-firmware\n`,
  );
  writeFileSync(join(folder, "etc/apt/sources.list"), lines.join(""));
  const options = [`Dir=${folder}`, `Dir::State::status=${folder}/var/lib/dpkg/status`];
  options.push("APT::Architecture=arm64", "APT::Architectures=arm64", "APT::Sandbox::User=root");
  // An index that cannot be had would only be a warning.
  options.push("APT::Update::Error-Mode=any", "Acquire::Retries=3");
  return options.flatMap((option) => ["-o", option]);
}

/** Which version there is of a package now, and where. */
function locate(name, flags, known) {
  const none = `${name}: found no such package in ${suite}, wanted one: scripts/firmware/inputs.mjs names them`;
  const said = ask("apt-get", [...flags, "--print-uris", "download", name], none);
  const [, quoted = "", size] = /^'([^']+)' \S+ (\d+) /m.exec(said) ?? [];
  const uri = decodeURIComponent(quoted);
  const shown = run("apt-cache", [...flags, "show", name]);
  const paragraph = shown.split("\n\n").find((each) => each.includes(`/${basename(uri)}\n`)) ?? "";
  const field = (key) => new RegExp(`^${key}: (.+)$`, "m").exec(paragraph)?.[1];
  const path = field("Filename");
  const [archive] = [...known].find(([, address]) => uri === `${address}${path}`) ?? [];
  const sha256 = field("SHA256");
  if (!archive || !sha256) throw new Error(`${name}: found no sha256 and path of it in ${suite}`);
  const source = field("Source")?.split(" ")[0] ?? name;
  return { name, version: field("Version"), source, archive, path, size: Number(size), sha256 };
}

/** Runs a tool that explains itself, but not what it was for. */
function ask(tool, parameters, failed) {
  try {
    return run(tool, parameters);
  } catch (error) {
    throw new Error(failed, { cause: error });
  }
}

export function digestOf(file) {
  return existsSync(file) ? createHash("sha256").update(readFileSync(file)).digest("hex") : undefined;
}

/** Runs a tool to its end and gives what it printed; what it complains of is shown. */
export function run(tool, parameters, options = {}) {
  const { env, ...others } = options;
  return execFileSync(tool, parameters, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 24,
    ...others,
    env: { ...process.env, LC_ALL: "C", TZ: "UTC", ...env },
  });
}
