/**
 * The command line as a shell sees it: what it prints, and its exit status.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

const MAIN = join(import.meta.dirname, "../src/main.js");
const GOOD_GROUP =
  '[[carp]]\nvhid = 7\ninterface = "eth0"\npassword = "secret"\naddresses = ["192.0.2.1/24"]\n';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "carpio-cli-"));
});
after(() => rmSync(folder, { recursive: true }));

function carpio(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", cwd: folder });
}

function write(text: string): string {
  const file = join(folder, "carpio.toml");
  writeFileSync(file, text);
  return file;
}

const usages = [
  { args: [], says: /a command is wanted/ },
  { args: ["fly"], says: /there is no command fly/ },
  { args: ["constructor"], says: /there is no command constructor/ },
  { args: ["check", "--colour"], says: /check: .*--colour/ },
  { args: ["run", "--debug", "carp,nonsense"], says: /--debug: found nonsense, wanted some of carp, / },
  { args: ["decode"], says: /usage: carpio decode/ },
];
for (const { args, says } of usages) {
  test(`carpio ${args.join(" ")}: a usage error, status 64, and how it is meant`, () => {
    const { status, stderr, stdout } = carpio(...args);
    assert.equal(status, 64);
    assert.match(stderr, says);
    assert.match(stderr, /usage: carpio/);
    assert.equal(stdout, "");
  });
}

for (const args of [["--help"], ["help"], ["--version"]]) {
  test(`carpio ${args.join(" ")} answers on standard output with status 0`, () => {
    const { status, stderr, stdout } = carpio(...args);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /carpio/);
  });
}

test("check of a good file says so", () => {
  const { status, stdout } = carpio("check", "--config", write(GOOD_GROUP));
  assert.equal(status, 0);
  assert.match(stdout, /good, 1 group\n$/);
});

for (const command of ["check", "run", "release", "decode"]) {
  test(`${command} with a bad file: everything that is wrong, with its line, and status 78`, () => {
    const file = write(`${GOOD_GROUP}advskew = 255\nvolume = 11\n`);
    const more = command === "decode" ? ["00"] : [];
    const { status, stderr } = carpio(command, ...more, "--config", file);
    assert.equal(status, 78);
    assert.match(
      stderr,
      /carpio\.toml:6: carp\[0\]\.advskew: found 255, wanted a whole number from 0 to 254/,
    );
    assert.match(stderr, /carpio\.toml:7: carp\[0\]\.volume: /);
    assert.doesNotMatch(stderr, /secret/);
  });
}

test("a file that is not there is named, with status 78", () => {
  const { status, stderr } = carpio("check", "--config", join(folder, "nosuch.toml"));
  assert.equal(status, 78);
  assert.match(stderr, /nosuch\.toml: found no such file/);
});
