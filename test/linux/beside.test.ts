/**
 * Whoever runs programs, on a system that starts none for a while: it goes on,
 * says why, and works when the system does. In a process of its own, which has
 * its descriptors and its environment to spoil.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const SRC = new URL("../../src", import.meta.url).href;
const DEADLINE_MS = 30_000;

/** What spoils the system, and what Node then says; `plenty` mends it. */
const scarcities = [
  {
    when: "has no descriptors left",
    node: (program: string) => `spawn ${program} EMFILE`,
    spoil: `const open = [];
      const scarce = () => { try { for (;;) open.push(openSync("/dev/null")); } catch {} };
      const plenty = () => { for (const each of open.splice(0)) closeSync(each); };`,
  },
  {
    when: "refuses at once",
    node: () => "spawn E2BIG",
    spoil: `const scarce = () => { process.env.TOO_LONG = "x".repeat(1 << 18); };
      const plenty = () => { delete process.env.TOO_LONG; };`,
  },
];

type NodeSays = (program: string) => string;
const users: readonly { who: string; does: string; says: (node: NodeSays) => string }[] = [
  {
    who: "the warm ip",
    does: `const ip = openIp();
      scarce();
      const { answered, refusals } = await ip.run(["rule show"]);
      plenty();
      console.log(answered, refusals[0].said, (await ip.run(["rule show"])).answered);
      await ip.close();`,
    says: (node) => `false ${node("sh")} true`,
  },
  {
    who: "the watch of links",
    does: `scarce();
      const watch = watchLinks(() => {}, () => { console.log("it watches"); watch.close(); });
      setTimeout(plenty);`,
    says: () => "it watches",
  },
  {
    who: "a dead man's shell",
    does: `scarce();
      const onRestart = () => { console.log("there is another"); shell.dismiss(); };
      const shell = openDeadMan({ name: "test", script: "read -r line", restartMs: 10, onRestart });
      shell.arm("nothing");
      setTimeout(plenty);`,
    says: () => "there is another",
  },
  {
    who: "the runner of hooks",
    does: `scarce();
      const runner = openRunner();
      const { by, said } = await runner.run(["true"], {}, 10_000);
      plenty();
      console.log(by, said, (await runner.run(["true"], {}, 10_000)).by);
      runner.close();`,
    says: (node) => `shell cannot start a shell: ${node("sh")} itself`,
  },
  {
    who: "a program to its end",
    does: `scarce();
      const { failure } = await execute(["true"]);
      plenty();
      console.log(failure, (await execute(["true"])).failure);`,
    says: (node) => `${node("true")} undefined`,
  },
  {
    who: "the operator's command",
    does: `scarce();
      console.log(await runShell("poweroff"));`,
    says: (node) => `poweroff: ${node("sh")}`,
  },
  {
    who: "an announcement",
    does: `const address = { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) };
      scarce();
      console.log(await announceByHand("lo", "00:00:5e:00:01:07", [address]));`,
    says: (node) => `cannot announce 127.0.0.1 on lo: ${node("arping")}`,
  },
];

for (const { when, node, spoil } of scarcities) {
  for (const { who, does, says } of users) {
    test(`${who}, where the system ${when}`, () => {
      const program = `
        import { closeSync, openSync } from "node:fs";
        import { announceByHand } from "${SRC}/linux/announce.js";
        import { openDeadMan } from "${SRC}/linux/dead-man.js";
        import { openIp } from "${SRC}/linux/ip.js";
        import { watchLinks } from "${SRC}/linux/link.js";
        import { runShell } from "${SRC}/linux/power.js";
        import { execute } from "${SRC}/linux/program.js";
        import { openRunner } from "${SRC}/linux/runner.js";
        ${spoil}
        process.stdout.write("");
        ${does}`;
      const argv = ["--input-type=module", "--eval", program];
      const { stdout, stderr, status } = spawnSync(process.execPath, argv, {
        encoding: "utf8",
        timeout: DEADLINE_MS,
      });
      const said = `${says(node)}\n`;
      assert.deepEqual({ stdout, stderr, status }, { stdout: said, stderr: "", status: 0 });
    });
  }
}
