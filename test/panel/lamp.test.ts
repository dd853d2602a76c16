/**
 * The label on the case, as tables: which face a view has, what each lamp of it
 * shows, and that no two faces look alike on any case.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { LampName } from "../../src/board.js";
import {
  type Face,
  face,
  isLit,
  type Lamp,
  type Lamps,
  label,
  lampsAfterPowerOff,
  lampsAfterStop,
  lampsOf,
  nextChangeMs,
  sameLamp,
  type View,
} from "../../src/panel/lamp.js";

type Group = View["carp"][number];

const standingBy: Group = { role: "backup", undecided: false };
const listening: Group = { role: "backup", undecided: true };
const calm: View = {
  role: "backup",
  carp: [standingBy],
  maintenance: { on: false, handover: { state: "none" } },
  identify: false,
  leaving: false,
  faults: [],
};
const master: View = {
  ...calm,
  role: "master",
  carp: [{ role: "master", undecided: false }],
};
const init: View = { ...calm, role: "init", carp: [{ role: "init", undecided: false }] };
const beginning: View = { ...init, carp: [{ role: "init", undecided: true }] };
const mixed: View = { ...calm, role: "mixed", carp: [...master.carp, ...calm.carp] };

type State = View["maintenance"]["handover"]["state"];
const wished = (view: View, state: State): View => ({
  ...view,
  maintenance: { on: true, handover: { state } },
});
const leaving = (view: View, state: State): View => ({
  ...view,
  maintenance: { on: false, handover: { state } },
});
const broken = (view: View): View => ({ ...view, faults: ["no prefilter"] });

const faces: readonly { view: View; is: Face; why: string }[] = [
  { view: init, is: "starting", why: "no link yet" },
  { view: { ...init, carp: [] }, is: "starting", why: "no group is configured" },
  { view: calm, is: "backup", why: "standing by" },
  { view: master, is: "master", why: "serving" },
  { view: mixed, is: "mixed", why: "serving some" },
  { view: broken(master), is: "fault", why: "something is wrong while it serves" },
  { view: broken(init), is: "fault", why: "something is wrong from the start" },
  {
    view: wished(master, "none"),
    is: "handing-over",
    why: "the wish is being kept, and nothing is done yet",
  },
  { view: wished(master, "asking"), is: "handing-over", why: "the others are asked" },
  { view: wished(master, "handing-over"), is: "handing-over", why: "the successor is not heard yet" },
  { view: wished(calm, "handed-over"), is: "safe", why: "somebody else serves" },
  { view: wished(calm, "none"), is: "safe", why: "a backup hands nothing over" },
  { view: wished(init, "none"), is: "safe", why: "without a link nothing is served that could be lost" },
  { view: beginning, is: "starting", why: "nothing is known yet" },
  { view: wished(beginning, "none"), is: "handing-over", why: "after a restart it may be about to serve" },
  { view: wished(master, "no-taker"), is: "no-taker", why: "still serving" },
  { view: wished(mixed, "handed-over"), is: "no-taker", why: "one group has stayed" },
  { view: wished(master, "handed-over"), is: "no-taker", why: "the successor has died, and it serves again" },
  { view: wished(calm, "no-taker"), is: "safe", why: "somebody came after all" },
  {
    view: wished({ ...calm, carp: [listening] }, "none"),
    is: "handing-over",
    why: "after a restart nobody is known to serve yet",
  },
  {
    view: wished({ ...calm, carp: [standingBy, listening] }, "handed-over"),
    is: "handing-over",
    why: "of one group nobody is known to serve",
  },
  { view: { ...master, leaving: true }, is: "handing-over", why: "a stop hands over as well" },
  {
    view: { ...broken(init), leaving: true },
    is: "handing-over",
    why: "whatever is wrong, until the stop is done",
  },
  { view: leaving(master, "handing-over"), is: "handing-over", why: "it is called back in the middle" },
  { view: leaving(calm, "handed-over"), is: "backup", why: "a handover that is over says nothing" },
  {
    view: leaving(master, "no-taker"),
    is: "master",
    why: "nor does one that failed, once it is called back",
  },
  { view: broken(wished(calm, "handed-over")), is: "safe", why: "a hand on the plug comes before a fault" },
  { view: broken(wished(master, "no-taker")), is: "no-taker", why: "likewise" },
  { view: { ...master, identify: true }, is: "identify", why: "somebody looks for the box" },
  { view: { ...wished(calm, "none"), identify: true }, is: "identify", why: "in maintenance as well" },
];

describe("a view has a face", () => {
  for (const { view, is, why } of faces) test(`${is}: ${why}`, () => assert.equal(face(view), is));

  test("a button that is held for long enough comes before everything", () => {
    for (const { view } of faces) assert.equal(face(view, { held: true }), "power-off");
  });

  test("safe never while a group is served, and never fault while maintenance is wished", () => {
    const role = fc.constantFrom("init" as const, "backup" as const, "master" as const);
    const view = fc.record({
      role: fc.constantFrom("init" as const, "backup" as const, "master" as const, "mixed" as const),
      carp: fc.array(fc.record({ role, undecided: fc.boolean() })),
      maintenance: fc.record({
        on: fc.boolean(),
        handover: fc.record({
          state: fc.constantFrom<State>("none", "asking", "handing-over", "handed-over", "no-taker"),
        }),
      }),
      identify: fc.boolean(),
      leaving: fc.boolean(),
      faults: fc.array(fc.string(), { maxLength: 1 }),
    });
    fc.assert(
      fc.property(view, (each) => {
        const shown = face(each);
        const serves = each.carp.some((group) => group.role === "master");
        if (shown === "safe") assert.ok(each.maintenance.on && !serves);
        if (shown === "fault") assert.ok(!each.maintenance.on && each.faults.length > 0);
        if (serves && each.maintenance.on) assert.ok(!["safe", "fault", "master"].includes(shown));
        if (shown === "no-taker") assert.ok(each.maintenance.on && serves);
      }),
    );
  });
});

const three: readonly LampName[] = ["role", "maintenance", "fault"];
const cases: readonly (readonly LampName[])[] = [three, ["role", "maintenance"], ["role", "fault"], ["role"]];

/** As DESIGN 3.4 prints it: milliseconds on, off, on, off. */
function printed(lamp: Lamp | undefined): string {
  if (lamp === undefined) return "-";
  return lamp.pattern === "blink" ? lamp.stepsMs.join("/") : lamp.pattern;
}

