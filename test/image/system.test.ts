/**
 * The running system of a board, from outside, and by SSH where something can be
 * seen only from inside: all that its carpio.toml asks for is there, and nothing
 * else. Then it panics, finds a broken file and comes back, and is switched off
 * by its button. A second board has a card as it comes out of the box.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { statusOf, untilStatus, waitForFace } from "../emulated/board.js";
import { cableOf } from "../emulated/story.js";
import { ask } from "../lab/asking.js";
import { CONTROL } from "../lab/boards.js";
import { type Child, now } from "../lab/child.js";
import type { Host } from "../lab/host.js";
import type { Lab } from "../lab/lab.js";
import { becomeLabRoot } from "../lab/namespace.js";
import { type Daemon, ucarp } from "../lab/peers.js";
import { Appliance, addressOf } from "./appliance.js";
import { copyCard, imageOf, listFiles, putText, readText, showNotices } from "./card.js";
import { openNetwork, ROUTER } from "./network.js";
import {
  AHEAD_SECONDS,
  filesOf,
  furnish,
  GUESTS,
  INSIDE,
  NUMBER,
  nodeProgram,
  OUTSIDE,
  openSurroundings,
  PORTS,
  TELLER,
  TOKEN,
  WAIT_MS,
} from "./surroundings.js";

await becomeLabRoot();

const FRESH_NUMBER = 32;
const PAGE = 8080;
const SSH = 22;
const MDNS = 5353;
/** As the kernel gives them out. */
const EPHEMERAL = 32_768;
/** A line of /proc/net/tcp and its like of a socket that has no other end, and its own port: of a raw one, its protocol. */
const WAITING = /^(\w+?)6?: *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 (?:0A|07) /gm;
/** Numbers of protocols; raw sockets of the second one hear nothing. */
const [CARP, SENDING] = [112, 255];
/** Bits of a set of capabilities. */
const [NET_ADMIN, NET_RAW, NONE] = [1 << 12, 1 << 13, 0];
/** What the daemon can do to the board, and what it cannot, also when somebody else speaks for it. */
const DOES = [
  "echo 1 >/proc/sys/net/ipv4/conf/lo/arp_ignore",
  ": >/run/carpio/daemon/mine && rm /run/carpio/daemon/mine",
  ": >/dev/null",
  "dd if=/run/records/state-a of=/run/records/state-a conv=notrunc bs=512",
];
const DOES_NOT = [
  "echo : >/run/carpio/services/mine",
  "rm /run/carpio/slot",
  ": >>/run/boot/carpio.toml",
  ": >/dev/vda",
  ": >/dev/loop1",
  "dd if=/dev/zero of=/run/records/state-a conv=notrunc bs=512 seek=1 count=1",
  "losetup -d /run/records/state-a",
  "echo add >/sys/bus/pci/devices/0000:00:01.0/uevent",
  "echo core >/proc/sys/kernel/core_pattern",
  "echo Y >/sys/module/printk/parameters/time",
  "mount -t tmpfs mine /tmp",
  "mknod /tmp/disc b 254 0",
];
/** Which gives 15 s, and no more. */
const AS_ON_A_PI = "i6300esb.heartbeat=15";
/** Longer than the five seconds that switch a board off. */
const HOLD_MS = 6_000;

