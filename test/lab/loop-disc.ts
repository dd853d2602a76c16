/**
 * A disc as the kernel has them, with a file for its medium: a loop device.
 * It can have partitions though its kernel may know no partition table.
 */
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, rmSync, truncateSync } from "node:fs";
import { basename, join } from "node:path";

const SECTOR_BYTES = 512;

export class LoopDisc implements Disposable {
  readonly path: string;
  readonly name: string;
  /** What is on it, without the kernel's memory of it. */
  readonly medium: string;
  readonly #undo: (() => void)[] = [];

  /** The medium is a new file, and goes with the disc. */
  constructor(folder: string, bytes: number, options: readonly string[] = []) {
    this.medium = join(folder, "medium");
    try {
      closeSync(openSync(this.medium, "wx"));
      this.#undo.push(() => rmSync(this.medium));
      truncateSync(this.medium, bytes);
      this.path = say("losetup", "--find", "--show", "--partscan", ...options, this.medium).trim();
      this.#undo.push(() => say("losetup", "--detach", this.path));
      this.name = basename(this.path);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Tells the kernel of a first partition, which nothing on the medium does. */
  addPartition(bytes: number): string {
    say("addpart", this.path, "1", "2048", String(bytes / SECTOR_BYTES));
    this.#undo.push(() => this.hasPartition() && say("delpart", this.path, "1"));
    return `${this.path}p1`;
  }

  hasPartition(): boolean {
    return existsSync(`/sys/block/${this.name}/${this.name}p1`);
  }

  /** With a new file system. */
  mount(part: string, at: string): void {
    say("mkfs.ext4", "-q", part);
    mkdirSync(at);
    say("mount", part, at);
    this.#undo.push(() => say("umount", at));
  }

  [Symbol.dispose](): void {
    const failed: unknown[] = [];
    for (const undo of this.#undo.toReversed()) {
      try {
        undo();
      } catch (error) {
        failed.push(error);
      }
    }
    if (failed.length > 0) throw new AggregateError(failed, `${this.path} could not be put away`);
  }
}

/** Why there can be none here, if so: in a container, or without root. */
export function whyNoLoopDiscs(folder: string): string | undefined {
  try {
    using disc = new LoopDisc(folder, 2 << 20);
    disc.addPartition(1 << 16);
    return undefined;
  } catch (error) {
    const said = error instanceof Error ? error.message.trim() : String(error);
    if (!/permi|No such (file|device)/i.test(said)) throw error;
    return `loop devices are not for us here: ${said}`;
  }
}

function say(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
