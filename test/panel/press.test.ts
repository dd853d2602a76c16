/**
 * Edges to presses, as tables of what a contact does: `+` closes it, `-` opens
 * it, at so many milliseconds. Then with contacts that do anything at all.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type Button,
  type ButtonEvent,
  createButton,
  HOLD_MS,
  nextDeadline,
  SHORT_MS,
  STUCK_MS,
  step,
} from "../../src/panel/press.js";

const DEBOUNCE_MS = 20;

interface Contact {
  readonly at: number;
  readonly pressed: boolean;
}

/** `+0 -999`: closes at 0, opens at 999. */
function contactOf(text: string): readonly Contact[] {
  return text
    .split(" ")
    .filter(Boolean)
    .map((word) => ({ pressed: word[0] === "+", at: Number(word.slice(1)) }));
}

/** Everything that changes, as `50 short`; deadlines are kept to the millisecond. */
function trace(contacts: readonly Contact[], untilAt: number, lateMs = 0): readonly string[] {
  const seen: string[] = [];
  let button = createButton(DEBOUNCE_MS);
  const happen = (event: ButtonEvent, at: number) => {
    const before = button;
    const { button: after, press } = step(button, event, at);
    button = after;
    if (press) seen.push(`${at} ${press}`);
    if (!before.held && after.held) seen.push(`${at} held`);
    if (before.stuck !== after.stuck) seen.push(`${at} ${after.stuck ? "stuck" : "free"}`);
  };
  const rest = [...contacts];
  for (;;) {
    const wakeAt = nextDeadline(button) + lateMs;
    const [contact] = rest;
    if (Math.min(wakeAt, contact?.at ?? Number.POSITIVE_INFINITY) > untilAt) return seen;
    if (contact && contact.at <= wakeAt) {
      rest.shift();
      happen({ kind: "edge", pressed: contact.pressed }, contact.at);
    } else {
      happen({ kind: "wake" }, wakeAt);
    }
  }
}

const presses: readonly { contact: string; gives: readonly string[]; why: string }[] = [
  { contact: "", gives: [], why: "nothing comes of nothing" },
  {
    contact: "+0 -300",
    gives: ["320 short"],
    why: "a press acts when the finger has gone, and the bouncing",
  },
  { contact: "+0 -999", gives: ["1019 short"], why: "0.999 s is short" },
  { contact: "+0 -1000", gives: [], why: "a second is a change of mind" },
  { contact: "+0 -1001", gives: [], why: "1.001 s too" },
  { contact: "+0 -4999", gives: [], why: "4.999 s too: the lamps had not changed" },
  { contact: "+0 -5001", gives: ["5000 held", "5021 long"], why: "over the threshold: acts on release" },
  { contact: "+0 -29000", gives: ["5000 held", "29020 long"], why: "however long it is held" },
  { contact: "+0", gives: ["5000 held", "30000 stuck"], why: "no finger stays for half a minute" },
  {
    contact: "+0 -40000 +41000 -41300",
    gives: ["5000 held", "30000 stuck", "40020 free", "41320 short"],
    why: "one that was stuck does nothing when it comes loose, and works again",
  },
  { contact: "+0 -19", gives: [], why: "a glitch is shorter than the debounce" },
  { contact: "+0 -1 +2 -3 +4 -5", gives: [], why: "several are none either" },
  { contact: "+0 -20", gives: ["40 short"], why: "as long as the debounce is a press" },
  {
    contact: "+0 -2 +3 -5 +9 -300 +301 -305 +309 -312",
    gives: ["332 short"],
    why: "bounces at both ends are one press",
  },
  {
    contact: "+0 -2 +4 -999 +1003 -1010",
    gives: ["1030 short"],
    why: "0.999 s counts from the first closing to the first opening",
  },
  {
    contact: "+0 -2 +4 -1001 +1003 -1010",
    gives: [],
    why: "and so does 1.001 s",
  },
  { contact: "+0 -500 +510 -800", gives: ["820 short"], why: "a gap shorter than the debounce is none" },
  {
    contact: "+0 -4995 +4999 -6000",
    gives: ["5000 held", "6020 long"],
    why: "a bounce just before the threshold",
  },
  { contact: "+0 -4990 +5009 -5500", gives: ["5009 held", "5520 long"], why: "a gap over the threshold" },
  { contact: "+0 -4990", gives: [], why: "let go just before: the threshold passes while it settles" },
  { contact: "+0 -300 +400 -700", gives: ["320 short", "720 short"], why: "two presses" },
  { contact: "+0 -300 +320 -700", gives: ["320 short", "720 short"], why: "as quick as can be" },
];

describe("a contact does", () => {
  for (const { contact, gives, why } of presses) {
    test(`${contact || "nothing"}: ${why}`, () => {
      assert.deepEqual(trace(contactOf(contact), 60_000), gives);
    });
  }
});

