/**
 * The commands that ask a board, this one or another, over HTTP: `status`,
 * `maintenance` and `identify`. What is shown again and again is for watch.ts.
 */
import type { Config } from "./config.js";
import { programOf } from "./page/words.js";
import { askStatus, postIdentify, postMaintenance, type Refused, type Reply } from "./status/client.js";
import { LONGEST_MAINTENANCE_SECONDS } from "./status/maintenance-wish.js";
import type { GroupSnapshot, MaintenanceSnapshot, Snapshot } from "./status/snapshot.js";
import { readToken } from "./token.js";

/** What came of a command: text for standard output, or what stood in the way. */
export type Outcome =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly why: string };

/** What a board is shown. */
export interface Shown {
  readonly token: string | undefined;
  /** There is one, and it is not for this board. */
  readonly withheld?: true;
}

type Found = ({ readonly ok: true } & Shown) | { readonly ok: false; readonly why: string };

export interface BoardUrl {
  readonly url: string;
  /** As people call it, in messages. */
  readonly name: string;
  /** It is the one that runs here. */
  readonly isOurs?: true;
}

const DEFAULT_PORT = 8080;
/** What a terminal does not show, and may do. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const STATUS_MS = 5_000;
/** A handover with nobody there to take over, and a slow disc before it. */
const MAINTENANCE_MS = 10_000;
const CHANGES_SHOWN = 5;
const UNITS: { readonly [unit: string]: number } = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `HOST`, `HOST:PORT`, `[IPV6]:PORT`; nothing means the board itself, where its configuration has it listen. */
export function boardUrl(host: string | undefined, config: Config | undefined): BoardUrl | string {
  if (host === undefined) {
    const listen = config ? config.status.listen : { host: "127.0.0.1", port: DEFAULT_PORT };
    if (!listen) return "status.listen is none here: this board answers nobody";
    const any = listen.host === "0.0.0.0" || listen.host === "::";
    const own = any ? "127.0.0.1" : listen.host;
    return { url: `http://${bracketed(own)}:${listen.port}`, name: "this board", isOurs: true };
  }
  const [, name = "", port] = /^(\[[0-9a-f:.]+\]|[^:[\]/@\s]+)(?::(\d{1,5}))?$/i.exec(host) ?? [];
  const whole = name === "" && /^[0-9a-f:.]+$/i.test(host) ? host : name;
  const url = `http://${bracketed(whole)}:${port ?? DEFAULT_PORT}`;
  if (whole === "" || Number(port ?? 1) < 1 || !URL.canParse(url)) {
    return `HOST: found ${host}, wanted a name or an address, with or without :PORT`;
  }
  return { url, name: host };
}

/** `90s`, `30m`, `2h`, `1d`: seconds. */
export function readDuration(text: string): number | undefined {
  const [, count = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNITS[unit] ?? 0);
  return seconds >= 1 && seconds <= LONGEST_MAINTENANCE_SECONDS ? seconds : undefined;
}

/**
 * What `--token-file` names, or else what the configuration does: that is shown
 * to this board and to those of `status.peers`. A host whose name was mistyped
 * is somebody else's, and would learn it.
 */
export function findToken(option: string | undefined, board: BoardUrl, config: Config | undefined): Found {
  if (option !== undefined) {
    const read = readToken(option, "--token-file");
    return "token" in read ? { ok: true, token: read.token } : { ok: false, why: read.problem };
  }
  const { tokenFile, peers = [] } = config?.status ?? {};
  const read = tokenFile === undefined ? undefined : readToken(tokenFile);
  if (!read || !("token" in read)) return { ok: true, token: undefined };
  const knows = board.isOurs || peers.some((peer) => isSameHost(peer, board.url));
  return knows ? { ok: true, token: read.token } : { ok: true, token: undefined, withheld: true };
}

/** However it is written. */
function isSameHost(a: string, b: string): boolean {
  return new URL(a).host === new URL(b).host;
}

export function askBoard({ url }: BoardUrl): Promise<Reply<Snapshot>> {
  return askStatus(url, { deadlineMs: STATUS_MS });
}

export async function showStatus(
  board: BoardUrl,
  json: boolean,
): Promise<Outcome & { role?: Snapshot["role"] }> {
  const reply = await askBoard(board);
  if (!reply.ok) return { ok: false, why: sentence(board, reply) };
  const { body } = reply;
  const text = json ? `${tameJson(body)}\n` : statusTable(body, new Date());
  return { ok: true, text, role: body.role };
}

export async function askMaintenance(
  board: BoardUrl,
  on: boolean,
  forSeconds: number | undefined,
  found: Shown,
): Promise<Outcome> {
  const { url, name } = board;
  const reply = await postMaintenance(url, { on, forSeconds }, found.token, { deadlineMs: MAINTENANCE_MS });
  if (!reply.ok) return refused(board, reply, found, "maintenance");
  const { handover } = reply.body;
  if (handover.state === "no-taker") {
    return { ok: false, why: `${name}: nobody took over, so it still serves: do not unplug it` };
  }
  return { ok: true, text: `${name}: ${tame(maintenanceWords(reply.body))}\n` };
}

