/**
 * What the kernel, and everybody else on the board, does to a daemon: its
 * interface goes and comes, somebody meddles with its device and addresses,
 * `ip` and the network refuse. And what the daemon does to the kernel, which
 * it undoes.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ADVSKEWS, boardConfig, ROLE_DEADLINE_MS, reconfigure, startBoard, startPair } from "./boards.js";
import type { Capture } from "./capture.js";
import { type Moment, now } from "./child.js";
import {
  CARP,
  calm,
  DEADLINE_MS,
  FLOATING,
  groupOf,
  nextAdvertisement,
  roleChanges,
  servedBy,
  snapshotOf,
  until,
} from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { carpio, VIRTUAL_ADDRESS, VIRTUAL_ADDRESS6 } from "./peers.js";
import { obstruct, pidOf, processesOn, REFUSES_LEASES, reinstall, uninstall } from "./sabotage.js";

await becomeLabRoot();

const ANOTHER_MAC = "02:00:00:00:00:99";
/** For tcpdump: what tells the neighbours of the floating addresses. */
const ANNOUNCEMENTS = [
  [VIRTUAL_ADDRESS, `arp[14:4] == 0xc0000201 and arp[24:4] == 0xc0000201 and ether broadcast`],
  [VIRTUAL_ADDRESS6, `icmp6 and ip6[40] == 136 and ip6[60:4] == 1 and ip6 dst ff02::1`],
] as const;
const ANNOUNCEMENT = ANNOUNCEMENTS.map(([, filter]) => `(${filter})`).join(" or ");
const MACS = ["virtual", "interface"] as const;
/** As drivers do that take no MAC while they are up: what the kernel says there is said by `ip` here. */
const NO_LIVE_MAC = `
  case "$*" in *-json*)
    sed -u '/^link set dev eth0 address/s/address .*/address of-no-use/' | /run/real-ip "$@"
    exit
  esac`;

