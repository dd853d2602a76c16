/**
 * `carpio setup` and a kernel, as far as a namespace is a board: what is written down for an
 * interface that comes back is what it needs, nft takes the rules with what they include, and
 * interfaces have the names that the file gives to their MACs.
 *
 *   board:eth0 ── switch:far0
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Child } from "./child.js";
import { becomeLabRoot, Namespace } from "./namespace.js";

await becomeLabRoot();

const MAIN = join(import.meta.dirname, "../../src/main.js");
const PORTER = join(import.meta.dirname, "../../../board/payload/usr/lib/carpio/porter");
const WAIT_MS = 60_000;
const WORN = "the card: it is worn";
const SERVER = "198.51.100.9";

/** Written on a computer with Windows. */
const files = {
  "carpio.toml": [
    "[[network.interface]]",
    'name = "eth0"',
    'addresses = ["192.0.2.2/24"]',
    'gateways = ["192.0.2.254"]',
    "[router]",
    "ipv4 = true",
    'nftables = "rules.nft"',
    "",
  ],
  "rules.nft": [
    'include "sets.nft"',
    "table ip gate {",
    "  chain in { type nat hook prerouting priority dstnat;",
    '    iif "eth0" tcp dport 443 dnat to $server; }',
    "}",
    "",
  ],
  "sets.nft": [`define server = ${SERVER}`, ""],
};

interface Link {
  readonly ifname: string;
  readonly address: string;
  readonly addr_info: readonly { readonly family: string; readonly local: string }[];
}

