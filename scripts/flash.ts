/**
 * From an image to a card. Called by `scripts/flash`, which says how; the parts
 * are in `scripts/flashing`. Nothing is opened for writing before everything
 * was looked at and somebody has said yes.
 */
import { spawnSync } from "node:child_process";
import { existsSync, type Stats, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { systemReason } from "../src/config/text-file.js";
import { describeProblem, readConfig } from "../src/config.js";
import { Card, mustBeOurs, showPartitions } from "./flashing/card.js";
import { type CardFile, CONFIG_NAME, cardFiles } from "./flashing/card-files.js";
import { type Disc, describeDisc, inWords, LSBLK, readDisc, refusal } from "./flashing/disc.js";
import { fatOffset, type Measure, measure, readImage } from "./flashing/image.js";

const [DONE, FAILED, USAGE, BAD_CONFIG] = [0, 1, 64, 78];
const NO_FILE = "--config: found no FILE, wanted a carpio.toml";
const dist = join(import.meta.dirname, "../../dist");
const USUAL_IMAGES = ["carpio-raspberrypi.img.zst", "carpio-raspberrypi.img"].map((name) => join(dist, name));

interface Options {
  readonly device: string;
  readonly image: string;
  readonly config: string | undefined;
  readonly yes: boolean;
  readonly fixedDisc: boolean;
}

/** What is written to. */
interface Target {
  readonly path: string;
  readonly isDevice: boolean;
  /** What would be lost, for people. */
  readonly shown: string;
  /** What somebody types to go on. */
  readonly word: string;
  /** There is nothing on it that could be lost. */
  readonly isNew: boolean;
}

process.exit(await flash(process.argv.slice(2)));

async function flash(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === "string") return complain(`${options}; scripts/flash --help says how`, USAGE);
  const { config, image } = options;
  const files = config === undefined ? [] : readFiles(config);
  if (!files) return BAD_CONFIG;
  try {
    console.log(`reads ${image}`);
    const measured = await measure(image);
    const target = findTarget(options, measured);
    if (typeof target === "string") return complain(target, FAILED);
    if (!(await isAgreed(target, options))) return complain("nothing was written", FAILED);
    await write(target, measured, image, files);
    return DONE;
  } catch (error) {
    return complain(inSentence(error), FAILED);
  }
}

async function write(
  { path, isDevice }: Target,
  { bytes, sha256, head }: Measure,
  image: string,
  files: readonly CardFile[],
) {
  {
    await using card = await Card.open(path, isDevice);
    await card.write(readImage(image), progress("writes", bytes));
    const found = await card.readBack(bytes, progress("reads back", bytes));
    if (found !== sha256)
      throw new Error(`${path}: what was read back is not what was written: another card`);
    const offset = fatOffset(head);
    for (const file of files) {
      if (offset === undefined) throw new Error(`${image}: found no FAT partition for ${file.name}`);
      await card.putFile(offset, file);
      console.log(`${file.from} is on it as ${file.name}`);
    }
  }
  if (isDevice) await showPartitions(path);
  console.log(`${path}: written and verified, ${inWords(bytes)}, sha256 ${sha256}`);
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const flag = { type: "boolean", default: false } as const;
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: "string" }, yes: flag, "fixed-disc": flag },
    });
    const [device, named, extra] = positionals;
    if (!device) return "found no DEVICE, wanted one such as /dev/sdb";
    if (extra !== undefined) return `found ${extra} after DEVICE and IMAGE, wanted nothing`;
    const image = named ?? USUAL_IMAGES.find((path) => existsSync(path));
    if (image === undefined)
      return `found neither IMAGE nor ${USUAL_IMAGES[0]}, which \`scripts/image raspberrypi\` makes`;
    if (!/\.img(\.zst)?$/.test(image)) return `IMAGE: found ${image}, wanted a .img or a .img.zst`;
    const { config, yes, "fixed-disc": fixedDisc } = values;
    if (config === "") return NO_FILE;
    return { device, image, config, yes, fixedDisc };
  } catch (error) {
    return inUsage(error);
  }
}

