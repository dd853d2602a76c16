/**
 * What the groups hear of their interfaces, by an `ip` whose answers are ours.
 * The groups have no family, because to listen for one takes root; that they
 * listen, and the kernel's own interfaces, are in lab/kernel.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Group } from "../src/group.js";
import { createGroups } from "../src/groups.js";
import { createInterfaces, type Interfaces } from "../src/interfaces.js";
import type { Ip } from "../src/linux/ip.js";
import {
  createFakeHolder,
  createFakeSender,
  type FakeHolder,
  fakeGroup,
  groupConfig,
  quiet,
} from "./fakes.js";
import { addressOf } from "./spec.js";

const FLOATING = "192.0.2.1";
const LINK_DOWN_ADVSKEW = 240;

test("a group whose interface is there is prepared and stands by", async () => {
  const { interfaces, group, holder, tuned } = await start();
  assert.deepEqual(standing(group), ["backup", "link up"]);
  assert.deepEqual(holder.deeds, ["prepare"]);
  assert.deepEqual(tuned, ["eth0"]);
  assert.deepEqual(interfaces.names, ["eth0"]);
});

test("the cable goes and comes back: the group is not prepared once more", async () => {
  const { interfaces, kernel, group, holder } = await start();
  kernel.set("eth0", { index: 2, running: false });
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["init", "link down"]);
  kernel.set("eth0", { index: 2 });
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["backup", "link up"]);
  assert.deepEqual(holder.deeds, ["prepare"]);
});

test("the interface goes, and comes back with another number: the group is prepared again", async () => {
  const { interfaces, kernel, group, holder, tuned } = await start();
  kernel.remove("eth0");
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["init", "there is no eth0"]);
  assert.equal(group.faults.get("interface"), "there is no interface eth0");
  kernel.set("eth0", { index: 9 });
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["backup", "link up"]);
  assert.deepEqual(holder.deeds, ["prepare", "lost", "prepare"]);
  assert.deepEqual(tuned, ["eth0", "eth0"]);
  assert.equal(group.faults.size, 0);
});

test("another interface under the same name: the group leaves the old one before it stands on the new", async () => {
  const { interfaces, kernel, group, holder, whys } = await start();
  kernel.set("eth0", { index: 9 });
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["backup", "link up"]);
  assert.deepEqual(whys(), ["link up", "eth0 is another than before", "link up"]);
  assert.deepEqual(holder.deeds, ["prepare", "lost", "prepare"]);
});

test("the first ip has no number of an interface that is seen for the first time; when it has another, it remembers the old one", async () => {
  const { interfaces, kernel } = await start();
  assert.equal(kernel.starts, 1);
  kernel.set("eth0", { index: 3 });
  await look(interfaces, "eth0");
  assert.equal(kernel.starts, 2);
});

test("an ip that answers nothing is no news of an interface that was there", async () => {
  const { interfaces, kernel, group } = await start();
  kernel.silence();
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["backup", "link up"]);
  assert.equal(group.faults.size, 0);
});

test("a second interface that is only being looked at demotes no group of the first", async () => {
  const { interfaces, kernel, groups, group } = await start();
  const second = addGroup(groups, "eth1", 8);
  kernel.set("eth1", { index: 3 });
  const answer = kernel.hold("eth1");
  const arranged = interfaces.arrange();
  // News of the first interface make all be weighed, while nothing is known of the second.
  kernel.set("eth0", { index: 2, addresses: ["192.0.2.2"] });
  await look(interfaces, "eth0");
  assert.deepEqual(group.vhost.demotions, []);
  answer();
  await arranged;
  assert.deepEqual(group.vhost.demotions, []);
  assert.deepEqual(standing(second.group), ["backup", "link up"]);
});

test("an interface without a cable demotes the groups of the others, until it has one or none needs it", async () => {
  const { interfaces, kernel, groups, group } = await start();
  const second = addGroup(groups, "eth1", 8);
  kernel.set("eth1", { index: 3, running: false });
  await interfaces.arrange();
  const demoted = [{ reason: "link eth1 down", advskew: LINK_DOWN_ADVSKEW, standAside: false }];
  assert.deepEqual(group.vhost.demotions, demoted);
  assert.deepEqual(second.group.vhost.demotions, []);
  kernel.set("eth1", { index: 3 });
  await look(interfaces, "eth1");
  assert.deepEqual(group.vhost.demotions, []);
  kernel.remove("eth1");
  await look(interfaces, "eth1");
  assert.deepEqual(group.vhost.demotions, demoted);
  groups.remove(second.group);
  await interfaces.arrange();
  assert.deepEqual(group.vhost.demotions, []);
  assert.deepEqual(interfaces.names, ["eth0"]);
});

test("a retired group is not brought back by news of its interface", async () => {
  const { interfaces, kernel, group, holder } = await start();
  const quietened = interfaces.retire(group);
  group.handle({ kind: "stop", why: "configuration changed" });
  await quietened;
  const news = [{ index: 2, addresses: ["192.0.2.2"] }, { index: 9 }, undefined, { index: 10 }];
  for (const state of news) {
    if (state) kernel.set("eth0", state);
    else kernel.remove("eth0");
    await look(interfaces, "eth0");
    assert.equal(group.vhost.role, "init");
  }
  assert.equal(holder.deeds.filter((deed) => deed === "prepare").length, 1);
});

test("a group that is retired while its device is prepared does not begin, and its leaving waits for that", async () => {
  const slow = deferred();
  const { interfaces, group } = await start({ preparing: slow.promise, arranged: false });
  const arranged = interfaces.arrange();
  await quiet();
  let isQuiet = false;
  const quietened = interfaces.retire(group).then(() => {
    isQuiet = true;
  });
  await quiet();
  assert.equal(isQuiet, false);
  slow.resolve();
  await Promise.all([arranged, quietened]);
  assert.equal(group.vhost.role, "init");
});

test("a floating address on the interface itself: a fault and no role, until somebody removes it", async () => {
  const { interfaces, kernel, group } = await start();
  kernel.set("eth0", { index: 2, addresses: ["192.0.2.2", FLOATING] });
  await look(interfaces, "eth0");
  assert.equal(group.vhost.role, "init");
  assert.match(group.faults.get("misplaced") ?? "", /^192\.0\.2\.1 is configured on eth0 itself/);
  kernel.set("eth0", { index: 2, addresses: ["192.0.2.2"] });
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["backup", "link up"]);
  assert.equal(group.faults.size, 0);
});

test("with the interface's own MAC its floating addresses on it are where they belong", async () => {
  const { interfaces, kernel, group } = await start({ mac: undefined });
  kernel.set("eth0", { index: 2, addresses: [FLOATING] });
  await look(interfaces, "eth0");
  assert.deepEqual(standing(group), ["backup", "link up"]);
  assert.equal(group.faults.size, 0);
});

test("what is closed hears no more news", async () => {
  const { interfaces, kernel, group } = await start();
  interfaces.close();
  kernel.remove("eth0");
  await look(interfaces, "eth0");
  await interfaces.arrange();
  assert.deepEqual(standing(group), ["backup", "link up"]);
});

// ---- A kernel, and groups on it ------------------------------------------------

interface LinkState {
  readonly index: number;
  readonly running?: boolean;
  readonly addresses?: readonly string[];
}

interface Kernel extends Ip {
  set(name: string, state: LinkState): void;
  remove(name: string): void;
  /** From here on it does not answer. */
  silence(): void;
  /** Answers about this interface wait until the function is called that this gives. */
  hold(name: string): () => void;
  /** How many there were, one after the other. */
  readonly starts: number;
}

