/**
 * Hundreds of simulated hours of two to four hosts, ours beside OpenBSD's,
 * FreeBSD's, NetBSD's and UCARP's rules, while everything breaks that can.
 * `simulation/simulate.ts` says what happens in a run, `simulation/referee.ts`
 * what must not.
 *
 * A run that fails prints its seed. SEED=42 node build/test/carp/simulation.test.js
 * plays that one alone and prints its trace. A change is judged by the same seeds
 * each time; SEEDS=10000 looks for trouble in as many that nobody has seen.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { type Action, type Heard, step, type VhostEvent, type VirtualHost } from "../../src/carp/vhost.js";
import { encodeSlot, SLOT_BYTES } from "../../src/slot.js";
import { simulate, simulatePowerLoss } from "../simulation/simulate.js";
import { type Keeping, realKeeping } from "../simulation/wish.js";
import type { Core } from "../world.js";

const HOUR_MS = 3_600_000;
const FIXED_SEEDS = 440;
/** Each of them found a fault once, of the product or of its simulation. */
const REMEMBERED_SEEDS = [1_001_534, 1_003_850, 1_012_782, 619_577_399, 167_579_824];
/** Besides, on demand. */
const RANDOM_SEEDS = Number(process.env["SEEDS"] ?? 0);
/** Of these a handover is played as often as it has steps. */
const HANDOVERS = 60;
const MOST_STEPS = 300;
const seed = process.env["SEED"];

if (seed !== undefined) {
  test(`seed ${seed}`, () => {
    const { violation } = simulate(Number(seed), { trace: (line) => console.log(line) });
    assert.equal(violation, undefined);
  });
} else {
  describe("whatever breaks", () => {
    const sightings = new Map<string, number>();
    let simulatedMs = 0;

    test(`seeds 1 to ${FIXED_SEEDS}, the same each time`, () => {
      for (let fixed = 1; fixed <= FIXED_SEEDS; fixed++) holds(fixed);
    });

    test("seeds that found a fault once", () => {
      for (const remembered of REMEMBERED_SEEDS) holds(remembered);
    });

    if (RANDOM_SEEDS > 0) {
      test(`${RANDOM_SEEDS} seeds that nobody has seen`, () => {
        for (let i = 0; i < RANDOM_SEEDS; i++) holds(randomInt(1_000_000_000));
      });
    }

    test("a hundred hours went by", (t) => {
      t.diagnostic(`${(simulatedMs / HOUR_MS).toFixed(0)} simulated hours`);
      assert.ok(simulatedMs > 100 * HOUR_MS);
    });

    /** What must have come about, or the runs prove less than they seem to. */
    const rare = [
      "master: no master heard",
      "master: master timed out",
      "master: master bowed out",
      "master: preempting a slower master",
      "master: master is demoted",
      "master: master advertises too slowly",
      "backup: heard a preferred master",
      "backup: maintenance",
      "master: master bowed out, and nobody else came",
      "backup: was late: another may serve",
      "init: link down",
      "init: shutting down",
      "init: shutting down, nobody took over",
      "two masters",
      "a tie was settled",
      "last words",
      "a loser's words were left alone",
      "a repeated bow-out was left alone",
      "a bow-out was answered",
      "a deaf backup listened again",
      "addresses off: the guard",
      "addresses off: the lease",
      "addresses back on with the lease",
      "a master that stands aside heard another",
      "a wish was cut short",
      "a wish outlived a restart",
      "power failed before the wish was kept",
      "power failed after the wish was kept",
    ];
    for (const what of rare) {
      test(`this was seen: ${what}`, (t) => {
        t.diagnostic(`${sightings.get(what) ?? 0} times`);
        assert.ok(sightings.has(what));
      });
    }

    function holds(number: number): void {
      const result = simulate(number);
      simulatedMs += result.simulatedMs;
      for (const [what, count] of result.sightings) sightings.set(what, (sightings.get(what) ?? 0) + count);
      assert.equal(
        result.violation,
        undefined,
        `seed ${number}: ${result.violation}\nSEED=${number} node build/test/carp/simulation.test.js`,
      );
    }
  });

  for (const who of ["master", "another"] as const) {
    test(`${who === "master" ? "whoever hands over" : "another"} loses its power at every step of a handover`, (t) => {
      let steps = 0;
      for (let number = 1; number <= HANDOVERS; number++) {
        for (let at = 0; at <= MOST_STEPS; at++) {
          const result = simulatePowerLoss(number, at, who);
          if (!result) break;
          steps++;
          assert.equal(result.violation, undefined, `seed ${number}, step ${at}: ${result.violation}`);
        }
      }
      t.diagnostic(`${steps} steps`);
      assert.ok(steps > 20 * HANDOVERS);
    });
  }

  test("one seed is one run", () => {
    const linesOf = (number: number) => {
      const lines: string[] = [];
      simulate(number, { trace: (line) => lines.push(line) });
      return lines;
    };
    assert.deepEqual(linesOf(7), linesOf(7));
    assert.notDeepEqual(linesOf(7), linesOf(8));
  });

  describe("a core that is broken on purpose is found out", () => {
    for (const [what, core] of Object.entries(brokenCores())) {
      test(`it ${what}`, (t) => {
        for (let number = 1; number <= FIXED_SEEDS; number++) {
          const { violation } = simulate(number, { core });
          if (violation === undefined) continue;
          t.diagnostic(`seed ${number}, ${violation}`);
          return;
        }
        assert.fail("nobody noticed");
      });
    }
  });

  describe("a board that keeps its wish in another way is found out", () => {
    for (const [what, keeping] of Object.entries(brokenKeepings())) {
      test(`it ${what}`, (t) => {
        for (let number = 1; number <= FIXED_SEEDS; number++) {
          const { violation } = simulate(number, { keeping });
          if (violation === undefined) continue;
          t.diagnostic(`seed ${number}, ${violation}`);
          return;
        }
        assert.fail("nobody noticed");
      });
    }
  });
}