describe("a board that is asked for everything", { timeout: 900_000 }, () => {
  let lab: Lab;
  let provider: Child;
  let peer: Daemon;
  let board: Appliance;
  let card: string;
  let key: string;

  /** Who has the key gets an answer. A board with another host key than before is refused. */
  const ssh = (command: string, ...options: readonly string[]) => [
    ...["ssh", "-F", "/dev/null", "-i", key, "-o", "BatchMode=yes", "-o", "ConnectTimeout=60"],
    ...["-o", "StrictHostKeyChecking=accept-new", "-o", `UserKnownHostsFile=${key}.hosts`],
    ...[...options, `root@${OUTSIDE.address}`, command],
  ];
  const inBoard = (command: string) => lab.client.run(ssh(command));

  before(async () => {
    lab = await openSurroundings();
    provider = await furnish(lab);
    peer = ucarp(lab.host(ROUTER), { advskew: 200, preempt: true });
    key = join(lab.directory, "key");
    await lab.client.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
    const publicKey = (await lab.client.run(["cat", `${key}.pub`])).trim();
    card = copyCard(imageOf("virt"), join(lab.directory, "gate.img"));
    for (const [name, text] of Object.entries(filesOf(publicKey))) putText(card, name, text);
    showNotices(card);
    putText(card, "cmdline.txt", `${readText(card, "cmdline.txt").trimEnd()} ${AS_ON_A_PI}\n`);
    const [cable, secondCable] = [await cableOf(lab, "gate"), await cableOf(lab, "gate", 1)];
    board = await Appliance.powerOn({ kind: "virt", card, number: NUMBER, cable, secondCable });
    await waitForFace(board, "master");
  });
  after(async () => {
    await board?.close();
    await lab?.close();
  });

  test("nothing is wrong", async () => {
    assert.deepEqual((await statusOf(board))?.faults, []);
  });

  test("its watchdog is as impatient as a Raspberry Pi's", async () => {
    assert.match(await inBoard("dmesg"), /i6300ESB.* heartbeat=15 sec/);
    // And goes on while the board shuts down, which may hang as well.
    assert.equal(await inBoard("cat /sys/module/watchdog/parameters/stop_on_reboot"), "0\n");
  });

  test("it has its addresses, by DHCP and without, and those of a VLAN, which leave with its tag", async () => {
    const shown = JSON.parse(await inBoard("ip -json address")) as readonly Device[];
    const outside = [`${OUTSIDE.address}/24`, `${OUTSIDE.address6}/64`];
    assert.deepEqual(heldBy(shown, "eth0"), { mtu: 1480, addresses: outside });
    const inside = [`${INSIDE.address}/24`, `${INSIDE.address6}/64`];
    assert.deepEqual(heldBy(shown, "inside"), { mtu: 1500, addresses: inside });
    assert.deepEqual(heldBy(shown, "guests"), { mtu: 1500, addresses: [`${GUESTS.address}/24`] });
    const tagged = `vlan ${GUESTS.vlan} and ip proto 112`;
    await lab.switch.run(["timeout", "60", "tcpdump", "-n", "-c", "1", "-i", PORTS.inside, tagged]);
    const ways = await inBoard("ip route; ip -6 route");
    for (const gateway of [OUTSIDE.router, OUTSIDE.router6])
      assert.match(ways, new RegExp(`^default via ${gateway} dev eth0`, "m"));
    assert.equal(await inBoard("hostname"), "gate\n");
  });

  test("its name with .local is answered with its own address, and no floating one", async () => {
    assert.deepEqual(await localAddresses(lab.client, "gate.local"), [OUTSIDE.address]);
  });

  test("its clock is that of a server, which it has found by name", async () => {
    const wanted = () => Date.now() / 1000 + AHEAD_SECONDS;
    await provider.waitForLine(/^time /, WAIT_MS);
    const deadlineAt = now() + WAIT_MS;
    for (let off = Infinity; Math.abs(off) > 60; off = Number(await inBoard("date +%s")) - wanted())
      assert.ok(now() < deadlineAt, `the clock is off by ${off} s`);
  });

  test("another computer gets all its lines, from the kernel's first on", async () => {
    for (const line of [/Booting Linux/, /carpio: the base begins/, /-> master/])
      await provider.waitForLine(new RegExp(`^log .*${line.source}`), WAIT_MS);
  });

  test("GET /log has lines of kernel, supervisor and daemon, for whoever has the token", async () => {
    const url = `http://${OUTSIDE.address}:${PAGE}/log`;
    const { status, body } = await ask(lab.client, { url, headers: { authorization: `Bearer ${TOKEN}` } });
    assert.equal(status, 200);
    for (const line of [/Booting Linux/, /carpio: the system begins/, /carpio: .*-> master/])
      assert.match(body, line);
    for (const headers of [{}, { authorization: "Bearer another" }])
      assert.equal((await ask(lab.client, { url, headers })).status, 401);
  });

  test("packets go through it, with its shared address by NAT, and to a port that it forwards", async () => {
    const inside = lab.host(CONTROL);
    assert.equal(await whoAmI(inside, lab.client.address), OUTSIDE.floating);
    for (const address of [OUTSIDE.address, OUTSIDE.floating])
      assert.equal(await whoAmI(lab.client, address), lab.client.address);
    await lab.client.run(["ping", "-c", "1", "-w", "20", INSIDE.host6]);
  });

  test("SSH is for whoever has the key, and asks nobody for a password", async () => {
    const { status, stderr } = await lab.client.attempt(ssh("id", "-o", "PubkeyAuthentication=no"));
    assert.equal(status, 255);
    assert.match(stderr, /Permission denied \(publickey\)/);
  });

  test("nothing listens but what its file asks for, and what its rules send inside", async () => {
    assert.deepEqual(await openPorts(lab.client, OUTSIDE.address), [SSH, TELLER, PAGE]);
    // What it waits for itself, in both families; of UDP, ports above these are of those who ask somebody.
    const said = await inBoard("cd /proc/net && grep : tcp tcp6 udp udp6 raw raw6");
    const open = [...said.matchAll(WAITING)].map(([, protocol = "", port]) => ({
      protocol,
      port: Number(`0x${port}`),
    }));
    const lasting = open.filter(({ protocol, port }) => protocol !== "udp" || port < EPHEMERAL);
    assert.deepEqual([...new Set(lasting.map(({ protocol, port }) => `${protocol} ${port}`))].toSorted(), [
      `raw ${CARP}`,
      `raw ${SENDING}`,
      `tcp ${SSH}`,
      `tcp ${PAGE}`,
      `udp ${MDNS}`,
    ]);
  });

  test("the daemon may do two things, and no more", async () => {
    const said = await inBoard("grep ^Cap /proc/$(cat /run/daemon.pid)/status");
    const sets = [...said.matchAll(/^(Cap\w+):\s*(\w+)$/gm)].map(([, set, bits]) => [
      set,
      Number(`0x${bits}`),
    ]);
    const both = NET_ADMIN | NET_RAW;
    const wanted = { CapInh: NONE, CapPrm: both, CapEff: both, CapBnd: both, CapAmb: NONE };
    assert.deepEqual(Object.fromEntries(sets), wanted);
    // In a world of its own it would have them all.
    assert.equal(await inBoard("cat /proc/sys/user/max_user_namespaces"), "0\n");
  });

  test("the daemon writes where it has to, and nowhere else", async () => {
    const attempts = [...DOES, ...DOES_NOT].map(
      (each) => `/usr/lib/carpio/enclosed sh -c '${each}' 2>/dev/null && echo '${each}'`,
    );
    assert.deepEqual((await inBoard(`${attempts.join("; ")}; :`)).trim().split("\n"), DOES);
    // And it is not for want of what they ask for.
    const asRoot = DOES_NOT.filter((each) => /^:|^echo/.test(each)).map(
      (each) => `${each} && echo '${each}'`,
    );
    assert.equal(
      (await inBoard(`${asRoot.join("; ")}; rm /run/carpio/services/mine`)).trim().split("\n").length,
      asRoot.length,
    );
    // The daemon that runs is enclosed as they are.
    const said = await inBoard("grep -E '^(NoNewPrivs|Seccomp):' /proc/$(cat /run/daemon.pid)/status");
    assert.deepEqual(said.match(/\d+/g), ["1", "2"]);
  });

  test("of half a gigabyte of memory 300 MB are left", async (t) => {
    const available = /^MemAvailable: +(\d+) kB$/m.exec(await inBoard("cat /proc/meminfo"))?.[1];
    t.diagnostic(`${available} kB`);
    assert.ok(Number(available) >= 300 * 1024, available);
  });

  test("its card is mounted only while something is written, as now rules that are broken", async () => {
    assert.doesNotMatch(await inBoard("cat /proc/mounts"), /vfat/);
    const mount = "mkdir /tmp/card && mount -t vfat $(cat /run/carpio/card) /tmp/card";
    await inBoard(`${mount} && echo 'table ip gate {' >/tmp/card/nftables.conf && umount /tmp/card`);
    assert.match(await inBoard("carpio slot"), /\ba\b/);
    assert.doesNotMatch(await inBoard("cat /proc/mounts"), /vfat/);
  });

  test("a panic of the kernel starts it again", async () => {
    // Nobody is left to answer.
    inBoard("echo c >/proc/sysrq-trigger").catch(() => {});
    await board.until(() => board.lines.filter((line) => /carpio: the system begins/.test(line)).length, {
      holds: (starts) => starts === 2,
      what: "another start",
    });
  });

  test("rules that are broken are told of everywhere, and nothing is forwarded; it serves all the same", async () => {
    const isTold = /nftables\.conf:\d+/;
    const { panel, diagnosis } = await untilStatus(
      board,
      "a master that knows what is wrong",
      (it) => it.role === "master" && it.faults.some((fault) => isTold.test(fault)),
    );
    assert.equal(panel.face, "fault");
    assert.match(diagnosis.broken?.says ?? "", isTold);
    assert.match(await page(lab.client, OUTSIDE.address), isTold);
    assert.match(await inBoard("dmesg"), isTold);
    assert.equal(await inBoard("cd /proc/sys/net && cat ipv4/ip_forward ipv6/conf/all/forwarding"), "0\n0\n");
    await board.until(async () => listFiles(card).includes("carpio-errors.txt"), {
      holds: Boolean,
      what: "carpio-errors.txt on the card",
    });
    assert.match(readText(card, "carpio-errors.txt"), isTold);
  });

  test("asked over HTTP, by whoever has the token: another one serves, then it starts again", async () => {
    const url = `http://${OUTSIDE.address}:${PAGE}/restart`;
    const restart = (token: string) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      return ask(lab.client, { method: "POST", url, headers, body: "{}" });
    };
    assert.equal((await restart("another")).status, 401);
    const askedAt = now();
    const { status, body } = await restart(TOKEN);
    assert.deepEqual([status, JSON.parse(body)], [200, { restart: { state: "begun" } }]);
    await board.untilLine(/Restarting system/);
    await isTakenOver(askedAt, /Restarting system/);
    await untilStatus(board, "a master again", ({ role }) => role === "master");
    await peer.enters("backup", WAIT_MS, askedAt);
  });

  test("five seconds at its button: another one serves, then the power goes", async () => {
    const pressedAt = now();
    await board.press(HOLD_MS);
    await board.until(() => board.hasPower, { holds: (has) => !has, what: "the power to go" });
    await isTakenOver(pressedAt, /Power down/);
  });

  /** Before the board's last line. */
  async function isTakenOver(since: number, last: RegExp): Promise<void> {
    const goneAt = board.moments[board.lines.findLastIndex((line) => last.test(line))] ?? 0;
    const { at } = await peer.enters("master", WAIT_MS, since);
    assert.ok(at < goneAt, `taken over ${at - goneAt} ms after the end`);
  }
});

