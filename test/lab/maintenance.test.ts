/**
 * The handover: `carpio maintenance on` on a board that serves. The others take
 * over before it lets go, and it stays out of their way until it is called back.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import {
  addressesOf,
  assertNothingLost,
  boardConfig,
  CONTROL,
  type Group,
  groupsOf,
  lossesDuring,
  maintenance,
  ROLE_DEADLINE_MS,
  startBoard,
  startPair,
} from "./boards.js";
import { now } from "./child.js";
import {
  calm,
  DEADLINE_MS,
  FLOATING,
  groupOf,
  roleChanges,
  servedBy,
  snapshotOf,
  until,
} from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { CARPIO, carpio, ucarp, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

const BOARDS = { boards: ["left", "right", CONTROL] };
const kinds: readonly { readonly is: string; readonly groups: readonly Group[] }[] = [
  { is: "virtual MAC", groups: [{}] },
  { is: "the interface's own MAC", groups: [{ mac: "interface" }] },
  { is: "without preempt", groups: [{ preempt: false }] },
  { is: "two groups", groups: [{}, { vhid: 8, addresses: ["192.0.2.8/24"] }] },
];

describe("handing over", { concurrency: 2, timeout: 240_000 }, () => {
  for (const { is, groups } of kinds) {
    test(`to another carpio and back, ${is}: nothing is lost`, async (t) => {
      await using lab = await Lab.open(BOARDS);
      const { left, right } = await startPair(lab, groups);
      const calmAt = await calm(lab);
      const addresses = groups.flatMap(addressesOf);
      const losses = await lossesDuring(lab, addresses, async () => {
        const said = await maintenance(lab.left, "on");
        assert.match(
          said.stdout,
          /^this board: maintenance is on; handed over to \S+ in [\d.]+ ms: safe to unplug$/m,
        );
        t.diagnostic(said.stdout.trim());
        await servedBy(lab, ["right"], addresses);
        const { role, maintenance: shown, carp, demotion } = await snapshotOf(lab.left);
        assert.deepEqual([role, shown.on, shown.handover.state], ["backup", true, "handed-over"]);
        assert.deepEqual(
          [carp[0]?.advertisedAdvskew, demotion],
          [240, { advskew: 240, reasons: ["maintenance"] }],
        );

        assert.match((await maintenance(lab.left, "off")).stdout, /maintenance is off$/m);
        if (groups[0]?.preempt === false) return;
        await servedBy(lab, ["left"], addresses);
      });
      assertNothingLost(losses);
      const changes = roleChanges([left, right], calmAt).filter((line) => /-> (master|backup)/.test(line));
      assert.equal(
        changes.length,
        (groups[0]?.preempt === false ? 2 : 4) * groups.length,
        changes.join("\n"),
      );
    });
  }

  for (const preempt of [true, false]) {
    test(`to ucarp ${preempt ? "that preempts" : "that does not preempt"}: nothing is lost`, async () => {
      await using lab = await Lab.open(BOARDS);
      const left = startBoard(lab.left, [{ addresses: [`${VIRTUAL_ADDRESS}/24`], mac: "interface" }]);
      await left.enters("master", ROLE_DEADLINE_MS);
      const right = ucarp(lab.right, { advskew: 50, preempt });
      await right.enters("backup", ROLE_DEADLINE_MS);
      const losses = await lossesDuring(lab, [VIRTUAL_ADDRESS], async () => {
        assert.match((await maintenance(lab.left, "on")).stdout, /handed over to 192\.0\.2\.3/);
        await servedBy(lab, ["right"], [VIRTUAL_ADDRESS]);
      });
      assertNothingLost(losses);
    });
  }

  test("nobody is there: it serves on, says so, and hands over when somebody has come", async () => {
    await using lab = await Lab.open(BOARDS);
    const left = startBoard(lab.left, [{ preempt: false }]);
    await left.enters("master", ROLE_DEADLINE_MS);
    const losses = await lossesDuring(lab, FLOATING, async () => {
      const { status, stderr } = await maintenance(lab.left, "on");
      assert.equal(status, 1);
      assert.match(stderr, /^carpio: this board: nobody took over, so it still serves: do not unplug it$/m);
      await servedBy(lab, ["left"]);
      assert.equal((await snapshotOf(lab.left)).maintenance.handover.state, "no-taker");

      startBoard(lab.right, [{ advskew: 50, preempt: false }]);
      const isHandedOver = ({ maintenance: it }: Snapshot) => it.handover.state === "handed-over";
      await until(lab.left, isHandedOver, 2 * ROLE_DEADLINE_MS);
      await servedBy(lab, ["right"]);
    });
    assertNothingLost(losses);
  });

  test("the other board is in maintenance itself, and says so when it is asked", async () => {
    await using lab = await Lab.open();
    const asking = (name: "left" | "right", other: Host, advskew: number) =>
      boardConfig(name, [{ advskew }])
        .replace("127.0.0.1:8080", "0.0.0.0:8080")
        .replace("[[carp]]", `peers = ["http://${other.address}:8080"]\n[[carp]]`);
    const left = carpio(lab.left, asking("left", lab.right, 0));
    const right = carpio(lab.right, asking("right", lab.left, 50));
    await Promise.all([left.enters("master", ROLE_DEADLINE_MS), right.enters("backup", ROLE_DEADLINE_MS)]);
    await until(lab.right, ({ carp }) => carp[0]?.master !== null);
    assert.match((await maintenance(lab.right, "on")).stdout, /it served nothing/);
    const calmAt = await calm(lab);
    assert.equal((await maintenance(lab.left, "on")).status, 1);
    await servedBy(lab, ["left"]);
    assert.deepEqual(roleChanges([left, right], calmAt), []);

    await maintenance(lab.right, "off");
    await right.enters("master", ROLE_DEADLINE_MS, calmAt);
    await until(lab.left, ({ maintenance: it }) => it.handover.state === "handed-over");
  });

  test("a power cut does not forget it: the board comes back and stands aside", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    await maintenance(lab.left, "on");
    await servedBy(lab, ["right"]);
    await left.child.kill("SIGKILL");
    await left.child.ended;
    const calmAt = now();
    const again = startBoard(lab.left, groupsOf("left"));
    await again.child.waitForLine(/^maintenance: on, as before the restart$/, DEADLINE_MS);
    await again.enters("backup", ROLE_DEADLINE_MS);
    const { received } = (await groupOf(lab.left)).counters;
    await until(lab.left, ({ carp }) => (carp[0]?.counters.received ?? 0) > received + 3);
    assert.equal((await snapshotOf(lab.left)).maintenance.on, true);
    assert.deepEqual(roleChanges([right], calmAt), []);

    // The other one dies: somebody has to serve.
    await right.child.kill("SIGKILL");
    await again.enters("master", ROLE_DEADLINE_MS, calmAt);
    await until(lab.left, ({ maintenance: it }) => it.handover.state === "no-taker");
  });

  test("for a time: it ends by itself", async () => {
    await using lab = await Lab.open();
    const { left } = await startPair(lab);
    const askedAt = now();
    assert.match(
      (await maintenance(lab.left, "on", "--for", "2s")).stdout,
      /maintenance is on, until \d{4}-/,
    );
    await left.child.waitForLine(/^maintenance: off, by its end$/, DEADLINE_MS, askedAt);
    await left.enters("master", ROLE_DEADLINE_MS, askedAt);
    await servedBy(lab, ["left"]);
  });

  test("the state cannot be kept: it is done all the same, and told", async () => {
    await using lab = await Lab.open();
    await startPair(lab);
    const { STATE_DIRECTORY: directory = "" } = { STATE_DIRECTORY: join(lab.left.directory, "state") };
    await lab.left.run(["mount", "-t", "tmpfs", "-o", "ro", "none", directory]);
    assert.match((await maintenance(lab.left, "on")).stdout, /handed over/);
    const { faults } = await snapshotOf(lab.left);
    assert.match(faults.join(), /^maintenance will be forgotten at a restart: .*EROFS/);
  });

  test("from another host: with the token alone", async () => {
    await using lab = await Lab.open();
    const open = boardConfig("left", [{}])
      .replace("127.0.0.1:8080", "0.0.0.0:8080")
      .replace("[[carp]]", 'token_file = "token"\n[[carp]]');
    writeFileSync(join(lab.left.directory, "token"), "open sesame\n");
    const left = carpio(lab.left, open);
    await left.enters("master", ROLE_DEADLINE_MS);
    const file = join(lab.client.directory, "carpio.toml");
    const ask = async (...more: readonly string[]) =>
      lab.client.attempt([process.execPath, CARPIO, ...more, lab.left.address, "--config", file]);
    const refused = await ask("maintenance", "on");
    assert.deepEqual(
      [refused.status, refused.stderr],
      [
        1,
        `carpio: ${lab.left.address}: authorization: found none, wanted Bearer and the token (--token-file FILE)\n`,
      ],
    );
    for (const [token, said] of [
      ["wrong", "authorization: the token is wrong (--token-file FILE)"],
      ["open sesame", "nobody took over, so it still serves: do not unplug it"],
    ] as const) {
      writeFileSync(join(lab.client.directory, "token"), token);
      const named = `peers = ["http://${lab.left.address}:8080"]`;
      writeFileSync(file, `[status]\ntoken_file = "token"\n${named}\n`);
      const { stderr } = await ask("maintenance", "on");
      assert.equal(stderr, `carpio: ${lab.left.address}: ${said}\n`);
    }
    const shown = await ask("status");
    assert.match(shown.stdout, /^left: master \(carpio /);
    assert.match(shown.stdout, /^7 +eth0 +master +\d+ s +192\.0\.2\.1\/24 2001:db8::1\/64 +this board +/m);
    assert.deepEqual(JSON.parse((await ask("status", "--json")).stdout).role, "master");
    assert.ok(!`${shown.stdout}${left.child.text("stderr")}`.includes("sesame"));
  });
});
