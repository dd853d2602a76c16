/**
 * SIGHUP: what changed in the file changes on the board, and nothing else
 * does. A group that is as before misses no advertisement and no packet.
 */
import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  assertNothingLost,
  boardConfig,
  CONTROL,
  type Group,
  groupsOf,
  lossesDuring,
  ROLE_DEADLINE_MS,
  type Sides,
  startBoard,
  startPair,
} from "./boards.js";
import { now } from "./child.js";
import {
  calm,
  DEADLINE_MS,
  devicesOf,
  FLOATING,
  groupOf,
  longestSilenceMs,
  roleChanges,
  servedBy,
  untilGroup,
} from "./evidence.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { type Daemon, statusOf, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

/** One advertisement missed would be two seconds. */
const LONGEST_GAP_MS = 1700;
const STEADY: Group = {};
const OTHER: Group = { vhid: 8, addresses: ["192.0.2.8/24", "2001:db8::8/64"] };
const [OTHER4, OTHER6] = ["192.0.2.8", "2001:db8::8"] as const;
/** A master that leaves looks for a successor for so long; a reload and an end one after the other take twice as long. */
const LEAVE_MS = 1500;
const NOISE_MS = 1000;
const BOARDS = { boards: ["left", "right", CONTROL] };

describe("several at once", { concurrency: 3, timeout: 240_000 }, () => {
  test("others are added, changed and removed: a group that is as before loses nothing", async (t) => {
    await using lab = await Lab.open(BOARDS);
    const boards = await startPair(lab, [STEADY, OTHER]);
    const calmAt = await calm(lab);
    const spoken = await lab.left.capture({
      at: "port",
      filter: "ip proto 112 and ether src 00:00:5e:00:01:07",
      direction: "in",
    });
    await spoken.frame(DEADLINE_MS);
    const losses = await lossesDuring(lab, FLOATING, async () => {
      const added = { vhid: 9, addresses: ["192.0.2.9/24"] };
      await reload(boards.left, [STEADY, OTHER, added]);
      await lab.holders.wait("192.0.2.9", ["left"], ROLE_DEADLINE_MS);

      await reload(boards.left, [STEADY, { ...OTHER, advskew: 100 }, added]);
      await servedBy(lab, ["right"], [OTHER4, OTHER6]);

      await reload(boards.left, [STEADY]);
      await lab.holders.wait("192.0.2.9", [], ROLE_DEADLINE_MS);
    });
    await spoken.frame(DEADLINE_MS, now());
    await spoken.stop();

    assertNothingLost(losses);
    const gapMs = longestSilenceMs(await spoken.print());
    t.diagnostic(`the longest silence of the group was ${gapMs.toFixed(0)} ms`);
    assert.ok(gapMs < LONGEST_GAP_MS, `an advertisement was missed: ${gapMs.toFixed(0)} ms`);
    assert.deepEqual(roleChanges([boards.left, boards.right], calmAt, 7), []);
    for (const address of FLOATING) {
      assert.deepEqual(lab.holders.between(address, calmAt, now()), { noneMs: 0, severalMs: 0 });
    }
    assert.deepEqual(await devicesOf(lab.left), ["lo", "eth0", "carp7"]);
  });

  test("another advskew, and preempt off and on: the roles follow", async () => {
    await using lab = await Lab.open(BOARDS);
    const boards = await startPair(lab, [OTHER]);
    await reload(boards.right, [{ ...OTHER, advskew: 50, preempt: false }]);
    await reload(boards.left, [{ ...OTHER, advskew: 100 }]);
    const { advskew, advertisedAdvskew } = await groupOf(lab.left, 8);
    assert.deepEqual([advskew, advertisedAdvskew], [100, 100]);
    await untilGroup(lab.right, 8, ({ master }) => master?.advskew === 100);
    assert.equal((await groupOf(lab.left, 8)).role, "master");

    const losses = await lossesDuring(lab, [OTHER4], async () => {
      const askedAt = now();
      await reload(boards.right, [{ ...OTHER, advskew: 50 }]);
      const taken = await boards.right.enters("master", ROLE_DEADLINE_MS, askedAt);
      assert.match(taken.text, /preempting a slower master$/);
      await servedBy(lab, ["right"], [OTHER4, OTHER6]);

      const backAt = now();
      await reload(boards.left, [{ ...OTHER, advskew: 0 }]);
      await boards.left.enters("master", ROLE_DEADLINE_MS, backAt);
      await servedBy(lab, ["left"], [OTHER4, OTHER6]);
    });
    assertNothingLost(losses);
  });

  test("addresses come and go while a master serves others: it stays", async () => {
    await using lab = await Lab.open(BOARDS);
    const boards = await startPair(lab, [OTHER]);
    const calmAt = await calm(lab);
    const losses = await lossesDuring(lab, [OTHER4], async () => {
      const more = ["192.0.2.8/24", "192.0.2.18/24", "2001:db8::18/64"];
      const told = await lab.client.capture({ filter: "arp src host 192.0.2.18", direction: "in" });
      await reloadBoth(boards, [{ ...OTHER, addresses: more }]);
      for (const address of ["192.0.2.18", "2001:db8::18"])
        await lab.holders.wait(address, ["left"], ROLE_DEADLINE_MS);
      await lab.holders.wait(OTHER6, [], ROLE_DEADLINE_MS);
      await told.frame(DEADLINE_MS);
      await lab.client.run(["ping", "-c1", "-w5", "192.0.2.18"]);
      // They understand each other again, with the new addresses signed.
      const { counters } = await groupOf(lab.right, 8);
      await untilGroup(lab.right, 8, (group) => group.counters.received >= counters.received + 2);

      await reloadBoth(boards, [{ ...OTHER, addresses: ["192.0.2.8/24"] }]);
      for (const address of ["192.0.2.18", "2001:db8::18"])
        await lab.holders.wait(address, [], ROLE_DEADLINE_MS);
    });
    assertNothingLost(losses);
    assert.deepEqual(roleChanges([boards.left, boards.right], calmAt, 8), []);
    assert.deepEqual(lab.holders.between(OTHER4, calmAt, now()), { noneMs: 0, severalMs: 0 });
    assert.deepEqual((await groupOf(lab.left, 8)).addresses, ["192.0.2.8/24"]);
  });

  test("another password is another group: it leaves politely and begins anew", async () => {
    await using lab = await Lab.open();
    const boards = await startPair(lab, [STEADY, OTHER]);
    const changedAt = now();
    await reload(boards.left, [STEADY, { ...OTHER, password: "another" }]);
    const taken = await boards.right.enters("master", ROLE_DEADLINE_MS, changedAt);
    assert.match(taken.text, /^carp 8 on eth0: backup -> master: master bowed out$/);
    await reload(boards.right, [STEADY, { ...OTHER, password: "another", advskew: 50 }]);
    await servedBy(lab, ["left"], [OTHER4, OTHER6]);
    const { counters } = await groupOf(lab.right, 8);
    await untilGroup(lab.right, 8, (group) => group.counters.received > counters.received);
    assert.deepEqual(roleChanges([boards.left, boards.right], changedAt, 7), []);
    assert.deepEqual(roles(roleChanges([boards.left], changedAt, 8).slice(0, 3)), [
      "master -> init",
      "init -> backup",
      "backup -> master",
    ]);
  });

  test("another kind of MAC: the other board serves meanwhile", async () => {
    await using lab = await Lab.open(BOARDS);
    const boards = await startPair(lab, [OTHER]);
    const losses = await lossesDuring(lab, [OTHER4], async () => {
      for (const mac of ["interface", "virtual"] as const) {
        const changedAt = now();
        await reload(boards.left, [{ ...OTHER, mac }]);
        await boards.right.enters("master", ROLE_DEADLINE_MS, changedAt);
        await boards.left.enters("master", ROLE_DEADLINE_MS, changedAt);
        await servedBy(lab, ["left"], [OTHER4, OTHER6]);
        const device = mac === "interface" ? "eth0" : "carp8";
        assert.ok((await lab.left.addresses()).some((line) => line.startsWith(`${device} ${OTHER4}/`)));
      }
    });
    assertNothingLost(losses);
  });

  test("a bad file: every problem is said, and the configuration in force stays", async () => {
    await using lab = await Lab.open();
    const boards = await startPair(lab, [STEADY]);
    const calmAt = await calm(lab);
    const file = join(lab.left.directory, "carpio.toml");
    writeFileSync(file, `${boardConfig("left", [{ vhid: 300 }])}advskew = "much"\ncolour = "red"\n`);
    await boards.left.child.kill("SIGHUP");
    await boards.left.child.waitForLine(/^warning: the configuration in force stays$/, DEADLINE_MS);
    const said = boards.left.child.lines.filter(({ at }) => at >= calmAt).map(({ text }) => text);
    assert.deepEqual(
      said.map((text) => text.replace(file, "FILE").replace(/:\d+:/, ":LINE:")),
      [
        "FILE:LINE: carp[0].vhid: found 300, wanted a whole number from 1 to 255",
        'FILE:LINE: carp[0].advskew: found "much", wanted a whole number from 0 to 254',
        `FILE:LINE: carp[0].colour: found a key that means nothing here, wanted ${KEYS}`,
        "warning: the configuration in force stays",
      ],
    );
    assert.deepEqual(roleChanges([boards.left, boards.right], calmAt, 7), []);

    // An editor empties a file before it writes it.
    for (const cut of ["", 'name = "left"\n']) {
      writeFileSync(file, cut);
      const cutAt = now();
      await boards.left.child.kill("SIGHUP");
      await boards.left.child.waitForLine(
        /: found no \[\[carp\]\], wanted one: cut short\?$/,
        DEADLINE_MS,
        cutAt,
      );
    }

    // A good one is taken as if nothing had been; of several in a row the last one counts.
    for (const advskew of [1, 2, 3, 4, 5]) {
      // In one piece: an earlier signal may have the file read at this very moment.
      writeFileSync(`${file}.new`, boardConfig("left", [{ ...STEADY, advskew }]));
      renameSync(`${file}.new`, file);
      await boards.left.child.kill("SIGHUP");
    }
    await untilGroup(lab.left, 7, ({ advskew }) => advskew === 5);
    assert.deepEqual(roleChanges([boards.left, boards.right], calmAt, 7), []);
    assert.deepEqual(lab.holders.between(VIRTUAL_ADDRESS, calmAt, now()), { noneMs: 0, severalMs: 0 });
  });

  test("an IPv6 address comes to a group that had none: it is served, advertised and heard", async () => {
    await using lab = await Lab.open();
    const only4 = { ...OTHER, addresses: [`${OTHER4}/24`] };
    const boards = await startPair(lab, [only4]);
    const calmAt = await calm(lab);
    const spoken = await lab.right.capture({ filter: "ip6 proto 112", direction: "in" });
    await reloadBoth(boards, [OTHER]);
    await servedBy(lab, ["left"], [OTHER4, OTHER6]);
    await lab.client.run(["ping", "-c1", "-w5", OTHER6]);
    await spoken.frame(DEADLINE_MS);
    const { counters } = await groupOf(lab.right, 8);
    await untilGroup(lab.right, 8, (group) => group.counters.received >= counters.received + 2);
    assert.deepEqual(roleChanges([boards.left, boards.right], calmAt, 8), []);

    const leavesAt = now();
    assert.equal((await boards.left.child.stop()).status, 0);
    await servedBy(lab, ["right"], [OTHER4, OTHER6]);
    assert.equal(lab.holders.between(OTHER6, leavesAt, now()).noneMs, 0);
  });

  test("an interface without a link is no longer needed: the others are demoted no more", async () => {
    await using lab = await Lab.open({ lans: 2 });
    const inside = { interface: "eth1", addresses: ["198.51.100.1/24"] };
    const boards = await startPair(lab, [OTHER, inside]);
    const cutAt = now();
    await lab.left.cutCable({ interface: "eth1" });
    await boards.right.enters("master", ROLE_DEADLINE_MS, cutAt);
    await untilGroup(lab.left, 8, ({ advertisedAdvskew }) => advertisedAdvskew === 240);
    await reload(boards.left, [OTHER]);
    await untilGroup(
      lab.left,
      8,
      ({ advertisedAdvskew, role }) => advertisedAdvskew === 0 && role === "master",
    );
  });

  test("SIGTERM in the middle of a reload does not wait for the end of it", async (t) => {
    await using lab = await Lab.open();
    const left = startBoard(lab.left, [STEADY, OTHER]);
    await lab.holders.wait(OTHER4, ["left"], ROLE_DEADLINE_MS);
    await lab.holders.wait(VIRTUAL_ADDRESS, ["left"], ROLE_DEADLINE_MS);
    // With nobody to take over, it bows out for as long as it may.
    const spoken = await lab.client.capture({
      filter: "ip proto 112 and ip[22] = 255 and ip[25] = 255",
      direction: "in",
    });
    writeFileSync(join(lab.left.directory, "carpio.toml"), boardConfig("left", [STEADY]));
    await left.child.kill("SIGHUP");
    await spoken.frame(DEADLINE_MS);
    const askedAt = now();
    const { at, status } = await left.child.stop(DEADLINE_MS);
    t.diagnostic(`it had gone ${(at - askedAt).toFixed(0)} ms after SIGTERM`);
    assert.equal(status, 0);
    assert.ok(at - askedAt < LEAVE_MS + NOISE_MS, `gone after ${(at - askedAt).toFixed(0)} ms`);
    assert.equal(
      left.child.lines.some(({ text }) => /again: /.test(text)),
      false,
    );
    assert.deepEqual(await devicesOf(lab.left), ["lo", "eth0"]);
    assert.equal(await lab.left.run(["nft", "list", "tables"]), "");
  });

  test("the status server moves, goes and comes back", async () => {
    await using lab = await Lab.open();
    const boards = await startPair(lab, [STEADY]);
    const calmAt = await calm(lab);
    const answers = (port: number) =>
      statusOf(lab.left, port).then(
        () => true,
        () => false,
      );
    for (const [listen, answering] of [
      ["127.0.0.1:8081", [8081]],
      ["none", []],
      ["0.0.0.0:8080", [8080]],
    ] as const) {
      await reloadText(boards.left, boardConfig("left", [STEADY]).replace("127.0.0.1:8080", listen));
      const ports = [8080, 8081];
      const found = await Promise.all(ports.map(answers));
      assert.deepEqual(
        ports.filter((_, i) => found[i]),
        answering,
        listen,
      );
    }
    assert.deepEqual(roleChanges([boards.left, boards.right], calmAt, 7), []);
  });
});

const KEYS =
  "one of vhid, interface, password, password_file, key, addresses, advbase, advskew, preempt, mac, peers, compat";

/** Gives a board other groups, and waits until it has taken them over. */
function reload(daemon: Daemon, groups: readonly Group[]): Promise<void> {
  return reloadText(daemon, boardConfig(daemon.host.name, groups));
}

async function reloadText({ host, child }: Daemon, text: string): Promise<void> {
  writeFileSync(join(host.directory, "carpio.toml"), text);
  const askedAt = now();
  await child.kill("SIGHUP");
  await child.waitForLine(/^configuration read again: /, DEADLINE_MS, askedAt);
}

/** What is signed must change on both at once, or they take each other for strangers. */
async function reloadBoth(boards: Sides<Daemon>, groups: readonly Group[]): Promise<void> {
  await Promise.all((["left", "right"] as const).map((side) => reload(boards[side], groupsOf(side, groups))));
}

function roles(changes: readonly string[]): readonly string[] {
  return changes.map((text) => text.split(": ")[1] ?? "");
}
