/**
 * Writing to a card, and reading back what is on it then. A card may be a file.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { type FileHandle, open, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { systemReason } from "../../src/config/text-file.js";
import type { CardFile } from "./card-files.js";

export type Progress = (bytes: number) => void;

const start = promisify(execFile);
const CHUNK_BYTES = 1 << 20;
/** What waits in memory would make the progress a lie, and its end a long silence. */
const SYNC_BYTES = 16 << 20;
/** How a block device that somebody uses is not opened: the kernel's own word, also on what lsblk cannot see. */
const ALONE = constants.O_EXCL;

/** Throws what opening it would, before somebody has thought about a yes for nothing. */
export function mustBeOurs(path: string, isDevice: boolean): void {
  accessSync(path, constants.R_OK | constants.W_OK);
  // For reading: what was open for writing is looked at anew by the desktop.
  if (isDevice) closeSync(openSync(path, constants.O_RDONLY | ALONE));
}

/** For the desktop, which may be shown partitions that are no more. */
export async function showPartitions(path: string): Promise<void> {
  await start("blockdev", ["--rereadpt", path]).catch(() => {});
}

/** As long as a device is open nobody can mount a part of it, such as a desktop that finds a new file system. */
export class Card implements AsyncDisposable {
  readonly #path: string;
  readonly #isDevice: boolean;
  readonly #handle: FileHandle;

  private constructor(path: string, isDevice: boolean, handle: FileHandle) {
    this.#path = path;
    this.#isDevice = isDevice;
    this.#handle = handle;
  }

  static async open(path: string, isDevice: boolean): Promise<Card> {
    const handle = await open(path, constants.O_RDWR | (isDevice ? ALONE : constants.O_CREAT));
    return new Card(path, isDevice, handle);
  }

  /** Writes all of it from the start on, and waits until it is on the card. */
  async write(image: AsyncIterable<Buffer>, onProgress: Progress): Promise<void> {
    let at = 0;
    let synced = 0;
    for await (const chunk of image) {
      for (let from = 0; from < chunk.length; ) {
        const { bytesWritten } = await this.#try(this.#handle.write(chunk, from, chunk.length - from, at));
        from += bytesWritten;
        at += bytesWritten;
      }
      if (at - synced >= SYNC_BYTES) {
        await this.#try(this.#handle.datasync());
        synced = at;
      }
      onProgress(at);
    }
    await this.#try(this.#handle.sync());
  }

  /** The digest of so many bytes of it. */
  async readBack(bytes: number, onProgress: Progress): Promise<string> {
    await this.#forgetCached();
    const hash = createHash("sha256");
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (let at = 0; at < bytes; ) {
      const length = Math.min(CHUNK_BYTES, bytes - at);
      const { bytesRead } = await this.#try(this.#handle.read(buffer, 0, length, at));
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
      onProgress(at);
    }
    return hash.digest("hex");
  }

  /** Puts a file into the FAT file system that begins there, and looks whether it is in it. */
  async putFile(offset: number, { from, name }: CardFile): Promise<void> {
    const there = ["-i", `${this.#path}@@${offset}`];
    await this.#run("mcopy", ["-o", ...there, from, `::${name}`]);
    await this.#try(this.#handle.sync());
    await this.#forgetCached();
    const { stdout: found } = await this.#run("mtype", [...there, `::${name}`]);
    if (!found.equals(await readFile(from)))
      throw new Error(`${name} on ${this.#path} is not what ${from} is`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  /**
   * What the kernel remembers of it is dropped, so that it is the card that is
   * read. `blockdev --flushbufs` would be root's alone, and a card may belong to a group.
   */
  async #forgetCached(): Promise<void> {
    if (this.#isDevice)
      await this.#run("dd", [`if=${this.#path}`, "iflag=nocache", "count=0", "status=none"]);
  }

  /** Throws what it said first, which names no card either. */
  async #run(program: string, args: readonly string[]): Promise<{ readonly stdout: Buffer }> {
    try {
      return await start(program, args, { encoding: "buffer" });
    } catch (error) {
      const { stderr, message } = error as Error & { readonly stderr?: Buffer };
      const [said] = (stderr?.toString() ?? "").trim().split("\n");
      throw new Error(`${this.#path}: ${program}: ${said || message}`);
    }
  }

  /** What the system says of a write or a read names no card. */
  #try<T>(doing: Promise<T>): Promise<T> {
    const advice = this.#isDevice ? ": the card is broken, was taken out, or is smaller than it says" : "";
    return doing.catch((error: unknown) => {
      throw new Error(`${this.#path}: ${systemReason(error)}${advice}`);
    });
  }
}