describe("several at once", { concurrency: 4, timeout: 240_000 }, () => {
  for (const mac of MACS) {
    test(`an interface that is missing, appears, goes, and returns as another; ${mac} MAC`, async () => {
      await using lab = await Lab.open();
      const board = startBoard(lab.left, [{ mac, interface: "late0" }]);
      await until(lab.left, ({ faults }) => faults.includes("there is no interface late0"));
      assert.equal((await snapshotOf(lab.left)).role, "init");

      let after = 0;
      for (const number of [1, 2]) {
        await plugInLate(lab, number);
        await board.enters("master", ROLE_DEADLINE_MS, after);
        await servedBy(lab, ["left"]);
        await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
        const holds = await snapshotOf(lab.left);
        assert.equal(holds.carp[0]?.holding, true);
        assert.deepEqual(holds.faults, []);

        after = now();
        await lab.switch.ip(`link delete late${number}`);
        await board.enters("init", ROLE_DEADLINE_MS, after);
        const gone = await snapshotOf(lab.left);
        assert.equal(gone.carp[0]?.holding, false);
        assert.deepEqual(gone.faults, ["there is no interface late0"]);
      }
    });

    test(`the interface is set down and up again; ${mac} MAC`, async () => {
      await using lab = await Lab.open();
      const { left, right } = await startPair(lab, [{ mac }]);
      const downAt = now();
      await lab.left.namespace.ip("link set eth0 down");
      await left.enters("init", ROLE_DEADLINE_MS, downAt);
      await right.enters("master", ROLE_DEADLINE_MS, downAt);
      await servedBy(lab, ["right"]);
      assert.equal((await groupOf(lab.left)).holding, false);

      const upAt = now();
      await lab.left.namespace.ip("link set eth0 up");
      await left.enters("master", ROLE_DEADLINE_MS, upAt);
      await right.enters("backup", ROLE_DEADLINE_MS, upAt);
      await servedBy(lab, ["left"]);
    });

    test(`somebody takes a master's addresses off: they are back, and told; ${mac} MAC`, async () => {
      await using lab = await Lab.open();
      const { left, right } = await startPair(lab, [{ mac }]);
      const device = mac === "virtual" ? "carp7" : "eth0";
      const calmAt = await calm(lab);
      const told = await lab.client.capture({ filter: "arp or icmp6", direction: "in" });
      const flags = mac === "virtual" ? [`link set ${device} down`, `link delete ${device}`] : [];
      const meddling = [...(await heldAs(lab.left, device)), ...flags];
      for (const command of meddling) {
        const meddledAt = now();
        await lab.left.namespace.ip(command);
        await losesSome(lab, "left", meddledAt);
        await servedBy(lab, ["left"]);
        await until(lab.left, ({ carp }) => carp[0]?.holding === true);
        await told.frame(DEADLINE_MS, meddledAt);
      }
      assert.deepEqual(roleChanges([left, right], calmAt), []);
      await until(lab.left, ({ faults }) => faults.length === 0);
    });

    test(`somebody puts addresses on a backup: they are off; ${mac} MAC`, async () => {
      await using lab = await Lab.open();
      const { left, right } = await startPair(lab, [{ mac }]);
      const calmAt = await calm(lab);
      const untouched = await lab.right.run(["ip", "-br", "address"]);
      const device = mac === "virtual" ? "carp7" : "eth0";
      const lease = "valid_lft 60 preferred_lft 60";
      await lab.right.namespace.ip(
        `link set ${device} up`,
        `address add ${VIRTUAL_ADDRESS}/32 dev ${device} ${lease}`,
      );
      const said = new RegExp(`somebody put ${device} to use while another board serves: it is off again`);
      await right.child.waitForLine(said, DEADLINE_MS);
      while ((await lab.right.run(["ip", "-br", "address"])) !== untouched) await sleep(50);
      await servedBy(lab, ["left"]);
      assert.deepEqual(roleChanges([left, right], calmAt), []);
      assert.deepEqual((await snapshotOf(lab.right)).faults, []);
    });

    test(`ip refuses: a master that cannot renew hands over, and returns when it can; ${mac} MAC`, async () => {
      await using lab = await Lab.open();
      const { left, right } = await startPair(lab, [{ mac }]);
      const brokenAt = now();
      await obstruct(lab.left, "ip", REFUSES_LEASES);
      process.kill(await pidOf(left, "ip"), "SIGKILL");
      const said = /ip address replace 192\.0\.2\.1.*: valid_lft is zero/;
      await left.child.waitForLine(said, DEADLINE_MS, brokenAt);
      await right.enters("master", ROLE_DEADLINE_MS, brokenAt);
      await servedBy(lab, ["right"]);
      const { carp, diagnosis } = await snapshotOf(lab.left);
      assert.equal(carp[0]?.holding, false);
      assert.notEqual(carp[0]?.role, "master");
      // Whether or not the review that prepares the device again has been there.
      assert.equal(diagnosis.broken?.check, "addresses held");

      // It stays out of the way while somebody else serves, and is there when nobody does.
      await obstruct(lab.left, "ip", "");
      await until(lab.left, ({ faults }) => faults.length === 0);
      const leavesAt = now();
      await right.child.stop();
      await left.enters("master", ROLE_DEADLINE_MS, leavesAt);
      await servedBy(lab, ["left"]);
      const { demotion } = await until(lab.left, ({ demotion }) => demotion.advskew === 0);
      assert.deepEqual(demotion.reasons, []);
    });
  }

  test("somebody gives the interface another MAC: it stays, and is what is announced", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab, [{ mac: "interface" }]);
    const calmAt = await calm(lab);
    await lab.left.namespace.ip(`link set eth0 address ${ANOTHER_MAC}`);
    // A rival makes the master announce again. Right becomes one when it hears nothing.
    const told = await lab.left.capture({ at: "port", filter: ANNOUNCEMENT, direction: "in" });
    await lab.right.cutCable({ what: "receiving" });
    await right.enters("master", ROLE_DEADLINE_MS, calmAt);
    for (const [what, filter] of ANNOUNCEMENTS) await untilPrinted(told, filter, what);
    assert.deepEqual(await told.print(`not ether src ${ANOTHER_MAC}`), []);
    assert.match(await lab.left.run(["ip", "link", "show", "eth0"]), new RegExp(ANOTHER_MAC));
    assert.deepEqual(roleChanges([left], calmAt), []);
    assert.deepEqual((await snapshotOf(lab.left)).faults, []);
  });

  test("an interface that takes no MAC while it is up: announced all the same", async () => {
    await using lab = await Lab.open();
    await obstruct(lab.right, "ip", NO_LIVE_MAC);
    const { left, right } = await startPair(lab, [{ mac: "interface" }]);
    await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
    await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS6]);
    const told = await lab.right.capture({ at: "port", filter: ANNOUNCEMENT, direction: "in" });
    const { mac } = lab.right.socket("eth0");
    const leftAt = now();
    await left.child.stop();
    await right.enters("master", ROLE_DEADLINE_MS, leftAt);
    for (const [what, filter] of ANNOUNCEMENTS) {
      const [line] = await untilPrinted(told, `${filter} and ether src ${mac}`, what);
      assert.doesNotMatch(line ?? "", /wrong|bad/);
    }
    for (const address of FLOATING) await untilKnown(lab.client, address, mac);
    assert.deepEqual((await snapshotOf(lab.right)).faults, []);
  });

  test("an interface that takes no MAC, and no arping: IPv6 is announced, and what is missing is said", async () => {
    await using lab = await Lab.open();
    await uninstall(lab.right, "arping");
    await obstruct(lab.right, "ip", NO_LIVE_MAC);
    const { left, right } = await startPair(lab, [{ mac: "interface" }]);
    await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS6]);
    const leftAt = now();
    await left.child.stop();
    await right.enters("master", ROLE_DEADLINE_MS, leftAt);
    const said =
      /^cannot announce 192\.0\.2\.1 on eth0: arping is not installed .*; and the kernel does not do it: ip link set dev eth0 address /;
    const { role } = await until(lab.right, ({ faults }) => faults.some((each) => said.test(each)));
    assert.equal(role, "master", "who does not know a better way still serves");
    await untilKnown(lab.client, VIRTUAL_ADDRESS6, lab.right.socket("eth0").mac);

    // Renewing the lease does not make it well; being master no more does.
    for (let i = 0; i < 2; i++) await nextAdvertisement(lab.right);
    assert.match((await snapshotOf(lab.right)).faults.join(), said);
    const backAt = now();
    startBoard(lab.left, [{ mac: "interface" }]);
    await right.enters("backup", ROLE_DEADLINE_MS, backAt);
    await until(lab.right, ({ faults }) => faults.length === 0);
  });

  test("what is sent does not leave: demoted after three times, well again after three", async () => {
    await using lab = await Lab.open();
    const left = startBoard(lab.left);
    await left.enters("master", ROLE_DEADLINE_MS);
    await mute(lab.left);
    const muted = await until(lab.left, ({ demotion }) => demotion.advskew === 240);
    assert.deepEqual(muted.demotion.reasons, ["cannot send on eth0"]);
    assert.equal(muted.carp[0]?.advertisedAdvskew, 240);
    assert.equal(muted.role, "master", "nobody else is there to serve");
    assert.match(muted.faults.join(), /^cannot send on eth0: .*[Oo]peration not permitted/);

    const { counters } = await groupOf(lab.left);
    await unmute(lab.left);
    const well = await until(lab.left, ({ demotion }) => demotion.advskew === 0);
    assert.ok((well.carp[0]?.counters.sent ?? 0) >= counters.sent + 3);
    assert.deepEqual(well.faults, []);
    assert.equal(roleChanges([left], 0).length, 2);
  });

  test("a master that cannot send gives way to the backup, and serves again when it is needed", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const mutedAt = now();
    await mute(lab.left);
    await right.enters("master", ROLE_DEADLINE_MS, mutedAt);
    await left.enters("backup", ROLE_DEADLINE_MS, mutedAt);
    await servedBy(lab, ["right"]);
    await unmute(lab.left);
    const leavesAt = now();
    await right.child.stop();
    await left.enters("master", ROLE_DEADLINE_MS, leavesAt);
    await servedBy(lab, ["left"]);
    await until(lab.left, ({ demotion }) => demotion.advskew === 0);
  });

  test("SIGTERM puts everything back: settings, devices, rules, files, processes", async () => {
    await using lab = await Lab.open({ lans: 2 });
    await lab.left.run([
      "sysctl",
      "-q",
      "-w",
      "net.ipv4.conf.eth0.rp_filter=1",
      "net.ipv4.conf.eth1.arp_notify=0",
    ]);
    const untouched = await traces(lab.left);
    const board = startBoard(lab.left, [
      { vhid: 7 },
      { vhid: 8, interface: "eth1", mac: "interface", addresses: ["198.51.100.1/24", "2001:db8:1::1/64"] },
    ]);
    await servedBy(lab, ["left"]);
    await lab.holders.wait("198.51.100.1", ["left"], ROLE_DEADLINE_MS);
    const touched = await traces(lab.left);
    for (const [what, found] of Object.entries(untouched)) {
      assert.notDeepEqual(
        touched[what as keyof typeof touched],
        found,
        `${what}: there is something to put back`,
      );
    }
    assert.equal((await board.child.stop()).status, 0);
    await servedBy(lab, []);
    assert.deepEqual(await traces(lab.left), untouched);
  });

  for (const mac of MACS) {
    test(`a floating address that is the board's own is refused, until it is removed; ${mac} MAC`, async () => {
      await using lab = await Lab.open();
      const own = `${VIRTUAL_ADDRESS}/24`;
      await lab.left.namespace.ip(`address add ${own} dev eth0`);
      const left = startBoard(lab.left, [{ mac }]);
      const said = `${VIRTUAL_ADDRESS} is configured on eth0 itself: a floating address must belong to no board, remove it there`;
      const { role, carp } = await until(lab.left, ({ faults }) => faults.includes(said));
      assert.equal(role, "init");
      assert.equal(carp[0]?.holding, false);
      assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS6), []);

      // It is the board's own all the same: neither other addresses nor our death take it off.
      await reconfigure(left, [{ mac, addresses: [`${VIRTUAL_ADDRESS6}/64`] }]);
      await left.enters("master", ROLE_DEADLINE_MS);
      assert.ok((await lab.left.addresses()).includes(`eth0 ${own}`));
      const askedAt = now();
      await reconfigure(left, [{ mac }]);
      await until(lab.left, ({ faults }) => faults.includes(said));
      await left.child.kill("SIGKILL");
      // The guard takes off the last address last.
      await lab.holders.wait(VIRTUAL_ADDRESS6, [], ROLE_DEADLINE_MS);
      assert.ok((await lab.left.addresses()).includes(`eth0 ${own}`));

      const again = startBoard(lab.left, [{ mac }]);
      await until(lab.left, ({ faults }) => faults.includes(said));
      await lab.left.namespace.ip(`address delete ${own} dev eth0`);
      await again.enters("master", ROLE_DEADLINE_MS, askedAt);
      await servedBy(lab, ["left"]);
      assert.deepEqual((await snapshotOf(lab.left)).faults, []);
    });
  }

  test("a device of somebody else's with our name is left alone, and told", async () => {
    await using lab = await Lab.open();
    await lab.left.namespace.ip(
      "link add name carp7 up type bridge",
      "address add 203.0.113.1/24 dev carp7",
      "link add link eth0 name carp8 up type macvlan mode bridge",
      "address add 203.0.113.2/24 dev carp8",
    );
    const foreign = async () =>
      (await lab.left.run(["ip", "-br", "address"])).split("\n").filter((line) => line.startsWith("carp"));
    const untouched = await foreign();
    const groups = [{ vhid: 7 }, { vhid: 8, addresses: ["192.0.2.8/24"] }];
    const first = startBoard(lab.left, groups);
    const said = (name: string) =>
      `the interface ${name} is not carpio's: rename or remove it, because the addresses go on a device of that name`;
    const { role } = await until(lab.left, ({ faults }) =>
      ["carp7", "carp8"].every((name) => faults.includes(said(name))),
    );
    assert.equal(role, "init");
    assert.deepEqual(await foreign(), untouched);
    assert.equal((await first.child.stop()).status, 0);
    assert.deepEqual(await foreign(), untouched);

    const again = startBoard(lab.left, groups);
    await until(lab.left, ({ faults }) => faults.includes(said("carp8")));
    await lab.left.namespace.ip("link set carp7 name strange0", "link set carp8 name strange1");
    await lab.holders.wait("192.0.2.8", ["left"], ROLE_DEADLINE_MS);
    await servedBy(lab, ["left"]);
    await until(lab.left, ({ faults }) => faults.length === 0);
    assert.equal((await again.child.stop()).status, 0);
    assert.match(
      await lab.left.run(["ip", "-br", "address"]),
      /strange0 .*203\.0\.113\.1.*\nstrange1.*203\.0\.113\.2/s,
    );
  });

  for (const mac of MACS) {
    test(`a board without IPv6 on its interface says so, and does not disturb the other; ${mac} MAC`, async () => {
      await using lab = await Lab.open();
      const left = startBoard(lab.left, [{ mac }]);
      await left.enters("master", ROLE_DEADLINE_MS);
      const calmAt = now();
      await lab.right.run(["sysctl", "-q", "-w", "net.ipv6.conf.eth0.disable_ipv6=1"]);
      const right = startBoard(lab.right, [{ mac, advskew: ADVSKEWS.right }]);
      const { role } = await until(lab.right, ({ faults }) => /IPv6 is disabled/.test(faults.join()));
      assert.equal(role, "init");
      // Longer than anybody's patience.
      for (let i = 0; i < 5; i++) await nextAdvertisement(lab.left);
      assert.deepEqual(roleChanges([left], calmAt), []);
      await servedBy(lab, ["left"]);

      await lab.right.run(["sysctl", "-q", "-w", "net.ipv6.conf.eth0.disable_ipv6=0"]);
      await right.enters("backup", ROLE_DEADLINE_MS);
    });
  }

  test("a setting that overrules ours is told", async () => {
    await using lab = await Lab.open();
    await lab.left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=8"]);
    const left = startBoard(lab.left);
    const said =
      "net/ipv4/conf/all/arp_ignore is 8, wanted 0 or 1: nobody would answer ARP for a floating address";
    await left.child.waitForLine(new RegExp(`^warning: ${said}$`), DEADLINE_MS);
    assert.ok((await snapshotOf(lab.left)).faults.includes(said));
    await lab.left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=0"]);
    await until(lab.left, ({ faults }) => faults.length === 0);
  });

  test("a setting that somebody changes is told and put right, and put back as it was wanted last", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const calmAt = await calm(lab);
    const file = "net.ipv4.conf.eth0.arp_ignore";
    await lab.left.run(["sysctl", "-q", "-w", `${file}=2`]);
    const said = "net/ipv4/conf/eth0/arp_ignore was 2, wanted 1: set again";
    await until(lab.left, ({ faults }) => faults.includes(said));
    assert.equal(await lab.left.run(["sysctl", "-n", file]), "1\n");
    await until(lab.left, ({ faults }) => faults.length === 0);
    assert.deepEqual(roleChanges([left, right], calmAt), []);
    await left.child.stop();
    assert.equal(await lab.left.run(["sysctl", "-n", file]), "2\n");
  });

  test("a board without ip says so, and works as soon as it has it", async () => {
    await using lab = await Lab.open();
    await uninstall(lab.left, "ip");
    const left = startBoard(lab.left);
    const said = "ip is not installed (Debian's package iproute2)";
    const { role } = await until(lab.left, ({ faults }) => faults.includes(said));
    assert.equal(role, "init");
    await reinstall(lab.left);
    await left.enters("master", ROLE_DEADLINE_MS);
    await servedBy(lab, ["left"]);
    await until(lab.left, ({ faults }) => faults.length === 0);
    assert.equal((await left.child.stop()).status, 0);
  });

  test("a status address that comes later: told, and answered there when it is", async () => {
    await using lab = await Lab.open();
    const listen = "192.0.2.99:8080";
    const left = carpio(lab.left, boardConfig("left", [{}]).replace("127.0.0.1:8080", listen));
    await left.child.waitForLine(/^warning: no status over HTTP: .*EADDRNOTAVAIL/, DEADLINE_MS);
    await lab.left.namespace.ip("address add 192.0.2.99/32 dev eth0");
    const ask = `fetch("http://${listen}/status").then(async (answer) => console.log(await answer.text()))`;
    for (const untilAt = now() + DEADLINE_MS; ; await sleep(100)) {
      const { status, stdout } = await lab.left.attempt([process.execPath, "-e", ask]);
      if (status === 0) {
        assert.deepEqual(JSON.parse(stdout).faults, []);
        break;
      }
      assert.ok(now() < untilAt, "nobody listens");
    }
  });

  test("another address of the board's own: advertisements come from there", async () => {
    await using lab = await Lab.open();
    const { left, right } = await startPair(lab);
    const calmAt = await calm(lab);
    const another = "192.0.2.22";
    const spoken = await lab.left.capture({
      at: "port",
      filter: `${CARP} and src host ${another}`,
      direction: "in",
    });
    await lab.left.namespace.ip(
      `address add ${another}/32 dev eth0`,
      `address delete ${lab.left.address}/24 dev eth0`,
    );
    await spoken.frame(DEADLINE_MS);
    await lab.left.namespace.ip(
      `address delete ${another}/32 dev eth0`,
      `address add ${another}/24 dev eth0`,
    );
    await spoken.frame(DEADLINE_MS, now());
    const { master } = await groupOf(lab.right);
    assert.ok(master);
    assert.deepEqual(roleChanges([left, right], calmAt), []);
    await servedBy(lab, ["left"]);
    await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
  });
});

