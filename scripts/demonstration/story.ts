/**
 * The demo without a terminal: the acts one after the other, each with what it
 * should come to. What the boards say on the way is printed as they say it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Snapshot } from "../../src/status/snapshot.js";
import { type Moment, now } from "../../test/lab/child.js";
import type { ProbeResult } from "../../test/lab/probe.js";
import { ADDRESSES, BOARDS, type BoardName, type BoardView, type Note } from "./board.js";
import { startProbes, tellLossFromNoise } from "./client.js";
import { type Sight, wordsFor } from "./panel.js";
import { power, type Stage, secondsSince } from "./stage.js";
import { duration, packetsLost } from "./wording.js";

/** How a board should be in the end: the role it reports by `GET /status`, or why it cannot. */
type Condition = Snapshot["role"] | Exclude<BoardView["daemon"]["is"], "running">;

/** And what its lamps should say. */
interface Look {
  readonly is: Condition;
  readonly lamps: Sight;
}

interface Act {
  readonly title: string;
  do(boards: Stage["boards"]): Promise<void>;
  /** Who should serve then. */
  readonly serves: BoardName;
  readonly becomes: { readonly [B in BoardName]: Look };
  /** The longest time without an answer; 0 stands for not a packet lost. */
  readonly outageAtMostMs: number;
}

interface Outcome {
  readonly servesAfterMs: number;
  readonly letsGoAfterMs: number | undefined;
  readonly result: ProbeResult;
  readonly lost: number;
  readonly noise: number;
  readonly servingAtEnd: readonly BoardName[];
}

const NOTHING = 0;
/** The supervisor tells the other board at once; on a busy computer it takes a while to start. */
const A_CRASH_MS = 4_000;
/** The master-down time is 3 x 1 s + 50/256 s = 3.2 s; the rest is for busy computers. */
const A_SILENCE_MS = 6_000;
const DEADLINE_MS = 30_000;
/** After this, a loss would belong to something else. */
const CALM_MS = 1_000;

const serving: Look = { is: "master", lamps: "master" };
const standingBy: Look = { is: "backup", lamps: "backup" };
const bothWell = { left: serving, right: standingBy };

const acts: readonly Act[] = [
  {
    title: "left is to be unplugged: a finger presses its button. It serves until it hears right do so.",
    do: ({ left }) => left.press(),
    serves: "right",
    becomes: { left: { is: "backup", lamps: "safe" }, right: serving },
    outageAtMostMs: NOTHING,
  },
  {
    title: "left's button is pressed again: it is preferred again, and preempts.",
    do: ({ left }) => left.press(),
    serves: "left",
    becomes: bothWell,
    outageAtMostMs: NOTHING,
  },
  {
    title: "left's button is held for five seconds: let go, it hands over and powers off.",
    do: ({ left }) => left.hold(),
    serves: "right",
    becomes: { left: { is: "off", lamps: "switched-off" }, right: serving },
    outageAtMostMs: NOTHING,
  },
  {
    title: "left is switched on again: it listens first, then preempts.",
    do: ({ left }) => left.start(),
    serves: "left",
    becomes: bothWell,
    outageAtMostMs: NOTHING,
  },
  {
    title: "left is stopped politely: it bows out, and serves until it hears right do so.",
    do: ({ left }) => left.stop(),
    serves: "right",
    becomes: { left: { is: "gone", lamps: "stopped" }, right: serving },
    outageAtMostMs: NOTHING,
  },
  {
    title: "left starts again.",
    do: ({ left }) => left.start(),
    serves: "left",
    becomes: bothWell,
    outageAtMostMs: NOTHING,
  },
  {
    title: "left's daemon is killed: the addresses go at once, and its supervisor tells right.",
    do: ({ left }) => left.kill(),
    serves: "right",
    becomes: { left: { is: "gone", lamps: "stopped" }, right: serving },
    outageAtMostMs: A_CRASH_MS,
  },
  {
    title: "left starts again.",
    do: ({ left }) => left.start(),
    serves: "left",
    becomes: bothWell,
    outageAtMostMs: NOTHING,
  },
  {
    title: "left's cable is cut: nobody can tell right, which waits for 3.2 s of silence.",
    do: ({ left }) => left.cutCable(),
    serves: "right",
    becomes: { left: { is: "init", lamps: "starting" }, right: serving },
    outageAtMostMs: A_SILENCE_MS,
  },
  {
    title: "left's cable is plugged in.",
    do: ({ left }) => left.plugIn(),
    serves: "left",
    becomes: bothWell,
    outageAtMostMs: NOTHING,
  },
  {
    title: "left's daemon hangs: its kernel answers until the addresses expire; right waits for silence.",
    do: ({ left }) => left.freeze(),
    serves: "right",
    becomes: { left: { is: "frozen", lamps: "stopped" }, right: serving },
    outageAtMostMs: A_SILENCE_MS,
  },
  {
    title: "left's daemon goes on, and sees that it was away.",
    do: ({ left }) => left.thaw(),
    serves: "left",
    becomes: bothWell,
    outageAtMostMs: NOTHING,
  },
];

