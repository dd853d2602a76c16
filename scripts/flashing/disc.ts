/**
 * What a disc is and what is on it, by what lsblk says, in words; and why it is
 * not written to. Knows lsblk's answer alone: asking and writing is for others.
 */

/** As lsblk has it, in `--json --bytes --tree`. */
export interface Disc {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly size: number;
  readonly model: string | null;
  readonly tran: string | null;
  /** The medium can be taken out. */
  readonly rm: boolean;
  /** The whole disc can be, as on USB. */
  readonly hotplug: boolean;
  readonly ro: boolean;
  readonly fstype: string | null;
  readonly label: string | null;
  readonly mountpoints: readonly (string | null)[];
  readonly children?: readonly Disc[];
}

export const LSBLK = [
  ...["--json", "--bytes", "--tree", "--output"],
  "NAME,PATH,TYPE,SIZE,MODEL,TRAN,RM,HOTPLUG,RO,FSTYPE,LABEL,MOUNTPOINTS",
];

export interface Wanted {
  readonly imageBytes: number;
  /** Somebody said that a disc that cannot be taken out is meant. */
  readonly fixedDisc: boolean;
}

/** What can be written to as a whole. */
const WHOLE = ["disk", "loop"];
/** What a computer that runs has mounted. */
const SYSTEM = /^(\/|\/(boot|etc|home|nix|opt|root|srv|usr|var)(\/.*)?|\[SWAP\])$/;

/** The one disc of lsblk's answer, or nothing when there is none. */
export function readDisc(json: string): Disc | undefined {
  const { blockdevices } = JSON.parse(json) as { readonly blockdevices?: readonly Disc[] };
  return blockdevices?.[0];
}

/** The first reason not to write to it, as a sentence; `undefined` when there is none. */
export function refusal(disc: Disc, { imageBytes, fixedDisc }: Wanted): string | undefined {
  const { path } = disc;
  if (disc.type === "part") return `${path} is a partition, wanted the whole disc that it is on`;
  if (!WHOLE.includes(disc.type)) return `${path} is of type ${disc.type}, wanted a disc`;
  const parts = partsOf(disc);
  const mounted = parts.flatMap((part) => mountsOf(part).map((at) => ({ part, at })));
  const system = mounted.find(({ at }) => SYSTEM.test(at));
  if (system) return `this computer runs from ${path}: ${system.part.path} is ${system.at}`;
  const [first] = mounted;
  if (first) return `${first.part.path} is mounted on ${first.at}: \`umount ${first.part.path}\` first`;
  const holder = parts.find(({ type }) => type !== "part" && !WHOLE.includes(type));
  if (holder) return `${holder.path} (${holder.type}) is in use on ${path}`;
  if (disc.size === 0) return `there is no card in ${path}`;
  if (disc.ro) return `${path} is read-only: a small card in an adapter has a slider for that`;
  if (disc.size < imageBytes) {
    return `${path} has ${inWords(disc.size)}, wanted at least ${inWords(imageBytes)} for the image`;
  }
  if (disc.rm || disc.hotplug || fixedDisc) return undefined;
  return `${path} cannot be taken out of this computer, so it is hardly the card: --fixed-disc if it is`;
}

/** What somebody is to recognise it by: a line for the disc, and one for each part of it. */
export function describeDisc(disc: Disc): string {
  const bus = disc.tran === null ? "" : `, ${disc.tran}`;
  const model = disc.model?.trim() || "no model name";
  const parts = (disc.children ?? []).map(({ path, size, fstype, label }) => {
    const named = label === null ? "" : ` "${tame(label)}"`;
    return `  ${path}  ${inWords(size)}  ${fstype ?? "no file system known"}${named}`;
  });
  const list = parts.length > 0 ? parts : ["  no partitions"];
  return [`${disc.path}: ${tame(model)}, ${inWords(disc.size)}${bus}`, ...list].join("\n");
}

/** As cards are sold: 1 GB is a thousand million bytes. */
export function inWords(bytes: number): string {
  const units = [
    [1e12, "TB"],
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ] as const;
  const [one, unit] = units.find(([least]) => bytes >= least) ?? [1, "bytes"];
  return `${one === 1 ? bytes : (bytes / one).toFixed(1)} ${unit}`;
}

function partsOf(disc: Disc): readonly Disc[] {
  return [disc, ...(disc.children ?? []).flatMap(partsOf)];
}

function mountsOf({ mountpoints }: Disc): readonly string[] {
  return mountpoints.filter((at) => at !== null);
}

/** Whoever made the card wrote this, and a terminal obeys what it is shown. */
function tame(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, "\u{fffd}");
}