/** Waits until the capture has such frames. */
async function untilPrinted(capture: Capture, filter: string, what: string): Promise<readonly string[]> {
  for (const untilAt = now() + DEADLINE_MS; ; await sleep(50)) {
    const lines = await capture.print(filter, "-vv");
    if (lines.length > 0) return lines;
    assert.ok(now() < untilAt, `${what} is not announced`);
  }
}

/** Waits until a host that has spoken with an address knows that it is at this MAC. */
async function untilKnown(host: Host, address: string, mac: string): Promise<void> {
  for (const untilAt = now() + DEADLINE_MS; ; await sleep(50)) {
    const known = await host.run(["ip", "neigh", "show", "to", address]);
    if (known.includes(mac)) return;
    assert.ok(now() < untilAt, `${host.name} knows of ${address}: ${known}`);
  }
}

/** A socket of its own for an interface that was not there when the lab was made. */
async function plugInLate(lab: Lab, number: number): Promise<void> {
  const { pid } = lab.left.namespace;
  await lab.switch.ip(
    `link add name late${number} type veth peer name late0 netns ${pid}`,
    `link set late${number} master switch0 up`,
  );
  await lab.left.namespace.ip("link set late0 up", "address add 192.0.2.9/24 dev late0");
}

/** Commands that take off what a board holds on its own interface, one address each. */
async function heldAs(host: Host, device: string): Promise<readonly string[]> {
  const floating = (await host.addresses()).filter((line) =>
    FLOATING.some((address) => line.startsWith(`${device} ${address}/`)),
  );
  assert.equal(floating.length, 2);
  return floating.map((line) => `address delete ${line.split(" ")[1]} dev ${device}`);
}