function brokenKeepings(): { readonly [what: string]: Keeping } {
  const kept = [encodeSlot({ sequence: 1, text: "on" }), new Uint8Array(SLOT_BYTES)] as const;
  return {
    "acts before the wish is kept": { ...realKeeping, acts: "asked" },
    "forgets it at a restart": { ...realKeeping, resume: () => [] },
    "obeys half of it after a restart": {
      ...realKeeping,
      resume: (slots) => realKeeping.resume(slots).map((event) => ({ ...event, standAside: false })),
    },
    "stands aside after every restart": { ...realKeeping, resume: () => realKeeping.resume(kept) },
    "writes over the only good copy": { ...realKeeping, nextSlot: () => 0 },
  };
}

/** Each does one thing wrong, and everything else right. */
function brokenCores(): { readonly [what: string]: Core } {
  const never = Number.POSITIVE_INFINITY;
  return {
    "never yields": deafTo(
      (event, vhost) => event.kind === "heard" && vhost.role === "master" && vhost.leaving === undefined,
    ),
    "takes over too early": withTimers((at, now) => (at + now) / 2),
    "takes over too late": withTimers((at) => at + 500),
    "ignores bow-outs": deafTo((event) => event.kind === "heard" && event.ad.advbase === 255),
    "forgets to release": without((action) => action.do === "release"),
    "forgets to claim": without((action) => action.do === "claim"),
    "never speaks": without((action) => action.do === "advertise" && !action.to),
    "releases before its successor is heard": (vhost, event, now) => {
      const { vhost: next, actions } = step(vhost, event, now);
      if (event.kind !== "stop" || !next.leaving) return { vhost: next, actions };
      return { vhost: { ...next, leaving: { ...next.leaving, successor: nobody(now) } }, actions };
    },
    "stands aside and gives way to nobody": deafTo(
      (event, { role, leaving, demotions }) =>
        event.kind === "heard" && role === "master" && !leaving && demotions.some((it) => it.standAside),
    ),
    "hands over to nobody": (vhost, event, now) => {
      const { vhost: next, actions } = step(vhost, event, now);
      if (event.kind !== "demote" || next.leaving?.to !== "backup") return { vhost: next, actions };
      return { vhost: { ...next, leaving: { ...next.leaving, successor: nobody(now) } }, actions };
    },
    "believes whoever took over together with it": (vhost, event, now) => {
      const longAgo = Number.NEGATIVE_INFINITY;
      return step(vhost.leaving ? { ...vhost, masterSince: longAgo } : vhost, event, now);
    },
    "preempts while it stands aside": (vhost, event, now) => {
      const demotions = vhost.demotions.map((it) => ({ ...it, standAside: false }));
      const { vhost: next, actions } = step(
        event.kind === "heard" ? { ...vhost, demotions } : vhost,
        event,
        now,
      );
      return { vhost: event.kind === "heard" ? { ...next, demotions: vhost.demotions } : next, actions };
    },
    "does not hear its successor, and stays": instead((vhost) =>
      vhost.leaving
        ? { ...vhost, leaving: { ...vhost.leaving, successor: undefined, giveUpAt: never } }
        : vhost,
    ),
    "never preempts": withPreempt(false),
    "always preempts": withPreempt(true),
    "advertises once and never again": instead((vhost) => ({ ...vhost, advertiseAt: never })),
    "never knows that it overslept": (vhost, event, now) => {
      const late = vhost.role === "master" && vhost.advertiseAt < now;
      return step(late ? { ...vhost, advertiseAt: now } : vhost, event, now);
    },
    "does not hear that it is demoted": deafTo((event) => event.kind === "demote"),
    "never settles a tie": deafTo(
      (event, { role, leaving, settings }) =>
        event.kind === "heard" && role === "master" && !leaving && event.ad.advskew === settings.advskew,
    ),
    "keeps one timer for both families": instead((vhost) => {
      const latest = Math.max(...Object.values(vhost.masterDownAt));
      return { ...vhost, masterDownAt: eachTimer(vhost, () => latest) };
    }),
    "restarts no timer but the first": instead((vhost, before) =>
      vhost.role === "backup" && before.role === "backup"
        ? { ...vhost, masterDownAt: before.masterDownAt }
        : vhost,
    ),
    "becomes master with its link": (vhost, event, now) => {
      const { vhost: next, actions } = step(vhost, event, now);
      if (event.kind !== "link" || vhost.role !== "init") return { vhost: next, actions };
      const rash = step({ ...next, masterDownAt: eachTimer(next, () => now) }, { kind: "wake" }, now);
      return { vhost: rash.vhost, actions: [...actions, ...rash.actions] };
    },
    "serves on without a link": deafTo((event) => event.kind === "link" && !event.up),
    "forgets whom it stands by for": instead((vhost, before) =>
      vhost.masters === before.masters ? vhost : { ...vhost, masters: {} },
    ),
  };
}

