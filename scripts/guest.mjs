/**
 * Fetches what an emulated arm64 board is made of, into build/guest: Debian's
 * kernel with the modules it needs, busybox, the libraries of Node and ip, and
 * Node itself.
 *
 *   node scripts/guest.mjs
 *
 * It needs kmod, xz-utils and g++-aarch64-linux-gnu, and whoever boots the result
 * qemu-system-arm, device-tree-compiler and cpio; `scripts/test` installs them.
 *
 * Debian's packages come through this computer's own package sources and are
 * checked by its keys; no package is installed. What is there already stays,
 * so a second run takes no time, unless other parts are wanted than were then.
 * To have newer packages, remove build/guest.
 */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchNode, nodes } from "./addons.mjs";

const root = resolve(fileURLToPath(import.meta.url), "../..");
const guest = join(root, "build/guest");
const suite = "trixie";
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** dash, because busybox's shell prefers its own ip to iproute2's. */
const packages = [
  ...["busybox-static", "dash", "iproute2", "libc6", "libstdc++6", "libgcc-s1"],
  ...[
    "libbpf1",
    "libcap2",
    "libelf1t64",
    "libmnl0",
    "libselinux1",
    "libpcre2-8-0",
    "libtirpc3t64",
    "libxtables12",
  ],
  ...["libgssapi-krb5-2", "libkrb5-3", "libkrb5support0", "libk5crypto3", "libcom-err2", "libkeyutils1"],
  ...["libdb5.3t64", "zlib1g", "libzstd1", "libssl3t64"],
  ...["nftables", "libnftables1", "libedit2", "libgmp10", "libjansson4", "libnftnl11"],
  ...["libbsd0", "libtinfo6", "libmd0"],
];

/** Without gpio_keys, which would take the line of the button; leds-gpio waits until a test loads it. */
const modules = [
  ...["virtio_net", "macvlan", "nf_tables", "nft_limit"],
  ...["virtio_blk", "vfat", "nls_cp437", "nls_ascii"],
  ...["leds-gpio", "ledtrig-timer", "ledtrig-pattern"],
];

const recipe = JSON.stringify({ suite, packages, modules, node: nodes.at(-1).headers });