describe("a program that is late", () => {
  test("does not take a release for a long press that it has not seen", () => {
    // It stood still from 4.9 s on; at 8 s the timer comes first, and then the edge of 4.95 s.
    let button = run(createButton(DEBOUNCE_MS), [
      [0, { kind: "edge", pressed: true }],
      [20, { kind: "wake" }],
      [8000, { kind: "wake" }],
    ]);
    assert.equal(button.held, false);
    button = run(button, [[8001, { kind: "edge", pressed: false }]]);
    assert.deepEqual(step(button, { kind: "wake" }, 8021), {
      button: { ...button, pressed: false, leftAt: Number.POSITIVE_INFINITY },
      press: undefined,
    });
  });

  test("nor when the edge comes first", () => {
    const button = run(createButton(DEBOUNCE_MS), [
      [0, { kind: "edge", pressed: true }],
      [20, { kind: "wake" }],
      [8000, { kind: "edge", pressed: false }],
    ]);
    assert.equal(step(button, { kind: "wake" }, 8020).press, undefined);
  });

  test("finds a finger that is still there", () => {
    assert.deepEqual(trace(contactOf("+0 -9000"), 60_000, 300).slice(-1), ["9320 long"]);
  });
});

describe("a finger during the boot", () => {
  /** The first look finds the contact closed. */
  const boots: readonly { contact: string; gives: readonly string[]; why: string }[] = [
    { contact: "+0 -400", gives: ["420 short"], why: "is a press, short from the first look on" },
    { contact: "+0 -3000", gives: [], why: "that stays longer has changed its mind" },
    { contact: "+0 -6000", gives: ["5000 held", "6020 long"], why: "sees the lamps change like any other" },
    { contact: "+0", gives: ["5000 held", "30000 stuck"], why: "that never goes is a wiring fault" },
  ];
  for (const { contact, gives, why } of boots) {
    test(why, () => assert.deepEqual(trace(contactOf(contact), 60_000), gives));
  }
});

describe("whatever a contact does", () => {
  const contacts = fc.array(fc.integer({ min: 1, max: 7000 }), { maxLength: 20 }).map((gapsMs) => {
    let at = 0;
    return gapsMs.map((gapMs, i) => {
      at += gapMs;
      return { at, pressed: i % 2 === 0 };
    });
  });

  test("looking at it now and then changes nothing", () => {
    const looks = fc.array(fc.integer({ min: 0, max: 150_000 }), { maxLength: 50 });
    fc.assert(
      fc.property(contacts, looks, (edges, moments) => {
        const looked = [
          ...edges,
          ...moments.map((at) => ({
            at,
            pressed: edges.findLast((edge) => edge.at <= at)?.pressed ?? false,
          })),
        ].toSorted((a, b) => a.at - b.at);
        assert.deepEqual(trace(looked, 200_000), trace(edges, 200_000));
      }),
    );
  });

  test("presses are those of a slow and simple reading", () => {
    fc.assert(
      fc.property(contacts, (edges) =>
        assert.deepEqual(trace(edges, 200_000), simpleReading(edges, 200_000)),
      ),
    );
  });

  test("a deadline is never in the past, so that nobody wakes without end", () => {
    const events = fc.array(
      fc.tuple(
        fc.integer({ min: 0, max: 9000 }),
        fc.constantFrom("wake" as const, "+" as const, "-" as const),
      ),
    );
    fc.assert(
      fc.property(events, (steps) => {
        let button = createButton(DEBOUNCE_MS);
        let at = 0;
        for (const [gapMs, what] of steps) {
          at += gapMs;
          const event: ButtonEvent =
            what === "wake" ? { kind: "wake" } : { kind: "edge", pressed: what === "+" };
          button = step(button, event, at).button;
          assert.ok(nextDeadline(button) > at);
        }
      }),
    );
  });
});

function run(button: Button, events: readonly (readonly [number, ButtonEvent])[]): Button {
  return events.reduce((before, [at, event]) => step(before, event, at).button, button);
}

/** Written without the state machine: levels that last for the debounce, then their lengths. */
function simpleReading(edges: readonly Contact[], untilAt: number): readonly string[] {
  const all = [...edges, { at: Number.POSITIVE_INFINITY, pressed: false }];
  const levels: { from: number; settledAt: number; pressed: boolean }[] = [];
  let leftAt: number | undefined;
  for (const [i, { at, pressed }] of edges.entries()) {
    leftAt ??= at;
    const lasts = (all[i + 1]?.at ?? 0) - at;
    if (lasts < DEBOUNCE_MS) continue;
    const now = levels.at(-1)?.pressed ?? false;
    if (pressed !== now) levels.push({ from: leftAt, settledAt: at + DEBOUNCE_MS, pressed });
    leftAt = undefined;
  }
  const seen: (readonly [number, string])[] = [];
  for (const [i, { from, settledAt, pressed }] of levels.entries()) {
    if (!pressed) continue;
    const end = levels[i + 1];
    const closedAt = (wantedAt: number): number => {
      const contact = edges.findLast((edge) => edge.at <= wantedAt);
      return contact?.pressed ? wantedAt : (edges.find((edge) => edge.at > wantedAt)?.at ?? wantedAt);
    };
    const stop = end?.from ?? Number.POSITIVE_INFINITY;
    const heldAt = closedAt(Math.max(from + HOLD_MS, settledAt));
    const stuckAt = closedAt(from + STUCK_MS);
    if (heldAt < stop && heldAt <= untilAt) seen.push([heldAt, "held"]);
    if (stuckAt < stop && stuckAt <= untilAt) seen.push([stuckAt, "stuck"]);
    if (!end || end.settledAt > untilAt) continue;
    if (stuckAt < stop) seen.push([end.settledAt, "free"]);
    else if (heldAt < stop) seen.push([end.settledAt, "long"]);
    else if (end.from - from < SHORT_MS) seen.push([end.settledAt, "short"]);
  }
  return seen.toSorted(([a], [b]) => a - b).map(([at, what]) => `${at} ${what}`);
}