test("a board whose card nobody has edited has DHCP and a name, says what to write, and is deaf to all else", {
  timeout: 600_000,
}, async () => {
  await using lab = await openNetwork([FRESH_NUMBER]);
  const card = copyCard(imageOf("virt"), join(lab.directory, "fresh.img"));
  const cable = await cableOf(lab, "fresh");
  await using board = await Appliance.powerOn({ kind: "virt", card, number: FRESH_NUMBER, cable });
  const { name } = await waitForFace(board, "starting");
  const address = addressOf(FRESH_NUMBER);
  assert.equal(name, "carpio-0220");
  assert.deepEqual(await localAddresses(lab.client, `${name}.local`), [address]);
  assert.match(await page(lab.client, address, `${name}.local`), /carpio\.toml/);
  assert.deepEqual(await openPorts(lab.client, address), [PAGE]);
});

/** As `ip -json address` prints it. */
interface Device {
  readonly ifname: string;
  readonly mtu: number;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
  }[];
}

function heldBy(devices: readonly Device[], name: string) {
  const { mtu, addr_info: all = [] } = devices.find(({ ifname }) => ifname === name) ?? {};
  const addresses = all.filter(({ scope }) => scope === "global");
  return { mtu, addresses: addresses.map(({ local, prefixlen }) => `${local}/${prefixlen}`) };
}

/** Everybody answers whose name that is. */
async function localAddresses(host: Host, name: string): Promise<readonly string[]> {
  return JSON.parse(await host.run(nodeProgram("local-name", name, "A", host.address)));
}

async function openPorts(host: Host, address: string): Promise<readonly number[]> {
  return JSON.parse(await host.run(nodeProgram("ports", address)));
}

/** By which address somebody is known at another one. */
async function whoAmI(host: Host, address: string): Promise<string> {
  return (await host.run(["busybox", "nc", "-w", "20", address, String(TELLER)])).trim();
}

/** As a browser gets it. */
async function page(host: Host, address: string, name = address): Promise<string> {
  const headers = { accept: "text/html", host: `${name}:${PAGE}` };
  const { status, body } = await ask(host, { url: `http://${address}:${PAGE}/`, headers });
  assert.equal(status, 200, body);
  return body;
}
