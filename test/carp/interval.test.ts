import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  advertisementTicks,
  BOW_OUT,
  type Interval,
  isBowOut,
  masterDownTicks,
  ticksToMs,
} from "../../src/carp/interval.js";

const intervals = [
  { of: "1/0", everyMs: 1000, classicMs: 3000, scaledMs: 3000, why: "the default" },
  {
    of: "1/100",
    everyMs: 1390.625,
    classicMs: 3390.625,
    scaledMs: 4171.875,
    why: "the skew counts once, or thrice",
  },
  {
    of: "1/254",
    everyMs: 1992.1875,
    classicMs: 3992.1875,
    scaledMs: 5976.5625,
    why: "the slowest of a second",
  },
  {
    of: "0/10",
    everyMs: 39.0625,
    classicMs: 117.1875,
    scaledMs: 117.1875,
    why: "without a base: thrice the skew",
  },
  { of: "0/0", everyMs: 3.90625, classicMs: 11.71875, scaledMs: 11.71875, why: "OpenBSD's 1/256 s" },
  { of: "0/1", everyMs: 3.90625, classicMs: 11.71875, scaledMs: 11.71875, why: "no faster than 0/0" },
  { of: "255/255", everyMs: 255996.09375, classicMs: 765996.09375, scaledMs: 767988.28125, why: "a bow-out" },
];

for (const { of, everyMs, classicMs, scaledMs, why } of intervals) {
  test(`${of} advertises every ${everyMs} ms and is missed after ${classicMs} ms: ${why}`, () => {
    const interval = intervalOf(of);
    assert.equal(ticksToMs(advertisementTicks(interval)), everyMs);
    assert.equal(ticksToMs(masterDownTicks(interval, "classic")), classicMs);
    assert.equal(ticksToMs(masterDownTicks(interval, "scaled")), scaledMs);
  });
}

test("a backup always waits for at least two intervals of a master as fast as itself", () => {
  fc.assert(
    fc.property(fc.nat(255), fc.nat(254), (advbase, advskew) => {
      const interval = { advbase, advskew };
      for (const rule of ["classic", "scaled"] as const) {
        assert.ok(masterDownTicks(interval, rule) >= 2 * advertisementTicks(interval));
      }
    }),
  );
});

test("ticks order intervals as the microseconds of the BSDs do", () => {
  const microseconds = ({ advbase, advskew }: Interval) =>
    advbase * 1_000_000 + Math.floor((advskew * 1_000_000) / 256);
  const interval = fc.record({ advbase: fc.nat(255), advskew: fc.nat(255) });
  fc.assert(
    fc.property(interval, interval, (a, b) => {
      if (a.advbase + a.advskew === 0 || b.advbase + b.advskew === 0) return;
      assert.equal(
        Math.sign(advertisementTicks(a) - advertisementTicks(b)),
        Math.sign(microseconds(a) - microseconds(b)),
      );
    }),
  );
});

test("a bow-out is 255/255, and a BSD backup with advbase below 86 does not wait for such a master", () => {
  assert.ok(isBowOut(BOW_OUT));
  assert.ok(!isBowOut({ advbase: 255, advskew: 254 }));
  const waits = (advbase: number) =>
    masterDownTicks({ advbase, advskew: 0 }, "classic") >= advertisementTicks(BOW_OUT);
  assert.ok(!waits(85));
  assert.ok(waits(86));
});

function intervalOf(text: string): Interval {
  const [advbase = 0, advskew = 0] = text.split("/").map(Number);
  return { advbase, advskew };
}