/** A successor that was heard long enough ago. */
function nobody(now: number): Heard {
  return { advbase: 1, advskew: 0, demote: 0, from: { family: 4, bytes: new Uint8Array(4) }, at: now - 1000 };
}

/** The real core, but these actions are left out. */
function without(unwanted: (action: Action) => boolean): Core {
  return (vhost, event, now) => {
    const next = step(vhost, event, now);
    return { vhost: next.vhost, actions: next.actions.filter((action) => !unwanted(action)) };
  };
}

/** The real core, but these events never reach it. */
function deafTo(unheard: (event: VhostEvent, vhost: VirtualHost) => boolean): Core {
  return (vhost, event, now) => (unheard(event, vhost) ? { vhost, actions: [] } : step(vhost, event, now));
}

/** The real core, but it remembers something else. */
function instead(change: (vhost: VirtualHost, before: VirtualHost, now: number) => VirtualHost): Core {
  return (vhost, event, now) => {
    const next = step(vhost, event, now);
    return { vhost: change(next.vhost, vhost, now), actions: next.actions };
  };
}

function withTimers(change: (at: number, now: number) => number): Core {
  return instead((vhost, before, now) =>
    vhost.masterDownAt === before.masterDownAt
      ? vhost
      : { ...vhost, masterDownAt: eachTimer(vhost, (at) => change(at, now)) },
  );
}

function withPreempt(preempt: boolean): Core {
  return (vhost, event, now) => {
    const next = step({ ...vhost, settings: { ...vhost.settings, preempt } }, event, now);
    const { settings } = event.kind === "configure" ? event : vhost;
    return { vhost: { ...next.vhost, settings }, actions: next.actions };
  };
}

function eachTimer(
  { masterDownAt }: VirtualHost,
  change: (at: number) => number,
): VirtualHost["masterDownAt"] {
  return Object.fromEntries(Object.entries(masterDownAt).map(([family, at]) => [family, change(at)]));
}
