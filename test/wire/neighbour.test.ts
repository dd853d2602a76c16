import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress } from "../../src/wire/address.js";
import { encodeNeighbourAdvertisement } from "../../src/wire/neighbour.js";
import { addressOf, hexOf } from "../spec.js";

/** Recorded from Linux 6.18 with `ndisc_notify`, for 2001:db8::1 at 02:00:00:00:00:02. */
const header = "6000000000203aff20010db8000000000000000000000001ff020000000000000000000000000001";
const option = "0201020000000002";
const rows = [
  { router: false, icmp: "8800f92920000000", why: "a host" },
  { router: true, icmp: "88007929a0000000", why: "a router stays one in its neighbours' eyes" },
];

for (const { router, icmp, why } of rows) {
  test(`an unsolicited neighbour advertisement is the kernel's, byte for byte: ${why}`, () => {
    const target = addressOf("2001:db8::1");
    const { packet, destination } = encodeNeighbourAdvertisement(target, "02:00:00:00:00:02", router);
    assert.equal(hexOf(packet), header + icmp + hexOf(target.bytes) + option);
    assert.equal(formatAddress(destination), "ff02::1");
  });
}
