/**
 * Where the demo plays: two boards, a client, and a host that nobody touches.
 */
import type { Moment } from "../../test/lab/child.js";
import { now } from "../../test/lab/child.js";
import { Lab } from "../../test/lab/lab.js";
import { labPower } from "../../test/lab/namespace.js";
import { VIRTUAL_ADDRESS } from "../../test/lab/peers.js";
import { BOARDS, type Board, type BoardName, createBoard, type Note } from "./board.js";
import { BYSTANDER } from "./client.js";

export interface Stage {
  readonly lab: Lab;
  readonly boards: { readonly [B in BoardName]: Board };
  /** The boards that clients reach by the address. */
  serving(): readonly BoardName[];
  /** The last moment after `afterAt` at which a board got the address, or lost it. */
  changedHands(board: BoardName, holds: boolean, afterAt: Moment): Moment | undefined;
  close(): Promise<void>;
}

/** Cables are in and nothing runs yet. A failure leaves nothing behind. */
export async function openStage(onNote: (note: Note) => void): Promise<Stage> {
  const lab = await Lab.open({ boards: [...BOARDS, BYSTANDER] });
  const boards = {
    left: createBoard(lab, "left", onNote),
    right: createBoard(lab, "right", onNote),
  };
  return {
    lab,
    boards,
    serving: () =>
      BOARDS.filter((name) => {
        const last = lab.holders.history(VIRTUAL_ADDRESS).findLast(({ host }) => host === name);
        return last?.holds && last.reachable;
      }),
    changedHands: (board, holds, afterAt) =>
      lab.holders
        .history(VIRTUAL_ADDRESS)
        .findLast((entry) => entry.host === board && entry.holds === holds && entry.at >= afterAt)?.at,
    async close() {
      for (const board of Object.values(boards)) board.close();
      await lab.close();
    },
  };
}

/** With which power the namespaces were made, for people. */
export function power(): string {
  if (labPower() !== "root") return "an unprivileged user namespace";
  return process.env["SUDO_USER"] === undefined ? "root" : "root, by sudo";
}

/** Seconds since the demo began. */
export function secondsSince(startedAt: Moment, at: Moment = now()): string {
  return (Math.max(at - startedAt, 0) / 1000).toFixed(1);
}
