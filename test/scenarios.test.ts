/**
 * Plays `scenarios/*.txt`: commands, a line of dashes, and the trace that they
 * produced. `node build/test/scenarios.test.js --rewrite` records the traces
 * anew; read the difference before you keep it.
 *
 * A trace shows what is performed, and when. An advertisement like the one
 * before it is left out, and so are addresses that come and go as claimed and
 * released: what is shown of them is what the guard, the lease or a power cut did.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createVhost, type Settings, type Sources, step } from "../src/carp/vhost.js";
import { type Address, type Family, parseAddress } from "../src/wire/address.js";
import { describeAction } from "./trace.js";
import {
  addHost,
  type Core,
  configure,
  createWorld,
  cutPower,
  demote,
  freeze,
  type Host,
  type HostSpec,
  kill,
  type Observation,
  pathBetween,
  runUntil,
  setLink,
  start,
  stop,
  tell,
  thaw,
  type World,
} from "./world.js";

const folder = join(import.meta.dirname, "../../test/scenarios");
const rewrite = process.argv.includes("--rewrite") || process.env["REWRITE"] === "1";

for (const name of readdirSync(folder).filter((file) => file.endsWith(".txt"))) {
  const file = join(folder, name);
  const written = readFileSync(file, "utf8");
  const [title = ""] = written.split("\n");
  test(`${name.replace(".txt", "")}: ${title.replace("# ", "")}`, () => {
    const played = play(written);
    if (rewrite) writeFileSync(file, played);
    else assert.equal(played, written);
  });
}

test("a command that is not one is answered with its name", () => {
  assert.throws(() => play("# .\n\nhost left 1/0\nfly left\n----\n"), /unknown command: fly/);
  assert.throws(() => play("# .\n\nstop left\n----\n"), /no host is called left/);
  assert.throws(() => play("# .\n\nhost left 1\n----\n"), /1: not an interval/);
});

test("a trace changes when the core does", () => {
  const core: Core = (vhost, event, now) =>
    event.kind === "stop" ? { vhost: createVhost(vhost.settings), actions: [] } : step(vhost, event, now);
  const commands = "# .\n\nhost left 1/0\nrun-until 4s\nstop left\nrun-until 9s\n----\n";

  assert.notEqual(play(commands, core), play(commands));
});

/** A scenario while it is played. */
interface Play {
  readonly world: World;
  readonly core: Core;
  readonly trace: [at: number, who: string, what: string][];
  readonly lastAd: Map<Host, string>;
}

type Command = (play: Play, words: readonly string[]) => void;

/** The whole language. Every command says what it takes. */
const commands: { readonly [name: string]: Command } = {
  /** host NAME[/VHID] ADVBASE/ADVSKEW [preempt] [scaled] [byte] [openbsd|freebsd|netbsd|ucarp] [v6|dual] [at ADDRESS] [off]: adds it and starts it. */
  host: (play, [name = "", interval = "", ...options]) => {
    const host = addHost(play.world, hostSpec(play, name, interval, options));
    if (!options.includes("off")) start(play.world, host);
  },
  "run-until": ({ world }, [at = ""]) => runUntil(world, durationMs(at)),
  run: ({ world }, [time = ""]) => runUntil(world, world.now + durationMs(time)),

  start: each((world, host) => start(world, host)),
  stop: each((world, host) => stop(world, host)),
  "cut-power": each(cutPower),
  kill: each(kill),
  freeze: each((_world, host) => freeze(host)),
  thaw: each(thaw),
  "link-down": each((world, host) => setLink(world, host, false)),
  "link-up": each((world, host) => setLink(world, host, true)),

  /** demote NAME ADVSKEW REASON...: with 0 the reason is taken back. */
  demote: ({ world }, [name = "", advskew = "", ...reason]) => {
    for (const host of hostsCalled(world, name)) demote(world, host, reason.join(" "), Number(advskew));
  },
  /** The button of a board, and the button again. */
  "stand-aside": each((world, host) => demote(world, host, "maintenance", 240, true)),
  "call-back": each((world, host) => demote(world, host, "maintenance", 0)),
  /** configure NAME ADVBASE/ADVSKEW [preempt] [readdress]: everything not named stays. */
  configure: ({ world }, [name = "", interval = "", ...options]) => {
    for (const host of hostsCalled(world, name)) {
      const preempt = options.includes("preempt");
      const settings = { ...host.settings, ...parseInterval(interval), preempt };
      configure(world, host, settings, options.includes("readdress"));
    }
  },
  /** hear NAME ADVBASE/ADVSKEW ADDRESS: an advertisement from somebody who is not played. */
  hear: ({ world }, [name = "", interval = "", from = ""]) => {
    const ad = { ...parseInterval(interval), demote: 0 };
    for (const host of hostsCalled(world, name))
      tell(world, host, { kind: "heard", ad, from: address(from) });
  },

  /** cut|join A B: both ways. cut-way|join-way A B: from A to B. */
  cut: wire((path) => Object.assign(path, { cut: true }), "both ways"),
  join: wire((path) => Object.assign(path, { cut: false, deaf: [] }), "both ways"),
  "cut-way": wire((path) => Object.assign(path, { cut: true }), "one way"),
  "join-way": wire((path) => Object.assign(path, { cut: false, deaf: [] }), "one way"),
  "cut-v4": wire((path) => Object.assign(path, { deaf: [4] }), "both ways"),
  "cut-v6": wire((path) => Object.assign(path, { deaf: [6] }), "both ways"),
  /** lose-next A B N: the next N packets from A to B. */
  "lose-next": wire((path, [n = ""]) => Object.assign(path, { loseNext: Number(n) }), "one way"),
  /** delay A B TIME: both ways. */
  delay: wire((path, [time = ""]) => Object.assign(path, { delayMs: durationMs(time) }), "both ways"),

  /** show: the role of each, and who has the addresses. */
  show: ({ world, trace }) => {
    for (const host of world.hosts.values()) {
      const role = host.frozen ? "frozen" : (host.machine?.role() ?? "off");
      trace.push([world.now, host.spec.name, `is ${role}${host.holds ? ", has the addresses" : ""}`]);
    }
  },
};

