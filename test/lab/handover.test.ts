/**
 * The handover when it is done often, and when the other board is no help: it
 * cannot take over, or dies in the middle. The address is served all the time
 * that somebody can, and what is told is true.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import {
  ADVSKEWS,
  assertNothingLost,
  CONTROL,
  type Group,
  groupsOf,
  lossesDuring,
  maintenance,
  ROLE_DEADLINE_MS,
  reconfigure,
  startPanelBoard,
} from "./boards.js";
import { press, RAISED } from "./button.js";
import { now } from "./child.js";
import { calm, DEADLINE_MS, FLOATING, servedBy, snapshotOf, until } from "./evidence.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { type Daemon, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

const BOARDS = { boards: ["left", "right", CONTROL] };
const TIMES = 20;
/** Where the address goes from one to the other, two processes stamp it, and on a busy machine one of them is late. */
const STAMPED_MS = 250;
/** 3 x 1 s + 240/256 s, and what a busy machine takes besides. */
const PATIENCE_MS = 3_938 + 2_000;

const clients: readonly {
  readonly mac: "virtual" | "interface";
  readonly asks: readonly string[];
  readonly aSecond: number;
}[] = [
  { mac: "virtual", asks: FLOATING, aSecond: 1_000 },
  { mac: "interface", asks: FLOATING, aSecond: 1_000 },
  { mac: "virtual", asks: [VIRTUAL_ADDRESS], aSecond: 10_000 },
];

describe("handing over again and again", { concurrency: 2, timeout: 240_000 }, () => {
  for (const { mac, asks, aSecond } of clients) {
    test(`${TIMES} times to and fro, ${mac} MAC, asked ${aSecond} times a second: nothing is lost`, async (t) => {
      await using lab = await Lab.open(BOARDS);
      const left = startPanelBoard(lab.left, [{ mac }]);
      startPanelBoard(lab.right, [{ mac, advskew: ADVSKEWS.right }]);
      await servedBy(lab, ["left"]);
      await until(lab.right, ({ carp }) => carp[0]?.master !== null);
      const took: number[] = [];
      const toAndFro = async () => {
        for (let round = 1; round <= TIMES; round++) {
          const pressedAt = await press(lab.left);
          took.push(await handedOver(left, pressedAt));
          await servedBy(lab, ["right"]);
          await press(lab.left);
          await servedBy(lab, ["left"]);
        }
      };
      assertNothingLost(await lossesDuring(lab, asks, toAndFro, 1_000 / aSecond));
      t.diagnostic(`handed over in ${took.join(", ")} ms`);
    });
  }
});

/** The other board is there, but. */
const unable: readonly {
  readonly but: string;
  readonly differing?: Group;
  readonly hinder: (lab: Lab) => Promise<void>;
  readonly mend: (lab: Lab, right: Daemon) => Promise<void>;
  /** Whether it serves as well, because it does not hear left. */
  readonly serves: boolean;
}[] = [
  {
    but: "it has lost its cable",
    hinder: async (lab) => {
      await lab.right.cutCable();
      await until(lab.right, ({ role }) => role === "init");
    },
    mend: (lab) => lab.right.plugIn(),
    serves: false,
  },
  {
    but: "nobody hears what it says",
    hinder: (lab) => lab.right.cutCable({ what: "sending" }),
    mend: (lab) => lab.right.plugIn(),
    serves: true,
  },
  {
    but: "it has another password, and believes nobody",
    differing: { password: "another" },
    hinder: async (lab) => {
      await until(lab.right, ({ role }) => role === "master", ROLE_DEADLINE_MS);
    },
    mend: (_lab, right) => reconfigure(right, groupsOf("right")),
    serves: true,
  },
];

describe("handing over to a board that cannot take over", { concurrency: 2, timeout: 240_000 }, () => {
  for (const { but, differing, hinder, mend, serves } of unable) {
    test(`it is there, but ${but}: the first one serves on and says so, until all is well`, async () => {
      await using lab = await Lab.open(BOARDS);
      const right = await startBoth(lab, differing);
      await hinder(lab);
      const askedAt = now();
      const losses = await lossesDuring(lab, serves ? [] : FLOATING, async () => {
        const { status, stderr } = await maintenance(lab.left, "on");
        assert.equal(status, 1);
        assert.match(stderr, /nobody took over, so it still serves: do not unplug it$/m);
        const { role, maintenance: told } = await snapshotOf(lab.left);
        assert.deepEqual([role, told.on, told.handover.state], ["master", true, "no-taker"]);
        assert.ok(lab.holders.of(VIRTUAL_ADDRESS).includes("left"));
        assertServed(lab, askedAt);
        const mendedAt = now();

        await mend(lab, right);
        const isSafe = ({ maintenance: it }: Snapshot) => it.handover.state === "handed-over";
        await until(lab.left, isSafe, 2 * ROLE_DEADLINE_MS);
        await servedBy(lab, ["right"]);
        assertServed(lab, mendedAt, STAMPED_MS);
      });
      assertNothingLost(losses);
    });
  }
});

