/**
 * What went over a cable, in a pcap file that stays until the lab closes.
 * `scripts/capture.c` writes it; tcpdump, which cannot do that in a user
 * namespace, understands the filters and prints the frames.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Child, Moment } from "./child.js";
import { labPower, type Namespace } from "./namespace.js";

export interface CaptureOptions {
  /** `host` sees what the host sees; `port` sees the other end of its cable, at the switch. */
  readonly at?: "host" | "port";
  readonly interface?: string;
  /** In tcpdump's words, such as `proto 112 or arp`. */
  readonly filter?: string;
  /** Only what comes in or goes out, as this end counts it. */
  readonly direction?: "in" | "out" | "inout";
}

export class Capture {
  readonly file: string;
  readonly #child: Child;

  constructor(child: Child, file: string) {
    this.#child = child;
    this.file = file;
  }

  /** Waits for a frame, seen already or yet to come; only frames of `after` or later count. Says when it was read. */
  async frame(deadlineMs: number, after: Moment = 0): Promise<Moment> {
    return (await this.#child.waitForLine(/^\d/, deadlineMs, after)).at;
  }

  /** Ends the capture; returns the path of its pcap. */
  async stop(): Promise<string> {
    const { status } = await this.#child.stop();
    if (status !== 0) throw new Error(`the capture failed: ${this.#child.text("stderr")}`);
    return this.file;
  }

  /** The frames as tcpdump prints them, with Ethernet addresses and moments; also while it runs. */
  async print(filter = "", ...flags: readonly string[]): Promise<readonly string[]> {
    // As root, tcpdump would become somebody else, or stay root if it may do even that.
    const asUser =
      labPower() === "root" ? ["tcpdump", "-Z", "root"] : ["unshare", "--map-user=1000", "tcpdump"];
    const [command = "", ...rest] = [
      ...asUser,
      "-r",
      this.file,
      "-tt",
      "-nn",
      "-e",
      ...flags,
      ...words(filter),
    ];
    const { stdout } = await promisify(execFile)(command, rest, { maxBuffer: 256 << 20 });
    return stdout.split("\n").filter(Boolean);
  }
}

/** Begins to capture; every frame from when this returns is in the file. */
export async function startCapture(
  where: Namespace,
  program: string,
  device: string,
  file: string,
  { filter = "", direction = "inout" }: CaptureOptions,
): Promise<Capture> {
  const code = await where.run(["tcpdump", "-y", "EN10MB", "-ddd", ...words(filter)]);
  const child = where.spawn([program, device, file, direction], {}, code);
  await child.waitForLine(/^capturing$/, 5000);
  return new Capture(child, file);
}

function words(filter: string): readonly string[] {
  return filter ? [filter] : [];
}
