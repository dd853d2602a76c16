/**
 * A daemon that does not leave politely: killed, killed together with its
 * guard, stopped and continued, started again at once; and its helpers killed
 * one by one. The address must go from that board, and come to no harm on the
 * other.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ADVSKEWS, ROLE_DEADLINE_MS, startBoard, startPair } from "./boards.js";
import { type Moment, now } from "./child.js";
import {
  CARP,
  calm,
  DEADLINE_MS,
  devicesOf,
  FLOATING,
  groupOf,
  letsGo,
  nextAdvertisement,
  roleChanges,
  servedBy,
} from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { CARPIO, carpioDoes, type Daemon, VIRTUAL_ADDRESS } from "./peers.js";
import { type Helper, obstruct, pidOf, processesOn } from "./sabotage.js";

await becomeLabRoot();

/** Wanted are 100 ms; a busy machine may need longer. The lease, renewed just before, would need 2 s. */
const FREED_MS = 1000;
/** 2 s, which the kernel counts in whole seconds and looks at when it likes. */
const LEASE_MS = 2000 + 1000;
/** 3 x advbase and the advskew, as on the BSDs. */
const RIGHT_MASTER_DOWN_MS = 3000 + (ADVSKEWS.right * 1000) / 256;
/** What a busy machine may add to anything. */
const NOISE_MS = 1000;
const MACS = ["virtual", "interface"] as const;

for (const mac of MACS) {
  test(`SIGKILL, ${mac} MAC: the guard takes the addresses off at once`, async (t) => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab, [{ mac }]);
    const killedAt = await killOnceRenewed(left);

    for (const address of FLOATING) {
      const freedMs = (await letsGo(lab, "left", address, killedAt)) - killedAt;
      t.diagnostic(`left had let go of ${address} ${freedMs.toFixed(1)} ms after SIGKILL`);
      assert.ok(freedMs < FREED_MS, `${address} was gone after ${freedMs.toFixed(1)} ms`);
    }
    const taken = await right.enters("master", ROLE_DEADLINE_MS, killedAt);
    assert.match(taken.text, /master timed out$/);
    await servedBy(lab, ["right"]);
    await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
    assert.deepEqual(await devicesOf(lab.left), ["lo", "eth0"]);
  });
}

