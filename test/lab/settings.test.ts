/**
 * The kernel's settings of a parent interface, and somebody who changes them
 * while a daemon runs. What the daemon makes of it is in kernel.test.ts.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Changed, Needs } from "../../src/linux/sysctl.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";

await becomeLabRoot();

const SYSCTL = join(import.meta.dirname, "../../src/linux/sysctl.js");
const VIRTUAL: Needs = { mac: "virtual", families: [4] };
const INTERFACE: Needs = { mac: "interface", families: [4, 6] };

const meddlings = [
  { needs: VIRTUAL, file: "ipv4/conf/eth0/arp_ignore", to: 2, wanted: 1, why: "the parent would answer ARP" },
  {
    needs: VIRTUAL,
    file: "ipv4/conf/eth0/arp_announce",
    to: 0,
    wanted: 2,
    why: "the parent would ask as us",
  },
  { needs: VIRTUAL, file: "ipv4/conf/eth0/rp_filter", to: 1, wanted: 2, why: "packets would be dropped" },
  {
    needs: INTERFACE,
    file: "ipv4/conf/eth0/arp_notify",
    to: 0,
    wanted: 1,
    why: "nothing would be announced",
  },
  { needs: INTERFACE, file: "ipv6/conf/eth0/ndisc_notify", to: 0, wanted: 1, why: "nor in IPv6" },
];

describe("several at once", { concurrency: 4, timeout: 120_000 }, () => {
  for (const { needs, file, to, wanted, why } of meddlings) {
    test(`somebody sets ${file} to ${to}: it is told, put right, and well again; ${why}`, async () => {
      await using lab = await Lab.open({ boards: ["left"] });
      const first = await review(lab.left, [needs]);
      assert.deepEqual((await review(lab.left, [needs], first.changed)).problems, []);
      await set(lab.left, file, to);

      const second = await review(lab.left, [needs, needs], first.changed);
      assert.deepEqual(second.problems, [`net/${file} was ${to}, wanted ${wanted}: set again`]);
      assert.equal(await get(lab.left, file), wanted);
      assert.equal(second.changed[`${file}=${wanted}`], String(to), "put back is what was wanted last");
      assert.deepEqual((await review(lab.left, [needs], second.changed)).problems, []);
    });
  }

  test("what cannot be put right is told each time", async () => {
    await using lab = await Lab.open({ boards: ["left"] });
    const { changed } = await review(lab.left, [VIRTUAL, INTERFACE]);
    await set(lab.left, "ipv4/conf/eth0/arp_ignore", 0);
    await lab.left.run([
      "sh",
      "-c",
      "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys",
    ]);
    for (let i = 0; i < 2; i++) {
      const { problems } = await review(lab.left, [VIRTUAL, INTERFACE], changed);
      assert.deepEqual(problems, ["net/ipv4/conf/eth0/arp_ignore is 0, wanted 1: not allowed to set it"]);
    }
  });

  test("what no group needs is nobody's business, and neither is an interface that is not there", async () => {
    await using lab = await Lab.open({ boards: ["left"] });
    assert.deepEqual(await review(lab.left, []), { problems: [], changed: {} });
    assert.deepEqual(await review(lab.left, [{ mac: "interface", families: [] }]), {
      problems: [],
      changed: {},
    });
    await lab.left.namespace.ip("link set eth0 down", "link set eth0 name gone0");
    assert.deepEqual(await review(lab.left, [VIRTUAL, INTERFACE]), { problems: [], changed: {} });
  });
});

/** What the daemon asks every few seconds, asked in a process of its own on that host. */
async function review(
  host: Host,
  needs: readonly Needs[],
  changed: Changed = {},
): Promise<{ readonly problems: readonly string[]; readonly changed: Changed }> {
  const script = `
    import { reviewParent } from ${JSON.stringify(SYSCTL)};
    const changed = ${JSON.stringify(changed)};
    const problems = reviewParent("eth0", ${JSON.stringify(needs)}, changed);
    console.log(JSON.stringify({ problems, changed }));`;
  return JSON.parse(await host.run([process.execPath, "--input-type=module", "-e", script]));
}

function set(host: Host, file: string, value: number): Promise<string> {
  return host.run(["sysctl", "-q", "-w", `net/${file}=${value}`]);
}

async function get(host: Host, file: string): Promise<number> {
  return Number(await host.run(["sysctl", "-n", `net/${file}`]));
}
