/**
 * A card as the kernel has it is written: `scripts/flash` with a loop device,
 * which has partitions, a memory of its own, and others who would use it.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { MIB, makeSmallCard, onCard, POWERLESS, SMALL_CARD_BYTES } from "../small-card.js";
import { LoopDisc, whyNoLoopDiscs } from "./loop-disc.js";
import { Namespace } from "./namespace.js";

const program = join(import.meta.dirname, "../../scripts/flash.js");
const root = mkdtempSync(join(tmpdir(), "carpio-lab-flash-"));
after(() => rmSync(root, { recursive: true }));

const image = join(root, "card.img");
const config = join(root, "mine.toml");
const CONFIG = 'name = "left"\n[[carp]]\nvhid = 7\ninterface = "eth0"\naddresses = ["192.0.2.1/24"]\n';
const CARD_BYTES = 48 * MIB;
/** It cannot be taken out, as lsblk has it. */
const MEANT = "--fixed-disc";

describe("scripts/flash with a disc", { skip: whyNoLoopDiscs(root) ?? false }, () => {
  let folder: string;
  before(() => {
    makeSmallCard(image);
    writeFileSync(config, CONFIG);
  });
  beforeEach(() => {
    folder = mkdtempSync(join(root, "test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("shows what it is, asks for its name, writes, reads back, and leaves no partition that is no more", () => {
    using disc = new LoopDisc(folder, CARD_BYTES);
    const part = disc.addPartition(16 * MIB);
    const { status, stdout, stderr } = flash([disc.path, image, MEANT], { answer: `${disc.name}\n` });
    assert.equal(stderr, "");
    assert.equal(status, 0);
    const shown = `\n${disc.path}: no model name, 50.3 MB\n  ${part}  16.8 MB  no file system known\n\n`;
    assert.ok(stdout.includes(`${shown}Everything on it will be lost. Type ${disc.name} to write to it: `));
    assert.match(stdout, /writes 100 % of 34\.6 MB\n[\s\S]*reads back 100 % of [\s\S]*written and verified/);
    const medium = readFileSync(disc.medium);
    assert.ok(medium.subarray(0, SMALL_CARD_BYTES).equals(readFileSync(image)));
    assert.ok(medium.subarray(SMALL_CARD_BYTES).equals(Buffer.alloc(CARD_BYTES - SMALL_CARD_BYTES)));
    assert.ok(!disc.hasPartition());
  });

  test("is the user's own, without root's power, and gets its configuration", () => {
    using disc = new LoopDisc(folder, CARD_BYTES);
    const args = [disc.path, image, MEANT, "--yes", "--config", config];
    const { status, stdout, stderr } = flash(args, { before: POWERLESS });
    assert.doesNotMatch(stderr, /^flash:/m);
    assert.equal(status, 0);
    assert.match(stdout, /mine\.toml is on it as carpio\.toml\n.*written and verified/);
    assert.equal(onCard(disc.medium, "carpio.toml"), CONFIG);
  });

  const refusals: readonly {
    why: string;
    says: RegExp;
    bytes?: number;
    losetup?: readonly string[];
    args?: readonly string[];
    /** What is done with it before; what is written to is the disc, unless this returns something else. */
    use?: (disc: LoopDisc, at: string) => string | undefined;
  }[] = [
    {
      why: "of which a partition is mounted",
      says: /\/dev\/\w+p1 is mounted on .*: `umount \/dev\/\w+p1` first/,
      use: (disc, at) => void disc.mount(disc.addPartition(16 * MIB), at),
    },
    {
      why: "that is mounted as a whole",
      says: /\/dev\/\w+ is mounted on /,
      use: (disc, at) => void disc.mount(disc.path, at),
    },
    {
      why: "that is a partition",
      says: /is a partition, wanted the whole disc/,
      use: (disc) => disc.addPartition(16 * MIB),
    },
    {
      why: "that is a sector too small",
      says: /has 34\.6 MB, wanted at least 34\.6 MB for the image/,
      bytes: SMALL_CARD_BYTES - 512,
    },
    { why: "that is read-only", says: /is read-only/, losetup: ["--read-only"] },
    { why: "that stays in the computer", says: /cannot be taken out.*--fixed-disc/, args: [] },
  ];
  for (const { why, says, bytes = CARD_BYTES, losetup = [], args = [MEANT], use } of refusals) {
    test(`refuses one ${why}, before it asks`, () => {
      using disc = new LoopDisc(folder, bytes, losetup);
      const target = use?.(disc, join(folder, "mounted")) ?? disc.path;
      refuses(disc, [target, image, ...args], says);
    });
  }

  test("refuses one that is in use where lsblk cannot see it, before it asks", async () => {
    using disc = new LoopDisc(folder, CARD_BYTES);
    execFileSync("mkfs.ext4", ["-q", disc.path]);
    await using desktop = await Namespace.open("desktop");
    await desktop.run(["mount", disc.path, "/run"]);
    refuses(disc, [disc.path, image, MEANT], /\/dev\/\w+: .*\(EBUSY\): somebody uses it/);
  });

  test("takes no yes for its name", () => {
    using disc = new LoopDisc(folder, CARD_BYTES);
    const { status, stderr } = flash([disc.path, image, MEANT], { answer: "yes\n" });
    assert.match(stderr, /^flash: nothing was written$/m);
    assert.equal(status, 1);
    assert.ok(readFileSync(disc.medium).equals(Buffer.alloc(CARD_BYTES)));
  });

  test("finds that a card has forgotten a byte, whatever the kernel remembers", () => {
    using disc = new LoopDisc(folder, CARD_BYTES);
    const forget = `printf x | dd of=${disc.medium} bs=1 seek=${8 * MIB} conv=notrunc status=none`;
    const { status, stdout, stderr } = flash([disc.path, image, MEANT, "--yes"], { first: { dd: forget } });
    assert.match(stderr, /what was read back is not what was written/);
    assert.equal(status, 1);
    assert.doesNotMatch(stdout, /verified/);
  });

  test("finds the same of its configuration, and when somebody else has the card open", () => {
    using disc = new LoopDisc(folder, CARD_BYTES);
    const forget = `
      at=$(LC_ALL=C grep --byte-offset --only-matching --text 'vhid = 7' ${disc.medium} | cut -d: -f1)
      [ -z "$at" ] || printf x | dd of=${disc.medium} bs=1 seek="$at" conv=notrunc status=none`;
    const args = [disc.path, image, MEANT, "--yes", "--config", config];
    const { status, stdout, stderr } = flash(args, {
      // As udev has every disc that somebody wrote to, for a moment.
      before: ["sh", "-c", `exec 9<${disc.path} "$@"`, "sh"],
      first: { dd: forget },
    });
    assert.match(stderr, /carpio\.toml on \/dev\/\w+ is not what .*mine\.toml is/);
    assert.equal(status, 1);
    assert.doesNotMatch(stdout, /is on it as|verified/);
  });

  test("lets nobody else at the card until the configuration is on it", () => {
    using disc = new LoopDisc(folder, CARD_BYTES);
    const seen = join(folder, "seen");
    // Who mounts a part of it has to have it alone as well, if only with others who do.
    const take = `blockdev --rereadpt ${disc.path} 2>${seen} && echo taken >${seen}`;
    const args = [disc.path, image, MEANT, "--yes", "--config", config];
    const { status } = flash(args, { first: { mcopy: take } });
    assert.equal(status, 0);
    assert.match(readFileSync(seen, "utf8"), /busy/);
  });

  test("says of which card it is that the system cannot write it", () => {
    const at = join(folder, "small");
    mkdirSync(at);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", at]);
    try {
      using disc = new LoopDisc(at, CARD_BYTES);
      const { status, stdout, stderr } = flash([disc.path, image, MEANT, "--yes"]);
      assert.match(
        stderr,
        new RegExp(`^flash: ${disc.path}: .*: the card is broken, .* smaller than it says$`, "m"),
      );
      assert.equal(status, 1);
      assert.doesNotMatch(stdout, /reads back/);
    } finally {
      execFileSync("umount", [at]);
    }
  });

  function refuses(disc: LoopDisc, args: readonly string[], says: RegExp): void {
    const before = readFileSync(disc.medium);
    const { status, stdout, stderr } = flash(args, { answer: `${disc.name}\n` });
    assert.match(stderr, says);
    assert.equal(status, 1);
    assert.doesNotMatch(stdout, /Type/);
    assert.ok(readFileSync(disc.medium).equals(before));
  }

  interface Surroundings {
    readonly answer?: string;
    readonly before?: readonly string[];
    /** What happens just before a program that it starts, by that program's name. */
    readonly first?: Readonly<Record<string, string>>;
  }

  function flash(args: readonly string[], { answer = "", before = [], first = {} }: Surroundings = {}) {
    const path = process.env["PATH"] ?? "";
    for (const [name, script] of Object.entries(first)) {
      const text = `#!/bin/sh\nPATH=${path}\n${script}\nexec ${name} "$@"\n`;
      writeFileSync(join(folder, name), text, { mode: 0o755 });
    }
    const [command = "", ...rest] = [...before, process.execPath, program, ...args];
    const env = { ...process.env, LC_ALL: "C", PATH: `${folder}:${path}` };
    return spawnSync(command, rest, { encoding: "utf8", input: answer, env });
  }
});