function row(lamps: Lamps, names = three): string {
  return names.map((name) => printed(lamps[name])).join(" ");
}

/** Faces with the view they are shown for. */
const shown: { readonly [face: string]: { readonly face: Face; readonly view: View } } = {
  starting: { face: "starting", view: init },
  backup: { face: "backup", view: calm },
  master: { face: "master", view: master },
  mixed: { face: "mixed", view: mixed },
  "handing over, master": { face: "handing-over", view: master },
  "handing over, backup": { face: "handing-over", view: calm },
  safe: { face: "safe", view: calm },
  "no taker": { face: "no-taker", view: master },
  "fault, master": { face: "fault", view: master },
  "fault, backup": { face: "fault", view: calm },
  "fault, starting": { face: "fault", view: init },
  "power off": { face: "power-off", view: master },
  identify: { face: "identify", view: master },
};

/** Columns: three lamps, role and maintenance, role and fault, one lamp. */
const rows: readonly (readonly [string, string, string, string, string])[] = [
  ["starting", "200/200 off off", "200/200 off", "200/200 off", "200/200"],
  ["backup", "50/1950 off off", "50/1950 off", "50/1950 off", "50/1950"],
  ["master", "on off off", "on off", "on off", "on"],
  ["mixed", "1000/1000 off off", "1000/1000 off", "1000/1000 off", "1000/1000"],
  ["handing over, master", "on 100/100 off", "on 100/100", "on 100/100", "100/100"],
  ["handing over, backup", "50/1950 100/100 off", "50/1950 100/100", "50/1950 100/100", "100/100"],
  ["safe", "50/1950 on off", "50/1950 on", "50/150/50/1750 off", "50/150/50/1750"],
  ["no taker", "on 100/900 on", "on 100/900", "on on", "900/100"],
  ["fault, master", "on off 50/50", "on 50/50", "on 50/50", "50/50"],
  ["fault, backup", "50/1950 off 50/50", "50/1950 50/50", "50/1950 50/50", "50/50"],
  ["fault, starting", "200/200 off 50/50", "200/200 50/50", "200/200 50/50", "50/50"],
  ["power off", "500/500 500/500 500/500", "500/500 500/500", "500/500 500/500", "500/500"],
  ["identify", "100/100 100/100 100/100", "100/100 100/100", "100/100 100/100", "100/100"],
];

