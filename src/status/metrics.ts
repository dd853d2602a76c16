/**
 * `GET /metrics`: the snapshot in Prometheus' text format. A table: one row is
 * one metric, with what it says of a snapshot.
 *
 * A state is a set of series, one a word, of which one is 1: so an alert can ask
 * for a word, and a graph shows when it came and went.
 */
import type { GroupSnapshot, Snapshot } from "./snapshot.js";
import { drops, faces, handovers, overallRoles, roles } from "./vocabulary.js";

type Labels = { readonly [name: string]: string };
type Sample = readonly [labels: Labels, value: number];

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: (snapshot: Snapshot) => readonly Sample[];
}

type Drop = keyof typeof drops;

// biome-ignore format: one metric a line, but for those that take more
export const metrics: readonly Metric[] = [
  gauge("carpio_build_info", "Always 1; which carpio this is, on which board.", ({ version, board, name }) => [[{ version, board, name }, 1]]),
  gauge("carpio_slot_on_trial", "Of a board's card, the slot that runs. 1: it has yet to prove itself.", ({ slot }) => (slot ? [[{ slot: slot.name }, Number(slot.onTrial)]] : [])),
  gauge("carpio_uptime_seconds", "Since the daemon started.", ({ uptimeSeconds }) => [[{}, uptimeSeconds]]),
  gauge("carpio_board_role", "The role on which all groups agree, or mixed.", ({ role }) => states("role", overallRoles, role)),
  gauge("carpio_role", "Where a group stands.", ofGroups(({ role }) => states("role", roles, role))),
  gauge("carpio_holding", "1: the kernel confirmed that the group's addresses are on this board.", ofGroups(({ holding }) => [[{}, Number(holding)]])),
  gauge("carpio_role_start_time_seconds", "When the role was entered, in Unix time.", ofGroups(({ since }) => [[{}, unixSeconds(since)]])),
  counter("carpio_transitions_total", "How often a role was entered.", ofGroups(({ transitions }) => counts("to", transitions))),
  gauge("carpio_advskew", "The advskew that is configured, and that is advertised.", ofGroups(({ advskew: configured, advertisedAdvskew: advertised }) => counts("which", { configured, advertised }))),
  gauge("carpio_master_heard_seconds", "A backup's: how long ago it has heard the master.", ofGroups(({ master }) => (master ? [[{ master: master.address }, master.heardSecondsAgo]] : []))),
  counter("carpio_advertisements_sent_total", "Advertisements sent.", ofGroups(({ counters }) => [[{}, counters.sent]])),
  counter("carpio_advertisements_received_total", "Advertisements accepted.", ofGroups(({ counters }) => [[{}, counters.received]])),
  counter("carpio_advertisements_dropped_total", "Advertisements of a group that were ignored, by reason.", ofGroups(({ counters }) => dropCounts(counters))),
  counter("carpio_packets_dropped_total", "Packets ignored for which no group is to blame, by reason.", ({ dropped }) => dropCounts(dropped)),
  counter("carpio_prefilter_dropped_total", "Packets dropped in the kernel, by reason.", ({ prefilter }) => dropCounts(prefilter ?? {})),
  gauge("carpio_demotion_advskew", "By how much the groups are at least demoted; 0: not at all.", ({ demotion }) => [[{}, demotion.advskew]]),
  gauge("carpio_demotion_reasons", "Reasons to be less eager.", ({ demotion }) => [[{}, demotion.reasons.length]]),
  gauge("carpio_maintenance", "1: this board stands aside.", ({ maintenance }) => [[{}, Number(maintenance.on)]]),
  gauge("carpio_handover_state", "How far the handover has come.", ({ maintenance }) => states("state", handovers, maintenance.handover.state)),
  gauge("carpio_handover_duration_seconds", "What the last handover took.", ({ maintenance: { handover } }) => (handover.tookMs === null ? [] : [[{}, handover.tookMs / 1000]])),
  gauge("carpio_identify", "1: the panel shows which box this is.", ({ identify }) => [[{}, Number(identify.until !== null)]]),
  gauge("carpio_faults", "How many things are wrong now; /status says what.", ({ faults }) => [[{}, faults.length]]),
  gauge("carpio_group_faults", "How many things are wrong with a group.", ofGroups(({ faults }) => [[{}, faults.length]])),
  gauge("carpio_broken", "How many things a check has found wrong.", ({ diagnosis }) => broken(diagnosis)),
  gauge("carpio_peer_reachable", "1: the other board answers over HTTP.", ({ peers }) => peers.map(({ url, reachable }) => [{ url }, Number(reachable)])),
  gauge("carpio_panel_face", "What the lamps say.", ({ panel }) => states("face", faces, panel.face)),
  counter("carpio_button_presses_total", "Presses of the button.", ({ panel }) => [[{}, panel.button.presses]]),
];

/** One series for each check and subject, however many things are wrong with it. */
function broken({ checks }: Snapshot["diagnosis"]): readonly Sample[] {
  const found = new Map<string, Sample>();
  for (const { check, subject, state } of checks) {
    if (state !== "broken") continue;
    const key = JSON.stringify([check, subject]);
    found.set(key, [{ check, subject }, (found.get(key)?.[1] ?? 0) + 1]);
  }
  return [...found.values()];
}

export function metricsText(snapshot: Snapshot): string {
  return metrics.map((metric) => metricText(metric, snapshot)).join("");
}

/** Nothing of a metric that has no samples. */
function metricText({ name, type, help, samples }: Metric, snapshot: Snapshot): string {
  const lines = samples(snapshot).map(([labels, value]) => `${name}${labelText(labels)} ${value}\n`);
  if (lines.length === 0) return "";
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join()}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
}

function gauge(name: string, help: string, samples: Metric["samples"]): Metric {
  return { name, type: "gauge", help, samples };
}

/** Its name ends in `_total`. */
function counter(name: `${string}_total`, help: string, samples: Metric["samples"]): Metric {
  return { name, type: "counter", help, samples };
}

/** The samples of each group, with the labels that tell which. */
function ofGroups(samples: (group: GroupSnapshot) => readonly Sample[]): Metric["samples"] {
  return ({ carp }) =>
    carp.flatMap((group) => {
      const which = { vhid: String(group.vhid), interface: group.interface };
      return samples(group).map(([labels, value]): Sample => [{ ...which, ...labels }, value]);
    });
}

function states(
  label: string,
  meanings: { readonly [word: string]: string },
  now: string,
): readonly Sample[] {
  return Object.keys(meanings).map((word) => [{ [label]: word }, Number(word === now)]);
}

function counts(label: string, values: { readonly [word: string]: number }): readonly Sample[] {
  return Object.entries(values).map(([word, value]) => [{ [label]: word }, value]);
}

/** Of everything that is counted, what was ignored. */
function dropCounts(counters: { readonly [name: string]: number }): readonly Sample[] {
  const isDrop = (name: string): name is Drop => Object.hasOwn(drops, name);
  return counts("reason", Object.fromEntries(Object.entries(counters).filter(([name]) => isDrop(name))));
}

function unixSeconds(moment: string): number {
  return Date.parse(moment) / 1000;
}
