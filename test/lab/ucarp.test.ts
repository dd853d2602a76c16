/**
 * carpio beside Debian's ucarp, each of them as master and as backup. What
 * ucarp does is in the specification, sections 5 and 8: one IPv4 address,
 * which lives on the interface's own MAC; not a word when it leaves; and up to
 * a second late. Whoever takes over, the client must reach it, though the MAC
 * behind the address changes each time.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Group, ROLE_DEADLINE_MS, startBoard, waitForAdvertisements, waitUntilHeard } from "./boards.js";
import { now } from "./child.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { type Daemon, ucarp, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

/** What a master that leaves may cost, whoever comes after it. */
const LEAVE_MS = 1500;
/** 3 x 1 s + 50/256 s. */
const MASTER_DOWN_MS = 3195;
const NOISE_MS = 2000;
const VIRTUAL_MAC = "00:00:5e:00:01:07";

describe("beside ucarp", { concurrency: 4 }, () => {
  for (const preempt of [false, true]) {
    const such = `ucarp with${preempt ? "" : "out"} --preempt`;

    test(`a carpio master leaves: ${such} obeys the bow-out and serves within 1.5 s`, async (t) => {
      await using lab = await Lab.open();
      const master = await carpioMaster(lab.left);
      const backup = ucarp(lab.right, { advskew: 50, preempt });
      await backup.enters("backup", ROLE_DEADLINE_MS);
      const outMs = await outageDuring(lab, async () => {
        const leftAt = now();
        const ended = master.child.stop();
        const { at } = await backup.enters("master", ROLE_DEADLINE_MS, leftAt);
        t.diagnostic(`ucarp is master after ${(at - leftAt).toFixed(0)} ms`);
        assert.ok(at - leftAt < LEAVE_MS, `after ${at - leftAt} ms`);
        assert.equal((await ended).status, 0);
      });
      t.diagnostic(`the client was out for ${outMs.toFixed(0)} ms`);
      assert.ok(outMs < LEAVE_MS);
      await servedBy(lab, "right", macOf(lab.right));
    });

    test(`${such} is killed as master: carpio takes over within its master-down time`, async (t) => {
      await using lab = await Lab.open();
      const master = await ucarpMaster(lab.left, preempt);
      const backup = startBoard(lab.right, [group({ advskew: 50, preempt })]);
      await backup.enters("backup", ROLE_DEADLINE_MS);
      const outMs = await outageDuring(lab, async () => {
        const killedAt = now();
        await master.child.kill("SIGKILL");
        // A dead ucarp leaves the address behind, and two hosts would answer for it.
        await lab.left.run(["ip", "address", "delete", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]);
        const { at } = await backup.enters("master", ROLE_DEADLINE_MS, killedAt);
        t.diagnostic(`carpio is master after ${(at - killedAt).toFixed(0)} ms`);
        assert.ok(at - killedAt > MASTER_DOWN_MS - 1300, `after ${at - killedAt} ms only`);
        assert.ok(at - killedAt < MASTER_DOWN_MS + NOISE_MS, `after ${at - killedAt} ms`);
      });
      t.diagnostic(`the client was out for ${outMs.toFixed(0)} ms`);
      assert.ok(outMs < MASTER_DOWN_MS + NOISE_MS);
      await servedBy(lab, "right", VIRTUAL_MAC);
    });

    test(`a better ucarp comes while carpio is master: ${such} ${preempt ? "takes over" : "stands by"}`, async () => {
      await using lab = await Lab.open();
      const master = await carpioMaster(lab.left, { advskew: 50 });
      const better = ucarp(lab.right, { advskew: 0, preempt });
      await better.enters("backup", ROLE_DEADLINE_MS);
      if (!preempt) {
        await waitForAdvertisements(lab, 5);
        await servedBy(lab, "left", VIRTUAL_MAC);
        return;
      }
      await better.enters("master", ROLE_DEADLINE_MS);
      await master.enters("backup", ROLE_DEADLINE_MS, better.startedAt);
      await servedBy(lab, "right", macOf(lab.right));
    });

    test(`a better carpio with${preempt ? "" : "out"} preempt comes while ucarp is master: it ${preempt ? "takes over" : "stands by"}`, async () => {
      await using lab = await Lab.open();
      const master = await ucarpMaster(lab.left, true, 50);
      const better = startBoard(lab.right, [group({ advskew: 0, preempt })]);
      await better.enters("backup", ROLE_DEADLINE_MS);
      if (!preempt) {
        await waitForAdvertisements(lab, 5);
        await servedBy(lab, "left", macOf(lab.left));
        return;
      }
      await better.enters("master", ROLE_DEADLINE_MS);
      await master.enters("backup", ROLE_DEADLINE_MS, better.startedAt);
      await servedBy(lab, "right", VIRTUAL_MAC);
    });
  }

  for (const [ours, theirs] of [
    ["left", "right"],
    ["right", "left"],
  ] as const) {
    test(`equal intervals, carpio with the ${ours === "left" ? "lower" : "higher"} address: they settle on one`, async () => {
      await using lab = await Lab.open();
      // Both become master, because they cannot hear each other, and then they meet.
      await lab.left.cutCable({ what: "silently" });
      startBoard(lab.host(ours), [group({ advskew: 10, preempt: false })]);
      ucarp(lab.host(theirs), { advskew: 10 });
      await lab.holders.wait(VIRTUAL_ADDRESS, ["left", "right"], ROLE_DEADLINE_MS);
      await lab.left.plugIn();
      // The lower address stays (section 5.1), whoever has it.
      await lab.holders.wait(VIRTUAL_ADDRESS, ["left"], ROLE_DEADLINE_MS);
      const settledAt = now();
      await waitForAdvertisements(lab, 5);
      assert.deepEqual(lab.holders.between(VIRTUAL_ADDRESS, settledAt, now()), { noneMs: 0, severalMs: 0 });
      await servedBy(lab, "left", ours === "left" ? VIRTUAL_MAC : macOf(lab.left));
    });
  }

  test("a password of 19 bytes, the longest that counts, is the same for both", async () => {
    await using lab = await Lab.open();
    const password = "nineteen bytes long";
    assert.equal(Buffer.byteLength(password), 19);
    const master = await carpioMaster(lab.left, { password });
    const backup = ucarp(lab.right, { advskew: 50, password });
    await backup.enters("backup", ROLE_DEADLINE_MS);
    // It would become master after 3.2 s if it did not believe what it hears.
    await waitForAdvertisements(lab, 5);
    assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["left"]);
    // And the other way round, when it speaks.
    await master.child.stop();
    await backup.enters("master", ROLE_DEADLINE_MS);
    await waitUntilHeard(startBoard(lab.left, [group({ password, preempt: false })]), 3);
    await servedBy(lab, "right", macOf(lab.right));
  });

  test("with the interface's own MAC the address goes from ucarp to carpio and back as well", async () => {
    await using lab = await Lab.open();
    const first = await ucarpMaster(lab.left, false);
    const ours = startBoard(lab.right, [group({ advskew: 50, mac: "interface" })]);
    await ours.enters("backup", ROLE_DEADLINE_MS);
    // With --shutdown it takes the address off, and says nothing on the wire.
    await first.child.stop();
    await ours.enters("master", ROLE_DEADLINE_MS);
    await servedBy(lab, "right", macOf(lab.right));
    const second = ucarp(lab.left, { advskew: 100 });
    await second.enters("backup", ROLE_DEADLINE_MS);
    await ours.child.stop();
    await second.enters("master", ROLE_DEADLINE_MS);
    await servedBy(lab, "left", macOf(lab.left));
  });
});