/** What goes onto the card beside the image; `undefined` when something is wrong, as `carpio check` has it or on a card alone. */
function readFiles(config: string): readonly CardFile[] | undefined {
  const parsed = readConfig(config);
  const { beside, problems } = parsed.ok ? cardFiles(config, parsed.files) : { beside: [], ...parsed };
  for (const warning of parsed.warnings) console.error(`warning: ${describeProblem(config, warning)}`);
  for (const problem of problems) console.error(describeProblem(config, problem));
  // The configuration comes last: where it is, all that it names is there as well.
  return problems.length === 0 ? [...beside, { from: config, name: CONFIG_NAME }] : undefined;
}

/** What is to be written to, or why it is not. */
function findTarget({ device: path, fixedDisc }: Options, { bytes }: Measure): Target | string {
  const found: Stats | undefined = statSync(path, { throwIfNoEntry: false });
  if (found?.isBlockDevice()) {
    const disc = askLsblk(path);
    if (!disc) return `lsblk knows no ${path}`;
    const why = refusal(disc, { imageBytes: bytes, fixedDisc });
    if (why !== undefined) return why;
    mustBeOurs(path, true);
    return { path, isDevice: true, shown: describeDisc(disc), word: disc.name, isNew: false };
  }
  if (path.startsWith("/dev/"))
    return `${path}: ${found ? "no disc" : "there is no such device"}; lsblk shows all`;
  if (found && !found.isFile()) return `${path}: found neither a disc nor a file`;
  mustBeOurs(found ? path : dirname(path), false);
  const shown = found ? `${path}: a file of ${inWords(found.size)}` : `${path}: a new file`;
  return { path, isDevice: false, shown, word: "yes", isNew: !found };
}

function askLsblk(path: string): Disc | undefined {
  const { error, stdout } = spawnSync("lsblk", [...LSBLK, path], { encoding: "utf8" });
  if (error) throw error;
  // It fails where it knows no such disc, and then gives no JSON.
  return stdout === "" ? undefined : readDisc(stdout);
}

async function isAgreed({ shown, word, isNew }: Target, { yes }: Options): Promise<boolean> {
  console.log(`\n${shown}\n`);
  if (yes) return true;
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const closed = new Promise<undefined>((resolve) => lines.once("close", () => resolve(undefined)));
  const warning = isNew ? "" : "Everything on it will be lost. ";
  const answer = await Promise.race([lines.question(`${warning}Type ${word} to write to it: `), closed]);
  // Nobody has ended that line.
  if (answer === undefined) console.log();
  lines.close();
  return answer?.trim() === word;
}

/** On a terminal one line that grows; elsewhere a line now and then. */
function progress(doing: string, bytes: number): (sofar: number) => void {
  let last = -1;
  const step = process.stdout.isTTY ? 1 : 25;
  return (sofar) => {
    const percent = Math.floor((100 * sofar) / bytes / step) * step;
    if (percent === last) return;
    last = percent;
    const line = `${doing} ${percent} % of ${inWords(bytes)}`;
    process.stdout.write(process.stdout.isTTY && percent < 100 ? `${line}\r` : `${line}\n`);
  };
}

/** What the system says of a file or a program, which come first; of a card it needs a hint now and then. */
function inSentence(error: unknown): string {
  const { code, path, message } = error as NodeJS.ErrnoException;
  const said = path === undefined ? message : `${path}: ${systemReason(error)}`;
  if (code === "EACCES") return `${said}: as root, such as \`sudo scripts/flash\``;
  if (code === "EBUSY") return `${said}: somebody uses it`;
  return error instanceof Error ? said : String(error);
}

/** What parseArgs finds begins with the option that it is about. */
function inUsage(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const [, option = ""] = /'(-[^' =]*)/.exec(message) ?? [];
  if (code === "ERR_PARSE_ARGS_UNKNOWN_OPTION")
    return `found ${option}, wanted --config FILE, --yes or --fixed-disc`;
  return option === "--config" ? NO_FILE : `${option}: found a value, wanted none`;
}

function complain(said: string, status: number): number {
  console.error(`flash: ${said}`);
  return status;
}
