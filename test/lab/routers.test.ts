/**
 * Two boards as a redundant router, with a floating address on either side. What
 * goes through them is a TCP connection that is never idle, and it must not
 * notice more than a retransmission mends.
 *
 *   client ── eth0 ──[ left, right ]── eth1 ── server
 *
 * Another connection, to `control` beside the client, shows what the machine does to all of them.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { addressesOf, CONTROL, type Group, maintenance, ROLE_DEADLINE_MS, startPair } from "./boards.js";
import { type Child, now } from "./child.js";
import { DEADLINE_MS, servedBy } from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import type { Stream } from "./stream.js";

await becomeLabRoot();

const PORT = 7000;
const STREAM = join(import.meta.dirname, "stream.js");
/** Both sides of the router. */
const GROUPS: readonly Group[] = [
  { vhid: 7, addresses: ["192.0.2.1/24"] },
  { vhid: 8, addresses: ["198.51.100.1/24"], interface: "eth1" },
];
const FLOATING = GROUPS.flatMap(addressesOf);
/** Linux retransmits after 200 ms at the earliest. A machine that is busy is silent by itself, and so is the control then. */
const MENDED_MS = 1_000;
/** After a power cut nothing goes for the patience of the backup, and retransmissions double their pauses. */
const OUTLIVED_MS = 20_000;

describe("a router of two boards", { concurrency: 2, timeout: 240_000 }, () => {
  for (const mac of ["virtual", "interface"] as const) {
    test(`handed over and back, ${mac} MAC: both sides move together, and the stream goes on`, async (t) => {
      await using lab = await openRouter();
      await startPair(lab, withMac(mac));
      const control = await beginStream(lab, lab.host(CONTROL), "eth0");
      const talker = await beginStream(lab, lab.host("server"), "eth1");
      for (let round = 1; round <= 3; round++) {
        assert.match((await maintenance(lab.left, "on")).stdout, /handed over to/);
        await servedBy(lab, ["right"], FLOATING);
        await goesOn(talker);
        assert.equal((await maintenance(lab.left, "off")).status, 0);
        await servedBy(lab, ["left"], FLOATING);
        await goesOn(talker);
      }
      const [{ sentBytes, longestSilenceMs }, noise] = [await endStream(talker), await endStream(control)];
      const silences = `silent for ${longestSilenceMs.toFixed(0)} ms, control for ${noise.longestSilenceMs.toFixed(0)} ms`;
      t.diagnostic(`${sentBytes} bytes to and fro, never more than ${silences}`);
      assert.ok(longestSilenceMs < MENDED_MS + noise.longestSilenceMs, silences);
    });
  }

  test("the power of the master is cut: the stream waits, and goes on", async (t) => {
    await using lab = await openRouter();
    const { left } = await startPair(lab, GROUPS);
    const talker = await beginStream(lab, lab.host("server"), "eth1");
    await Promise.all([lab.left.cutCable(), left.child.kill("SIGKILL")]);
    await servedBy(lab, ["right"], FLOATING);
    await goesOn(talker);
    const { sentBytes, longestSilenceMs } = await endStream(talker);
    t.diagnostic(`${sentBytes} bytes to and fro, silent for ${longestSilenceMs.toFixed(0)} ms`);
    assert.ok(longestSilenceMs < OUTLIVED_MS);
  });
});

/** The client knows nothing of the other side but the floating address, and neither does the server. */
async function openRouter(): Promise<Lab> {
  const lab = await Lab.open({ boards: ["left", "right", "server", CONTROL], lans: 2 });
  for (const board of [lab.left, lab.right]) await board.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
  await standsBehind(lab.client, "eth0", "eth1", "198.51.100.0/24 via 192.0.2.1");
  await standsBehind(lab.host("server"), "eth1", "eth0", "192.0.2.0/24 via 198.51.100.1");
  return lab;
}

async function standsBehind(host: Host, near: string, far: string, route: string): Promise<void> {
  await host.namespace.ip(
    `address flush dev ${far}`,
    `link set ${far} down`,
    `route add ${route} dev ${near}`,
  );
}

function withMac(mac: "virtual" | "interface"): readonly Group[] {
  return GROUPS.map((group) => ({ ...group, mac }));
}

/** From the client to a server, at the address of one of its interfaces. */
async function beginStream({ client }: Lab, server: Host, at: "eth0" | "eth1"): Promise<Child> {
  await server
    .spawn([process.execPath, STREAM, "echo", String(PORT)])
    .waitForLine(/^listening$/, DEADLINE_MS);
  const { address } = server.socket(at);
  const talker = client.spawn([process.execPath, STREAM, "talk", address, String(PORT)]);
  await goesOn(talker);
  return talker;
}

/** Waits until more has come back than now. */
async function goesOn(talker: Child): Promise<void> {
  await talker.waitForLine(/^returned \d+$/, 2 * ROLE_DEADLINE_MS, now());
}

/** Fails unless every byte came back, in its place, over the one connection. */
async function endStream(talker: Child): Promise<Stream> {
  await talker.kill("SIGTERM");
  const { status } = await talker.silent;
  assert.equal(status, 0, talker.text("stderr"));
  const stream: Stream = JSON.parse(talker.lines.at(-1)?.text ?? "");
  assert.equal(stream.returnedBytes, stream.sentBytes);
  assert.ok(stream.sentBytes > 0);
  return stream;
}
