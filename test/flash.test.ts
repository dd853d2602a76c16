/**
 * Writing a card: which disc is refused and why, by lsblk's answers; and the
 * command itself, with files for cards.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Disc, describeDisc, readDisc, refusal } from "../scripts/flashing/disc.js";
import { MIB, makeSmallCard, onCard, POWERLESS } from "./small-card.js";

const program = join(import.meta.dirname, "../scripts/flash.js");
const folder = mkdtempSync(join(tmpdir(), "carpio-flash-"));
after(() => rmSync(folder, { recursive: true }));

const image = join(folder, "card.img");
const packed = `${image}.zst`;

const card: Disc = {
  name: "sdb",
  path: "/dev/sdb",
  type: "disk",
  size: 31_914_983_424,
  model: "STORAGE DEVICE  ",
  tran: "usb",
  rm: true,
  hotplug: true,
  ro: false,
  fstype: null,
  label: null,
  mountpoints: [null],
};
const part = { ...card, name: "sdb1", path: "/dev/sdb1", type: "part", size: 267_386_880, fstype: "vfat" };

function withPart(changes: Partial<Disc>): Disc {
  return { ...card, children: [{ ...part, ...changes }] };
}

describe("a disc", () => {
  const rows: readonly { is: string; disc: Disc; says: RegExp | undefined; fixedDisc?: true }[] = [
    { is: "an empty card", disc: card, says: undefined },
    { is: "a card with a partition that nobody uses", disc: withPart({}), says: undefined },
    { is: "a partition", disc: part, says: /\/dev\/sdb1 is a partition, wanted the whole disc/ },
    { is: "a DVD", disc: { ...card, type: "rom" }, says: /of type rom, wanted a disc/ },
    {
      is: "a card that the desktop has mounted",
      disc: withPart({ mountpoints: ["/media/me/CARPIO"] }),
      says: /\/dev\/sdb1 is mounted on \/media\/me\/CARPIO: `umount \/dev\/sdb1` first/,
    },
    {
      is: "a disc with the system on it",
      disc: withPart({ mountpoints: [null, "/"] }),
      says: /this computer runs from \/dev\/sdb: \/dev\/sdb1 is \//,
    },
    { is: "a disc with swap", disc: withPart({ mountpoints: ["[SWAP]"] }), says: /this computer runs from/ },
    {
      is: "a disc with the system inside an encrypted part",
      disc: withPart({
        children: [{ ...part, path: "/dev/mapper/root", type: "crypt", mountpoints: ["/"] }],
      }),
      says: /this computer runs from \/dev\/sdb: \/dev\/mapper\/root is \//,
    },
    {
      is: "a part of a RAID",
      disc: withPart({ children: [{ ...part, path: "/dev/md0", type: "raid1" }] }),
      says: /\/dev\/md0 \(raid1\) is in use/,
    },
    { is: "a reader without a card", disc: { ...card, size: 0 }, says: /no card in \/dev\/sdb/ },
    { is: "a card with its slider at lock", disc: { ...card, ro: true }, says: /read-only/ },
    {
      is: "a card that is too small",
      disc: { ...card, size: 64_000_000 },
      says: /has 64\.0 MB, wanted at least 134\.2 MB/,
    },
    {
      is: "a disc that stays in the computer",
      disc: { ...card, rm: false, hotplug: false },
      says: /cannot be taken out.*--fixed-disc/,
    },
    {
      is: "the same when it is meant",
      disc: { ...card, rm: false, hotplug: false },
      fixedDisc: true,
      says: undefined,
    },
    {
      is: "a system disc, whatever is meant",
      disc: withPart({ rm: false, hotplug: false, mountpoints: ["/"] }),
      fixedDisc: true,
      says: /runs from/,
    },
  ];
  for (const { is, disc, says, fixedDisc = false } of rows) {
    test(`${is} is ${says ? "refused" : "taken"}`, () => {
      const why = refusal(disc, { imageBytes: 128 * MIB, fixedDisc });
      if (says) assert.match(why ?? "nothing", says);
      else assert.equal(why, undefined);
    });
  }

  test("is shown with all that somebody may know it by", () => {
    const shown = describeDisc(withPart({ label: "PHOTOS\u001b[2J" }));
    assert.equal(
      shown,
      '/dev/sdb: STORAGE DEVICE, 31.9 GB, usb\n  /dev/sdb1  267.4 MB  vfat "PHOTOS\u{fffd}[2J"',
    );
  });

  test("is read from the answer of this computer's lsblk", () => {
    const { path } = readDisc(JSON.stringify({ blockdevices: [card] })) ?? {};
    assert.equal(path, "/dev/sdb");
    assert.equal(readDisc('{"blockdevices": []}'), undefined);
  });
});

describe("scripts/flash", () => {
  before(() => {
    makeSmallCard(image);
    mkdirSync(join(folder, "folder.img"));
    execFileSync("zstd", ["-q", "-1", image, "-o", packed]);
  });

  for (const [what, source] of [
    ["an image", image],
    ["a packed image", packed],
  ] as const) {
    test(`writes ${what} to a file, and says so`, () => {
      const target = join(folder, `to-${what.replaceAll(" ", "-")}`);
      const { status, stdout, stderr } = flash([target, source, "--yes"]);
      assert.equal(stderr, "");
      assert.equal(status, 0);
      assert.match(stdout, /writes 100 % of .*\n[\s\S]*reads back 100 % of .*\n[\s\S]*written and verified/);
      assert.ok(readFileSync(target).equals(readFileSync(image)));
    });
  }

  test("leaves the rest of a larger card as it is, and puts the configuration in", () => {
    const target = join(folder, "large");
    writeFileSync(target, "");
    truncateSync(target, 48 * MIB);
    const config = join(folder, "mine.toml");
    const text =
      'name = "left"\r\n[[carp]]\r\nvhid = 7\r\ninterface = "eth0"\r\naddresses = ["192.0.2.1/24"]\r\n';
    writeFileSync(config, text);
    const { status, stdout } = flash([target, packed, "--config", config, "--yes"]);
    assert.equal(status, 0);
    assert.match(stdout, /mine\.toml is on it as carpio\.toml/);
    assert.equal(readFileSync(target).length, 48 * MIB);
    assert.equal(onCard(target, "carpio.toml"), text);
  });

  test("puts what the configuration names beside it, byte for byte", () => {
    const beside = join(folder, "named");
    mkdirSync(beside);
    const files = {
      "key.txt": "mekmitasdigoat\r\n",
      token: "open sesame",
      "my rules.conf": 'include "sets.nft"\ntable ip gate {}\n',
      "sets.nft": 'include "more.nft"\n',
      "more.nft": "# none\n",
      "panel.toml": readFileSync("board/virt/board.toml", "utf8"),
      "carpio.toml": [
        'board = "./panel.toml"',
        ...["[[carp]]", "vhid = 7", 'interface = "eth0"', 'addresses = ["192.0.2.1/24"]'],
        'password_file = "key.txt"',
        ...["[status]", 'token_file = "token"', "[router]", 'nftables = "my rules.conf"', ""],
      ].join("\n"),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(beside, name), text);
    const target = join(folder, "named-card");
    const { status, stderr } = flash([target, packed, "--config", join(beside, "carpio.toml"), "--yes"]);
    assert.equal(stderr, "");
    assert.equal(status, 0);
    const found = Object.keys(files).map((name) => [name, onCard(target, name)]);
    assert.deepEqual(Object.fromEntries(found), files);
  });

  const unfit: readonly { why: string; toml: string; says: RegExp }[] = [
    {
      why: "lies elsewhere",
      toml: '[status]\ntoken_file = "/etc/hostname"\n',
      says: /unfit\.toml:2: status\.token_file: found "\/etc\/hostname", wanted a plain name .* beside carpio\.toml$/m,
    },
    {
      why: "lies in a folder",
      toml: '[router]\nnftables = "rules/nft.conf"\n',
      says: /unfit\.toml:2: router\.nftables: found "rules\/nft\.conf", wanted a plain name/,
    },
    {
      why: "is a board of one's own in a folder",
      toml: `board = "${join(import.meta.dirname, "../../board/virt/board.toml")}"\n`,
      says: /unfit\.toml:1: board: found ".*", wanted a plain name/,
    },
    {
      why: "is not there",
      toml: '[status]\ntoken_file = "none.txt"\n',
      says: /status\.token_file: found "none\.txt": no such file or directory \(ENOENT\), wanted a file beside/,
    },
    {
      why: "is a folder",
      toml: '[status]\ntoken_file = "unfit-folder"\n',
      says: /status\.token_file: found "unfit-folder": no file, wanted a file beside/,
    },
    {
      why: "is larger than what a board takes",
      toml: '[router]\nnftables = "unfit-large.conf"\n',
      says: /router\.nftables: found "unfit-large\.conf" of 1048576 bytes, wanted fewer than 1048576/,
    },
    {
      why: "would take the place of the kernel's command line",
      toml: '[router]\nnftables = "Cmdline.txt"\n',
      says: /router\.nftables: found "Cmdline\.txt", wanted another name/,
    },
    {
      why: "includes what is not there",
      toml: '[router]\nnftables = "unfit-includes.conf"\n',
      says: /router\.nftables: found "unfit-none\.nft": no such file or directory \(ENOENT\), wanted a file beside/,
    },
    {
      why: "is the board's own key",
      toml: '[status]\ntoken_file = "ssh_host_key"\n',
      says: /status\.token_file: found "ssh_host_key", wanted another name: this one is the board's own/,
    },
    {
      why: "is to a card the same as another",
      toml: '[status]\ntoken_file = "unfit-large.TXT"\n[router]\nnftables = "unfit-large.txt"\n',
      says: /router\.nftables: found "unfit-large\.txt", wanted another name: a card cannot tell it from "unfit-large\.TXT"/,
    },
    {
      why: "has an ending of the boot loader's",
      toml: '[[carp]]\nvhid = 7\ninterface = "eth0"\naddresses = ["192.0.2.1/24"]\npassword_file = "unfit.dat"\n',
      says: /unfit\.toml:5: carp\[0\]\.password_file: found "unfit\.dat", wanted another name/,
    },
  ];
  for (const { why, toml, says } of unfit) {
    test(`refuses a configuration when what it names ${why}, before it writes anything`, () => {
      const [config, target] = [join(folder, "unfit.toml"), join(folder, "unfit-card")];
      mkdirSync(join(folder, "unfit-folder"), { recursive: true });
      writeFileSync(join(folder, "unfit.dat"), "secret\n");
      for (const name of ["unfit-large.TXT", "unfit-large.txt"])
        writeFileSync(join(folder, name), "sesame\n");
      writeFileSync(join(folder, "unfit-includes.conf"), 'include "unfit-none.nft"\n');
      writeFileSync(join(folder, "unfit-large.conf"), "\n".repeat(1 << 20));
      writeFileSync(config, toml);
      const { status, stderr } = flash([target, image, "--config", config, "--yes"]);
      assert.match(stderr, says);
      assert.equal(status, 78);
      assert.ok(!existsSync(target));
    });
  }

  test("finds that it may not write before it asks", () => {
    const target = join(folder, "theirs");
    writeFileSync(target, "theirs", { mode: 0o444 });
    const { status, stdout, stderr } = flash([target, image], "yes\n", POWERLESS);
    assert.match(
      stderr,
      /^flash: \/\S*\/theirs: permission denied \(EACCES\): as root, such as `sudo scripts\/flash`$/m,
    );
    assert.equal(status, 1);
    assert.doesNotMatch(stdout, /Type yes/);
    assert.equal(readFileSync(target, "utf8"), "theirs");
  });

  const refused: readonly { why: string; args: readonly string[]; status: number; says: RegExp }[] = [
    { why: "a device that is not there", args: ["/dev/sdzz", image], status: 1, says: /no such device/ },
    { why: "a device that is no disc", args: ["/dev/null", image], status: 1, says: /no disc/ },
    { why: "a folder", args: [folder, image], status: 1, says: /neither a disc nor a file/ },
    {
      why: "a file in a folder that is not there",
      args: ["none/card", image],
      status: 1,
      says: /^flash: none: no such file or directory \(ENOENT\)$/m,
    },
    {
      why: "a file in what is no folder",
      args: [`${image}/card`, image],
      status: 1,
      says: /^flash: \/\S*\/card\.img\/card: not a directory \(ENOTDIR\)$/m,
    },
    {
      why: "a folder for an image",
      args: ["card", join(folder, "folder.img")],
      status: 1,
      says: /folder\.img: found [a-z ]+ \(EISDIR\)/,
    },
    ...["none.img", "none.img.zst"].map((name) => ({
      why: `an image that is not there, ${name}`,
      args: ["card", name],
      status: 1,
      says: new RegExp(
        `^flash: ${name}: found no such file or directory \\(ENOENT\\), wanted a whole image of a card$`,
        "m",
      ),
    })),
    {
      why: "a configuration that is not there",
      args: ["card", image, "--config", "none.toml"],
      status: 78,
      says: /^none\.toml: found no such file or directory \(ENOENT\), wanted a text file in UTF-8$/m,
    },
    {
      why: "an option that there is not",
      args: ["card", image, "--force"],
      status: 64,
      says: /^flash: found --force, wanted --config FILE, --yes or --fixed-disc; scripts\/flash --help says how$/m,
    },
    {
      why: "a configuration without a name",
      args: ["card", image, "--config"],
      status: 64,
      says: /^flash: --config: found no FILE, wanted a carpio\.toml; /m,
    },
    {
      why: "a yes with a value",
      args: ["card", image, "--yes=no"],
      status: 64,
      says: /^flash: --yes: found a value, wanted none; /m,
    },
    {
      why: "what is no image",
      args: ["card", "image.iso"],
      status: 64,
      says: /wanted a \.img or a \.img\.zst/,
    },
    { why: "nothing", args: [], status: 64, says: /found no DEVICE/ },
  ];
  for (const { why, args, status, says } of refused) {
    test(`refuses ${why}`, () => {
      const ended = flash([...args, "--yes"]);
      assert.match(ended.stderr, says);
      assert.equal(ended.status, status);
    });
  }

  const damaged: readonly { why: string; name: string; bytes: () => Buffer; says: RegExp }[] = [
    {
      why: "that ends too early",
      name: "short.img.zst",
      bytes: () => readFileSync(packed).subarray(0, -9),
      says: /^flash: \/\S*\/short\.img\.zst: found what zstd cannot unpack \([^/]*premature end\), wanted a whole image of a card$/m,
    },
    {
      why: "that is no archive",
      name: "zeros.img.zst",
      bytes: () => Buffer.alloc(MIB),
      says: /^flash: \/\S*\/zeros\.img\.zst: found what zstd cannot unpack \(unsupported format\), wanted a whole image/m,
    },
    { why: "that is none", name: "zeros.img", bytes: () => Buffer.alloc(MIB), says: /no partition table/ },
  ];
  for (const { why, name, bytes, says } of damaged) {
    test(`finds an image ${why} before it writes anything`, () => {
      const [source, target] = [join(folder, name), join(folder, `${name}-card`)];
      writeFileSync(source, bytes());
      const ended = flash([target, source, "--yes"]);
      assert.match(ended.stderr, says);
      assert.equal(ended.status, 1);
      assert.ok(!existsSync(target));
    });
  }

  test("reads the configuration before anything else", () => {
    const [config, target] = [join(folder, "bad.toml"), join(folder, "untouched")];
    writeFileSync(config, "[[carp]]\nvhid = 300\n");
    const { status, stderr } = flash([target, image, "--config", config, "--yes"]);
    assert.equal(status, 78);
    assert.match(stderr, /bad\.toml:2: carp\[0\]\.vhid: found 300, wanted a whole number from 1 to 255/);
    assert.ok(!existsSync(target));
  });

  for (const [answer, written] of [
    ["yes\n", true],
    ["y\n", false],
    ["", false],
  ] as const) {
    test(`takes ${JSON.stringify(answer)} for ${written ? "a yes" : "a no"}`, () => {
      const target = join(folder, `asked-${answer.trim()}`);
      const { status, stdout } = flash([target, image], answer);
      assert.match(stdout, /a new file\n\nType yes to write to it: /);
      assert.equal(status, written ? 0 : 1);
      assert.equal(existsSync(target), written);
    });
  }

  test("says of a file that is there that it will be lost", () => {
    const target = join(folder, "there");
    writeFileSync(target, "something");
    const { status, stdout } = flash([target, image]);
    assert.match(stdout, /a file of 9 bytes\n\nEverything on it will be lost\. Type yes/);
    assert.equal(status, 1);
    assert.equal(readFileSync(target, "utf8"), "something");
  });
});

function flash(args: readonly string[], input = "", before: readonly string[] = []) {
  const [command = "", ...rest] = [...before, process.execPath, program, ...args];
  return spawnSync(command, rest, { encoding: "utf8", input });
}