export async function askIdentify(
  board: BoardUrl,
  forSeconds: number | undefined,
  found: Shown,
): Promise<Outcome> {
  const reply = await postIdentify(board.url, forSeconds, found.token, { deadlineMs: STATUS_MS });
  if (!reply.ok) return refused(board, reply, found, "identify");
  return { ok: true, text: `${board.name}: all its lamps blink until ${tame(reply.body.identify.until)}\n` };
}

/** What a refusal means for somebody at a command line. */
async function refused(
  board: BoardUrl,
  refusal: Refused,
  { withheld }: Shown,
  command: string,
): Promise<Outcome> {
  const { name } = board;
  const { why, status } = refusal;
  if (status === 401) {
    const hint = withheld ? "; the one of this computer is shown to the boards of status.peers alone" : "";
    return { ok: false, why: `${name}: ${tame(why)} (--token-file FILE${hint})` };
  }
  if (status === 404 || status === 405) {
    const asked = await askBoard(board);
    if (asked.ok) {
      return {
        ok: false,
        why: `${name}: carpio ${tame(asked.body.version)} runs there, which has no ${command}`,
      };
    }
  }
  return { ok: false, why: sentence(board, refusal) };
}

function sentence({ name, isOurs }: BoardUrl, { why, status }: Refused): string {
  const hint = isOurs && status === undefined ? ": does carpio run here?" : "";
  return `${name}: ${tame(why)}${hint}`;
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

/** How a board stands, for somebody who was woken by it: what is wrong first, then who serves, then how it came. */
export function statusTable(snapshot: Snapshot, now: Date): string {
  const { name, role, maintenance, demotion, carp } = snapshot;
  const lines = [
    `${name}: ${role} (${programOf(snapshot)})`,
    ...troublesOf(snapshot),
    maintenanceWords(maintenance),
    ...(demotion.reasons.length > 0 ? [`demoted: ${demotion.reasons.join(", ")}`] : []),
    ...aligned([
      ["vhid", "interface", "role", "for", "addresses", "master", "why"],
      ...carp.map((group) => rowOf(group, now)),
    ]),
    ...historyOf(snapshot.events),
  ];
  return lines.map((line) => `${tame(line)}\n`).join("");
}

function rowOf(group: GroupSnapshot, now: Date): readonly string[] {
  const { vhid, interface: name, role, since, addresses, why } = group;
  return [String(vhid), name, role, span(since, now), addresses.join(" "), masterOf(group), why];
}

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const padded = (row: readonly string[]) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0));
  return rows.map((row) => padded(row).join("  ").trimEnd());
}

/** The latest changes. What answers may be no board of ours, or an old one. */
function historyOf(events: Snapshot["events"] | undefined): readonly string[] {
  if (!Array.isArray(events) || events.length === 0) return [];
  const rows = events.slice(0, CHANGES_SHOWN).map((event: Snapshot["events"][number]) => {
    const { at, vhid, interface: name, from, to, why } = event;
    return [String(at), `vhid ${vhid} on ${name}`, `${from} -> ${to}`, String(why)];
  });
  return ["latest changes:", ...aligned(rows).map((line) => `  ${line}`)];
}

/** How long ago something was, in its two largest units; nothing of a moment that is none, or that is to come. */
export function span(since: string, now: Date): string {
  const seconds = Math.floor((now.getTime() - Date.parse(since)) / 1000);
  if (!(seconds >= 0)) return "";
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/** What is wrong, the first thing to look at with what to do about it. Boards of before have faults alone. */
function troublesOf({ diagnosis, faults }: Snapshot): readonly string[] {
  if (!diagnosis) return faults.map((fault) => `wrong: ${fault}`);
  const broken = diagnosis.checks.filter(({ state }) => state === "broken");
  return broken.flatMap(({ says, advice }, i) =>
    i === 0 && advice !== null ? [`wrong: ${says}`, `       ${advice}`] : [`wrong: ${says}`],
  );
}

/** A terminal obeys what it is shown, and what it is shown here came over the network. */
export function tame(text: string): string {
  return text.replace(OBEYED, "\u{fffd}");
}

/** The same for a terminal: JSON has an escape for every character, and programs read it as it was. */
export function tameJson(body: unknown): string {
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(body, null, 2).replace(OBEYED, (found) =>
    found === "\n" ? found : found.split("").map(escaped).join(""),
  );
}

function masterOf({ role, master }: GroupSnapshot): string {
  if (role === "master") return "this board";
  return master ? `${master.address}, ${master.heardSecondsAgo.toFixed(1)} s ago` : "nobody heard";
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
