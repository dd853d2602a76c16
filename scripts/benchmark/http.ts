/**
 * What it is to ask a master for its status as fast as it answers, and what
 * that costs its advertisements.
 */
import { join } from "node:path";
import type { Snapshot } from "../../src/status/snapshot.js";
import { now } from "../../test/lab/child.js";
import { CARP, until } from "../../test/lab/evidence.js";
import { Lab } from "../../test/lab/lab.js";
import type { Contender } from "./contenders.js";

export interface Asked {
  readonly connections: number;
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  /** By how much the latest advertisement of any group came later than its interval after the one before. */
  readonly latestMs: number;
  /** The same, while nobody asked: what the machine does by itself. */
  readonly latestAtRestMs: number;
}

const HTTP_GROUPS = 10;
const CONNECTIONS = 16;
const SECONDS = 10;
const ELECTION_MS = 30_000;
/** Of the better one: advbase 1, advskew 0. */
const INTERVAL_MS = 1_000;

export async function measureHttp(contender: Contender): Promise<Asked> {
  await using lab = await Lab.open({ boards: ["left"] });
  const masters = contender.startGroups(lab.left, "better", HTTP_GROUPS);
  await Promise.all(masters.map((each) => each.enters("master", ELECTION_MS)));
  const serves = ({ carp }: Snapshot) => carp.length === HTTP_GROUPS && carp.every(({ holding }) => holding);
  await until(lab.left, serves, ELECTION_MS);

  const ask = (connections: number) => {
    const program = join(import.meta.dirname, "asker.js");
    return lab.client.run([
      process.execPath,
      program,
      lab.left.address,
      String(connections),
      String(SECONDS),
    ]);
  };
  const rest = await latestDuring(lab, () => lab.client.run(["sleep", String(SECONDS)]));
  const busy = await latestDuring(lab, () => ask(CONNECTIONS));
  return {
    connections: CONNECTIONS,
    ...JSON.parse(busy.said),
    latestMs: busy.latestMs,
    latestAtRestMs: rest.latestMs,
  };
}

async function latestDuring(lab: Lab, deed: () => Promise<string>) {
  const capture = await lab.left.capture({ filter: CARP, direction: "out" });
  const said = await deed();
  await capture.frame(ELECTION_MS, now());
  await capture.stop();
  return { said, latestMs: latest(await capture.print("", "-T", "carp")) };
}

/** Of advertisements as tcpdump prints them, with `-tt`. */
function latest(frames: readonly string[]): number {
  const lastAt = new Map<string, number>();
  let latestMs = 0;
  for (const frame of frames) {
    const atMs = Number(frame.split(" ")[0]) * 1000;
    const vhid = /\bvhid=(\d+)/.exec(frame)?.[1] ?? "none";
    latestMs = Math.max(latestMs, atMs - (lastAt.get(vhid) ?? atMs) - INTERVAL_MS);
    lastAt.set(vhid, atMs);
  }
  if (lastAt.size !== HTTP_GROUPS) throw new Error(`heard ${lastAt.size} groups, wanted ${HTTP_GROUPS}`);
  return latestMs;
}