describe("a face has lamps", () => {
  for (const [name, ...wanted] of rows) {
    test(name, () => {
      const each = shown[name];
      assert.ok(each);
      const found = cases.map((names) => row(lampsOf(each.face, each.view, names), names));
      assert.deepEqual(found, wanted);
    });
  }

  test("the table has every face", () => {
    const faces = new Set(Object.values(shown).map((each) => each.face));
    assert.deepEqual([...faces].toSorted(), Object.keys(label).toSorted());
    assert.deepEqual(rows.map(([name]) => name).toSorted(), Object.keys(shown).toSorted());
  });

  test("no two faces look alike on any case, but for what asks for patience anyway", () => {
    for (const names of cases) {
      const seen = new Map<string, Face>();
      for (const { face: each, view } of Object.values(shown)) {
        const looks = row(lampsOf(each, view, names), names);
        const before = seen.get(looks) ?? each;
        seen.set(looks, each);
        const alike = new Set([before, each]);
        // On one lamp, quick means "leave it alone", whoever asked.
        if (names.length === 1 && alike.has("handing-over") && alike.has("identify")) continue;
        assert.equal(before, each, `${names}: ${looks}`);
      }
    }
  });

  test("a case without lamps shows nothing", () => assert.deepEqual(lampsOf("master", master, []), {}));
});

describe("what the lamps show when nobody is there to blink", () => {
  const afterStop: readonly (readonly [boolean, ...string[]])[] = [
    [false, "off off on", "off off", "off on", "off"],
    [true, "off off 50/50", "off 50/50", "off 50/50", "50/50"],
  ];
  for (const [kernelBlinks, ...wanted] of afterStop) {
    test(`after a stop, ${kernelBlinks ? "the kernel" : "nothing"} blinking`, () => {
      assert.deepEqual(
        cases.map((names) => row(lampsAfterStop(names, kernelBlinks), names)),
        wanted,
      );
      assert.deepEqual(lampsAfterStop([], kernelBlinks), {});
    });
  }

  test("what stays lit never says that the board serves, or that it is safe", () => {
    for (const names of cases) {
      const left = row(lampsAfterStop(names, false), names);
      for (const { face: each, view } of Object.values(shown)) {
        assert.notEqual(left, row(lampsOf(each, view, names), names), each);
      }
    }
  });

  test("after power-off: amber, where there is amber", () => {
    const found = cases.map((names) => row(lampsAfterPowerOff(names), names));
    assert.deepEqual(found, ["off on off", "off on", "off off", "off"]);
  });
});

describe("a pattern in time", () => {
  const wink = label.backup.role as Lamp;
  const moments: readonly (readonly [number, boolean, number])[] = [
    [0, true, 50],
    [49.9, true, 50],
    [50, false, 2000],
    [1999, false, 2000],
    [2000, true, 2050],
    [20_000_050, false, 20_002_000],
  ];
  for (const [sinceMs, lit, nextMs] of moments) {
    test(`a wink after ${sinceMs} ms is ${lit ? "lit" : "dark"} until ${nextMs}`, () => {
      assert.equal(isLit(wink, sinceMs), lit);
      assert.equal(nextChangeMs(wink, sinceMs), nextMs);
    });
  }

  test("on and off never change", () => {
    for (const pattern of ["on", "off"] as const) {
      assert.equal(isLit({ pattern }, 12345), pattern === "on");
      assert.equal(nextChangeMs({ pattern }, 12345), Number.POSITIVE_INFINITY);
    }
  });

  const stepsMs = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 3000 })), {
      minLength: 1,
      maxLength: 4,
    })
    .map((pairs) => pairs.flat());

  test("whoever sleeps from change to change sees every step, for its whole length", () => {
    fc.assert(
      fc.property(stepsMs, fc.integer({ min: 1, max: 50 }), (steps, changes) => {
        const lamp: Lamp = { pattern: "blink", stepsMs: steps };
        let atMs = 0;
        for (let i = 0; i < changes; i++) {
          assert.equal(isLit(lamp, atMs), i % 2 === 0);
          const nextMs = nextChangeMs(lamp, atMs);
          assert.equal(nextMs - atMs, steps[i % steps.length]);
          atMs = nextMs;
        }
      }),
    );
  });

  test("two lamps are the same when they look the same", () => {
    const lamp = fc.oneof(
      fc.constantFrom<Lamp>({ pattern: "on" }, { pattern: "off" }),
      stepsMs.map((steps): Lamp => ({ pattern: "blink", stepsMs: steps })),
    );
    fc.assert(
      fc.property(lamp, lamp, (a, b) => {
        assert.ok(sameLamp(a, structuredClone(a)) && !sameLamp(a, undefined));
        assert.equal(sameLamp(a, b), printed(a) === printed(b));
      }),
    );
  });
});
