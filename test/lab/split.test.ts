/**
 * Two masters: a network that fell apart and is whole again, and cables that
 * carry one direction only. Once it is whole, exactly one board serves, and
 * whoever had believed the other reaches it at once.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  addressesOf,
  type Group,
  ROLE_DEADLINE_MS,
  type Sides,
  startBoard,
  startPair,
  waitForAdvertisements,
} from "./boards.js";
import { type Moment, now } from "./child.js";
import type { CutOptions, Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { VIRTUAL_ADDRESS } from "./peers.js";
import type { Probe } from "./probe.js";

await becomeLabRoot();

interface OneWay {
  readonly board: keyof Sides<Host>;
  readonly what: NonNullable<CutOptions["what"]>;
  /** Who holds the address while it lasts. */
  readonly holders: readonly (keyof Sides<Host>)[];
  readonly why: string;
}

const MACS = ["virtual", "interface"] as const;
/** 3 x 1 s + 50/256 s, what right bears, and what a busy machine adds. */
const TAKEN_OVER_MS = 3200 + 3000;
/** Far less than an advertisement's interval: nobody waits for the next one. */
const AT_ONCE_MS = 500;
const MAC_OF = {
  left: "02:00:00:00:00:02",
  right: "02:00:00:00:00:03",
  virtual: "00:00:5e:00:01:07",
} as const;

const oneWays: readonly OneWay[] = [
  {
    board: "left",
    what: "sending",
    holders: ["left", "right"],
    why: "the master is not heard, and another serves",
  },
  { board: "left", what: "receiving", holders: ["left"], why: "a deaf master is still heard" },
  {
    board: "right",
    what: "sending",
    holders: ["left"],
    why: "a backup that cannot speak has nothing to say",
  },
  {
    board: "right",
    what: "receiving",
    holders: ["left", "right"],
    why: "a deaf backup takes over, and the master defends itself",
  },
];

describe("split", { concurrency: 4 }, () => {
  for (const mac of MACS) {
    test(`two masters meet again, mac = "${mac}": the better one stays, and the other's client reaches it`, async (t) => {
      await using lab = await Lab.open();
      await startPair(lab, [{ mac }]);
      const probes = await clientOf(lab, { mac });
      const cutAt = now();
      await lab.left.cutCable({ what: "silently" });
      for (const address of addressesOf({ mac }))
        await lab.holders.wait(address, ["left", "right"], ROLE_DEADLINE_MS);
      await answering(probes);
      assert.deepEqual(await believedBy(lab, mac), believing("right", mac));

      const healedAt = now();
      await lab.left.plugIn();
      await settlesOn(lab, ["left"], mac);
      await answering(probes);
      for (const probe of probes) {
        const { outages } = await probe.stop();
        const [before = [], since = []] = [
          outages.filter(({ fromAt }) => fromAt < healedAt),
          outages.filter(({ fromAt }) => fromAt >= healedAt),
        ];
        assert.ok(Math.max(...before.map(({ untilAt }) => untilAt)) < cutAt + TAKEN_OVER_MS);
        const worstMs = Math.max(0, ...since.map(({ fromAt, untilAt }) => untilAt - fromAt));
        t.diagnostic(`out for ${worstMs.toFixed(0)} ms when they met`);
        assert.ok(worstMs < AT_ONCE_MS, `the client was out for ${worstMs} ms`);
      }
    });

    test(`two equal masters meet, mac = "${mac}": one of them stays, and goes on serving`, async () => {
      await using lab = await Lab.open();
      await lab.left.cutCable({ what: "silently" });
      for (const board of [lab.left, lab.right]) startBoard(board, [{ mac, advskew: 20 }]);
      for (const address of addressesOf({ mac }))
        await lab.holders.wait(address, ["left", "right"], ROLE_DEADLINE_MS);
      await lab.left.plugIn();
      const [winner] = await settles(lab);
      assert.ok(winner);
      await settlesOn(lab, [winner], mac);
      const settledAt = now();
      await waitForAdvertisements(lab, 4);
      const { noneMs, severalMs } = lab.holders.between(VIRTUAL_ADDRESS, settledAt, now());
      assert.deepEqual(
        { noneMs, severalMs, holders: lab.holders.of(VIRTUAL_ADDRESS) },
        { noneMs: 0, severalMs: 0, holders: [winner] },
      );
    });

    for (const { board, what, holders, why } of oneWays) {
      test(`${board} loses what it is ${what}, mac = "${mac}": ${why}`, async (t) => {
        await using lab = await Lab.open();
        await startPair(lab, [{ mac }]);
        const probes = await clientOf(lab, { mac });
        const cutAt = now();
        await lab.host(board).cutCable({ what });
        await lab.holders.wait(VIRTUAL_ADDRESS, holders, ROLE_DEADLINE_MS);
        // A deaf master cannot answer, whoever else might: that is not for CARP to see.
        const served = !(board === "left" && what === "receiving");
        if (served) await answering(probes);
        const steadyAt = now();
        await waitForAdvertisements(lab, 4);
        assert.deepEqual([...lab.holders.of(VIRTUAL_ADDRESS)].sort(), holders);
        const untilAt = now();

        await lab.host(board).plugIn();
        await settlesOn(lab, ["left"], mac);
        await answering(probes);
        for (const probe of probes) {
          const { outages } = await probe.stop();
          if (!served) continue;
          const outMs = lostBetween(outages, steadyAt, untilAt);
          t.diagnostic(
            `out for ${outMs.toFixed(0)} of ${(untilAt - steadyAt).toFixed(0)} ms while it lasted`,
          );
          assert.ok(outMs < (untilAt - steadyAt) / 4, `out for ${outMs} of ${untilAt - steadyAt} ms`);
          assert.ok(lostBetween(outages, cutAt, steadyAt) < TAKEN_OVER_MS);
        }
      });
    }
  }
});