/** Tells the story as it happens; answers how many expectations failed. */
export class Story {
  readonly #print: (line: string) => void;
  readonly #startedAt = now();
  /** When something was done to a board last: a finger stays for a while, and counts when it leaves. */
  #deedAt: Moment = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
    print(
      `carpio: two boards, left and right, share ${ADDRESSES.join(" and ")}. A client asks the first one`,
    );
    print("for an echo 1,000 times a second, and a host that nobody touches as often, to know the noise.");
    print(`It all happens in network namespaces made by ${power()}. Times are in seconds.`);
    print("");
  }

  /** For everything that the stage reports. */
  readonly note = ({ at, who, kind, text }: Note): void => {
    if (kind === "deed") this.#deedAt = at;
    const indent = kind === "deed" ? "" : "  ";
    this.#say(`${indent}${who.padEnd(5)}  ${text}`, at);
  };

  async play(stage: Stage): Promise<number> {
    await this.#begin(stage);
    let wrong = 0;
    for (const [index, act] of acts.entries()) wrong += await this.#playAct(stage, act, index + 2);
    const failed = `${wrong} expectation${wrong === 1 ? "" : "s"} FAILED.`;
    this.#print("");
    this.#print(wrong === 0 ? `All ${acts.length + 1} acts went as they should.` : failed);
    return wrong;
  }

  /** Nobody serves before the first election, so there is nothing to lose. */
  async #begin(stage: Stage): Promise<void> {
    this.#announce(
      1,
      "Both boards start. Nobody serves, so left, the preferred one, does after 3 s.",
      "left serves",
      bothWell.left,
    );
    const beganAt = now();
    await Promise.all(BOARDS.map((name) => stage.boards[name].start()));
    const servesAfterMs = await settle(stage, "left", bothWell, beganAt);
    this.#say(`= left serves after ${duration(servesAfterMs)}`);
  }

  async #playAct(stage: Stage, act: Act, number: number): Promise<number> {
    const { title, serves, outageAtMostMs } = act;
    const loss =
      outageAtMostMs === NOTHING ? "no packet is lost" : `no answer for ${duration(outageAtMostMs)} at most`;
    this.#print("");
    this.#announce(number, title, `${serves} serves, ${loss}`, act.becomes.left);
    const outcome = await this.#perform(stage, act);
    const { servesAfterMs, letsGoAfterMs, lost, noise, result } = outcome;
    const other = act.serves === "left" ? "right" : "left";
    const longest = lost > 0 ? `, ${duration(result.longestOutageMs)} without an answer` : "";
    const letsGo = letsGoAfterMs === undefined ? "" : `; ${other} let go after ${duration(letsGoAfterMs)}`;
    this.#say(
      `= ${act.serves} serves after ${duration(servesAfterMs)}${letsGo}; ${packetsLost(lost)}${longest}`,
    );
    if (noise > 0)
      this.#say(`  ${packetsLost(noise)} more, while the host that nobody touches lost some too: noise`);
    const wrong = judge(act, outcome);
    for (const each of wrong) this.#say(`WRONG: ${each}`);
    return wrong.length;
  }

  async #perform(stage: Stage, act: Act): Promise<Outcome> {
    const { probe, control } = await startProbes(stage.lab);
    await probe.answering(DEADLINE_MS);
    const other = act.serves === "left" ? "right" : "left";
    await act.do(stage.boards);
    const actedAt = this.#deedAt;
    const servesAfterMs = await settle(stage, act.serves, act.becomes, actedAt);
    await probe.answering(DEADLINE_MS);
    await sleep(CALM_MS);
    const letGoAt = stage.changedHands(other, false, actedAt);
    const [result, noise] = await Promise.all([probe.stop(), control.stop()]);
    return {
      servesAfterMs,
      letsGoAfterMs: letGoAt && letGoAt - actedAt,
      result,
      ...tellLossFromNoise(result, noise),
      servingAtEnd: stage.serving(),
    };
  }

  #announce(number: number, title: string, wanted: string, { lamps }: Look): void {
    this.#print(`${number}. ${title}`);
    this.#print(`   Wanted: ${wanted}. left's lamps: ${wordsFor(lamps)}.`);
  }

  #say(text: string, at: Moment = now()): void {
    this.#print(`${secondsSince(this.#startedAt, at).padStart(6)}  ${text}`);
  }
}

