/**
 * What a seed decides before the first moment: who takes part, with what
 * settings, on what wire. And chance itself.
 */
import type { Interval } from "../../src/carp/interval.js";
import type { Settings, Sources } from "../../src/carp/vhost.js";
import type { Family } from "../../src/wire/address.js";
import type { Core, HostSpec } from "../world.js";

/** Everything that is drawn before the first moment. */
export interface Scene {
  readonly specs: readonly HostSpec[];
  /** How long things take, against a network with an advbase of 1. */
  readonly pace: number;
  readonly skews: Skews;
  /** Hosts without addresses of their own all look alike to each other. */
  readonly addressed: boolean;
  /** Equal masters of which none insists: each round may be a draw, so it takes several. */
  readonly draws: boolean;
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly slowestClaimMs: number;
}

/** The least and the largest advskew. */
export type Skews = readonly [number, number];

export interface Chance {
  /** 0 to 1, without 1. */
  readonly next: () => number;
  readonly between: (low: number, high: number) => number;
  readonly whole: (low: number, high: number) => number;
  readonly maybe: (likelihood: number) => boolean;
  readonly pick: <T>(from: readonly T[]) => T;
}

/** Mulberry32: small, and good enough to be unfair with. */
export function createChance(seed: number): Chance {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (low, high) => low + (high - low) * next(),
    whole: (low, high) => low + Math.floor((high - low + 1) * next()),
    maybe: (likelihood) => next() < likelihood,
    pick: (from) => from[Math.floor(from.length * next())] as (typeof from)[number],
  };
}

export function drawScene(chance: Chance, core: Core | undefined): Scene {
  const fast = chance.maybe(0.1);
  const families = chance.pick<readonly Family[]>([[4], [4], [4, 6], [4, 6], [6]]);
  const kinds = drawKinds(chance, chance.whole(2, 4), fast, families);
  const known: readonly HostSpec["kind"][] = ["carpio", "openbsd"];
  const byte = kinds.every((kind) => known.includes(kind)) && chance.maybe(0.4);
  const masterDown = chance.pick<Settings["masterDown"]>(["classic", "classic", "scaled"]);
  const preempt = chance.pick(["all", "all", "none", "some"]);
  // Equal strangers can fall silent together again and again, and no rule of ours ends that.
  const strangers = kinds.filter((kind) => kind !== "carpio");
  const equal = strangers.length < 2 && chance.maybe(0.3);
  const addressed = equal || chance.maybe(0.9);
  const skews = skewsFor(fast, kinds);
  const advbase = fast ? 0 : chance.pick([1, 1, 1, 2, 5, 10]);
  const intervals: Interval[] = [];
  for (const _kind of kinds) intervals.push(drawNextInterval(chance, advbase, skews, equal, intervals));
  const octets = kinds
    .map((_kind, i) => 16 * (i + 1) + chance.whole(0, 15))
    .toSorted(() => chance.next() - 0.5);

  const specs = kinds.map((kind, i): HostSpec => {
    const settings: Settings = {
      ...(intervals[i] ?? { advbase, advskew: 0 }),
      vhid: 7,
      preempt: preempt === "all" || (preempt === "some" && chance.maybe(0.5)),
      families,
      masterDown,
      demote: byte ? "byte" : "advskew",
    };
    const sources = addressed ? sourcesOf(octets[i] ?? 0) : {};
    const clockMs = chance.whole(0, 2 ** 31);
    return { name: "abcd"[i] ?? "", kind, settings, sources, clockMs, ...(core ? { core } : {}) };
  });
  return {
    specs,
    pace: advbase || 0.1,
    skews,
    addressed,
    draws: equal && strangers.some((kind) => kind !== "ucarp"),
    delayMs: chance.between(0.05, fast ? 0.3 : 1),
    jitterMs: chance.between(0, fast ? 0.3 : 1.5),
    slowestClaimMs: chance.between(0, fast ? 2 : 15),
  };
}

function drawKinds(
  chance: Chance,
  count: number,
  fast: boolean,
  families: readonly Family[],
): HostSpec["kind"][] {
  const others: HostSpec["kind"][] = ["openbsd"];
  if (!fast) others.push("freebsd", "netbsd");
  if (!fast && !families.includes(6)) others.push("ucarp");
  const mixed = chance.maybe(0.45);
  const kinds = Array.from({ length: count }, () =>
    mixed && chance.maybe(0.5) ? chance.pick(others) : ("carpio" as const),
  );
  return kinds.includes("carpio") ? kinds : ["carpio", ...kinds.slice(1)];
}

function drawNextInterval(
  chance: Chance,
  advbase: number,
  skews: Skews,
  equal: boolean,
  before: readonly Interval[],
): Interval {
  const [first] = before;
  if (equal && first) return first;
  for (;;) {
    const drawn = { advbase, advskew: chance.whole(...skews) };
    const alike = before.some(({ advskew }) => advskew === drawn.advskew);
    if (!alike && !before.some((other) => closeBy(other, drawn))) return drawn;
  }
}

/**
 * Without a base, one host's patience may be shorter than another's interval. An
 * OpenBSD that is demoted then takes over and gives way for ever, so beside one
 * the skews stay closer.
 */
function skewsFor(fast: boolean, kinds: readonly HostSpec["kind"][]): Skews {
  if (!fast) return [0, 200];
  return kinds.includes("openbsd") ? [25, 60] : [1, 60];
}

/** A master that advertises just as often as another's patience ends is a matter of luck, and nobody's rule. */
export function closeBy(a: Interval, b: Interval): boolean {
  if (a.advbase > 0 || b.advbase > 0) return false;
  return Math.abs(3 * a.advskew - b.advskew) <= 4 || Math.abs(3 * b.advskew - a.advskew) <= 4;
}

function sourcesOf(octet: number): Sources {
  const six = new Uint8Array(16);
  six.set([0xfe, 0x80]);
  six[15] = 255 - octet;
  return { 4: { family: 4, bytes: Uint8Array.of(192, 0, 2, octet) }, 6: { family: 6, bytes: six } };
}
