/**
 * Boards from the image on this computer, in QEMU, with hands on their buttons
 * and plugs. Called by `scripts/emulate`, which says how; the parts are in
 * `scripts/emulation`. However it ends, what it made goes first.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describeProblem, readConfig } from "../src/config.js";
import { freePort, STATUS_PORT } from "../test/emulated/qemu.js";
import { addressOf, macOf } from "../test/image/appliance.js";
import type { Kind } from "../test/image/card.js";
import { dieOf, firstSignal } from "./demonstration/ending.js";
import { hasTerminal, Terminal } from "./demonstration/terminal.js";
import { Board, type Name, type Settings, type Sight, TOKEN_FILE } from "./emulation/board.js";
import { Lan } from "./emulation/lan.js";
import { type DEEDS, describe, draw } from "./emulation/picture.js";
import { cardFiles } from "./flashing/card-files.js";

interface Order {
  readonly kinds: readonly Kind[];
  readonly configs: readonly Settings[];
  readonly untouched: boolean;
}

const USAGE = 64;
const NAMES: readonly Name[] = ["left", "right"];
const NUMBERS = { left: 11, right: 12 } as const;
const SHARED = "192.0.2.1";
/** Everybody knows it, and nobody but this computer reaches these boards. */
const TOKEN = "emulated";
const INTERFACES: { readonly [K in Kind]: string } = { virt: "eth0", raspberrypi: "usb0" };
const SIGNAL_MS = 100;
/** Short enough for a wink of 50 ms to be seen now and then. */
const FRAME_MS = 40;
/** As long as the longest pattern, a wink every two seconds. */
const BLINK_FRAMES = 50;

/** What a key does to the chosen board. */
const deeds: { readonly [K in keyof typeof DEEDS]: (board: Board) => Promise<void> } = {
  " ": (board) => board.press(),
  h: (board) => board.hold(),
  p: (board) => (board.see().isOn ? board.pullPlug() : board.plugIn()),
};

const end = await emulate(process.argv.slice(2));
if (typeof end === "number") process.exit(end);
await dieOf(end);

/** Answers with the exit status, or with the signal that ended it. */
async function emulate(args: readonly string[]): Promise<number | NodeJS.Signals> {
  const order = readOrder(args);
  if (typeof order === "string") return complain(order, USAGE);
  const signal = firstSignal();
  const over = new AbortController();
  const closers: Closer[] = [];
  try {
    const opening = openStage(order, closers, over.signal);
    const quit = opening.then((stage) => (hasTerminal() ? live(stage, closers) : tell(stage)));
    return await Promise.race([signal, quit.then(() => 0)]);
  } catch (error) {
    // Ctrl-C ends a program that we have called as well, and that may be heard of first.
    const heard = await Promise.race([signal, sleep(SIGNAL_MS)]);
    return heard ?? complain(error instanceof Error ? error.message : String(error), 1);
  } finally {
    over.abort();
    await closeAll(closers.reverse());
  }
}

/** Each, one after the other, also when one of them fails. */
async function closeAll(closers: readonly Closer[]): Promise<void> {
  for (const close of closers) {
    try {
      await close();
    } catch (error) {
      console.error(`scripts/emulate: ${error instanceof Error ? error.message : error}`);
    }
  }
}

function readOrder(args: readonly string[]): Order | string {
  const kinds: Kind[] = [];
  const configs: Settings[] = [];
  let untouched = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "virt" || arg === "raspberrypi") kinds.push(arg);
    else if (arg === "--untouched") untouched = true;
    else if (arg === "--config" && args[i + 1] !== undefined) {
      const settings = readSettings(args[++i] ?? "");
      if (typeof settings === "string") return settings;
      configs.push(settings);
    } else return `found ${arg}, wanted virt, raspberrypi, --untouched or --config FILE`;
  }
  if (untouched && configs.length > 0) return "found --untouched with --config, wanted one of them";
  if (kinds.length > NAMES.length) return `found ${kinds.length} boards, wanted one or two`;
  return { kinds: kinds.length > 0 ? kinds : ["virt", "virt"], configs, untouched };
}

/** One in which something is wrong is taken as it is: how a board takes that may be what somebody wants to see. */
function readSettings(file: string): Settings | string {
  try {
    const parsed = readConfig(file);
    const text = readFileSync(file, "utf8");
    if (!parsed.ok) return { text, beside: [] };
    const { beside, problems } = cardFiles(file, parsed.files);
    if (problems.length === 0) return { text, beside };
    return problems.map((problem) => `--config: ${describeProblem(file, problem)}`).join("\n");
  } catch (error) {
    return `--config: ${error instanceof Error ? error.message : error}`;
  }
}

/** Takes something away, the last that was made first. */
type Closer = () => Promise<void>;

interface Stage {
  readonly boards: ReadonlyMap<Name, Board>;
  readonly shared: { readonly address: string; readonly port: number } | undefined;
}

