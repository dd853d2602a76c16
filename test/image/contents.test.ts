/**
 * What an image may not contain, how large it may be, and that nothing of where
 * and how it was made is in it or in what is published beside it.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { homedir, hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { digestOf, imageOf, type Kind, listFiles, readText, takeFile } from "./card.js";

const root = join(import.meta.dirname, "../../..");
const KINDS: readonly Kind[] = ["virt", "raspberrypi"];
/** A name alone may be a word of a program; a key has a body. */
const KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\r\n]+[A-Za-z0-9+/=\r\n]{64}/;
/** As board/base/init reads them. */
const AHEAD_BLOCK = 64 << 10;
/** They test themselves when they begin, with keys that everybody has. */
const SELF_TESTED = /\/libgnutls\.so\.\d+$/;
const SECRET_NAMES = /(^|\/)(id_[a-z0-9]+|.*\.(pem|key|p12)|shadow|authorized_keys|\.npmrc|\.netrc|token)$/;
/** What somebody downloads. */
const MOST_PACKED_BYTES = 64_000_000;
const UPDATE = "carpio-update.sqf";
const UPDATE_SUMS = "carpio-update.sha256";
/** The power management of every 64-bit Raspberry Pi up to the 4. */
const POWER_MANAGEMENT = "/soc/watchdog@7e100000";
const ZERO = "bcm2837-rpi-zero-2-w.dtb";
const USB = "/soc/usb@7e980000";
/** What stands at this place of a kernel for arm64 that is not packed. */
const [MAGIC, MAGIC_AT] = ["ARM\x64", 56];
/** A builder who is far away, in a folder with another name. */
const ELSEWHERE = { TZ: "Pacific/Kiritimati", LC_ALL: "C", UMASK: "077" } as const;