function play(written: string, core: Core = step): string {
  const world = createWorld({
    random: () => 0,
    delayMs: 0.2,
    jitterMs: 0,
    claimMs: () => 0,
    releaseMs: () => 0,
    lateMs: () => 0,
    guardMs: () => 25,
  });
  const playing: Play = { world, core, trace: [], lastAd: new Map() };
  world.observe = (host, what) => {
    const line = describe(playing, host, what);
    if (line) playing.trace.push([world.now, host.spec.name, line]);
  };
  return `${written
    .trimEnd()
    .split("\n\n")
    .map((block) => (block.includes("\n----") ? playBlock(playing, block) : block))
    .join("\n\n")}\n`;
}

function playBlock(playing: Play, block: string): string {
  const [script = ""] = block.split("\n----");
  for (const line of script.split("\n")) {
    const [name = "", ...words] = line.split(" ").filter((word) => word !== "");
    const command = commands[name];
    if (name.startsWith("#")) continue;
    if (!command) throw new Error(`unknown command: ${name}`);
    command(playing, words);
  }
  const width = Math.max(...[...playing.world.hosts.keys()].map((name) => name.length));
  const lines = playing.trace
    .splice(0)
    .map(([at, who, what]) => `${seconds(at).padStart(7)}  ${who.padEnd(width)}  ${what}`);
  return [script, "----", ...lines].join("\n");
}

function describe(playing: Play, host: Host, what: Observation): string | undefined {
  if (what.kind === "holds") {
    if (what.why === "claimed" || what.why === "released") return undefined;
    return `addresses ${what.holds ? "on" : "off"}: ${what.why}`;
  }
  if (what.kind === "stepped") return undefined;
  const { action } = what;
  const line = describeAction(action);
  if (action.do === "enter") playing.lastAd.delete(host);
  if (action.do !== "advertise" || action.advbase === 255 || action.to) return line;
  const same = playing.lastAd.get(host) === line;
  playing.lastAd.set(host, line);
  return same ? undefined : line;
}

function hostSpec(
  { world, core }: Play,
  name: string,
  interval: string,
  options: readonly string[],
): HostSpec {
  const has = (option: string) => options.includes(option);
  const kinds = ["openbsd", "freebsd", "netbsd", "ucarp"] as const;
  const families: readonly Family[] = has("dual") ? [4, 6] : has("v6") ? [6] : [4];
  const settings: Settings = {
    ...parseInterval(interval),
    vhid: Number(name.split("/")[1] ?? 7),
    preempt: has("preempt"),
    families,
    masterDown: has("scaled") ? "scaled" : "classic",
    demote: has("byte") ? "byte" : "advskew",
  };
  const number = world.hosts.size + 1;
  const sources: Sources = has("at")
    ? { 4: address(options[options.indexOf("at") + 1] ?? "") }
    : { 4: address(`192.0.2.${number + 1}`), 6: address(`fe80::${number + 1}`) };
  return { name, kind: kinds.find(has) ?? "carpio", settings, sources, core };
}

function parseInterval(text: string): { advbase: number; advskew: number } {
  const [advbase, advskew] = text.split("/").map(Number);
  if (advbase === undefined || advskew === undefined) throw new Error(`${text}: not an interval`);
  return { advbase, advskew };
}

function address(text: string): Address {
  const parsed = parseAddress(text);
  if (!parsed) throw new Error(`${text}: not an address`);
  return parsed;
}

function durationMs(text: string): number {
  const [, number, unit] = /^([\d.]+)(ms|s)$/.exec(text) ?? [];
  if (!number) throw new Error(`${text}: not a time, as 12s or 300ms`);
  return Number(number) * (unit === "s" ? 1000 : 1);
}

/** Cut, not rounded: 10.0004 s is still "10.000". */
function seconds(at: number): string {
  return (Math.floor(at + 1e-6) / 1000).toFixed(3);
}

/** `left` means `left/7` and `left/8` too: a board, with all that runs on it. */
function hostsCalled(world: World, name: string): Host[] {
  const found = [...world.hosts.values()].filter((host) => `${host.spec.name}/`.startsWith(`${name}/`));
  if (found.length === 0) throw new Error(`no host is called ${name}`);
  return found;
}

function each(act: (world: World, host: Host) => void): Command {
  return ({ world }, names) => {
    for (const name of names) for (const host of hostsCalled(world, name)) act(world, host);
  };
}

type Path = ReturnType<typeof pathBetween>;

function wire(
  change: (path: Path, words: readonly string[]) => void,
  ways: "both ways" | "one way",
): Command {
  return ({ world }, [a = "", b = "", ...words]) => {
    for (const from of hostsCalled(world, a)) {
      for (const to of hostsCalled(world, b)) {
        if (from.settings.vhid !== to.settings.vhid) continue;
        change(pathBetween(from, to), words);
        if (ways === "both ways") change(pathBetween(to, from), words);
      }
    }
  };
}
