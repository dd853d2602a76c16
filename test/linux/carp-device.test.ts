import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CarpDevice,
  claimCommands,
  createCommands,
  deviceName,
  guardCommands,
  heldAddresses,
  holdsAll,
  readDevice,
} from "../../src/linux/carp-device.js";
import { type Prefix, parseAddress } from "../../src/wire/address.js";

function prefix(text: string): Prefix {
  const [name = "", length] = text.split("/");
  const address = parseAddress(name);
  assert.ok(address);
  return { address, length: Number(length) };
}

const virtual: CarpDevice = {
  name: "carp7",
  parent: "eth0",
  mac: "00:00:5e:00:01:07",
  addresses: [prefix("192.0.2.1/24"), prefix("2001:db8::1/64")],
};
const onParent: CarpDevice = { ...virtual, name: "eth0", mac: undefined };

test("a carp device is a macvlan in bridge mode, or it could not hear a rival", () => {
  assert.match(createCommands(virtual).join(), /link eth0 name carp7 .* type macvlan mode bridge$/);
  assert.deepEqual(createCommands(onParent), []);
});

test("a claim brings the link up first, because an IPv6 route comes only to a link that is up", () => {
  assert.deepEqual(claimCommands(virtual, [], 2), [
    "link set dev carp7 up",
    "address replace 192.0.2.1/24 dev carp7 valid_lft 2 preferred_lft 2",
    "address replace 2001:db8::1/64 dev carp7 valid_lft 2 preferred_lft 2 nodad",
  ]);
});

test("an address of a network that the parent is in comes without a route of its own", () => {
  const commands = claimCommands(virtual, [prefix("192.0.2.7/24"), prefix("2001:db8::7/64")], 2);
  assert.match(commands[1] ?? "", / 192\.0\.2\.1\/32 /);
  assert.match(commands[2] ?? "", / 2001:db8::1\/128 /);
});

const names = [
  { vhid: 7, parent: "eth0", taken: [], name: "carp7", why: "the plain name" },
  {
    vhid: 7,
    parent: "eth1",
    taken: ["carp7"],
    name: "carp7.eth1",
    why: "the same vhid on another interface",
  },
  {
    vhid: 255,
    parent: "enp0s31f6.100",
    taken: ["carp255"],
    name: "carp255.s31f6.100".slice(0, 8) + "1f6.100",
    why: "15 bytes are all there is",
  },
  {
    vhid: 7,
    parent: "eth1",
    taken: ["carp7", "carp7.eth1"],
    name: "carp7.2",
    why: "a number when that is taken too",
  },
];
for (const { vhid, parent, taken, name, why } of names) {
  test(`vhid ${vhid} on ${parent} is ${name}: ${why}`, () => {
    assert.equal(deviceName(vhid, parent, new Set(taken)), name);
    assert.ok(name.length <= 15);
  });
}

test("the guard takes all devices off in one command, and from parents what has a lease", () => {
  const commands = guardCommands([virtual, onParent]);
  assert.equal(commands.filter((command) => command.startsWith("link ")).length, 1);
  assert.match(commands.at(-1) ?? "", /^link delete group \d+$/);
  assert.ok(
    commands.includes("address flush dev eth0 dynamic to 192.0.2.1"),
    "whichever length it was put on with",
  );
  assert.ok(!commands.some((command) => command.startsWith("address delete")));
});

test("what the kernel lists is read: flags, leases, and which addresses are ours", () => {
  const state = readDevice({
    ifindex: 5,
    ifname: "carp7",
    flags: ["BROADCAST", "UP", "LOWER_UP"],
    address: "00:00:5e:00:01:07",
    addr_info: [
      { family: "inet", local: "192.0.2.1", prefixlen: 32, dynamic: true },
      { family: "inet6", local: "2001:db8:0::1", prefixlen: 128 },
      { family: "inet", local: "198.51.100.9", prefixlen: 24 },
    ],
  });
  assert.equal(state?.running, true);
  assert.deepEqual(
    heldAddresses(virtual, state).map(({ leased }) => leased),
    [true, false],
  );
  assert.equal(readDevice(undefined), undefined);
});

const holdings = [
  { held: ["192.0.2.1/32", "2001:db8::1/128"], all: true, why: "whatever their lengths" },
  { held: ["192.0.2.1/24", "192.0.2.1/32"], all: false, why: "one that is on twice stands for no other" },
  { held: ["192.0.2.1/24", "192.0.2.1/32", "2001:db8::1/64"], all: true, why: "one too many hurts nobody" },
  { held: ["192.0.2.9/24", "2001:db8::1/64"], all: false, why: "another address is no substitute" },
  { held: [], all: false, why: "nothing is not all" },
];
for (const { held, all, why } of holdings) {
  test(`a device with ${held.join(", ") || "nothing"} ${all ? "holds" : "does not hold"} the group: ${why}`, () => {
    const addr_info = held.map((text) => ({ local: text.split("/")[0], prefixlen: text.split("/")[1] }));
    const state = readDevice({ ifindex: 5, ifname: "carp7", flags: ["UP"], addr_info });
    assert.equal(holdsAll(virtual, state), all);
  });
}