describe("a board's own system", { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "carpio-system-"));
  let board: Namespace;
  let far: Namespace;

  const plugIn = () =>
    far.ip(`link add far0 type veth peer name eth0 netns ${board.pid}`, "link set far0 up");
  /** The kernel takes its time to see that a cable is in. */
  const ways = async () => (await board.run(["ip", "-4", "route"])).replaceAll(" linkdown", "");

  before(async () => {
    for (const [name, lines] of Object.entries(files)) writeFileSync(join(folder, name), lines.join("\r\n"));
    board = await Namespace.open("board");
    far = await Namespace.open("switch");
    await plugIn();
    await board.run([process.execPath, MAIN, "setup", "--config", join(folder, "carpio.toml")]);
  });
  after(async () => {
    await board?.close();
    await far?.close();
    rmSync(folder, { recursive: true });
  });

  test("it forwards by rules that include others", async () => {
    assert.match(await board.run(["nft", "list", "ruleset"]), new RegExp(`dnat to ${SERVER}`));
    assert.equal(await board.run(["cat", "/proc/sys/net/ipv4/ip_forward"]), "1\n");
    assert.equal((await board.attempt(["cat", "/run/carpio/carpio-errors.txt"])).stdout, "");
  });

  test("an interface that comes back has its addresses and ways again", async (t) => {
    const before = await ways();
    assert.match(before, /^default via 192\.0\.2\.254 dev eth0/m);
    const porter: Child = board.spawn(["busybox", "sh", PORTER]);
    t.after(() => porter.stop());
    await far.ip("link delete far0");
    assert.equal(await ways(), "");
    await plugIn();
    await porter.waitForLine(/^eth0 is there again/, WAIT_MS);
    const deadlineAt = performance.now() + WAIT_MS;
    for (let now = ""; now !== before; now = await ways())
      assert.ok(performance.now() < deadlineAt, `found ${now}, wanted ${before}`);
  });

  test("interfaces are called as the file calls their MACs, whatever the kernel does, and again when they are back", async (t) => {
    const path = join(folder, "macs.toml");
    const [outside, inside] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"] as const;
    const write = (wan: string, lan: string) =>
      writeFileSync(
        path,
        `[[network.interface]]\nname = "wan"\nmac = "${wan}"\naddresses = ["192.0.2.2/24"]\n` +
          `[[network.interface]]\nname = "lan"\nmac = "${lan}"\naddresses = ["198.51.100.2/24"]\n`,
      );
    await using router = await Namespace.open("router");
    const plug = (name: string, mac: string) =>
      far.ip(
        `link add to-${name} type veth peer name ${name} address ${mac} netns ${router.pid}`,
        `link set to-${name} up`,
      );
    const setUp = () => router.run([process.execPath, MAIN, "setup", "--config", path]);
    /** Of each: its name, its MAC, and its address. */
    const look = async () => {
      const links = JSON.parse(await router.run(["ip", "-json", "address"])) as readonly Link[];
      const shown = links.map(({ ifname, address, addr_info: all }) => {
        const { local } = all.find(({ family }) => family === "inet") ?? {};
        return `${ifname} ${address} ${local}`;
      });
      return shown.filter((line) => !line.startsWith("lo ")).toSorted();
    };
    const wanted = [`lan ${inside} 198.51.100.2`, `wan ${outside} 192.0.2.2`];
    // The other way round than one would plug them in.
    await plug("eth0", inside);
    await plug("eth1", outside);
    // What stands on an interface may have its MAC, as a VLAN has.
    await router.ip(`link add shadow link eth1 address ${outside} type macvlan`);
    write(outside, inside);
    await setUp();
    assert.equal((await router.attempt(["cat", "/run/carpio/carpio-errors.txt"])).stdout, "");
    assert.deepEqual(await look(), [`lan ${inside} 198.51.100.2`, `shadow ${outside} undefined`, wanted[1]]);

    const porter: Child = router.spawn(["busybox", "sh", PORTER]);
    t.after(() => porter.stop());
    await far.ip("link delete to-eth0", "link delete to-eth1");
    // Now the other way round.
    await plug("eth0", outside);
    await porter.waitForLine(/^wan is there again/, WAIT_MS);
    await plug("eth1", inside);
    await porter.waitForLine(/^lan is there again/, WAIT_MS);
    for (const until = performance.now() + WAIT_MS; (await look()).join() !== wanted.join(); )
      assert.ok(performance.now() < until, `found ${(await look()).join()}, wanted ${wanted.join()}`);
    await porter.stop();

    // By hand, with another file: they exchange their names.
    await router.ip("address flush dev wan", "address flush dev lan");
    write(inside, outside);
    await setUp();
    assert.deepEqual(await look(), [`lan ${outside} 198.51.100.2`, `wan ${inside} 192.0.2.2`]);
  });

  test("one that comes late is told as missing until it does, and no longer", async (t) => {
    const path = join(folder, "late.toml");
    const names = ["eth0", "eth1"].map((name) => `[[network.interface]]\nname = "${name}"\n`);
    writeFileSync(path, [...names, '[status]\nlisten = "127.0.0.1:8080"\n'].join(""));
    await using late = await Namespace.open("late");
    await late.ip("link set lo up");
    await late.run([process.execPath, MAIN, "setup", "--config", path]);
    const command = `echo $$ >/run/daemon.pid; exec "$@" run --tolerant --config ${path}`;
    const daemon = late.spawn(["sh", "-c", command, "sh", process.execPath, MAIN]);
    t.after(() => daemon.stop());
    await daemon.waitForLine(/^carpio \S+ as /, WAIT_MS);
    const ask = [process.execPath, MAIN, "status", "--json", "--config", path];
    const faults = async () =>
      (JSON.parse(await late.run(ask)) as { readonly faults: readonly string[] }).faults;
    const isMissed = async (name: string) =>
      (await faults()).some((fault) => fault.includes(`found no ${name} on this board`));
    assert.deepEqual([await isMissed("eth0"), await isMissed("eth1")], [true, true]);
    const porter = late.spawn(["busybox", "sh", PORTER]);
    t.after(() => porter.stop());
    for (const name of ["eth0", "eth1"]) {
      await late.ip(`link add ${name} type veth`);
      await porter.waitForLine(new RegExp(`^${name} is there`), WAIT_MS);
      for (const until = performance.now() + WAIT_MS; await isMissed(name); )
        assert.ok(performance.now() < until, `${name} is still missed`);
      assert.equal(await isMissed("eth1"), name === "eth0");
    }
    // What is found of the card when the daemon has begun reaches it as well.
    await late.run(["sh", "-c", 'echo "$1" >>/run/carpio/card-problems', "sh", WORN]);
    await late.run(["sh", "-c", 'kill -HUP "$(cat /run/daemon.pid)"']);
    for (const until = performance.now() + WAIT_MS; !(await faults()).some((it) => it.includes(WORN)); )
      assert.ok(performance.now() < until, `${WORN} is not told`);
  });
});
