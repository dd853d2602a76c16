/**
 * The laboratory itself: that a cut is a cut, a loss is counted, noise is told
 * from loss, two holders are seen, and nothing stays behind. Needs root or
 * unprivileged user namespaces.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf, now } from "./child.js";
import { parseChange } from "./holders.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { keepalived, ucarp, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

let lab: Lab;
before(async () => {
  lab = await Lab.open();
});
after(() => lab.close());

test("hosts have the addresses of the drawing, and reach each other by both families", async () => {
  assert.deepEqual(await lab.left.addresses(), [
    "lo 127.0.0.1/8",
    "lo ::1/128",
    "eth0 192.0.2.2/24",
    "eth0 2001:db8::2/64",
    "eth0 fe80::ff:fe00:2/64",
  ]);
  assert.equal((await lab.left.run(["cat", "/proc/sys/kernel/hostname"])).trim(), "left");
  await lab.client.run(["ping", "-c1", "-w5", lab.right.address]);
  await lab.client.run(["ping", "-c1", "-w5", lab.right.address6]);
});

test("a probe of a healthy host loses nothing, at 1 kHz and at 10 kHz, by both families", async () => {
  const intervals = { [lab.right.address]: 1, [lab.left.address]: 0.1, [lab.right.address6]: 1 };
  const probes = await Promise.all(
    Object.entries(intervals).map(([target, intervalMs]) => lab.client.probe({ target, intervalMs })),
  );
  await Promise.all(probes.map((probe) => probe.answered(5000)));
  await sleep(1000);
  for (const probe of probes) {
    const result = await probe.stop();
    assert.equal(result.lost, 0);
    assert.deepEqual(result.outages, []);
    // A machine that stalls skips probes; one that stalls most of the time measures nothing.
    const due = (result.endedAt - result.startedAt) / result.intervalMs;
    assert.ok(result.sent > due / 2, `${result.sent} of ${due} probes sent`);
    assert.ok(
      Math.abs(result.sent + result.skipped - due) < due / 20,
      `${result.sent} and ${result.skipped} of ${due}`,
    );
  }
});

for (const what of ["both", "sending", "receiving", "silently"] as const) {
  test(`a cable cut (${what}): the loss is counted, the control stays clean, and it heals`, async () => {
    const probe = await lab.client.probe({ target: lab.right.address });
    const control = await lab.client.probe({ target: lab.left.address });
    await Promise.all([probe.answered(5000), control.answered(5000)]);

    const cutAt = now();
    await lab.right.cutCable({ what });
    const deadAt = now();
    await sleep(200);
    const pluggedAt = now();
    await lab.right.plugIn();
    await probe.answering(5000);

    const result = await probe.stop();
    const { firstLossAt = 0, answeredAgainAt = 0 } = result;
    assert.ok(firstLossAt >= cutAt - 2 && firstLossAt <= deadAt + 20, "lost from the cut on");
    assert.ok(answeredAgainAt >= pluggedAt, "answered once plugged in again");
    assert.ok(result.longestOutageMs >= pluggedAt - deadAt - 20);
    assert.equal(result.outages.length, 1);
    // One for each millisecond, but for those the machine did not let us send.
    assert.ok(Math.abs(result.lost + result.skipped - result.longestOutageMs) <= result.skipped + 5);
    assert.equal((await control.stop()).lost, 0);
  });
}

test("only a cut of both directions takes the carrier away", async () => {
  const carrier = (): Promise<string> => lab.right.run(["cat", "/sys/class/net/eth0/carrier"]);
  await lab.right.cutCable({ what: "silently" });
  assert.equal(await carrier(), "1\n");
  await lab.right.cutCable();
  assert.equal(await carrier(), "0\n");
  await lab.right.plugIn();
  assert.equal(await carrier(), "1\n");
});

test("one holder, two, none: seen, timed, and not counted without a cable", async () => {
  const address = "192.0.2.77";
  const change = async (verb: "add" | "del", host = lab.left): Promise<void> =>
    void (await host.run(["ip", "address", verb, `${address}/32`, "dev", "eth0"]));
  const beganAt = now();
  await change("add");
  await lab.holders.wait(address, ["left"], 5000);
  await sleep(100);
  await change("add", lab.right);
  const bothAt = await lab.holders.wait(address, ["left", "right"], 5000);
  await sleep(300);
  await lab.right.cutCable();
  const cutAt = now();
  await sleep(100);
  assert.deepEqual(lab.holders.of(address), ["left", "right"], "it still has the address");
  await change("del", lab.right);
  await change("del");
  const emptyAt = await lab.holders.wait(address, [], 5000);
  await lab.right.plugIn();

  const [first] = lab.holders.history(address);
  assert.ok(first && first.host === "left" && first.at >= beganAt && first.at <= bothAt);
  const { severalMs, noneMs } = lab.holders.between(address, first.at, emptyAt);
  assert.ok(severalMs >= 290 && severalMs <= cutAt - bothAt + 60, `two holders for ${severalMs} ms`);
  assert.ok(noneMs <= 20, `no holder for ${noneMs} ms`);
  assert.ok(lab.holders.between(address, first.at, emptyAt + 100).noneMs >= 95);
});

test("holders: the lines of ip monitor", () => {
  const at = Date.parse("2026-11-22T12:38:44.475Z") + 0.212;
  const stamp = "[2026-11-22T12:38:44.475212]";
  assert.deepEqual(
    parseChange(`${stamp} 3: d0    inet 192.0.2.9/32 scope global d0\\       valid_lft forever`),
    {
      kind: "address",
      at,
      index: 3,
      address: "192.0.2.9",
      present: true,
    },
  );
  assert.deepEqual(parseChange(`${stamp} Deleted 3: d0    inet6 2001:db8::9/64 scope global nodad `), {
    kind: "address",
    at,
    index: 3,
    address: "2001:db8::9",
    present: false,
  });
  assert.deepEqual(
    parseChange(`${stamp} 3: d0@if2: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue`),
    {
      kind: "link",
      at,
      index: 3,
      up: true,
      carrier: false,
    },
  );
  assert.deepEqual(parseChange(`${stamp} Deleted 3: d0@NONE: <BROADCAST,MULTICAST> mtu 1500`), {
    kind: "gone",
    at,
    index: 3,
  });
  assert.equal(parseChange("Terminated"), undefined);
});

test("a capture holds what went over the cable, and nothing else", async () => {
  const onHost = await lab.left.capture({ filter: "icmp" });
  const atPort = await lab.left.capture({ at: "port", filter: "icmp", direction: "in" });
  await lab.client.run(["ping", "-c3", "-i0.05", "-W5", lab.left.address]);
  await lab.client.run(["ping", "-c1", "-w5", lab.right.address]);
  await onHost.frame(5000);
  assert.ok(existsSync(await onHost.stop()) && existsSync(await atPort.stop()));
  const frames = await onHost.print();
  assert.equal(frames.length, 6);
  assert.match(frames[0] ?? "", /^\d+\.\d+ 02:00:00:00:00:64 > 02:00:00:00:00:02, .* echo request/);
  assert.equal((await atPort.print()).length, 3, "only what came in from left");
});

test("a child: its lines, its end, and an error that shows what it said", async () => {
  const child = lab.left.spawn(["sh", "-c", "echo one; echo two >&2; read line; exit 3"]);
  await child.waitForLine(/^two$/, 5000);
  assert.equal((await child.ended).status, 3);
  await child.silent;
  assert.equal(child.text("stdout"), "one\n");
  await assert.rejects(
    child.waitForLine(/three/, 5000),
    /ended without saying .*three.*exit status 3.*\n {2}one/s,
  );
  await assert.rejects(lab.left.run(["sh", "-c", "echo no >&2; exit 4"]), /on left: sh .*exit status 4: no/);
});

test("a child stopped and continued is the command itself, not the door to its namespace", async () => {
  const child = lab.left.spawn(["sh", "-c", "while :; do echo tick; sleep 0.02; done"]);
  await child.waitForLine(/tick/, 5000);
  await child.kill("SIGSTOP");
  const pid = await child.pid();
  const state = (): string | undefined =>
    /^State:\s+(\w)/m.exec(execFileSync("cat", [`/proc/${pid}/status`], { encoding: "utf8" }))?.[1];
  while (state() !== "T") await sleep(5);
  await child.kill("SIGCONT");
  await child.waitForLine(/tick/, 5000, now());
  assert.equal((await child.stop()).signal, "SIGTERM");
});

test("an orphan that ends is gone, and not a zombie for ever", async () => {
  const known = childrenOf(lab.left.namespace.pid);
  const orphans = (): readonly number[] =>
    childrenOf(lab.left.namespace.pid).filter((pid) => !known.includes(pid));
  const untilItMay = "until [ -e /run/may-end ]; do sleep 0.01; done";
  await lab.left.run(["sh", "-c", `sh -c '${untilItMay}' >/dev/null 2>&1 &`]);
  assert.equal(orphans().length, 1);
  await lab.left.run(["touch", "/run/may-end"]);
  for (const deadline = now() + 5000; orphans().length > 0; await sleep(10)) {
    assert.ok(now() < deadline, `still there: ${orphans()}`);
  }
});

test("ucarp serves the address; killed, it leaves the address behind, and that is seen", async () => {
  const daemon = ucarp(lab.left);
  await daemon.enters("master", 15_000);
  await lab.holders.wait(VIRTUAL_ADDRESS, ["left"], 5000);
  await lab.client.run(["ping", "-c1", "-w5", VIRTUAL_ADDRESS]);
  await daemon.child.kill("SIGKILL");
  assert.equal((await daemon.child.ended).signal, "SIGKILL");
  assert.deepEqual(lab.holders.of(VIRTUAL_ADDRESS), ["left"]);
  await lab.left.run(["ip", "address", "del", `${VIRTUAL_ADDRESS}/24`, "dev", "eth0"]);
  await lab.holders.wait(VIRTUAL_ADDRESS, [], 5000);
});

test("keepalived serves the address from its virtual MAC, and takes it off when it leaves", async () => {
  const daemon = keepalived(lab.left, [{ priority: 200, advertMs: 10, virtualMac: true }]);
  await daemon.enters("master", 15_000);
  await lab.holders.wait(VIRTUAL_ADDRESS, ["left"], 5000);
  assert.ok((await lab.left.addresses()).includes(`vrrp.7 ${VIRTUAL_ADDRESS}/24`));
  assert.equal((await daemon.child.stop()).status, 0);
  await lab.holders.wait(VIRTUAL_ADDRESS, [], 5000);
});

test("two LANs and a third board", async () => {
  await using wide = await Lab.open({ boards: ["left", "right", "third"], lans: 2 });
  await wide.client.run(["ping", "-c1", "-w5", "198.51.100.4"]);
  await wide.host("third").cutCable({ interface: "eth1" });
  assert.notEqual((await wide.client.attempt(["ping", "-c1", "-W1", "198.51.100.4"])).status, 0);
  await wide.client.run(["ping", "-c1", "-w5", "192.0.2.4"]);
});

test("closing ends every process and network, also those whose parent was killed", async () => {
  const closing = await Lab.open();
  const networks = [...closing.hosts.map((host) => host.namespace.network), closing.switch.network];
  const child = closing.left.spawn(["sh", "-c", "setsid sleep 1000 & echo started; sleep 1000"]);
  await child.waitForLine(/started/, 5000);
  await child.kill("SIGKILL");
  await child.ended;
  assert.ok(inhabitants(networks).length > 0);
  await closing.close();
  await everyoneLeaves(networks);
  assert.equal(existsSync(closing.directory), false);
});

test("temporary files go with the lab, also those of a program that was killed", async () => {
  const closing = await Lab.open();
  const child = closing.left.spawn(["sh", "-c", "mktemp; sleep 1000"]);
  const { text: file } = await child.waitForLine(/\//, 5000);
  await child.kill("SIGKILL");
  assert.ok(existsSync(file));
  await closing.close();
  assert.equal(existsSync(file), false);
});

for (const signal of ["SIGKILL", "SIGTERM", "SIGINT"] as const) {
  test(`a program with a lab open dies of ${signal}: nothing stays behind`, async () => {
    const program = `
      const { Lab } = await import(${JSON.stringify(new URL("./lab.js", import.meta.url).href)});
      const { ucarp } = await import(${JSON.stringify(new URL("./peers.js", import.meta.url).href)});
      const lab = await Lab.open();
      await ucarp(lab.left).enters("backup", 15000);
      const networks = [...lab.hosts.map((host) => host.namespace.network), lab.switch.network];
      console.log(JSON.stringify({ networks, directory: lab.directory }));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NODE_TEST_CONTEXT: "" },
    });
    const [line] = await once(createInterface({ input: child.stdout }), "line");
    const { networks, directory } = JSON.parse(String(line));
    assert.ok(inhabitants(networks).length >= 4);
    const exited = once(child, "exit");
    child.kill(signal);
    assert.deepEqual(await exited, [null, signal]);
    await everyoneLeaves(networks);
    // After SIGKILL nobody could sweep the directory; the next lab does.
    assert.equal(existsSync(directory), signal === "SIGKILL");
    await (await Lab.open({ boards: [] })).close();
    assert.equal(existsSync(directory), false);
  });
}

test("a lab that cannot be built says why, and leaves nothing behind", async () => {
  const before = readdirSync("/tmp");
  // The name of a port has at most 15 characters.
  await assert.rejects(
    Lab.open({ boards: ["a-name-too-long-for-a-port"] }),
    /on switch: ip .*a-name-too-long/,
  );
  assert.deepEqual(
    readdirSync("/tmp").filter(
      (name) => name.startsWith(`carpio-lab-${process.pid}-`) && !before.includes(name),
    ),
    [],
  );
});

/** The processes that live in any of these networks. */
function inhabitants(networks: readonly string[]): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && networks.includes(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      return false; // gone since, or not ours to look into
    }
  });
}

async function everyoneLeaves(networks: readonly string[]): Promise<void> {
  const deadline = now() + 10_000;
  while (inhabitants(networks).length > 0) {
    assert.ok(now() < deadline, `still there: ${inhabitants(networks)}`);
    await sleep(10);
  }
}
