/**
 * How the two slots of a card stand, in words; and which one is started next,
 * by somebody's wish or because it has proven itself.
 */
import {
  type BootRecord,
  choose,
  otherSlot,
  prove,
  type RunningFault,
  SLOT_NAMES,
  type SlotFault,
  type SlotName,
  type SlotState,
  TRIES,
  vacate,
} from "./boot-record.js";
import { type Card, slotFile } from "./card.js";
import { judgePayload, parseTrailer } from "./payload.js";
import { readSlot, readTrailer } from "./update.js";

export interface SlotView {
  readonly name: SlotName;
  /** `undefined`: there is nothing in it that could be started. */
  readonly version: string | undefined;
  readonly running: boolean;
  readonly next: boolean;
  /** In words: `good`, `new, started once of 3 times`. */
  readonly standing: string;
}

export async function viewSlots(card: Card): Promise<readonly SlotView[]> {
  const record = await card.record.read();
  return card.use((folder) =>
    Promise.all(
      SLOT_NAMES.map(async (name): Promise<SlotView> => {
        const version = await versionIn(slotFile(folder, name), record[name]);
        const standing = standingOf(record, name, version);
        return { name, version, running: card.running === name, next: record.next === name, standing };
      }),
    ),
  );
}

/** What `carpio slot` prints. */
export function slotTable(slots: readonly SlotView[]): string {
  const lines = slots.map(({ name, version, running, next, standing }) => {
    const place = [...(running ? ["running"] : []), ...(next ? ["next"] : [])].join(", ");
    return `${name}  ${(version ?? "-").padEnd(12)}  ${place.padEnd(13)}  ${standing}`;
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** Throws a sentence when there is nothing whole in it: the base would only come back. */
export async function chooseSlot({ record, use }: Card, name: SlotName): Promise<void> {
  const passed = await use((folder) => readSlot(slotFile(folder, name))).catch(() => undefined);
  const judged = passed && judgePayload(passed, "unsigned");
  if (!judged?.ok) throw new Error(`slot ${name} has nothing whole in it: ${judged?.why ?? "no file"}`);
  await record.write(choose(await record.read(), name));
}

/** Writes nothing when it is known: a card has only so many writes. */
export async function proveRunning({ running, record, endTrial }: Card): Promise<SlotName> {
  if (running === undefined) throw new Error("no slot runs here");
  const before = await record.read();
  if (before[running] !== "good") await record.write(prove(before, running));
  endTrial();
  return running;
}

/** The running one has failed: it is not tried again. Throws a sentence when it has proven itself before, or the other one is no better. */
export async function giveUpRunning({ running, record }: Card, why: RunningFault): Promise<SlotName> {
  if (running === undefined) throw new Error("no slot runs here");
  const before = await record.read();
  if (before[running] === "good") throw new Error(`slot ${running} has proven itself: it stays`);
  const other = otherSlot(running);
  if (before[other] !== "good")
    throw new Error(`slot ${other} has not proven itself either: ${running} stays`);
  await record.write(vacate(before, running, why));
  return running;
}

const WRONG: Readonly<Record<SlotFault, string>> = {
  damaged: "it was found damaged",
  unproven: `it was started ${TRIES} times without proving itself`,
  unfinished: "its update was not finished",
  silent: "its daemon said nothing any more",
  unready: "its daemon was not ready in time, or not for long",
  bad: "it was given up by hand",
};

/** An update that was cut leaves the end of an older payload, which is no more. */
async function versionIn(file: string, state: SlotState): Promise<string | undefined> {
  const trailer = state === "unfinished" ? undefined : await readTrailer(file);
  const parsed = trailer && parseTrailer(trailer);
  return parsed?.ok ? parsed.value.version : undefined;
}

/** What the record says is wrong comes first: that is why it is so, and what the file looks like only follows. */
function standingOf(record: BootRecord, name: SlotName, version: string | undefined): string {
  const state = record[name];
  if (state !== "good" && state !== "new") return `bad: ${WRONG[state]}`;
  if (version === undefined) return "nothing whole in it";
  if (state === "good") return "good";
  if (record.next !== name || record.tries === 0) return "new: not started yet";
  return `new: started ${record.tries} of ${TRIES} times without proving itself`;
}
