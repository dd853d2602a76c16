import assert from "node:assert/strict";
import { test } from "node:test";
import { createHolder } from "../../src/linux/holder.js";
import type { Ip, Outcome } from "../../src/linux/ip.js";
import { quiet, until } from "../fakes.js";
import { addressOf } from "../spec.js";

const LEASE_SECONDS = 1;
const done: Outcome = { answered: true, refusals: [], answers: [] };
const refused: Outcome = { ...done, refusals: [{ command: "address replace", said: "no" }] };

/** A holder whose kernel obeys at once, until somebody has it wait. */
async function held() {
  const addresses = [{ address: addressOf("192.0.2.1"), length: 32 }];
  const kernel = { waits: undefined as Promise<Outcome> | undefined };
  const ip: Ip = {
    run: async () => kernel.waits ?? done,
    forget() {},
    close: async () => {},
  };
  const holder = createHolder({
    ip,
    device: { name: "eth0", parent: "eth0", mac: undefined, addresses },
    tune() {},
    parentPrefixes: () => [],
    leaseSeconds: () => LEASE_SECONDS,
    mayAnnounce: () => false,
    onFault() {},
    onMeddling() {},
    onLoss() {},
  });
  assert.equal(await holder.claim(), undefined);
  return { holder, kernel };
}

test("addresses that nobody has renewed within their lifetime are not held, whatever the kernel will say", async () => {
  const { holder, kernel } = await held();
  let answer: (outcome: Outcome) => void = () => {};
  kernel.waits = new Promise((resolve) => {
    answer = resolve;
  });
  await until("the next renewal is due", () => {
    holder.renew();
    return holder.leaseOver;
  });
  assert.equal(holder.holding, false);
  answer(refused);
  await quiet();
  assert.deepEqual([holder.leaseOver, holder.holding], [true, false]);
  kernel.waits = undefined;
  await until("a renewal that is carried out", () => {
    holder.renew();
    return holder.holding;
  });
});

test("addresses whose lifetime has passed while nobody asked may be on: it is asked first", async () => {
  const { holder } = await held();
  const passedAt = performance.now() + LEASE_SECONDS * 1000;
  await until("their lifetime has passed", () => performance.now() > passedAt);
  assert.equal(holder.leaseOver, false);
});
