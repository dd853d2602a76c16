import assert from "node:assert/strict";
import { test } from "node:test";
import { readEvent, watchLinks } from "../../src/linux/link.js";
import { replaceIp } from "./another-ip.js";

const rows = [
  { line: "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP", is: "eth0 up" },
  { line: "3: carp7@eth0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN", is: "carp7 down" },
  { line: "Deleted 3: carp7@NONE: <BROADCAST,MULTICAST> mtu 1500", is: "carp7 gone" },
  { line: "2: eth0    inet 192.0.2.2/24 scope global eth0\\       valid_lft forever", is: "eth0 address" },
  { line: "Deleted 4: carp7    inet6 2001:db8::1/128 scope global nodad", is: "carp7 address-gone" },
  { line: "4: eth0.100    inet 198.51.100.2/24 brd 198.51.100.255 scope global", is: "eth0.100 address" },
  { line: "netlink receive error No buffer space available (105)", is: undefined },
  { line: "", is: undefined },
];

for (const { line, is } of rows) {
  test(`ip monitor says "${line.slice(0, 40)}": ${is ?? "nothing about an interface"}`, () => {
    const event = readEvent(line);
    assert.equal(event && `${event.name} ${event.what}`, is);
  });
}

test("where there is no ip, links are watched as soon as there is", async (t) => {
  const mend = replaceIp(t, undefined);
  let started = 0;
  await new Promise<void>((resolve) => {
    const watch = watchLinks(
      () => assert.fail("nothing happens"),
      () => {
        started++;
        watch.close();
        resolve();
      },
    );
    t.after(() => watch.close());
    setTimeout(mend, 300);
  });
  assert.equal(started, 1);
});