/** Nothing more is made once it is over. */
async function openStage(
  { kinds, configs, untouched }: Order,
  closers: Closer[],
  over: AbortSignal,
): Promise<Stage> {
  const names = NAMES.slice(0, kinds.length);
  const ports = await portsFor(names.length + 1);
  const [sharedPort = STATUS_PORT, ...boardPorts] = ports;
  const forwards = names.map((name, index) => ({
    port: boardPorts[index] ?? 0,
    address: addressOf(NUMBERS[name]),
  }));
  const shared = { address: SHARED, port: sharedPort };
  const lan = await Lan.open({
    macs: names.map((name) => macOf(NUMBERS[name])),
    firstAddress: addressOf(NUMBERS.left),
    forwards: [shared, ...forwards],
  });
  closers.push(() => lan.close());
  over.throwIfAborted();
  const boards = new Map<Name, Board>();
  for (const [index, name] of names.entries()) {
    const kind = kinds[index] ?? "virt";
    const board = new Board({
      name,
      kind,
      settings: untouched ? undefined : (configs[index] ?? configs[0] ?? settingsFor(name, kind, names)),
      number: NUMBERS[name],
      netdev: lan.plugs[index]?.netdev ?? "",
      port: forwards[index]?.port ?? 0,
    });
    closers.push(() => board.close());
    boards.set(name, board);
  }
  await Promise.all([...boards.values()].map((board) => board.plugIn()));
  over.throwIfAborted();
  return { boards, shared: untouched || configs.length > 0 ? undefined : shared };
}

/** As one would write it for a pair. Two emulated boards share this computer's processors: no haste. */
function settingsFor(name: Name, kind: Kind, names: readonly Name[]): Settings {
  const others = names
    .filter((each) => each !== name)
    .map((each) => `"http://${addressOf(NUMBERS[each])}:${STATUS_PORT}"`);
  const lines = [
    `name = "${name}"`,
    "[[carp]]",
    "vhid = 7",
    `interface = "${INTERFACES[kind]}"`,
    'password = "emulated"',
    `addresses = ["${SHARED}/24"]`,
    "advbase = 3",
    `advskew = ${name === "left" ? 0 : 100}`,
    "[status]",
    `peers = [${others}]`,
    `token_file = "${TOKEN_FILE}"`,
    "[update]",
    "unsigned = true",
  ];
  return { text: `${lines.join("\n")}\n`, beside: [], token: TOKEN };
}

/** The well-known one and those after it, or others where somebody has these. */
async function portsFor(count: number): Promise<readonly number[]> {
  const wanted = Array.from({ length: count }, (_, index) => STATUS_PORT + index);
  return Promise.all(wanted.map(async (port) => (await freePort(port).catch(() => 0)) || freePort()));
}

/** On a terminal: a picture, and keys. Returns when somebody has had enough. */
async function live({ boards, shared }: Stage, closers: Closer[]): Promise<void> {
  using terminal = new Terminal();
  // A signal does not wait for us.
  closers.push(async () => terminal.close());
  let chosen: Name = "left";
  let isOver = false;
  const show = () => {
    const { columns, rows } = terminal.size;
    const sights = [...boards.values()].map((board) => board.see());
    terminal.draw(draw({ boards: sights, chosen, shared }, columns, rows));
  };
  const enough = new Promise<void>((resolve, reject) => {
    const press = (key: string): void => {
      const board = boards.get(chosen);
      const other = NAMES[Number(key) - 1];
      if (key === "q") resolve();
      // As if the terminal had said it itself.
      else if (key === "\x03") process.kill(process.pid, "SIGINT");
      else if (other && boards.has(other)) chosen = other;
      else if (board && key in deeds) deeds[key as keyof typeof deeds](board).catch(reject);
      show();
    };
    terminal.listen(press, show, resolve);
  });
  enough
    .catch(() => undefined)
    .finally(() => {
      isOver = true;
    });
  const frames = async (): Promise<void> => {
    while (!isOver) {
      await Promise.all([...boards.values()].map((board) => board.look()));
      show();
      await sleep(FRAME_MS);
    }
  };
  await Promise.all([enough, frames()]);
}

/** Without a terminal: what is new, as lines, until a signal comes. */
async function tell({ boards, shared }: Stage): Promise<void> {
  for (const [name, board] of boards) console.log(`${name}: http://localhost:${board.see().place.port}/`);
  if (shared) console.log(`shared: ${shared.address} is http://localhost:${shared.port}/`);
  const tellers = [...boards].map(([name, board]) => tellerOf(name, board));
  for (;;) {
    for (const tellNews of tellers) await tellNews();
    await sleep(FRAME_MS);
  }
}

/** Each call looks once, and prints what is new. */
function tellerOf(name: Name, board: Board): () => Promise<void> {
  const recent: Sight["lamps"][] = [];
  let told = 0;
  let last = "";
  let waited = 0;
  return async () => {
    await board.look();
    const sight = board.see();
    for (const line of sight.lines.slice(told)) console.log(`${name}: ${line}`);
    told = sight.lines.length;
    recent.push(sight.lamps);
    recent.splice(0, recent.length - BLINK_FRAMES);
    const words = describe(sight, recent);
    // Until a blink has been seen for as long as one lasts it might be another.
    if (words === last) waited = 0;
    else if (++waited > BLINK_FRAMES) {
      console.log(`${name}: ${words}`);
      [last, waited] = [words, 0];
    }
  };
}

function complain(said: string, status: number): number {
  console.error(`scripts/emulate: ${said}`);
  return status;
}
