/**
 * The Raspberry Pi's image on a Raspberry Pi 3B, as far as QEMU has one: its
 * own device tree, its SD card, its network behind USB, its GPIO. It shares an
 * address with a `virt` board on the same switch, and each hears the other one.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { group, untilStatus, waitForFace } from "../emulated/board.js";
import { ROLE } from "../emulated/lamps.js";
import { cableOf } from "../emulated/story.js";
import { becomeLabRoot } from "../lab/namespace.js";
import { Appliance, addressOf } from "./appliance.js";
import { copyCard, imageOf, type Kind, putText } from "./card.js";
import { openNetwork } from "./network.js";

await becomeLabRoot();

const NUMBERS = { pi: 21, virt: 22 } as const;
/** One whose processor waits for another program is not dead yet. */
const ADVBASE = 3;

test("a Raspberry Pi serves, stands by while it hears a better board, and serves again when that is gone", {
  timeout: 900_000,
}, async () => {
  await using lab = await openNetwork(Object.values(NUMBERS));
  const powerOn = async (name: keyof typeof NUMBERS, kind: Kind, interface_: string, advskew: number) => {
    const card = copyCard(imageOf(kind), join(lab.directory, `${name}.img`));
    const carp = group({ advbase: ADVBASE, advskew }).map((line) => line.replace("eth0", interface_));
    putText(card, "carpio.toml", [`name = "${name}"`, ...carp, ""].join("\n"));
    return Appliance.powerOn({ kind, card, number: NUMBERS[name], cable: await cableOf(lab, name) });
  };
  await using pi = await powerOn("pi", "raspberrypi", "usb0", 100);
  const { board, faults } = await waitForFace(pi, "master");
  assert.equal(board, "raspberrypi,3-model-b");
  assert.deepEqual(faults, []);
  const shows = (levels: number, what: string) =>
    pi.until(() => pi.levels(), { holds: (lit) => lit === levels, what });
  await shows(ROLE, "the green lamp, at GPIO17");
  await using virt = await powerOn("virt", "virt", "eth0", 0);
  const better = await untilStatus(
    virt,
    "a master that has heard the Pi",
    ({ role, carp }) => role === "master" && (carp[0]?.counters.received ?? 0) > 0,
  );
  assert.deepEqual(better.faults, []);
  const backup = await untilStatus(
    pi,
    "a backup that hears the other board",
    ({ role, carp }) => role === "backup" && carp[0]?.master?.address === addressOf(NUMBERS.virt),
  );
  assert.deepEqual(backup.faults, []);
  await shows(0, "no lamp between two winks");
  await virt.close();
  await waitForFace(pi, "master");
  await shows(ROLE, "the green lamp again");
});