for (const kind of KINDS) {
  describe(`the image for ${kind}`, { timeout: 600_000 }, () => {
    test("its carpio.toml decides nothing: every line is an explanation", () => {
      const lines = readText(imageOf(kind), "carpio.toml").split("\n");
      assert.deepEqual(
        lines.filter((line) => line !== "" && !line.startsWith("#")),
        [],
      );
    });

    test("its kernel is not packed: nothing watches a boot loader that fails to unpack one", () => {
      const directory = mkdtempSync(join(tmpdir(), "carpio-contents-"));
      try {
        const kernel = readFileSync(takeFile(imageOf(kind), "kernel8.img", directory));
        assert.equal(kernel.toString("latin1", MAGIC_AT, MAGIC_AT + MAGIC.length), MAGIC);
      } finally {
        rmSync(directory, { recursive: true });
      }
    });

    test("packed, it is small enough to download", () => {
      const { size } = statSync(`${imageOf(kind)}.zst`);
      assert.ok(size <= MOST_PACKED_BYTES, `${size} bytes`);
    });

    test("its sums are those of everything that was made with it", () => {
      const folder = dirname(imageOf(kind));
      const sumsOf = (names: readonly string[]) =>
        names.map((name) => `${digestOf(join(folder, name))}  ${name}\n`).toSorted();
      const listedIn = (name: string) =>
        readFileSync(join(folder, name), "utf8")
          .split(/(?<=\n)/)
          .toSorted();
      const files = madeWith(kind).filter((name) => !name.endsWith(".sha256") && name !== UPDATE);
      assert.deepEqual(listedIn(`carpio-${kind}.sha256`), sumsOf(files));
      // Another board's image makes it anew.
      assert.deepEqual(listedIn(UPDATE_SUMS), sumsOf([UPDATE]));
    });

    test("it has no key, no password, and no path or name of the computer that made it", () => {
      const directory = mkdtempSync(join(tmpdir(), "carpio-contents-"));
      try {
        const files = unpack(kind, directory);
        assert.ok(files.length > 50, `${files.length} files`);
        assert.deepEqual(
          files.filter((file) => SECRET_NAMES.test(file)),
          [],
        );
        const traces = [root, tmpdir() + "/carpio-", join(homedir(), "."), hostname()].filter(
          (it) => it.length > 6,
        );
        for (const file of files) {
          const text = readFileSync(file, "latin1");
          assert.ok(SELF_TESTED.test(file) || !KEY.test(text), `${file}: found a private key`);
          for (const trace of traces) assert.ok(!text.includes(trace), `${file}: found ${trace}`);
        }
        // One whose password is elsewhere, where SECRET_NAMES has found none.
        const users = readFileSync(join(directory, "slot-a.sqf.d/etc/passwd"), "utf8");
        assert.equal(users, "root:x:0:0:root:/root:/bin/sh\n");
      } finally {
        rmSync(directory, { recursive: true });
      }
    });

    test("what a start reads ahead is there, and so much of it", () => {
      const directory = mkdtempSync(join(tmpdir(), "carpio-contents-"));
      try {
        const slot = takeFile(imageOf(kind), "slot-a.sqf", directory);
        const listed = execFileSync("unsquashfs", ["-ll", slot], { encoding: "utf8" });
        const sizes = [...listed.matchAll(/ (\d+) \S+ \S+ squashfs-root\/(\S+)$/gm)];
        const sizeOf = new Map(sizes.map(([, size, file]) => [file, Number(size)]));
        const list = execFileSync("unsquashfs", ["-cat", slot, "usr/lib/carpio/first"], { encoding: "utf8" });
        const lines = list.trimEnd().split("\n");
        for (const line of lines) {
          const [file, skip = 0, count = 0] = line.split(" ");
          const end = (Number(skip) + Number(count)) * AHEAD_BLOCK;
          assert.ok((sizeOf.get(file) ?? 0) > end, `${line}: it has ${sizeOf.get(file)} bytes`);
        }
        assert.ok(lines.some((line) => /^usr\/bin\/node \d+ [1-9]\d*$/.test(line)));
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  });
}

test("the device trees say what Debian's leave open", () => {
  const directory = mkdtempSync(join(tmpdir(), "carpio-contents-"));
  try {
    const card = imageOf("raspberrypi");
    const trees = listFiles(card).filter((name) => name.endsWith(".dtb"));
    // In Debian's tree of this one a GPIO turns it off, for which Debian's kernel has no driver.
    assert.ok(trees.includes("bcm2711-rpi-400.dtb"), trees.join());
    for (const name of trees) takeFile(card, name, directory);
    const ask = (...question: readonly string[]) =>
      execFileSync("fdtget", question, { cwd: directory, encoding: "utf8" }).trim().split("\n");
    const withoutPowerOff = trees.filter(
      (name) => !ask("-p", name, POWER_MANAGEMENT).includes("system-power-controller"),
    );
    assert.deepEqual(withoutPowerOff, []);
    // Its only port would wait for a computer that it is plugged into.
    assert.deepEqual(ask(ZERO, USB, "dr_mode"), ["host"]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("made again in another folder, with another umask and time zone, all of it has the same bytes", {
  timeout: 1_200_000,
}, () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "another folder "));
  try {
    // With their times: otherwise npm's packages look older than what asks for them.
    const options = { preserveTimestamps: true };
    for (const name of sources()) cpSync(join(root, name), join(elsewhere, name), options);
    execFileSync("cp", ["-a", join(root, "node_modules"), elsewhere]);
    cpSync(join(root, "build/inputs"), join(elsewhere, "build/inputs"), { recursive: true });
    const SOURCE_DATE_EPOCH = git("log", "-1", "--format=%ct").trim();
    execFileSync("sh", ["-c", `umask ${ELSEWHERE.UMASK} && exec scripts/image virt`], {
      cwd: elsewhere,
      env: { ...process.env, ...ELSEWHERE, SOURCE_DATE_EPOCH },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const digests = (folder: string) =>
      madeWith("virt").map((name) => `${digestOf(join(folder, name))}  ${name}`);
    assert.deepEqual(digests(join(elsewhere, "dist")), digests(dirname(imageOf("virt"))));
  } finally {
    rmSync(elsewhere, { recursive: true, force: true });
  }
});

/** What scripts/image leaves in dist/. */
function madeWith(kind: Kind): readonly string[] {
  const own = [".img", ".img.zst", ".spdx.json", ".sha256"].map((ending) => `carpio-${kind}${ending}`);
  const forImager = kind === "raspberrypi" ? [`carpio-${kind}.imager.json`, "carpio.svg"] : [];
  return [...own, ...forImager, UPDATE, UPDATE_SUMS];
}

/** Everything that is on the card, and in its archives; gives all files. */
function unpack(kind: Kind, directory: string): readonly string[] {
  const card = imageOf(kind);
  for (const name of listFiles(card)) {
    const file = takeFile(card, name, directory);
    if (name === "base.img") {
      execFileSync("sh", [
        "-c",
        `mkdir "$1.d" && cd "$1.d" && zstd -dcq "$1" | cpio -id --quiet`,
        "sh",
        file,
      ]);
    }
    if (name.endsWith(".sqf")) {
      execFileSync("unsquashfs", ["-quiet", "-no-progress", "-dest", `${file}.d`, file], { stdio: "ignore" });
    }
  }
  return execFileSync("find", [directory, "-type", "f"], { encoding: "utf8" }).trim().split("\n");
}

function sources(): readonly string[] {
  const listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard");
  return listed.split("\0").filter((name) => name !== "");
}

function git(...parameters: readonly string[]): string {
  return execFileSync("git", parameters, { cwd: root, encoding: "utf8" });
}
