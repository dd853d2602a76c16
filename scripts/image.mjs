/**
 * Makes the image of a card, with what describes it. Started by scripts/image,
 * which says how to call it.
 */

import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "smol-toml";
import { makeBase } from "./firmware/base.mjs";
import { makeCard } from "./firmware/card.mjs";
import { digestOf, fetchInputs, root, run, updateLock } from "./firmware/inputs.mjs";
import { unpackKernel } from "./firmware/kernel.mjs";
import { lookForNewerNode } from "./firmware/node.mjs";
import { describeForImager, listInputs, readAddress, readmeFor } from "./firmware/papers.mjs";
import { copyrightOf } from "./firmware/programs.mjs";
import { makeSlot, readKey } from "./firmware/slot.mjs";
import { moment, packFile, settle } from "./firmware/tree.mjs";

const startedAt = performance.now();
/** The slot of every board, for those that run already. */
const update = "carpio-update";

try {
  const { board, key, url, "update-lock": renews } = readOrder(process.argv.slice(2));
  if (renews) {
    updateLock(say);
    lookForNewerNode(say);
  } else {
    makeImage(board, key && readKey(key), url === undefined ? "" : readAddress(url));
  }
} catch (error) {
  console.error(`scripts/image: ${error.message}`);
  process.exitCode = 1;
}

/** scripts/image has judged it. tree.mjs looks for --quick itself. */
function readOrder(args) {
  const [flag, text] = [{ type: "boolean" }, { type: "string" }];
  const options = { quick: flag, key: text, url: text, "update-lock": flag };
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  return { ...values, board: positionals[0] };
}

function makeImage(board, key, address) {
  // What we make is for everybody to read, whatever the caller's files are.
  process.umask(0o022);
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const layout = parse(readFileSync(join(root, "board", board, "image.toml"), "utf8"));
  if (address !== "" && !layout.devices)
    throw new Error(`--url: found it with ${board}, wanted a board that Raspberry Pi Imager knows`);
  const seconds = moment();
  mkdirSync(join(root, "dist"), { recursive: true });
  const work = mkdtempSync(join(root, "build/image-"));
  try {
    const card = join(work, "card");
    mkdirSync(card);
    const kernel = unpackKernel(join(work, "kernel"), say);
    // As it is: boot loaders have failed to unpack one, and then the board stands still before anything watches it.
    copyFileSync(kernel.image, join(card, "kernel8.img"));
    const base = {
      folder: join(work, "base"),
      file: join(card, "base.img"),
      kernel,
      modules: layout.modules,
    };
    makeBase({ ...base, seconds }, say);
    const slot = { folder: join(work, "slot"), file: join(card, "slot-a.sqf"), version };
    const programs = makeSlot({ ...slot, seconds, key }, say);
    copyFileSync(slot.file, join(work, `${update}.sqf`));
    // The same twice: a new card as well has something to fall back to.
    copyFileSync(slot.file, join(card, "slot-b.sqf"));
    const loader = layBoardFiles(board, { card, work, kernel, layout });
    copyFileSync(join(root, "board/common/carpio.toml"), join(card, "carpio.toml"));
    copyFileSync(kernel.input.copyright, join(card, "LICENCE-linux.txt"));
    const readme = readFileSync(join(root, "board/common/card-readme.txt"), "utf8");
    writeFileSync(join(card, "README.txt"), readmeFor(readme, readdirSync(card)));
    settle(card, seconds);

    say("the card: a partition, and what is on it");
    const image = `carpio-${board}.img`;
    makeCard(card, join(work, image));
    say("packing the image: zstd");
    packFile(join(work, image));
    const paper = { board, version, license, seconds, layout, work, image, address };
    const inventory = listInputs({ ...paper, inputs: [kernel.input, ...programs, ...loader] });
    publish(work, update, [`${update}.sqf`]);
    publish(work, `carpio-${board}`, [image, `${image}.zst`, ...inventory, ...describeForImager(paper)]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What the board's own boot loader reads. Gives the packages it is of. */
function layBoardFiles(board, { card, work, kernel, layout }) {
  for (const name of ["config.txt", "cmdline.txt"])
    copyFileSync(join(root, "board", board, name), join(card, name));
  for (const name of layout.trees) {
    const tree = join(card, `${name}.dtb`);
    copyFileSync(join(kernel.trees, `${name}.dtb`), tree);
    // A tree that says so already stays as it is.
    for (const { trees = [name], node, property, text } of layout.changes)
      if (trees.includes(name))
        run("fdtput", ["-t", "s", tree, node, property, ...(text === undefined ? [] : [text])]);
  }
  if (layout.firmware.length === 0) return [];
  const inputs = fetchInputs("firmware", say);
  const folder = join(work, "firmware");
  for (const { file } of inputs) run("dpkg-deb", ["-x", file, folder]);
  for (const name of layout.firmware)
    copyFileSync(join(folder, "usr/lib/raspi-firmware", name), join(card, name));
  const withCopyright = inputs.map((each) => ({ ...each, copyright: copyrightOf(each.name, folder) }));
  for (const { name, copyright } of withCopyright) copyFileSync(copyright, join(card, `LICENCE-${name}.txt`));
  return withCopyright;
}

/** Into dist/, each file whole or not at all; the sums last. What each board makes anew has sums of its own. */
function publish(work, what, made) {
  const sums = made.map((name) => `${digestOf(join(work, name))}  ${name}\n`).join("");
  writeFileSync(join(work, `${what}.sha256`), sums);
  for (const name of [...made, `${what}.sha256`]) {
    renameSync(join(work, name), join(root, "dist", name));
    const megabytes = statSync(join(root, "dist", name)).size / 1e6;
    if (megabytes >= 1) say(`dist/${name}: ${megabytes.toFixed(1)} MB`);
  }
  say(`dist/${what}.sha256 and what it lists: done`);
}

function say(line) {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(0).padStart(4);
  console.log(`${seconds} s  ${line}`);
}
