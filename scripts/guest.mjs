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
 * Debian's packages are those of board/inputs.json, as for the image of a
 * card. What is there already stays, so a second run takes no time, unless
 * other parts are wanted than were then.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { nodes } from "./addons.mjs";
import { readLock, root } from "./firmware/inputs.mjs";
import { layModules, unpackKernel } from "./firmware/kernel.mjs";
import { essential, installPrograms } from "./firmware/programs.mjs";

const guest = join(root, "build/guest");

/** Without gpio_keys, which would take the line of the button; leds-gpio waits until a test loads it. */
const modules = [
  ...["virtio_net", "macvlan", "nf_tables", "nft_limit"],
  ...["virtio_blk", "vfat", "nls_cp437", "nls_ascii"],
  ...["leds-gpio", "ledtrig-timer", "ledtrig-pattern"],
];

const recipe = JSON.stringify({ inputs: readLock(), modules, node: nodes.at(-1).headers });

/** Makes build/guest, unless it is there. */
export function prepareGuest(say) {
  const record = join(guest, "recipe.json");
  if (existsSync(record) && readFileSync(record, "utf8") === recipe) return guest;
  const unfinished = `${guest}.${process.pid}`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  try {
    const unpacked = join(unfinished, "unpacked");
    const kernel = unpackKernel(unpacked, say);
    copyFileSync(kernel.image, join(unfinished, "vmlinuz"));
    layModules(kernel, modules, join(unfinished, "root/modules"));
    rmSync(unpacked, { recursive: true });
    installPrograms(join(unfinished, "root"), essential, say);
    writeFileSync(join(unfinished, "recipe.json"), recipe);
    rmSync(guest, { recursive: true, force: true });
    renameSync(unfinished, guest);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return guest;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    prepareGuest((line) => console.log(`guest: ${line}`));
  } catch (error) {
    console.error(`guest: ${error.message}`);
    process.exitCode = 1;
  }
}
