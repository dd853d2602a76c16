/**
 * How long an emulated board takes from its kernel's start until it decides
 * and answers. All moments are the kernel's own: its lines carry them, and what
 * is seen from outside is put on the same clock.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Snapshot } from "../../src/status/snapshot.js";
import { statusOf, untilStatus } from "../../test/emulated/board.js";
import { Appliance } from "../../test/image/appliance.js";
import { copyCard, imageOf, type Kind, putText, showNotices } from "../../test/image/card.js";
import { now } from "../../test/lab/child.js";

/** What happens on the way, in order. */
export const STEPS = ["base", "slot", "system", "daemon", "decision", "status"] as const;
export type Step = (typeof STEPS)[number];

/** In seconds since the kernel's start. */
export type Timeline = { readonly [S in Step]: number };

/** Which line says that a step is reached; what the base and the system say themselves. */
const LINES: { readonly [S in Exclude<Step, "daemon" | "status">]: RegExp } = {
  base: /carpio: the base begins/,
  slot: /carpio: slot [ab], version/,
  system: /carpio: the system begins/,
  decision: /carpio: carp 7 on \S+: init -> /,
};
/** Before it, at times, comes a byte that a UART says when it is switched on. */
const STAMP = /^\ufffd?\[ *(\d+\.\d+)\]/;
const CALL_EVERY_MS = 500;
const INTERFACES: { readonly [K in Kind]: string } = { virt: "eth0", raspberrypi: "usb0" };

export async function measureBoot(kind: Kind): Promise<Timeline> {
  const directory = mkdtempSync(join(tmpdir(), "carpio-bench-"));
  try {
    const card = copyCard(imageOf(kind), join(directory, "card.img"));
    const group = [
      "vhid = 7",
      `interface = "${INTERFACES[kind]}"`,
      'password = "x"',
      'addresses = ["192.0.2.1/24"]',
    ];
    putText(card, "carpio.toml", ["[[carp]]", ...group, ""].join("\n"));
    showNotices(card);
    await using board = await Appliance.powerOn({ kind, card });
    return await readTimeline(board);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function readTimeline(board: Appliance): Promise<Timeline> {
  const answer = await firstAnswer(board);
  const answeredAt = now();
  const began = answeredAt - answer.uptimeSeconds * 1000;
  await untilStatus(board, "a decision", ({ role }) => role !== "init");
  for (const line of Object.values(LINES)) await board.untilLine(line);
  const kernelAt = whenKernelBegan(board);
  const stamp = (step: keyof typeof LINES): number =>
    secondsOf(board.lines.find((it) => LINES[step].test(it)) ?? "");
  return {
    base: stamp("base"),
    slot: stamp("slot"),
    system: stamp("system"),
    daemon: (began - kernelAt) / 1000,
    decision: stamp("decision"),
    status: (answeredAt - kernelAt) / 1000,
  };
}

/**
 * QEMU takes a call for a board that is not there yet, and tries it again seconds later. So another
 * one comes soon, whatever has become of those before.
 */
async function firstAnswer(board: Appliance): Promise<Snapshot> {
  let answer: Snapshot | undefined;
  const call = async (): Promise<void> => {
    const said = await statusOf(board);
    answer ??= said;
  };
  return board.until(
    async () => {
      void call();
      await sleep(CALL_EVERY_MS);
      return answer;
    },
    { holds: (it) => it !== undefined, what: "an answer" },
  ) as Promise<Snapshot>;
}

/** A line comes no earlier than it was written; the one that came soonest after that tells best. */
function whenKernelBegan(board: Appliance): number {
  const offsets = board.lines.flatMap((line, index) => {
    const at = board.moments[index];
    return STAMP.test(line) && at !== undefined ? [at - secondsOf(line) * 1000] : [];
  });
  return Math.min(...offsets);
}

function secondsOf(line: string): number {
  return Number(STAMP.exec(line)?.[1]);
}
