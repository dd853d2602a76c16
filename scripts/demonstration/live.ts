/**
 * The demo on a terminal: keys become deeds, deeds are judged by what the
 * client saw, and the picture is drawn again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Moment, now } from "../../test/lab/child.js";
import { BOARDS, type Board, type BoardName, type Note } from "./board.js";
import { type Follower, follow, NO_TALLY, startProbes, type Tally } from "./client.js";
import { staysForMs } from "./panel.js";
import { type DEEDS, draw, drawWaiting, type Picture, type Second } from "./screen.js";
import { power, type Stage } from "./stage.js";
import type { Terminal } from "./terminal.js";
import { duration, packetsLost } from "./wording.js";

/** The deed whose outcome is still open. */
interface Pending {
  readonly at: Moment;
  readonly servingBefore: string;
  readonly lostBefore: number;
}

interface Clients {
  readonly client: Follower;
  readonly control: Follower;
}

const deeds: { readonly [K in keyof typeof DEEDS]: (board: Board) => Promise<void> } = {
  " ": (board) => board.press(),
  h: (board) => board.hold(),
  b: (board) => board.bringBack(),
  k: (board) => board.kill(),
  s: (board) => board.stop(),
  f: (board) => (board.view().daemon.is === "frozen" ? board.thaw() : board.freeze()),
  c: (board) => board.cutCable(),
  p: (board) => board.plugIn(),
};

/** The outcome of a deed is said when all has been calm for so long since the address changed hands, */
const CALM_MS = 1_000;
/** or when it has not changed hands for so long, because it need not. */
const UNMOVED_MS = 5_000;
const SILENCE_MS = 100;
/** The picture is drawn so often at least; a lamp that changes sooner is not kept waiting. */
const FRAME_MS = 100;
/** A key that is held down repeats itself, after half a second at first; that is not the finger coming back. */
const REPEAT_MS = 700;
const BUTTON_KEYS: readonly string[] = [" ", "h"];
const NOTES_KEPT = 200;
const SECONDS_KEPT = 500;