/** ucarp signs one IPv4 address, so that is all the group may have. */
function group(more: Group): Group {
  return { addresses: [`${VIRTUAL_ADDRESS}/24`], ...more };
}

async function carpioMaster(host: Host, more: Group = {}): Promise<Daemon> {
  const daemon = startBoard(host, [group({ advskew: 0, ...more })]);
  await daemon.enters("master", ROLE_DEADLINE_MS);
  return daemon;
}

async function ucarpMaster(host: Host, preempt: boolean, advskew = 0): Promise<Daemon> {
  const daemon = ucarp(host, { advskew, preempt });
  await daemon.enters("master", ROLE_DEADLINE_MS);
  return daemon;
}

/** How long the client gets no answer, in one piece, while something is done. */
async function outageDuring(lab: Lab, deed: () => Promise<void>): Promise<number> {
  const probe = await lab.client.probe({ target: VIRTUAL_ADDRESS, intervalMs: 5 });
  await probe.answered(ROLE_DEADLINE_MS);
  await deed();
  await probe.answering(ROLE_DEADLINE_MS);
  return (await probe.stop()).longestOutageMs;
}

/** Waits until this board alone holds the address; the client reaches it there, by the MAC it should have. */
async function servedBy(lab: Lab, board: string, mac: string): Promise<void> {
  await lab.holders.wait(VIRTUAL_ADDRESS, [board], ROLE_DEADLINE_MS);
  await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
  const show = ["ip", "-json", "neighbour", "show", VIRTUAL_ADDRESS, "dev", "eth0"];
  const [neighbour] = JSON.parse(await lab.client.run(show)) as { lladdr: string }[];
  assert.equal(neighbour?.lladdr, mac);
}

function macOf(host: Host): string {
  return host.socket("eth0").mac;
}
