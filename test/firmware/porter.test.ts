/**
 * The board's porter beside interfaces that come and go, in a folder that stands for the kernel's
 * list of them; the commands that setup leaves for each say here only whose they are.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";

const PORTER = join(import.meta.dirname, "../../../board/payload/usr/lib/carpio/porter");
const LISTEN = 'process.on("SIGHUP", (name) => console.log(name)); process.stdin.pipe(process.stdout)';
const noBusybox = spawnSync("busybox", ["true"]).error && "found no busybox";
const LIMIT = { skip: noBusybox, timeout: 60_000 };

test(
  "an interface that was set up is left alone, one that comes late or again is set up",
  LIMIT,
  async (t) => {
    const hall = buildHall(t);
    hall.plugIn("eth0", 2);
    hall.setUp("eth0", 2);
    hall.setUp("eth1");
    hall.plugIn("eth2", 4);
    hall.setUp("eth2");
    hall.open();
    // All of them were looked at, the first one before it.
    assert.deepEqual(await hall.said(), ["eth2 is there, and is set up", "commands of eth2"]);
    hall.plugIn("eth1", 5);
    assert.deepEqual(await hall.said(), ["eth1 is there, and is set up", "commands of eth1"]);
    hall.pullOut("eth0");
    hall.plugIn("eth0", 6);
    assert.deepEqual(await hall.said(), ["eth0 is there again, and is set up", "commands of eth0"]);
    hall.plugIn("eth1", 7);
    assert.deepEqual(await hall.said(), ["eth1 is there again, and is set up", "commands of eth1"]);
  },
);

test("services on one that is gone begin again, also those of its VLANs, and no others", LIMIT, async (t) => {
  const hall = buildHall(t);
  hall.plugIn("eth0", 2, ["lan"]);
  hall.setUp("eth0", 2);
  hall.setUp("eth1");
  const [client, elsewhere, announcer] = ["udhcpc", "udhcpc", "mdnsd"].map((name) => hall.run(name));
  // A number that was somebody's once.
  const stranger = hall.run("cat");
  hall.standOn("udhcpc-eth0", client);
  hall.standOn("mdnsd-eth0", stranger);
  hall.standOn("udhcpc-eth1", elsewhere);
  hall.standOn("mdnsd-lan", announcer);
  hall.plugIn("eth0", 3, ["lan"]);
  hall.open();
  for (const each of [client, announcer]) assert.deepEqual(await each?.ended, [null, "SIGTERM"]);
  for (const each of [stranger, elsewhere]) assert.equal(await each?.answer(), "here");
});

test(
  "one that was missed is among what is wrong no more once it is there, and the daemon hears of it",
  LIMIT,
  async (t) => {
    const hall = buildHall(t);
    hall.find(["found no eth1", "found no eth11", "lan: found no eth1"]);
    for (const name of ["eth1", "eth11", "eth2"]) hall.setUp(name);
    for (const name of ["eth1", "eth11"]) hall.misses(name, [`found no ${name}`]);
    const [calm, daemon, beginner] = [hall.listen(), hall.listen(), hall.run("cat")];
    for (const each of [calm, daemon]) assert.equal(await each.answer(), "here");
    hall.standOn("daemon", calm);
    hall.plugIn("eth2", 4);
    hall.open();
    // Nobody has missed that one.
    assert.deepEqual(await hall.said(), ["eth2 is there, and is set up", "commands of eth2"]);
    hall.standOn("daemon", daemon);
    hall.plugIn("eth11", 5);
    assert.equal(await daemon.said(), "SIGHUP");
    assert.deepEqual(hall.found(), ["found no eth1", "lan: found no eth1"]);
    assert.deepEqual(await hall.said(), ["eth11 is there, and is set up", "commands of eth11"]);
    // One that does not catch it yet reads everything when it does.
    hall.standOn("daemon", beginner);
    hall.plugIn("eth1", 6);
    assert.deepEqual(await hall.said(), ["eth1 is there, and is set up", "commands of eth1"]);
    hall.plugIn("eth2", 7);
    assert.deepEqual(await hall.said(), ["eth2 is there again, and is set up", "commands of eth2"]);
    assert.deepEqual(hall.found(), ["lan: found no eth1"]);
    for (const each of [calm, beginner]) assert.equal(await each.answer(), "here");
  },
);

const [A, B, C] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"] as const;

test(
  "one that is known by its MAC is called so when it comes or is back, whatever the kernel calls it",
  LIMIT,
  async (t) => {
    const hall = buildHall(t);
    hall.setUp("eth1");
    hall.setUp("wan", undefined, A);
    hall.find([`found no ${A}`]);
    hall.misses("wan", [`found no ${A}`]);
    // Others with that MAC: one stands on another interface, and one has no cable.
    hall.plugIn("vlan", 3, [], { mac: A, more: ["lower_eth9"] });
    hall.plugIn("wlan0", 4, [], { mac: A, more: ["wireless"] });
    hall.plugIn("eth1", 5, [], { mac: B });
    hall.open();
    assert.deepEqual(await hall.said(), ["eth1 is there, and is set up", "commands of eth1"]);
    hall.plugIn("eth2", 6, [], { mac: A });
    assert.deepEqual(await hall.said(), ["eth2 is wan by its MAC, and is called so", "rename eth2 to wan"]);
    assert.deepEqual(await hall.said(), ["wan is there, and is set up", "commands of wan"]);
    // Both have had no power, and the kernel finds them the other way round.
    hall.pullOut("wan");
    hall.pullOut("eth1");
    hall.plugIn("eth1", 7, [], { mac: A });
    assert.deepEqual(await hall.said(), ["eth1 is wan by its MAC, and is called so", "rename eth1 to wan"]);
    assert.deepEqual(await hall.said(), ["wan is there again, and is set up", "commands of wan"]);
    hall.plugIn("eth1", 8, [], { mac: B });
    assert.deepEqual(await hall.said(), ["eth1 is there again, and is set up", "commands of eth1"]);
    assert.deepEqual(hall.found(), []);
  },
);

test("nobody is taken for another one, because of a name or of a MAC that two have", LIMIT, async (t) => {
  const hall = buildHall(t);
  for (const [name, mac] of [
    ["wan", A],
    ["lan", B],
    ["dmz", C],
  ] as const)
    hall.setUp(name, undefined, mac);
  hall.setUp("eth1");
  hall.setUp("eth9");
  hall.plugIn("eth2", 2, [], { mac: A });
  hall.plugIn("eth3", 3, [], { mac: A });
  // By the kernel's name it is one that the file means, and by its MAC another one.
  hall.plugIn("eth1", 4, [], { mac: B });
  hall.refuse("lan");
  hall.plugIn("dmz", 5, [], { mac: A });
  hall.plugIn("eth9", 6, [], { mac: "02:00:00:00:00:09" });
  hall.open();
  assert.deepEqual(await hall.said(), ["eth1 is lan by its MAC, and is called so", "eth1 cannot be lan"]);
  assert.deepEqual(await hall.said(), ["eth9 is there, and is set up", "commands of eth9"]);
  // Not once more, and not the others: all of them were looked at before this one.
  hall.plugIn("eth9", 7, [], { mac: "02:00:00:00:00:09" });
  assert.deepEqual(await hall.said(), ["eth9 is there again, and is set up", "commands of eth9"]);
  hall.pullOut("dmz");
  hall.pullOut("eth3");
  assert.deepEqual(await hall.said(), ["eth2 is wan by its MAC, and is called so", "rename eth2 to wan"]);
  assert.deepEqual(await hall.said(), ["wan is there, and is set up", "commands of wan"]);
});

test("a service that has begun on one before it had its name begins again", LIMIT, async (t) => {
  const hall = buildHall(t);
  hall.setUp("eth1");
  hall.setUp("wan", undefined, A);
  const hasty = hall.run("udhcpc");
  hall.standOn("udhcpc-eth1", hasty);
  hall.plugIn("eth1", 2, [], { mac: A });
  hall.open();
  assert.deepEqual(await hasty.ended, [null, "SIGTERM"]);
});

/** What else the kernel shows of one. */
interface Looks {
  readonly mac?: string;
  readonly more?: readonly string[];
}

