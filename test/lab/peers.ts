/**
 * What runs CARP or VRRP on a host of the lab: Debian's `ucarp` and
 * `keepalived`, and carpio from its bundle. It knows how each is started,
 * configured and understood; what they ought to do is for the tests and the bench.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Child, type Line, type Moment, now } from "./child.js";
import type { Host } from "./host.js";

export type Role = "init" | "backup" | "master";

export interface Daemon {
  readonly host: Host;
  readonly child: Child;
  readonly startedAt: Moment;
  /** Waits until its log says that it enters this role, counting only what it says at `after` or later. */
  enters(role: Role, deadlineMs: number, after?: Moment): Promise<Line>;
}

export interface UcarpOptions {
  readonly vhid?: number;
  readonly address?: string;
  readonly password?: string;
  readonly advbase?: number;
  readonly advskew?: number;
  /** `--preempt`. */
  readonly preempt?: boolean;
  /** `--shutdown`: takes the address off when it is asked to leave. */
  readonly shutdown?: boolean;
  readonly more?: readonly string[];
}

export interface KeepalivedGroup {
  readonly vrid?: number;
  readonly addresses?: readonly string[];
  /** 1 to 254; larger is preferred. */
  readonly priority: number;
  readonly advertMs?: number;
  /** `use_vmac`: the addresses on a macvlan with the VRRP MAC. */
  readonly virtualMac?: boolean;
}

export const VIRTUAL_ADDRESS = "192.0.2.1";
export const VIRTUAL_ADDRESS6 = "2001:db8::1";
/** For `release` and whatever else is asked of the bundle on a host. */
export const CARPIO = join(import.meta.dirname, "../../../dist/carpio.cjs");
/** Writing 1 to this file makes keepalived less eager by 100. */
export const KEEPALIVED_HANDOVER_FILE = "/run/handover";

/** ucarp calls these with the interface and the address. They say what happened even where nobody asked ucarp to. */
const UP = "#!/bin/sh\nexec ip address add $2/24 dev $1\n";
const DOWN = "#!/bin/sh\nexec ip address del $2/24 dev $1\n";

export function ucarp(host: Host, options: UcarpOptions = {}): Daemon {
  const {
    vhid = 7,
    address = VIRTUAL_ADDRESS,
    password = "mekmitasdigoat",
    advbase = 1,
    advskew = 0,
  } = options;
  const { preempt = false, shutdown = true, more = [] } = options;
  const up = script(host, "ucarp-up", UP);
  const down = script(host, "ucarp-down", DOWN);
  const argv = [
    "ucarp",
    "--interface=eth0",
    `--srcip=${host.address}`,
    `--vhid=${vhid}`,
    `--pass=${password}`,
  ];
  argv.push(`--addr=${address}`, `--advbase=${advbase}`, `--advskew=${advskew}`);
  argv.push(`--upscript=${up}`, `--downscript=${down}`);
  if (preempt) argv.push("--preempt");
  if (shutdown) argv.push("--shutdown");
  return daemon(
    host,
    host.spawn([...argv, ...more]),
    (role) => new RegExp(`Switching to state: ${role}`, "i"),
  );
}

export function keepalived(host: Host, groups: readonly KeepalivedGroup[]): Daemon {
  const file = join(host.directory, "keepalived.conf");
  writeFileSync(file, keepalivedConfig(groups));
  const argv = ["keepalived", "--dont-fork", "--log-console", "--vrrp", `--use-file=${file}`];
  argv.push("--pid=/run/keepalived.pid", "--vrrp_pid=/run/vrrp.pid");
  return daemon(host, host.spawn(argv), (role) => new RegExp(`Entering ${role} STATE`, "i"));
}

export function keepalivedConfig(groups: readonly KeepalivedGroup[]): string {
  // VRRP version 2 counts whole seconds.
  const subsecond = groups.some(({ advertMs = 1000 }) => advertMs % 1000 !== 0);
  const lines = ["global_defs {", `  vrrp_version ${subsecond ? 3 : 2}`, "}"];
  lines.push(
    "track_file handover {",
    `  file "${KEEPALIVED_HANDOVER_FILE}"`,
    "  weight -100",
    "  init_file 0",
    "}",
  );
  for (const {
    vrid = 7,
    addresses = [VIRTUAL_ADDRESS],
    priority,
    advertMs = 1000,
    virtualMac = false,
  } of groups) {
    lines.push(
      `vrrp_instance group${vrid} {`,
      "  state BACKUP",
      "  interface eth0",
      `  virtual_router_id ${vrid}`,
    );
    lines.push(`  priority ${priority}`, `  advert_int ${advertMs / 1000}`);
    if (virtualMac) lines.push(`  use_vmac vrrp.${vrid}`);
    lines.push("  track_file {", "    handover", "  }");
    lines.push("  virtual_ipaddress {", ...addresses.map((address) => `    ${address}/24`), "  }", "}");
  }
  return `${lines.join("\n")}\n`;
}

/** Runs the bundle as a supervisor would, with directories of its own. */
export function carpio(host: Host, toml: string, ...more: readonly string[]): Daemon {
  writeFileSync(configFile(host), toml);
  const child = host.spawn(
    carpioCommand("run", "--config", configFile(host), ...more),
    carpioEnvironment(host),
  );
  return daemon(host, child, (role) => new RegExp(`-> ${role}\\b`));
}

/** Any other command of the bundle, such as `release`, run to its end on a host where `carpio` was started. */
export async function carpioDoes(host: Host, command: string, ...more: readonly string[]): Promise<string> {
  const reads = ["release", "check", "decode", "status", "maintenance"];
  const config = reads.includes(command) ? ["--config", configFile(host)] : [];
  return host.run(carpioCommand(command, ...more, ...config), carpioEnvironment(host));
}

/** What `carpio` wrote, for those who change it and send SIGHUP. */
export function configFile(host: Host): string {
  return join(host.directory, "carpio.toml");
}

function carpioCommand(...rest: readonly string[]): readonly string[] {
  return [process.execPath, CARPIO, ...rest];
}

/** What systemd's RuntimeDirectory= and StateDirectory= would set. */
function carpioEnvironment(host: Host): Readonly<Record<string, string>> {
  const state = join(host.directory, "state");
  const runtime = join(`/proc/${host.namespace.pid}/root/run/carpio`);
  mkdirSync(state, { recursive: true });
  mkdirSync(runtime, { recursive: true });
  return { STATE_DIRECTORY: state, RUNTIME_DIRECTORY: "/run/carpio" };
}

/** The answer of a host's own status server, asked from the host itself. */
export async function statusOf(host: Host, port = 8080): Promise<unknown> {
  const ask = `fetch("http://127.0.0.1:${port}/status").then(async (answer) => console.log(await answer.text()))`;
  return JSON.parse(await host.run([process.execPath, "-e", ask]));
}

function daemon(host: Host, child: Child, saying: (role: Role) => RegExp): Daemon {
  return {
    host,
    child,
    startedAt: now(),
    enters: (role, deadlineMs, after) => child.waitForLine(saying(role), deadlineMs, after),
  };
}

function script(host: Host, name: string, text: string): string {
  const file = join(host.directory, name);
  // Once: a script that is being run cannot be written.
  if (!existsSync(file)) writeFileSync(file, text, { mode: 0o755 });
  return file;
}