const ends: readonly { readonly how: string; readonly end: (lab: Lab, right: Daemon) => Promise<void> }[] = [
  { how: "is killed", end: (_lab, { child }) => child.kill("SIGKILL") },
  {
    how: "loses its power",
    end: async (lab, { child }) => {
      await Promise.all([lab.right.cutCable(), child.kill("SIGKILL")]);
    },
  },
];

describe("handing over to a board that dies in the middle", { concurrency: 2, timeout: 240_000 }, () => {
  for (const { how, end } of ends) {
    test(`it ${how} before it has answered: nothing is lost, and the first one says that it serves`, async () => {
      await using lab = await Lab.open(BOARDS);
      const right = await startBoth(lab, { preempt: false });
      const pressedAt = now();
      const losses = await lossesDuring(lab, FLOATING, async () => {
        const raised = await lab.client.capture({ filter: RAISED });
        // It cannot answer from here on, however long this machine takes to end it.
        await right.child.kill("SIGSTOP");
        await press(lab.left);
        await raised.frame(DEADLINE_MS);
        await end(lab, right);
        await until(lab.left, ({ maintenance: told }) => told.handover.state === "no-taker");
        await servedBy(lab, ["left"]);
        await raised.stop();
      });
      assertNothingLost(losses);
      assertServed(lab, pressedAt);
    });

    test(`it ${how} as soon as it serves: the first one serves again, and takes back what it said`, async (t) => {
      await using lab = await Lab.open(BOARDS);
      const right = await startBoth(lab);
      const pressedAt = await press(lab.left);
      await right.enters("master", DEADLINE_MS, pressedAt);
      await end(lab, right);
      await until(lab.left, ({ maintenance: told }) => told.handover.state === "no-taker", ROLE_DEADLINE_MS);
      await servedBy(lab, ["left"]);
      const { role, panel } = await snapshotOf(lab.left);
      assert.deepEqual([role, panel.face], ["master", "no-taker"]);
      for (const address of FLOATING) {
        const { noneMs } = lab.holders.between(address, pressedAt, now());
        t.diagnostic(`${address}: served by nobody for ${noneMs.toFixed(0)} ms`);
        assert.ok(noneMs < PATIENCE_MS, `${address}: served by nobody for ${noneMs.toFixed(0)} ms`);
      }
    });
  }
});

/** Left serves; right is its backup, or what `differing` makes of it. */
async function startBoth(lab: Lab, differing: Group = {}): Promise<Daemon> {
  const left = startPanelBoard(lab.left, groupsOf("left"));
  await left.enters("master", ROLE_DEADLINE_MS);
  const right = startPanelBoard(lab.right, [{ advskew: ADVSKEWS.right, ...differing }]);
  await right.enters("backup", ROLE_DEADLINE_MS);
  if (differing.password === undefined) {
    await until(lab.right, ({ carp }) => carp[0]?.master !== null);
    await calm(lab);
  }
  return right;
}

/** How long it took, by what the board says. */
async function handedOver(board: Daemon, after: number): Promise<number> {
  const said = /^maintenance: handed over to \S+ in ([\d.]+) ms$/;
  const { text } = await board.child.waitForLine(said, DEADLINE_MS, after);
  return Number(said.exec(text)?.[1]);
}

/** There was never nobody with the address since that moment, or for no longer than `atMostMs`. */
function assertServed(lab: Lab, fromAt: number, atMostMs = 0): void {
  for (const address of FLOATING) {
    const { noneMs } = lab.holders.between(address, fromAt, now());
    const history = JSON.stringify(lab.holders.history(address).filter(({ at }) => at >= fromAt));
    assert.ok(noneMs <= atMostMs, `${address}: served by nobody for ${noneMs.toFixed(1)} ms: ${history}`);
  }
}
