/**
 * What a daemon costs while nothing happens: memory, processor time, and how
 * long it takes to start.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf, now } from "../../test/lab/child.js";
import type { Host } from "../../test/lab/host.js";
import { Lab } from "../../test/lab/lab.js";
import type { Daemon } from "../../test/lab/peers.js";
import type { Contender } from "./contenders.js";

export interface AtRest {
  readonly groups: number;
  /** Resident, all processes of the daemon together. */
  readonly masterMiB: number;
  readonly backupMiB: number;
  readonly processes: number;
  /** Of one core. */
  readonly masterCpuPercent: number;
  readonly backupCpuPercent: number;
}

export interface Startup {
  /** From exec to the log line of the first role. */
  readonly firstDecisionMs: number;
  /** A Node that only prints a line, started the same way on the same host. */
  readonly bareNodeMs: number;
}

const REST_MS = 30_000;
const ELECTION_MS = 30_000;
/** Linux' USER_HZ, in which it counts the time of children that were waited for. */
const TICKS_PER_SECOND = 100;

/** A pair with so many groups, watched for half a minute after it settled. */
export async function measureAtRest(contender: Contender, groups: number): Promise<AtRest> {
  await using lab = await Lab.open();
  const masters = contender.startGroups(lab.left, "better", groups);
  const backups = contender.startGroups(lab.right, "worse", groups);
  await Promise.all(backups.map((each) => each.enters("backup", ELECTION_MS)));
  await Promise.all(masters.map((each) => each.enters("master", ELECTION_MS)));
  await sleep(Math.max(contender.calmMs, 2000));

  const spent = async (): Promise<readonly [number, number]> => [
    cpuMs(await processesOf(masters)),
    cpuMs(await processesOf(backups)),
  ];
  const before = await spent();
  const beganAt = now();
  await sleep(REST_MS);
  const after = await spent();
  const tookMs = now() - beganAt;
  const [master, backup] = [await processesOf(masters), await processesOf(backups)];
  return {
    groups,
    masterMiB: residentMiB(master),
    backupMiB: residentMiB(backup),
    processes: master.length,
    masterCpuPercent: (100 * (after[0] - before[0])) / tookMs,
    backupCpuPercent: (100 * (after[1] - before[1])) / tookMs,
  };
}

export async function measureStartup(contender: Contender): Promise<Startup> {
  await using lab = await Lab.open({ boards: ["left"] });
  const bareNodeMs = await bareNode(lab.left);
  const beganAt = now();
  const line = await contender.start(lab.left, "better").enters("backup", ELECTION_MS);
  return { firstDecisionMs: line.at - beganAt, bareNodeMs };
}

async function bareNode(host: Host): Promise<number> {
  const beganAt = now();
  const line = await host
    .spawn([process.execPath, "-e", "console.log('ready')"])
    .waitForLine(/ready/, ELECTION_MS);
  return line.at - beganAt;
}

/** The daemons and everything they started. */
async function processesOf(daemons: readonly Daemon[]): Promise<readonly number[]> {
  const roots = await Promise.all(daemons.map(({ child }) => child.pid()));
  const withChildren = (pid: number): readonly number[] => [pid, ...childrenOf(pid).flatMap(withChildren)];
  return roots.flatMap(withChildren);
}

function residentMiB(processes: readonly number[]): number {
  const resident = (pid: number): number =>
    Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return processes.reduce((sum, pid) => sum + resident(pid), 0) / 1024;
}

/** The threads' own time to the nanosecond, and that of children that came and went to the tick. */
function cpuMs(processes: readonly number[]): number {
  return processes.reduce((sum, pid) => sum + threadsMs(pid) + goneChildrenMs(pid), 0);
}

function threadsMs(pid: number): number {
  const spentNs = (task: string): number =>
    Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + spentNs(task), 0) / 1e6;
}

function goneChildrenMs(pid: number): number {
  // The fields are counted after the name in brackets, which may hold spaces (proc_pid_stat(5): 16 cutime, 17 cstime).
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return ((Number(fields[13]) + Number(fields[14])) * 1000) / TICKS_PER_SECOND;
}
