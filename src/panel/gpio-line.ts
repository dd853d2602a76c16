/**
 * Lines of GPIO chips, as /sys/class/gpio has them: found by the chip's label,
 * because the kernel's numbers change (they begin at 512 since 6.6), and
 * exported for onoff. Everything that can be wrong is said in a sentence that
 * names the board file; who drives the line is for onoff.ts.
 */
import { access, constants, readdir, readFile, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Wire } from "../board.js";

export const GPIO_FOLDER = "/sys/class/gpio";

/** udev may need this long until it lets a user who is not root have the line. */
const PERMISSION_MS = 2_000;
const LOOK_EVERY_MS = 20;

interface Chip {
  readonly label: string;
  readonly base: number;
  readonly lines: number;
}

/** A line that sysfs offers, by the kernel's number for it. */
export interface ExportedLine {
  readonly number: number;
  /** Where its value is read and written. */
  readonly valueFile: string;
}

/** Rejects with a sentence that begins with `place`. */
export async function exportLine(wire: Wire, place: string, folder = GPIO_FOLDER): Promise<ExportedLine> {
  try {
    const number = await numberOf(wire, folder);
    await offer(number, wire, folder);
    return { number, valueFile: `${folder}/gpio${number}/value` };
  } catch (error) {
    throw new Error(`${place}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** The kernel's number for a line. */
export async function numberOf({ chip, offset }: Wire, folder = GPIO_FOLDER): Promise<number> {
  const chips = await readChips(folder);
  const [found, another] = chips.filter(({ label }) => label === chip);
  if (!found) {
    const others = chips.map(({ label }) => label).join(", ") || "none at all";
    throw new Error(`found no GPIO chip ${chip}, wanted one of those that are here: ${others}`);
  }
  if (another)
    throw new Error(`found several GPIO chips ${chip}, wanted one that can be told from the others`);
  if (offset >= found.lines) {
    throw new Error(`found line ${offset}, wanted 0 to ${found.lines - 1}: ${chip} has no more`);
  }
  return found.base + offset;
}

async function readChips(folder: string): Promise<readonly Chip[]> {
  const names = await readdir(folder).catch(() => {
    throw new Error(`found no ${folder}, wanted a kernel with CONFIG_GPIO_SYSFS`);
  });
  const read = async (name: string): Promise<Chip> => {
    const [label = "", base, lines] = await Promise.all(
      ["label", "base", "ngpio"].map(async (file) =>
        (await readFile(`${folder}/${name}/${file}`, "utf8")).trim(),
      ),
    );
    return { label, base: Number(base), lines: Number(lines) };
  };
  return Promise.all(names.filter((name) => /^gpiochip\d+$/.test(name)).map(read));
}

/**
 * onoff would do this itself, but keeps the whole program waiting meanwhile. A
 * line that is there already was ours before we died.
 */
async function offer(number: number, { chip, offset, pin }: Wire, folder: string): Promise<void> {
  const line = `line ${offset}${pin === undefined ? "" : ` (pin ${pin})`} of ${chip}`;
  const isThere = async (file: string) =>
    access(`${folder}/gpio${number}/${file}`, constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    );
  if (!(await exists(`${folder}/gpio${number}`))) {
    await writeFile(`${folder}/export`, String(number)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EBUSY") throw new Error(`found ${line} in use by a driver or another program`);
      throw new Error(`found ${line} refused (${error.code}), wanted it for carpio`);
    });
  }
  for (let waitedMs = 0; !(await isThere("value")) || !(await isThere("direction")); ) {
    if (waitedMs >= PERMISSION_MS) throw new Error(`found ${line} closed to this user, wanted access to it`);
    await delay(LOOK_EVERY_MS);
    waitedMs += LOOK_EVERY_MS;
  }
  // onoff reads it as well, and would leave it open each time that it cannot.
  await readFile(`${folder}/gpio${number}/value`).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`found ${line} without a value (${error.code}), wanted one to read`);
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
