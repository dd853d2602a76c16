/**
 * The commands that ask a board, this one or another, over HTTP: `status` and
 * `maintenance`.
 */
import type { Config } from "./config.js";
import { askStatus, postMaintenance } from "./status/client.js";
import { LONGEST_MAINTENANCE_SECONDS } from "./status/maintenance-wish.js";
import type { GroupSnapshot, MaintenanceSnapshot, Snapshot } from "./status/snapshot.js";
import { readToken } from "./token.js";

/** What came of a command: text for standard output, or what stood in the way. */
export type Outcome =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly why: string };

export interface BoardUrl {
  readonly url: string;
  /** As people call it, in messages. */
  readonly name: string;
}

const DEFAULT_PORT = 8080;
const STATUS_MS = 5_000;
/** A handover with nobody there to take over, and a slow disc before it. */
const MAINTENANCE_MS = 10_000;
const UNITS: { readonly [unit: string]: number } = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `HOST`, `HOST:PORT`, `[IPV6]:PORT`; nothing means the board itself, where its configuration has it listen. */
export function boardUrl(host: string | undefined, config: Config | undefined): BoardUrl | string {
  if (host === undefined) {
    const listen = config ? config.status.listen : { host: "127.0.0.1", port: DEFAULT_PORT };
    if (!listen) return "status.listen is none here: this board answers nobody";
    const any = listen.host === "0.0.0.0" || listen.host === "::";
    const own = any ? "127.0.0.1" : listen.host;
    return { url: `http://${bracketed(own)}:${listen.port}`, name: "this board" };
  }
  const [, name = "", port] = /^(\[[0-9a-f:.]+\]|[^:[\]/@\s]+)(?::(\d{1,5}))?$/i.exec(host) ?? [];
  const whole = name === "" && /^[0-9a-f:.]+$/i.test(host) ? host : name;
  if (whole === "" || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) {
    return `HOST: found ${host}, wanted a name or an address, with or without :PORT`;
  }
  return { url: `http://${bracketed(whole)}:${port ?? DEFAULT_PORT}`, name: host };
}

/** `90s`, `30m`, `2h`, `1d`: seconds. */
export function readDuration(text: string): number | undefined {
  const [, count = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNITS[unit] ?? 0);
  return seconds >= 1 && seconds <= LONGEST_MAINTENANCE_SECONDS ? seconds : undefined;
}

export async function showStatus({ url, name }: BoardUrl, json: boolean): Promise<Outcome> {
  const reply = await askStatus(url, { deadlineMs: STATUS_MS });
  if (!reply.ok) return { ok: false, why: `${name}: ${reply.why}` };
  return { ok: true, text: json ? `${JSON.stringify(reply.body, null, 2)}\n` : statusTable(reply.body) };
}

export async function askMaintenance(
  { url, name }: BoardUrl,
  on: boolean,
  forSeconds: number | undefined,
  config: Config | undefined,
): Promise<Outcome> {
  const { tokenFile } = config?.status ?? {};
  const read = tokenFile === undefined ? undefined : readToken(tokenFile);
  const token = read && "token" in read ? read.token : undefined;
  const reply = await postMaintenance(url, { on, forSeconds }, token, { deadlineMs: MAINTENANCE_MS });
  if (!reply.ok) return { ok: false, why: `${name}: ${reply.why}` };
  const { handover } = reply.body;
  if (handover.state === "no-taker") {
    return { ok: false, why: `${name}: nobody took over, so it still serves: do not unplug it` };
  }
  return { ok: true, text: `${name}: ${maintenanceWords(reply.body)}\n` };
}

/** What the lamps say, in words. */
function maintenanceWords({ on, until, handover }: MaintenanceSnapshot): string {
  if (!on) return "maintenance is off";
  const end = until === null ? "" : `, until ${until}`;
  if (handover.state === "handed-over") {
    const took = handover.tookMs === null ? "" : ` in ${handover.tookMs} ms`;
    return `maintenance is on${end}; handed over to ${handover.to}${took}: safe to unplug`;
  }
  if (handover.state === "no-taker") return `maintenance is on${end}, but nobody took over: do not unplug`;
  if (handover.state === "none") return `maintenance is on${end}; it served nothing`;
  return `maintenance is on${end}; ${handover.state}: do not unplug`;
}

function statusTable(snapshot: Snapshot): string {
  const { name, role, board, version, maintenance, demotion, carp, faults } = snapshot;
  const reasons = demotion.reasons.length > 0 ? `demoted: ${demotion.reasons.join(", ")}\n` : "";
  const head = `${name}: ${role} (carpio ${version} on ${board})\n${maintenanceWords(maintenance)}\n${reasons}`;
  const rows = [
    ["vhid", "interface", "role", "addresses", "master", "why"],
    ...carp.map((group) => [
      String(group.vhid),
      group.interface,
      group.role,
      group.addresses.join(" "),
      masterOf(group),
      group.why,
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [head, ...lines.map((line) => `${line}\n`), ...faults.map((fault) => `fault: ${fault}\n`)].join("");
}

function masterOf({ role, master }: GroupSnapshot): string {
  if (role === "master") return "this board";
  return master ? `${master.address}, ${master.heardSecondsAgo.toFixed(1)} s ago` : "nobody heard";
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
