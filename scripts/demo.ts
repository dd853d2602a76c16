/**
 * Two boards and a client on this computer, live or as a story. Called by
 * `scripts/demo`, which says how; the parts are in `scripts/demonstration`.
 *
 * However it ends, what it made goes first: the boards with their network, the
 * files of the lab, the picture on the terminal.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { labPower } from "../test/lab/namespace.js";
import { dieOf, firstSignal } from "./demonstration/ending.js";
import { Live } from "./demonstration/live.js";
import { openStage, type Stage } from "./demonstration/stage.js";
import { Story } from "./demonstration/story.js";
import { hasTerminal, Terminal } from "./demonstration/terminal.js";

const USAGE = 64;
const CLOSING_MS = 10_000;

const end = await demo(process.argv.slice(2));
if (typeof end === "number") process.exit(end);
await dieOf(end);

/** Answers with the exit status, or with the signal that ended it. */
async function demo(args: readonly string[]): Promise<number | NodeJS.Signals> {
  const unknown = args.find((arg) => arg !== "--script");
  if (unknown !== undefined) return complain(`found ${unknown}, wanted --script or nothing`, USAGE);
  if (labPower() === "none") {
    return complain("found no power to make namespaces; scripts/demo, without node, finds one", 1);
  }
  const signal = firstSignal();
  if (!args.includes("--script") && hasTerminal()) return live(signal);
  if (!args.includes("--script")) console.log("No terminal here: this is the story, as with --script.\n");
  return story(signal);
}

async function story(signal: Promise<NodeJS.Signals>): Promise<number | NodeJS.Signals> {
  let over = false;
  const story = new Story((line) => over || console.log(line));
  const opening = openStage(story.note);
  try {
    const status = opening.then((stage) => story.play(stage)).then((wrong) => (wrong === 0 ? 0 : 1));
    return await Promise.race([signal, status]);
  } catch (error) {
    return complain(error instanceof Error ? error.message : String(error), 1);
  } finally {
    over = true;
    await takeDown(opening);
  }
}

async function live(signal: Promise<NodeJS.Signals>): Promise<number | NodeJS.Signals> {
  using terminal = new Terminal();
  const live = new Live(terminal);
  const opening = openStage(live.note);
  try {
    return await Promise.race([signal, opening.then((stage) => live.play(stage))]);
  } catch (error) {
    terminal.close();
    return complain(error instanceof Error ? error.message : String(error), 1);
  } finally {
    terminal.close();
    await takeDown(opening);
    console.log(live.summary());
  }
}

/** Also what was still being made when the end came. */
async function takeDown(opening: Promise<Stage>): Promise<void> {
  const closed = opening.then(
    (stage) => stage.close(),
    () => undefined,
  );
  await Promise.race([closed, sleep(CLOSING_MS, undefined, { ref: false })]);
}

function complain(said: string, status: number): number {
  console.error(`scripts/demo: ${said}`);
  return status;
}