export class Live {
  readonly #terminal: Terminal;
  readonly #startedAt = now();
  readonly #quit: Promise<void>;
  readonly #notes: Note[] = [];
  readonly #past: Second[] = [];
  readonly #queues = new Map<BoardName, Promise<void>>();
  #chosen: BoardName = "left";
  #stage: Stage | undefined;
  #clients: Clients | undefined;
  #pending: Pending | undefined;
  /** Deeds that are not done yet; what they come to is still open. */
  #underWay = 0;
  #lastKey: { readonly key: string; readonly at: Moment } | undefined;
  #nextFrame: NodeJS.Timeout | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#quit = new Promise((quit) => {
      // As if the terminal had said it itself: whoever waits for signals knows what to do.
      const raise = (signal: NodeJS.Signals): void => void process.kill(process.pid, signal);
      const onKey = (key: string): void =>
        key === "\x03" ? raise("SIGINT") : key === "q" ? quit() : this.#press(key);
      terminal.listen(
        onKey,
        () => this.#draw(),
        () => raise("SIGHUP"),
      );
    });
    this.#draw();
  }

  /** For everything that the stage reports. */
  readonly note = (note: Note): void => {
    this.#notes.push(note);
    this.#notes.splice(0, this.#notes.length - NOTES_KEPT);
    if (note.kind === "deed") this.#expect(note.at);
    this.#draw();
  };

  /** Until somebody presses q. */
  async play(stage: Stage): Promise<number> {
    this.#stage = stage;
    try {
      this.#frame(stage);
      await Promise.race([this.#quit, this.#begin(stage)]);
      await this.#quit;
      return 0;
    } finally {
      clearTimeout(this.#nextFrame);
    }
  }

  /** What the client has seen; for the end. */
  summary(): string {
    const { lost, longestOutageMs } = this.#tally().experience;
    const longest = longestOutageMs > 0 ? `, longest outage ${duration(longestOutageMs)}` : "";
    return `carpio demo: ${packetsLost(lost)}${longest}. Boards, client and their network are gone.`;
  }

  /** The client begins when there is somebody to answer it. */
  async #begin(stage: Stage): Promise<void> {
    await Promise.all(BOARDS.map((name) => stage.boards[name].start()));
    while (stage.serving().length === 0) await sleep(FRAME_MS);
    const { probe, control } = await startProbes(stage.lab);
    this.#clients = { client: follow(probe), control: follow(control) };
  }

  #press(key: string): void {
    const last = this.#lastKey;
    this.#lastKey = { key, at: now() };
    if (BUTTON_KEYS.includes(key) && last?.key === key && now() - last.at < REPEAT_MS) return;
    if (key === "1" || key === "\x1b[D") this.#chosen = "left";
    else if (key === "2" || key === "\x1b[C") this.#chosen = "right";
    else if (key === "\t") this.#chosen = this.#chosen === "left" ? "right" : "left";
    else if (key === "z") this.#zero();
    else if (this.#stage && key in deeds)
      this.#do(this.#stage.boards[this.#chosen], key as keyof typeof deeds);
    this.#draw();
  }

  /** One deed after the other on each board. */
  #do(board: Board, key: keyof typeof deeds): void {
    const { name } = board.view();
    this.#underWay++;
    const done = (this.#queues.get(name) ?? Promise.resolve())
      .then(() => deeds[key](board))
      .catch((error: unknown) => {
        const text = `not now: ${error instanceof Error ? error.message : error}`;
        this.note({ at: now(), who: name, kind: "outcome", text });
      })
      .finally(() => this.#underWay--);
    this.#queues.set(name, done);
  }

  #zero(): void {
    this.#clients?.client.reset();
    this.#clients?.control.reset();
    if (this.#pending) this.#pending = { ...this.#pending, lostBefore: 0 };
  }

  #expect(at: Moment): void {
    const servingBefore = this.#stage?.serving().join(" and ") ?? "";
    this.#pending = { at, servingBefore, lostBefore: this.#tally().experience.lost };
  }

  #frame(stage: Stage): void {
    this.#keepSecond(stage);
    const open = this.#underWay === 0 ? this.#pending : undefined;
    const text = open && this.#outcome(stage, open);
    if (text !== undefined) {
      this.#pending = undefined;
      this.note({ at: now(), who: "client", kind: "outcome", text });
    }
    this.#draw();
    const panels = Object.values(stage.boards).map((board) => board.view().panel);
    const stays = Math.min(FRAME_MS, ...panels.map((panel) => staysForMs(panel, now())));
    this.#nextFrame = setTimeout(() => this.#frame(stage), Math.ceil(stays));
  }

  /** What a deed came to, once that is certain. */
  #outcome(stage: Stage, { at, servingBefore, lostBefore }: Pending): string | undefined {
    const serving = stage.serving();
    const [server] = serving;
    const passedMs = now() - at;
    if (server === undefined) return passedMs > UNMOVED_MS ? "nobody serves" : undefined;
    const { experience, episode } = this.#tally();
    if (serving.length > 1 || experience.silenceMs > SILENCE_MS || episode) return undefined;
    const lost = packetsLost(Math.max(experience.lost - lostBefore, 0));
    const movedAt = server === servingBefore ? undefined : stage.changedHands(server, true, at);
    if (movedAt === undefined)
      return passedMs > UNMOVED_MS ? `${server} serves as before; ${lost}` : undefined;
    return now() - movedAt > CALM_MS
      ? `${server} serves after ${duration(movedAt - at)}; ${lost}`
      : undefined;
  }

  #keepSecond(stage: Stage): void {
    if (!this.#clients) return;
    const { client } = this.#clients;
    const second = Math.floor((now() - this.#startedAt) / 1000);
    const news = client.news();
    const last = this.#past.at(-1);
    if (last?.second === second) {
      const sum = { sent: last.sent + news.sent, lost: last.lost + news.lost };
      this.#past.splice(-1, 1, { second, serving: stage.serving(), ...sum });
    } else {
      this.#past.push({ second, serving: stage.serving(), ...news });
      this.#past.splice(0, this.#past.length - SECONDS_KEPT);
    }
  }

  #tally(): Tally {
    return this.#clients?.client.tally() ?? NO_TALLY;
  }

  #draw(): void {
    const { columns, rows } = this.#terminal.size;
    const picture = this.#stage && this.#picture(this.#stage);
    const waiting = "carpio: two boards, a switch and a client are made …";
    this.#terminal.draw(picture ? draw(picture, columns, rows) : drawWaiting(waiting, columns, rows));
  }

  #picture(stage: Stage): Picture {
    return {
      boards: [stage.boards.left.view(), stage.boards.right.view()],
      chosen: this.#chosen,
      serving: stage.serving(),
      client: this.#clients?.client.tally().experience,
      control: this.#clients?.control.tally().experience,
      past: this.#past,
      notes: this.#notes,
      power: power(),
      startedAt: this.#startedAt,
      now: now(),
    };
  }
}