/** Makes build/guest, unless it is there. */
export function prepareGuest(say) {
  const record = join(guest, "recipe.json");
  if (existsSync(record) && readFileSync(record, "utf8") === recipe) return guest;
  const unfinished = `${guest}.${process.pid}`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  try {
    say("fetching Debian's kernel and libraries for arm64");
    unpackPackages(unfinished);
    say("fetching Node for arm64");
    unpackNode(unfinished);
    takeKernel(unfinished);
    for (const leftover of ["apt", "debs", "unpacked"])
      rmSync(join(unfinished, leftover), { recursive: true });
    writeFileSync(join(unfinished, "recipe.json"), recipe);
    rmSync(guest, { recursive: true, force: true });
    renameSync(unfinished, guest);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return guest;
}

/** A private apt, for another architecture and another release than this computer's. */
function unpackPackages(folder) {
  const apt = join(folder, "apt");
  for (const part of ["etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg"]) {
    mkdirSync(join(apt, part), { recursive: true });
  }
  mkdirSync(join(apt, "var/lib/apt/lists/partial"), { recursive: true });
  mkdirSync(join(apt, "var/cache/apt/archives/partial"), { recursive: true });
  writeFileSync(join(apt, "var/lib/dpkg/status"), "");
  writeFileSync(join(apt, "etc/apt/sources.list"), sources().join("\n"));

  const options = [`Dir=${apt}`, `Dir::State::status=${apt}/var/lib/dpkg/status`];
  options.push("APT::Architecture=arm64", "APT::Architectures=arm64", "APT::Sandbox::User=root");
  // An index that cannot be had would only be a warning.
  options.push("APT::Update::Error-Mode=any", "Acquire::Retries=3");
  const flags = options.flatMap((option) => ["-o", option]);
  download("apt-get", ["-qq", ...flags, "update"], folder);
  const depends = run("apt-cache", [...flags, "depends", "linux-image-arm64"]);
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error("found no kernel that linux-image-arm64 depends on");

  const debs = join(folder, "debs");
  mkdirSync(debs);
  download("apt-get", ["-qq", ...flags, "download", kernel, ...packages], debs);
  // All but the kernel is the root file system.
  for (const deb of readdirSync(debs)) {
    const target = deb.startsWith("linux-image-") ? "unpacked" : "root";
    run("dpkg-deb", ["-x", join(debs, deb), join(folder, target)]);
  }
}

/** Where this computer gets Debian's packages from, whichever mirror that is. */
function sources() {
  const format = "$(LABEL) $(REPO_URI)";
  const known = run("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]).split("\n");
  const uriOf = (label) => known.find((line) => line.startsWith(`${label} `))?.slice(label.length + 1);
  const [main, security] = [uriOf("Debian"), uriOf("Debian-Security")];
  if (main === undefined) throw new Error("found no package source of Debian, wanted one: apt-get update");
  const line = (uri, name) => `deb [arch=arm64 signed-by=${keyring}] ${uri} ${name} main`;
  return [line(main, suite), ...(security === undefined ? [] : [line(security, `${suite}-security`)]), ""];
}

/** Of the package that addons.mjs takes the headers of the newest line from, which it will want next. */
function unpackNode(folder) {
  const bin = join(folder, "root/usr/local/bin");
  mkdirSync(bin, { recursive: true });
  renameSync(join(fetchNode(nodes.at(-1), ["include", "bin/node"]), "bin/node"), join(bin, "node"));
  run("aarch64-linux-gnu-strip", ["-s", join(bin, "node")]);
}

/** The kernel, and its modules in the order of loading. */
function takeKernel(folder) {
  const unpacked = join(folder, "unpacked");
  const [image] = readdirSync(join(unpacked, "boot")).filter((name) => name.startsWith("vmlinuz-"));
  const release = image.slice("vmlinuz-".length);
  cpSync(join(unpacked, "boot", image), join(folder, "vmlinuz"));
  run("depmod", ["-b", join(unpacked, "usr"), release]);
  const order = new Set();
  for (const module of modules) {
    const loading = run("modprobe", ["-d", join(unpacked, "usr"), "-S", release, "--show-depends", module]);
    for (const [, file] of loading.matchAll(/^insmod (\S+)/gm)) order.add(file);
  }
  mkdirSync(join(folder, "root/modules"));
  for (const file of order) {
    cpSync(file, join(folder, "root/modules", basename(file)));
    if (file.endsWith(".xz")) run("xz", ["-d", join(folder, "root/modules", basename(file))]);
  }
  const names = [...order].map((file) => basename(file).replace(/\.xz$/, ""));
  writeFileSync(join(folder, "root/modules/order"), `${names.join("\n")}\n`);
  // Debian's packages leave these to its installer.
  for (const name of ["bin", "sbin", "lib"]) {
    if (!existsSync(join(folder, "root", name))) symlinkSync(`usr/${name}`, join(folder, "root", name));
  }
}

/** The command is long, and apt-get itself has said what is wrong. */
function download(tool, parameters, cwd) {
  try {
    run(tool, parameters, cwd);
  } catch (error) {
    throw new Error(`${tool} could not download Debian's packages for arm64`, { cause: error });
  }
}

function run(tool, parameters, cwd = root) {
  const options = { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], maxBuffer: 1 << 24 };
  return execFileSync(tool, parameters, { ...options, env: { ...process.env, LC_ALL: "C" } });
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    prepareGuest((line) => console.log(`guest: ${line}`));
  } catch (error) {
    console.error(`guest: ${error.message}`);
    process.exitCode = 1;
  }
}
