/**
 * The programs that run on a board, and nothing else of Debian: each program
 * that is asked for, the libraries it is linked to, and Node. Packages are
 * unpacked and looked through; none of their scripts runs.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fetchInputs, lockFile, root, run } from "./inputs.mjs";
import { dropLanguages } from "./languages.mjs";
import { fetchNodeProgram } from "./node.mjs";

/** There are some 4,200 of them; a Node that has them under other names has none that we know. */
const FEWEST_LANGUAGE_FILES = 3000;
/** What every board runs. A program comes to lie where its package has it, and is found by its path. */
export const essential = ["usr/bin/busybox", "usr/bin/dash", "usr/bin/setpriv", "usr/bin/ip", "usr/sbin/nft"];
export const libraries = "usr/lib/aarch64-linux-gnu";
const loader = "usr/lib/ld-linux-aarch64.so.1";
/** What Debian's own packages expect of a root file system, and leave to its installer. */
const merged = ["bin", "sbin", "lib"];

/** Fills a root file system; gives the packages that something was taken of, each with its `copyright`. */
export function installPrograms(target, programs, say) {
  mkdirSync(join(root, "build/inputs"), { recursive: true });
  const unpacked = mkdtempSync(join(root, "build/inputs/unpacked-"));
  try {
    const packages = fetchInputs("userland", say).map((each) => {
      const folder = join(unpacked, each.name);
      run("dpkg-deb", ["-x", each.file, folder]);
      return { ...each, folder };
    });
    const used = new Set();
    const take = (path) => {
      const holder = packages.find(({ folder }) => existsSync(join(folder, path)));
      if (!holder) throw new Error(`found no package with ${path}, wanted it in ${packages.length} of them`);
      used.add(holder);
      const copy = join(target, path);
      mkdirSync(dirname(copy), { recursive: true });
      // A library is a link to one with more numbers in its name: the content, under the name that is asked for.
      copyFileSync(join(holder.folder, path), copy);
      chmodSync(copy, 0o755);
      return copy;
    };
    const node = join(target, "usr/bin/node");
    mkdirSync(dirname(node), { recursive: true });
    const fetched = fetchNodeProgram(say);
    layCopyright(fetched.licence, "node", target);
    const program = readFileSync(fetched.program);
    const dropped = dropLanguages(program);
    if (dropped < FEWEST_LANGUAGE_FILES)
      throw new Error(
        `Node: found ${dropped} files of other languages in it, wanted at least ${FEWEST_LANGUAGE_FILES}`,
      );
    writeFileSync(node, program, { mode: 0o755 });

    const waiting = [node, take(loader), ...programs.map(take)];
    const known = new Set([basename(loader)]);
    for (const file of waiting) {
      for (const name of neededBy(file).filter((each) => !known.has(each))) {
        known.add(name);
        waiting.push(take(join(libraries, name)));
      }
    }
    symlinkSync("dash", join(target, "usr/bin/sh"));
    for (const name of merged) symlinkSync(`usr/${name}`, join(target, name));
    used.add(takeLicenceTexts(packages, target));
    for (const each of used) takeCopyright(each, packages, target);
    return [...used].map(({ folder: _, ...input }) => ({
      ...input,
      copyright: copyrightOf(input.name, target),
    }));
  } finally {
    rmSync(unpacked, { recursive: true, force: true });
  }
}

/** GNU's and others that copyright files name and do not repeat; gives the package they are of. */
function takeLicenceTexts(packages, target) {
  const holder = packages.find(({ name }) => name === "base-files");
  if (!holder) throw new Error(`found no base-files in ${lockFile}, wanted it: scripts/image --update-lock`);
  const texts = "usr/share/common-licenses";
  // Some are links to the newest of a kind.
  cpSync(join(holder.folder, texts), join(target, texts), { recursive: true, verbatimSymlinks: true });
  return holder;
}

/** The licence travels with what it is about. Some packages have theirs in another one of the same source. */
function takeCopyright({ name, folder }, packages, target) {
  const documents = join(folder, "usr/share/doc", name);
  const isElsewhere = lstatSync(documents).isSymbolicLink();
  const other = isElsewhere && packages.find((each) => each.name === readlinkSync(documents));
  const from = other ? join(other.folder, "usr/share/doc", other.name) : documents;
  layCopyright(join(from, "copyright"), name, target);
}

function layCopyright(file, name, target) {
  const copy = copyrightOf(name, target);
  mkdirSync(dirname(copy), { recursive: true });
  copyFileSync(file, copy);
  chmodSync(copy, 0o644);
}

/** Where the licence of a package stands in a root file system. */
export function copyrightOf(name, folder) {
  return join(folder, "usr/share/doc", name, "copyright");
}

/** The names of the libraries a program is linked to; a static one has none. */
export function neededBy(file) {
  const said = run("aarch64-linux-gnu-readelf", ["-d", file]);
  return [...said.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name]) => name);
}