/** A client that asks every address of a group, and is answered. */
async function clientOf(lab: Lab, group: Group): Promise<readonly Probe[]> {
  const probes = await Promise.all(
    addressesOf(group).map((target) => lab.client.probe({ target, intervalMs: 5 })),
  );
  await Promise.all(probes.map((probe) => probe.answered(ROLE_DEADLINE_MS)));
  return probes;
}

async function answering(probes: readonly Probe[]): Promise<void> {
  await Promise.all(probes.map((probe) => probe.answering(ROLE_DEADLINE_MS)));
}

/** Waits until exactly these boards hold both addresses, and the network believes the first of them. */
async function settlesOn(
  lab: Lab,
  [board = "left"]: readonly string[],
  mac: (typeof MACS)[number],
): Promise<void> {
  for (const address of addressesOf({})) await lab.holders.wait(address, [board], ROLE_DEADLINE_MS);
  await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
  assert.deepEqual(await believedBy(lab, mac), believing(board, mac));
}

/** Waits until one board only holds the address, and says which. */
async function settles(lab: Lab): Promise<readonly string[]> {
  return Promise.any([
    lab.holders.wait(VIRTUAL_ADDRESS, ["left"], ROLE_DEADLINE_MS).then(() => ["left"]),
    lab.holders.wait(VIRTUAL_ADDRESS, ["right"], ROLE_DEADLINE_MS).then(() => ["right"]),
  ]);
}

/** The MAC of the address as the client knows it, and the port where the switch would look for that MAC. */
async function believedBy(lab: Lab, mac: (typeof MACS)[number]): Promise<{ mac: string; port?: string }> {
  const show = ["ip", "-json", "neighbour", "show", VIRTUAL_ADDRESS, "dev", "eth0"];
  const [neighbour] = JSON.parse(await lab.client.run(show)) as { lladdr: string }[];
  assert.ok(neighbour, "the client knows the address");
  if (mac === "interface") return { mac: neighbour.lladdr };
  const table = await lab.switch.run(["bridge", "-json", "fdb", "show", "br", "switch0"]);
  const entries = JSON.parse(table) as { mac: string; ifname: string }[];
  const port = entries.find((entry) => entry.mac === MAC_OF.virtual)?.ifname ?? "none";
  return { mac: neighbour.lladdr, port };
}

function believing(board: string, mac: (typeof MACS)[number]): { mac: string; port?: string } {
  if (mac === "virtual") return { mac: MAC_OF.virtual, port: `${board}0` };
  return { mac: board === "left" ? MAC_OF.left : MAC_OF.right };
}

/** How much of a span the client was without answers. */
function lostBetween(
  outages: readonly { readonly fromAt: Moment; readonly untilAt: Moment }[],
  fromAt: Moment,
  untilAt: Moment,
): number {
  return outages.reduce(
    (sum, outage) => sum + Math.max(0, Math.min(outage.untilAt, untilAt) - Math.max(outage.fromAt, fromAt)),
    0,
  );
}