describe("several at once", { concurrency: 4, timeout: 240_000 }, () => {
  test("SIGKILL and release: the backup takes over at once, and everything is put back", async (t) => {
    await using lab = await Lab.open();
    const untouched = await settingsOf(lab.left);
    // Nobody could mistake its patience for the bow-out, however busy the machine.
    const { left, right } = await startPair(lab, [{}], { left: {}, right: { advbase: 5 } });
    assert.notDeepEqual(await settingsOf(lab.left), untouched, "there is something to put back");
    const killedAt = await killOnceRenewed(left);
    await carpioDoes(lab.left, "release");
    const taken = await right.enters("master", ROLE_DEADLINE_MS, killedAt);
    t.diagnostic(`right was master ${(taken.at - killedAt).toFixed(1)} ms after SIGKILL and release`);
    assert.match(taken.text, /backup -> master: master bowed out$/);
    await servedBy(lab, ["right"]);

    assert.deepEqual(await settingsOf(lab.left), untouched);
    assert.deepEqual(await devicesOf(lab.left), ["lo", "eth0"]);
    assert.equal(await lab.left.run(["nft", "list", "tables"]), "");
    assert.equal(await lab.left.run(["ls", "-A", "/run/carpio"]), "");
    assert.deepEqual(await processesOn(lab.left), []);
    assert.deepEqual(roleChanges([right], taken.at + 1), []);
  });

  test("SIGKILL of a backup and release: nothing is said, and nobody notices", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const calmAt = await calm(lab);
    const spoken = await lab.right.capture({ at: "port", filter: CARP, direction: "in" });
    const heard = await lab.left.capture({ filter: CARP, direction: "out" });
    await right.child.kill("SIGKILL");
    await right.child.ended;
    await carpioDoes(lab.right, "release");
    await heard.frame(DEADLINE_MS, now());

    await spoken.stop();
    assert.deepEqual(await spoken.print(), []);
    assert.deepEqual(roleChanges([left], calmAt), []);
    assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["left"]);
    assert.deepEqual(await devicesOf(lab.right), ["lo", "eth0"]);
  });

  for (const mac of MACS) {
    test(`SIGKILL of daemon and guard together, ${mac} MAC: the lease ends`, async (t) => {
      await using lab = await Lab.open();
      const { left, right } = await startPair(lab, [{ mac }]);
      await nextAdvertisement(lab.left);
      const killedAt = now();
      process.kill(await pidOf(left, "guard"), "SIGKILL");
      await left.child.kill("SIGKILL");

      const taken = await right.enters("master", ROLE_DEADLINE_MS, killedAt);
      for (const address of FLOATING) {
        const freedAt = await letsGo(lab, "left", address, killedAt);
        t.diagnostic(`left had let go of ${address} ${(freedAt - killedAt).toFixed(0)} ms after SIGKILL`);
        assert.ok(freedAt - killedAt < LEASE_MS + NOISE_MS);
        assert.ok(freedAt - taken.at < 1000 + NOISE_MS);
      }
      // The next start finds the device as it was left, and clears it away.
      const again = startBoard(lab.left, [{ mac }]);
      await again.enters("master", ROLE_DEADLINE_MS);
      await servedBy(lab, ["left"]);
    });

    test(`SIGSTOP, ${mac} MAC: gone within the lease; SIGCONT: it listens before it says anything`, async (t) => {
      await using lab = await Lab.open();
      const left = startBoard(lab.left, [{ mac, preempt: false }]);
      await left.enters("master", ROLE_DEADLINE_MS);
      const right = startBoard(lab.right, [{ mac, advskew: ADVSKEWS.right }]);
      await right.enters("backup", ROLE_DEADLINE_MS);
      await nextAdvertisement(lab.left);
      const stoppedAt = now();
      await left.child.kill("SIGSTOP");

      const taken = await right.enters("master", ROLE_DEADLINE_MS, stoppedAt);
      const takenMs = taken.at - stoppedAt;
      assert.ok(takenMs > RIGHT_MASTER_DOWN_MS - NOISE_MS, `right did not wait: ${takenMs.toFixed(0)} ms`);
      for (const address of FLOATING) {
        const freedAt = await letsGo(lab, "left", address, stoppedAt);
        const said = `left had let go of ${address} ${(freedAt - stoppedAt).toFixed(0)} ms after SIGSTOP`;
        t.diagnostic(`${said}, right took over after ${takenMs.toFixed(0)} ms`);
        assert.ok(freedAt - stoppedAt < LEASE_MS + NOISE_MS, said);
        assert.ok(freedAt - stoppedAt < RIGHT_MASTER_DOWN_MS + 1000, said);
      }
      await servedBy(lab, ["right"]);
      for (let i = 0; i < 2; i++) await nextAdvertisement(lab.right);

      const spoken = await lab.left.capture({ at: "port", filter: `${CARP} or arp`, direction: "in" });
      const continuedAt = now();
      await left.child.kill("SIGCONT");
      const back = await left.enters("backup", ROLE_DEADLINE_MS, continuedAt);
      assert.match(back.text, /master -> backup: was \d+\.\d s late: another may serve$/);
      for (let i = 0; i < 2; i++) await nextAdvertisement(lab.right);
      await spoken.stop();
      assert.deepEqual(await spoken.print(), []);
      assert.deepEqual(roleChanges([right], taken.at + 1), []);
      for (const address of FLOATING) {
        const taken = lab.holders.history(address).filter((it) => it.host === "left" && it.at >= continuedAt);
        assert.deepEqual(taken, []);
        assert.deepEqual(lab.holders.of(address), ["right"]);
      }
    });
  }

  test("SIGSTOP and SIGCONT of a board that preempts: it takes over as the better one, once", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const stoppedAt = now();
    await left.child.kill("SIGSTOP");
    await right.enters("master", ROLE_DEADLINE_MS, stoppedAt);
    for (let i = 0; i < 2; i++) await nextAdvertisement(lab.right);
    const continuedAt = now();
    await left.child.kill("SIGCONT");

    await left.enters("backup", ROLE_DEADLINE_MS, continuedAt);
    const again = await left.enters("master", ROLE_DEADLINE_MS, continuedAt);
    assert.match(again.text, /backup -> master: preempting a slower master$/);
    await servedBy(lab, ["left"]);
    assert.equal(roleChanges([left], continuedAt).length, 2);
    assert.equal(roleChanges([right], continuedAt).length, 1);
  });

  test("SIGSTOP past the lease, but not past the backup's patience: the addresses come back", async () => {
    await using lab = await Lab.open();
    const left = startBoard(lab.left);
    await left.enters("master", ROLE_DEADLINE_MS);
    const right = startBoard(lab.right, [{ advbase: 3 }]);
    await right.enters("backup", ROLE_DEADLINE_MS);
    await nextAdvertisement(lab.left);
    const stoppedAt = now();
    await left.child.kill("SIGSTOP");
    await servedBy(lab, []);
    await left.child.kill("SIGCONT");
    await servedBy(lab, ["left"]);
    assert.deepEqual(roleChanges([left], stoppedAt), []);
    assert.deepEqual(roleChanges([right], stoppedAt), []);
    const group = await groupOf(lab.left);
    assert.equal(group.holding, true);
  });

  test("started again right after SIGKILL: a slow guard cannot undo the new daemon's work", async () => {
    await using lab = await Lab.open();
    const first = startBoard(lab.left);
    await first.enters("master", ROLE_DEADLINE_MS);
    // The guard alone says -force first.
    await obstruct(lab.left, "ip", 'if [ "$1" = -force ]; then sleep 1; fi');
    await first.child.kill("SIGKILL");
    const second = startBoard(lab.left);
    const killedAt = now();
    await second.enters("backup", ROLE_DEADLINE_MS);
    await letsGo(lab, "left", VIRTUAL_ADDRESS, killedAt - 1);
    await second.enters("master", ROLE_DEADLINE_MS);
    await servedBy(lab, ["left"]);
    const servedAt = now();
    await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
    for (let i = 0; i < 2; i++) await nextAdvertisement(lab.left);
    const { noneMs } = lab.holders.between(VIRTUAL_ADDRESS, servedAt, now());
    assert.equal(noneMs, 0);
  });

  test("a second daemon and a release beside a running daemon are refused", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const calmAt = await calm(lab);
    for (const [command, said] of [
      ["run", /^carpio: carpio is running here already, as process \d+$/m],
      ["release", /^carpio: carpio is running here, as process \d+: stop it instead$/m],
    ] as const) {
      const { status, stderr } = await again(lab.left, command);
      assert.equal(status, 1);
      assert.match(stderr, said);
    }
    // A daemon that hangs cannot say which process it is.
    await right.child.kill("SIGSTOP");
    const { status, stderr } = await again(lab.right, "release");
    assert.equal(status, 1);
    assert.match(stderr, /^carpio: carpio is running here, as another process: stop it instead$/m);
    await right.child.kill("SIGCONT");

    await nextAdvertisement(lab.left);
    assert.deepEqual(roleChanges([left], calmAt), []);
    assert.deepEqual(roleChanges([right], calmAt), []);
    assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["left"]);
  });

  test("a daemon in another network of the same computer has notes of its own", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab, [{}], { left: {}, right: { advbase: 5 } });
    const calmAt = await calm(lab);
    const guard = await pidOf(left, "guard");
    const elsewhere = ["unshare", "--net", process.execPath, CARPIO];
    const config = ["--config", `${lab.left.directory}/carpio.toml`];
    const environment = { RUNTIME_DIRECTORY: "/run/carpio" };
    await lab.left.run([...elsewhere, "release", ...config], environment);
    const second = lab.left.spawn([...elsewhere, "run", ...config], environment);
    await second.waitForLine(/^carpio \S+ as left: 1 group$/, DEADLINE_MS);
    assert.equal((await second.stop()).status, 0);
    assert.equal(await pidOf(left, "guard"), guard);
    assert.deepEqual(roleChanges([left, right], calmAt), []);

    // What the first has written is still there for whoever mends its crash.
    const killedAt = await killOnceRenewed(left);
    await carpioDoes(lab.left, "release");
    const taken = await right.enters("master", ROLE_DEADLINE_MS, killedAt);
    assert.match(taken.text, /backup -> master: master bowed out$/);
    assert.equal(await lab.left.run(["ls", "-A", "/run/carpio"]), "");
  });

  test("the guard alone is killed: another starts, and does its work", async (t) => {
    await using lab = await Lab.open();
    const { left } = await startPair(lab);
    const guard = await pidOf(left, "guard");
    process.kill(guard, "SIGKILL");
    await left.child.waitForLine(/^warning: the guard has ended; another has started$/, DEADLINE_MS);
    assert.notEqual(await pidOf(left, "guard"), guard);
    const killedAt = await killOnceRenewed(left);
    const freedMs = (await letsGo(lab, "left", VIRTUAL_ADDRESS, killedAt)) - killedAt;
    t.diagnostic(`left had let go ${freedMs.toFixed(1)} ms after SIGKILL`);
    assert.ok(freedMs < FREED_MS, `gone after ${freedMs.toFixed(1)} ms`);
  });

  test("the warm ip is killed, once and again and again: nothing is lost", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const calmAt = await calm(lab);
    for (let i = 0; i < 5; i++) {
      process.kill(await pidOf(left, "ip"), "SIGKILL");
      await nextAdvertisement(lab.left);
    }
    assert.deepEqual(roleChanges([left], calmAt), []);
    assert.equal(lab.holders.between(VIRTUAL_ADDRESS, calmAt, now()).noneMs, 0);
    const group = await groupOf(lab.left);
    assert.equal(group.holding, true);
    assert.deepEqual(group.faults, []);

    // And while the roles change.
    const byeAt = now();
    const leaving = left.child.stop();
    for (const daemon of [right, right, right]) await killIfThere(daemon, "ip");
    await right.enters("master", ROLE_DEADLINE_MS, byeAt);
    await servedBy(lab, ["right"]);
    assert.equal((await leaving).status, 0);
  });

  test("the watcher of links is killed: a cable cut soon after is noticed all the same", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const watcher = await pidOf(left, "monitor");
    process.kill(watcher, "SIGKILL");
    while ((await pidOf(left, "monitor")) === watcher) await sleep(5);
    const cutAt = now();
    await lab.left.cutCable();
    await left.enters("init", ROLE_DEADLINE_MS, cutAt);
    await right.enters("master", ROLE_DEADLINE_MS, cutAt);
    // Cut again, and the watcher with it: what happened meanwhile is found out.
    process.kill(await pidOf(left, "monitor"), "SIGKILL");
    await lab.left.plugIn();
    await left.enters("master", ROLE_DEADLINE_MS, cutAt);
    await servedBy(lab, ["left"]);
  });
});

/** Kills a master right after it advertised, and with that renewed its lease. */
async function killOnceRenewed(daemon: Daemon): Promise<Moment> {
  await nextAdvertisement(daemon.host);
  const killedAt = now();
  await daemon.child.kill("SIGKILL");
  return killedAt;
}

async function killIfThere(daemon: Daemon, helper: Helper): Promise<void> {
  try {
    process.kill(await pidOf(daemon, helper), "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

/** Another process of the bundle beside the daemon, in its directories. */
function again(host: Host, command: "run" | "release") {
  const argv = [process.execPath, CARPIO, command, "--config", `${host.directory}/carpio.toml`];
  return host.attempt(argv, { RUNTIME_DIRECTORY: "/run/carpio" });
}

/** All that the kernel lets one set about the board's own interface. */
async function settingsOf(host: Host): Promise<readonly string[]> {
  const text = await host.run([
    "sysctl",
    "-a",
    "-r",
    "^net\\.ipv[46]\\.(conf|neigh)\\.(all|default|eth0)\\.",
  ]);
  return text.split("\n");
}
