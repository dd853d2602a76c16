/**
 * One emulated board with a card of its own: power, button, lamps, serial
 * console and status, as the picture shows them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LampName } from "../../src/board.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import { FAULT, MAINTENANCE, ROLE } from "../../test/emulated/lamps.js";
import { Qemu } from "../../test/emulated/qemu.js";
import { CHIPS, machineOf } from "../../test/image/appliance.js";
import { copyCard, imageOf, type Kind, putFile, putText } from "../../test/image/card.js";
import { type CardFile, CONFIG_NAME } from "../flashing/card-files.js";

export type Name = "left" | "right";

/** An operator's files on a card. */
export interface Settings {
  /** Of carpio.toml. */
  readonly text: string;
  readonly beside: readonly CardFile[];
  /** For the file that `text` calls TOKEN_FILE. */
  readonly token?: string;
}

export interface Place {
  readonly name: Name;
  readonly kind: Kind;
  /** Without them the card stays as it came out of the box. */
  readonly settings: Settings | undefined;
  readonly number: number;
  readonly netdev: string;
  /** Of this computer, where the board's page is. */
  readonly port: number;
}

/** What there is to see of it. */
export interface Sight {
  readonly place: Place;
  readonly isOn: boolean;
  readonly pressed: boolean;
  readonly lamps: { readonly [L in LampName]: boolean };
  readonly status: Snapshot | undefined;
  /** Of the serial console, the newest last. */
  readonly lines: readonly string[];
}

export const TOKEN_FILE = "token";
const ASK_EVERY_MS = 1_000;
const NO_ANSWER_MS = 3_000;
const TAP_MS = 300;
/** Longer than the five seconds that end in a power-off. */
const HOLD_MS = 6_000;
const BITS: { readonly [L in LampName]: number } = { role: ROLE, maintenance: MAINTENANCE, fault: FAULT };

export class Board {
  readonly #place: Place;
  readonly #directory: string;
  readonly #card: string;
  #qemu: Qemu | undefined;
  #status: Snapshot | undefined;
  #lit = 0;
  #pressed = false;
  #lines: readonly string[] = [];
  #closed = false;

  constructor(place: Place) {
    this.#place = place;
    this.#directory = mkdtempSync(join(tmpdir(), `carpio-emulate-${place.name}-`));
    this.#card = copyCard(imageOf(place.kind), join(this.#directory, "card.img"));
    for (const { from, name } of place.settings?.beside ?? []) putFile(this.#card, from, name);
    if (place.settings?.token) putText(this.#card, TOKEN_FILE, `${place.settings.token}\n`);
    if (place.settings) putText(this.#card, CONFIG_NAME, place.settings.text);
    void this.#keepAsking();
  }

  async plugIn(): Promise<void> {
    if (this.#qemu?.hasPower) return;
    await this.#qemu?.close();
    // What it said last, if it has switched itself off.
    this.#status = undefined;
    const { kind, number, netdev, port } = this.#place;
    const directory = mkdtempSync(join(this.#directory, "power-"));
    const parameters = machineOf({ kind, card: this.#card, number, directory, lan: netdev });
    const outside = { door: [], host: `127.0.0.1:${port}` };
    const qemu = new Qemu({ directory, outside, before: [], parameters, chip: CHIPS[kind] });
    this.#qemu = qemu;
    await qemu.reachPanel();
  }

  /** A power cut. */
  async pullPlug(): Promise<void> {
    await this.#qemu?.close();
    this.#status = undefined;
    this.#lit = 0;
  }

  press(): Promise<void> {
    return this.#finger(TAP_MS);
  }

  hold(): Promise<void> {
    return this.#finger(HOLD_MS);
  }

  /** Looks at the lamps, once. */
  async look(): Promise<void> {
    if (this.#qemu?.hasPower) this.#lit = await this.#qemu.levels().catch(() => this.#lit);
    else this.#lit = 0;
  }

  see(): Sight {
    this.#lines = this.#qemu?.lines ?? this.#lines;
    const lamps = Object.fromEntries(
      Object.entries(BITS).map(([lamp, bit]) => [lamp, (this.#lit & bit) !== 0]),
    );
    return {
      place: this.#place,
      isOn: this.#qemu?.hasPower === true,
      pressed: this.#pressed,
      lamps: lamps as Sight["lamps"],
      status: this.#qemu?.hasPower ? this.#status : undefined,
      lines: this.#lines,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#qemu?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #finger(forMs: number): Promise<void> {
    const qemu = this.#qemu;
    if (!qemu?.hasPower || this.#place.kind !== "virt") return;
    this.#pressed = true;
    try {
      await qemu.press(forMs);
    } catch (error) {
      // The plug was pulled under the finger.
      if (qemu.hasPower) throw error;
    } finally {
      this.#pressed = false;
    }
  }

  async #keepAsking(): Promise<void> {
    while (!this.#closed) {
      if (this.#qemu?.hasPower) this.#status = await askStatus(this.#place.port);
      await sleep(ASK_EVERY_MS, undefined, { ref: false });
    }
  }
}

/** Of a board that has one to show; it may be starting, or refuse. */
export function askStatus(port: number): Promise<Snapshot | undefined> {
  return new Promise((resolve) => {
    const asked = request({ host: "127.0.0.1", port, path: "/status", timeout: NO_ANSWER_MS }, (response) => {
      const parts: string[] = [];
      response.setEncoding("utf8").on("data", (part: string) => parts.push(part));
      response.on("end", () => resolve(response.statusCode === 200 ? readStatus(parts.join("")) : undefined));
      response.on("error", () => resolve(undefined));
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(undefined));
    asked.end();
  });
}

function readStatus(text: string): Snapshot | undefined {
  try {
    return JSON.parse(text) as Snapshot;
  } catch {
    return undefined;
  }
}