function mute(host: Host): Promise<string> {
  const rule =
    "add chain inet mute output { type filter hook output priority 0; }; add rule inet mute output meta l4proto 112 drop";
  return host.run(["nft", `add table inet mute; ${rule}`]);
}

function unmute(host: Host): Promise<string> {
  return host.run(["nft", "delete table inet mute"]);
}

/** All that a daemon changes on a board. */
async function traces(host: Host) {
  const pattern = "^net\\.ipv[46]\\.(conf|neigh)\\.(all|default|eth.)\\.";
  const links: readonly { readonly ifname: string }[] = JSON.parse(await host.run(["ip", "-json", "link"]));
  return {
    settings: (await host.run(["sysctl", "-a", "-r", pattern])).split("\n"),
    devices: links.map(({ ifname }) => ifname),
    addresses: await host.addresses(),
    rules: await host.run(["nft", "list", "ruleset"]),
    files: await host.run(["sh", "-c", "ls -A /run/carpio 2>/dev/null || true"]),
    processes: await processesOn(host),
  };
}

/** Waits until the host has let go of an address at some moment after this one. */
async function losesSome(lab: Lab, host: string, after: Moment): Promise<void> {
  const untilAt = now() + DEADLINE_MS;
  const histories = () => FLOATING.flatMap((address) => lab.holders.history(address));
  while (!histories().some((it) => it.host === host && !it.holds && it.at >= after)) {
    assert.ok(now() < untilAt, `${host} has let go of nothing`);
    await sleep(5);
  }
}