interface StartOptions {
  /** The carp device's own; `undefined` for the interface's. */
  readonly mac?: string | undefined;
  readonly preparing?: Promise<void>;
  readonly arranged?: boolean;
}

/** One group on eth0, which is there and has its cable. */
async function start(options: StartOptions = {}) {
  const kernel = createKernel();
  kernel.set("eth0", { index: 2 });
  const groups = createGroups();
  const whys: string[] = [];
  const { group, holder } = addGroup(groups, "eth0", 7, options, whys);
  const tuned: string[] = [];
  const onPacket = () => assert.fail("nobody listens");
  const interfaces = createInterfaces({
    ip: kernel,
    groups,
    onPacket,
    tune: (name) => void tuned.push(name),
  });
  if (options.arranged ?? true) await interfaces.arrange();
  const changed = () => whys.filter((why, i) => why !== whys[i - 1] && why !== "started");
  return { interfaces, kernel, groups, group, holder, tuned, whys: changed };
}

function addGroup(
  groups: ReturnType<typeof createGroups>,
  name: string,
  vhid: number,
  options: StartOptions = {},
  whys: string[] = [],
): { readonly group: Group; readonly holder: FakeHolder } {
  const mac = "mac" in options ? options.mac : "00:00:5e:00:01:07";
  const addresses = [{ address: addressOf(FLOATING), length: 24 }];
  const holder = createFakeHolder({ name: mac ? `carp${vhid}` : name, parent: name, mac, addresses });
  holder.preparing = options.preparing;
  const config = groupConfig({ vhid, interface: name, mac: mac ? "virtual" : "interface" });
  const onChange = () => void whys.push(group.vhost.why);
  const group: Group = fakeGroup(config, holder, createFakeSender(), () => 0, onChange);
  groups.add(group);
  return { group, holder };
}

function createKernel(): Kernel {
  const links = new Map<string, LinkState>();
  const held = new Map<string, Promise<void>>();
  let silent = false;
  let starts = 1;
  return {
    set: (name, state) => void links.set(name, state),
    remove: (name) => void links.delete(name),
    silence() {
      silent = true;
    },
    hold(name) {
      const { promise, resolve } = deferred();
      held.set(name, promise);
      return () => {
        held.delete(name);
        resolve();
      };
    },
    async run([command = ""]) {
      const [, name = assert.fail(command)] = /^address show dev (\S+)$/.exec(command) ?? [];
      await held.get(name);
      const link = links.get(name);
      if (silent) return { answered: false, refusals: [{ command, said: "ip has ended" }], answers: [] };
      if (link) return { answered: true, refusals: [], answers: [answerOf(name, link)] };
      const said = `Device "${name}" does not exist.`;
      return { answered: true, refusals: [{ command, said }], answers: [] };
    },
    forget() {
      starts++;
    },
    get starts() {
      return starts;
    },
    close: async () => {},
  };
}

/** As `ip -json` prints it. */
function answerOf(name: string, { index, running = true, addresses = [] }: LinkState): object {
  return {
    ifindex: index,
    ifname: name,
    flags: running ? ["UP", "LOWER_UP"] : ["UP"],
    address: "02:00:00:00:00:02",
    addr_info: addresses.map((local) => ({ local, prefixlen: 24 })),
  };
}

async function look(interfaces: Interfaces, name: string): Promise<void> {
  interfaces.look(name);
  await quiet();
}

function standing({ vhost }: Group): readonly [string, string] {
  return [vhost.role, vhost.why];
}

function deferred(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: () => resolve() };
}
