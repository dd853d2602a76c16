/**
 * What a board makes of its leases: the script of its DHCP client and a kernel, and
 * beside them the client itself with somebody who gives leases.
 *
 *   board:eth0 ── switch:far0
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { LEASE_SCRIPT } from "../../src/firmware/lease-script.js";
import { becomeLabRoot, Namespace } from "./namespace.js";

await becomeLabRoot();

const LIMIT = { timeout: 120_000 };
const WAIT_MS = 60_000;
const GIVEN = "192.0.2.200";
/** The operator's own, which no lease touches. */
const STATIC = "198.51.100.2/24";

interface Told {
  readonly what: "deconfig" | "bound" | "renew";
  readonly ip?: string;
  readonly router?: string;
}

const rows: readonly { why: string; told: readonly Told[]; ways: readonly string[] }[] = [
  {
    why: "a lease with a router has a way",
    told: [{ what: "bound", router: "192.0.2.254" }],
    ways: ["192.0.2.254"],
  },
  {
    why: "of several routers the first is the preferred one",
    told: [{ what: "bound", router: "192.0.2.254 192.0.2.253" }],
    ways: ["192.0.2.254"],
  },
  {
    why: "a router that cannot be reached is none",
    told: [{ what: "bound", router: "203.0.113.1 192.0.2.253" }],
    ways: ["192.0.2.253"],
  },
  {
    why: "a renewal with another router has that one alone",
    told: [
      { what: "bound", router: "192.0.2.254" },
      { what: "renew", router: "192.0.2.253" },
    ],
    ways: ["192.0.2.253"],
  },
  {
    why: "a renewal without a router has none",
    told: [{ what: "bound", router: "192.0.2.254" }, { what: "renew" }],
    ways: [],
  },
  {
    why: "a lease that ends has none",
    told: [{ what: "bound", router: "192.0.2.254" }, { what: "deconfig" }],
    ways: [],
  },
];

describe("leases", LIMIT, () => {
  const folder = mkdtempSync(join(tmpdir(), "carpio-lease-"));
  const script = join(folder, "lease.sh");
  let board: Namespace;
  let server: Namespace;

  before(async () => {
    writeFileSync(script, LEASE_SCRIPT, { mode: 0o755 });
    writeFileSync(join(folder, "resolv-static"), "");
    board = await Namespace.open("board");
    server = await Namespace.open("switch");
  });
  beforeEach(async () => {
    await server.ip(`link add far0 type veth peer name eth0 netns ${board.pid}`);
    await server.ip("address add 192.0.2.3/24 dev far0", "link set far0 up");
    await board.ip(`address add ${STATIC} dev eth0`);
  });
  after(async () => {
    await board?.close();
    await server?.close();
    rmSync(folder, { recursive: true });
  });

  const addresses = async () =>
    [...(await board.run(["ip", "-4", "-o", "address", "show", "dev", "eth0"])).matchAll(/inet (\S+)/g)].map(
      ([, address]) => address,
    );
  const ways = async () =>
    [...(await board.run(["ip", "-4", "route", "show", "default"])).matchAll(/via (\S+)/g)].map(
      ([, gateway]) => gateway,
    );

  for (const { why, told, ways: wanted } of rows) {
    test(why, async (t) => {
      t.after(() => server.ip("link delete far0"));
      await board.ip("link set eth0 up");
      for (const { what, ip = GIVEN, router = "" } of told) {
        const env = { CARPIO_RUN: folder, interface: "eth0", ip, mask: "24", router };
        await board.run([script, what], env);
      }
      assert.deepEqual(await ways(), wanted);
    });
  }

  test("that nobody gives one is said, once, and again after one that was given", async (t) => {
    t.after(() => server.ip("link delete far0"));
    const env = { CARPIO_RUN: folder, interface: "eth0", ip: GIVEN, mask: "24", router: "" };
    const said: string[] = [];
    for (const what of ["deconfig", "leasefail", "leasefail", "bound", "deconfig", "leasefail"])
      said.push(await board.run([script, what], env));
    const none = "eth0 has no address by DHCP: nobody has answered so far\n";
    assert.deepEqual(said, ["", none, "", `eth0 has ${GIVEN}/24 by DHCP\n`, "", none]);
  });

  test("an interface that is down comes up for its lease, and keeps what is not of that", async (t) => {
    t.after(() => server.ip("link delete far0"));
    const settings = join(folder, "udhcpd.conf");
    const given = join(folder, "given");
    writeFileSync(given, "");
    const lines = [`start ${GIVEN}`, `end ${GIVEN}`, "interface far0", "opt subnet 255.255.255.0"];
    lines.push(`lease_file ${given}`, `pidfile ${given}.pid`, "opt router 192.0.2.254");
    writeFileSync(settings, `${lines.join("\n")}\n`);
    const gives = server.spawn(["busybox", "udhcpd", "-f", settings]);
    const asks = board.spawn(["busybox", "udhcpc", "-f", "-i", "eth0", "-s", script], { CARPIO_RUN: folder });
    t.after(async () => {
      for (const each of [asks, gives]) await each.stop();
    });
    await asks.waitForLine(new RegExp(`^eth0 has ${GIVEN}/24 by DHCP$`), WAIT_MS);
    assert.deepEqual(await addresses(), [STATIC, `${GIVEN}/24`]);
    assert.deepEqual(await ways(), ["192.0.2.254"]);
  });
});
