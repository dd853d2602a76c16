/**
 * Debian's kernel for arm64: the image, the modules somebody asks for with all
 * that they need, in the order of loading, and the device trees of boards.
 */
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fetchInputs, run } from "./inputs.mjs";
import { copyrightOf } from "./programs.mjs";

/** Unpacks the pinned kernel into a folder, which whoever asks removes. */
export function unpackKernel(folder, say) {
  const [input] = fetchInputs("kernel", say);
  mkdirSync(folder, { recursive: true });
  run("dpkg-deb", ["-x", input.file, folder]);
  const [name] = readdirSync(join(folder, "boot")).filter((each) => each.startsWith("vmlinuz-"));
  const release = name.slice("vmlinuz-".length);
  run("depmod", ["-b", join(folder, "usr"), release]);
  const trees = join(folder, `usr/lib/linux-image-${release}/broadcom`);
  const copyright = copyrightOf(input.name, folder);
  return { input: { ...input, copyright }, folder, release, image: join(folder, "boot", name), trees };
}

/**
 * The files of these modules, and of what they need, each behind what it needs.
 * One that is built in has no file; one that is neither is an error.
 */
export function moduleFiles({ folder, release }, names) {
  const files = new Set();
  for (const name of names) {
    const loading = run("modprobe", ["-d", join(folder, "usr"), "-S", release, "--show-depends", name]);
    for (const [, file] of loading.matchAll(/^insmod (.+\.ko(?:\.xz)?)/gm)) files.add(file);
  }
  return [...files];
}

/** Puts modules side by side into a folder, with a file `order` that says in which order they load. */
export function layModules(kernel, names, folder) {
  mkdirSync(folder, { recursive: true });
  for (const file of moduleFiles(kernel, names)) copyModule(file, join(folder, basename(file)));
  writeFileSync(join(folder, "order"), moduleOrder(kernel, names).replaceAll("\n", ".ko\n"));
}

/** A line for each module, in the order of loading: busybox's modprobe knows nothing of soft dependencies. */
export function moduleOrder(kernel, names) {
  const files = moduleFiles(kernel, names);
  return files.map((file) => `${basename(file).replace(/\.ko(\.xz)?$/, "")}\n`).join("");
}

/** Puts modules into a root file system's lib/modules, where modprobe finds them; gives how many. */
export function installModules(kernel, names, target) {
  const { folder, release } = kernel;
  const home = join(folder, "usr");
  const files = moduleFiles(kernel, names);
  for (const file of files) {
    const copy = join(target, relative(home, file));
    mkdirSync(join(copy, ".."), { recursive: true });
    copyModule(file, copy);
  }
  for (const list of ["modules.order", "modules.builtin", "modules.builtin.modinfo"])
    cpSync(join(home, "lib/modules", release, list), join(target, "lib/modules", release, list));
  run("depmod", ["-b", target, release]);
  // busybox reads three of its lists, and the text of them alone.
  const wanted = ["modules.dep", "modules.alias", "modules.softdep", "modules.symbols"];
  for (const list of readdirSync(join(target, "lib/modules", release)))
    if (list.startsWith("modules.") && !wanted.includes(list))
      rmSync(join(target, "lib/modules", release, list));
  return files.length;
}

/** Unpacked, because what holds them is packed as a whole. */
function copyModule(file, copy) {
  cpSync(file, copy);
  if (copy.endsWith(".xz")) run("xz", ["-d", copy]);
  else if (!statSync(copy).isFile()) throw new Error(`${copy}: found no file, wanted a module`);
}