/** Waits until one board alone has the addresses and both are as they should be. Says how long it took to serve. */
async function settle(
  stage: Stage,
  serves: BoardName,
  becomes: Act["becomes"],
  sinceAt: Moment,
): Promise<number> {
  for (const address of ADDRESSES) await stage.lab.holders.wait(address, [serves], DEADLINE_MS);
  const servesAt = stage.changedHands(serves, true, sinceAt) ?? sinceAt;
  const is = () => describe((name) => lookOf(stage.boards[name].view(), sinceAt));
  const wanted = describe((name) => becomes[name]);
  for (const deadline = now() + DEADLINE_MS; is() !== wanted; await sleep(20)) {
    if (now() > deadline) throw new Error(`after ${DEADLINE_MS} ms ${is()}; wanted: ${wanted}`);
  }
  return servesAt - sinceAt;
}

function describe(look: (name: BoardName) => { readonly is: string; readonly lamps: Sight }): string {
  return BOARDS.map((name) => {
    const { is, lamps } = look(name);
    return `${name} is ${is} (its lamps: ${wordsFor(lamps)})`;
  }).join(", ");
}

/** The role counts when it was asked for after the deed. */
function lookOf({ daemon, status, panel }: BoardView, sinceAt: Moment) {
  const role = status && status.at > sinceAt ? status.snapshot.role : "silent";
  return { is: daemon.is === "running" ? role : daemon.is, lamps: panel.sight };
}

function judge(act: Act, { lost, result, servingAtEnd }: Outcome): readonly string[] {
  const wrong: string[] = [];
  const { outageAtMostMs } = act;
  if (outageAtMostMs === NOTHING && lost > 0) wrong.push(`${packetsLost(lost)}; wanted: none`);
  if (outageAtMostMs > NOTHING && result.longestOutageMs > outageAtMostMs) {
    wrong.push(
      `${duration(result.longestOutageMs)} without an answer; wanted: at most ${duration(outageAtMostMs)}`,
    );
  }
  if (servingAtEnd.join() !== act.serves) {
    wrong.push(`${servingAtEnd.join(" and ") || "nobody"} serves in the end; wanted: ${act.serves} alone`);
  }
  return wrong;
}