/** Where interfaces come in: what the kernel shows, what setup has left, and the porter. */
function buildHall(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "carpio-porter-"));
  const [run, net] = [join(folder, "run"), join(folder, "net")];
  mkdirSync(join(run, "interfaces"), { recursive: true });
  const children: ChildProcess[] = [];
  // Also of a test that waits in vain.
  t.after(async () => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill();
      await once(child, "exit");
    }
    rmSync(folder, { recursive: true });
  });
  let lines: AsyncIterator<string> | undefined;
  const converse = (program: string, argv: readonly string[]) => {
    const child = spawn(program, argv, { stdio: ["pipe", "pipe", "inherit"] });
    children.push(child);
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const said = async () => (await answers.next()).value;
    const answer = () => {
      child.stdin.write("here\n");
      return said();
    };
    return { pid: child.pid, ended: once(child, "exit"), said, answer };
  };
  return {
    plugIn(name: string, index: number, vlans: readonly string[] = [], { mac = "", more = [] }: Looks = {}) {
      for (const path of ["", ...vlans.map((vlan) => `upper_${vlan}`), ...more])
        mkdirSync(join(net, name, path), { recursive: true });
      if (mac !== "") writeFileSync(join(net, name, "address"), `${mac}\n`);
      writeFileSync(join(net, name, "ifindex"), `${index}\n`);
    },
    pullOut: (name: string) => rmSync(join(net, name), { recursive: true }),
    /** `index` is that of the one which setup has found, if it has. */
    setUp(name: string, index?: number, mac?: string) {
      const place = join(run, "interfaces", name);
      mkdirSync(place);
      if (index !== undefined) writeFileSync(join(place, "ifindex"), `${index}\n`);
      writeFileSync(join(place, "commands"), `echo commands of ${name}\n`);
      if (mac === undefined) return;
      writeFileSync(join(place, "mac"), `${mac}\n`);
      const rename = `echo rename $1 to ${name}\nmv '${net}'/$1 '${net}'/${name}\n`;
      writeFileSync(join(place, "rename"), rename);
    },
    /** The kernel takes this name for none. */
    refuse: (name: string) =>
      writeFileSync(join(run, "interfaces", name, "rename"), `echo $1 cannot be ${name}\n`),
    /** What setup has said of one that is not there. */
    misses: (name: string, problems: readonly string[]) =>
      writeFileSync(join(run, "interfaces", name, "missed"), inLines(problems)),
    find: (problems: readonly string[]) => writeFileSync(join(run, "carpio-errors.txt"), inLines(problems)),
    found: () => readFileSync(join(run, "carpio-errors.txt"), "utf8").split("\n").filter(Boolean),
    /** The porter begins when setup has ended. */
    open() {
      const daemon = join(run, "daemon.pid");
      const env = { ...process.env, CARPIO_RUN: run, CARPIO_NET: net, CARPIO_DAEMON: daemon };
      const porter = spawn("busybox", ["sh", PORTER], { env, stdio: ["ignore", "pipe", "inherit"] });
      children.push(porter);
      lines = createInterface({ input: porter.stdout })[Symbol.asyncIterator]();
    },
    /** Its next two lines: it says what it does, and the commands say whose they are. */
    said: async () => [(await lines?.next())?.value, (await lines?.next())?.value],
    /** A program of that name, which says again what it is told. */
    run(name: string) {
      const program = join(folder, `${children.length}`, name);
      mkdirSync(join(program, ".."));
      symlinkSync("/bin/cat", program);
      return converse(program, []);
    },
    /** A daemon, which does so too, and says what signal it has caught. */
    listen: () => converse(process.execPath, ["-e", LISTEN]),
    standOn: (name: string, { pid }: { readonly pid: number | undefined } = { pid: 0 }) =>
      writeFileSync(join(run, `${name}.pid`), `${pid}\n`),
  };
}

function inLines(problems: readonly string[]): string {
  return problems.map((problem) => `${problem}\n`).join("");
}
