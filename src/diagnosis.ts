/**
 * What is wrong, as an operator would look for it: a list of checks in the
 * order in which one would look. The first that is broken is what page, command
 * line and fault lamp show. Pure; `examination` puts the evidence together.
 *
 * What a board finds out by itself is a fault already, and its sentence is told
 * on here. What only two boards know together is compared here: a backup is
 * silent on the wire, and nobody hears that he is not heard.
 */
import type { Role } from "./carp/vhost.js";
import { patienceMs } from "./hearing.js";
import { checks, type FamilyWord } from "./status/vocabulary.js";

export type CheckName = keyof typeof rules;

export interface Check {
  readonly check: CheckName;
  /** What it is about, such as `7 on eth0`; empty where it is the whole board. */
  readonly subject: string;
  readonly state: "ok" | "broken" | "unknown";
  /** A sentence for somebody who has never seen the product. */
  readonly says: string;
  /** What to do. */
  readonly advice: string | null;
}

export interface Diagnosis {
  readonly broken: Check | null;
  readonly checks: readonly Check[];
}

/** All that a diagnosis depends on. Durations are up to now. */
export interface Evidence {
  /** What this board is called. */
  readonly name: string;
  readonly groups: readonly GroupEvidence[];
  /** By what each is about; of no group. */
  readonly faults: ReadonlyMap<string, string>;
  readonly peers: readonly PeerEvidence[];
  /** By the wall clock. */
  readonly at: Date;
}

export interface GroupEvidence {
  readonly vhid: number;
  readonly interface: string;
  readonly role: Role;
  readonly why: string;
  readonly roleForMs: number;
  /** Without prefix lengths. */
  readonly addresses: readonly string[];
  readonly advbase: number;
  readonly advskew: number;
  /** Whether it goes on hearing somebody; `null`: it has not listened for long enough. */
  readonly hears: boolean | null;
  readonly silentFamily: FamilyWord | null;
  /** The kernel confirmed that its addresses are on. */
  readonly holding: boolean;
  /** It could not hold them when it was to, and has not shown since that it can. */
  readonly standsBack: boolean;
  /** Where they belong. */
  readonly device: string;
  /** Since they went off while it served, if ever. */
  readonly lostForMs: number;
  readonly faults: ReadonlyMap<string, string>;
  /** Sent by whom, and why its digest does not fit. */
  readonly badDigest: { readonly from: string; readonly hint: string | undefined } | undefined;
  readonly vrrpFrom: string | undefined;
  readonly loops: boolean;
}

export interface PeerEvidence {
  readonly url: string;
  readonly name: string | undefined;
  /** Why it does not answer. */
  readonly problem: string | undefined;
  /** Not before the first answer, or the first that did not come. */
  readonly asked: boolean;
  readonly clockAheadMs: number | undefined;
  /** Of its last answer; empty while it gives none. */
  readonly groups: readonly PeerGroupEvidence[];
}

export interface PeerGroupEvidence {
  readonly vhid: number;
  readonly interface: string;
  readonly role: Role;
  readonly roleForMs: number;
  readonly addresses: readonly string[];
  readonly advbase: number;
  readonly advskew: number;
  readonly hears: boolean | null;
  readonly silentFamily: FamilyWord | null;
}

/** One thing that a check has to say; `ok` where nothing is wrong, and something is worth a word. */
interface Finding {
  readonly subject: string;
  readonly says: string;
  readonly state?: "ok" | "unknown";
  readonly advice?: string;
}

interface Rule {
  /** Whether a broken one lights the red lamp. */
  readonly lamp: boolean;
  readonly advice: string;
  readonly find: (evidence: Evidence) => readonly Finding[];
}

/** A change of hands is over after this long; what two boards say of before is no contradiction. */
const SETTLED_MS = 4_000;
/** Whoever looks after something that happened and was put right within milliseconds still reads of it. */
const TOLD_MS = 30_000;
/** Clocks of boards that have time from somewhere do not differ by more. */
const CLOCKS_DIFFER_MS = 60_000;
/** carpio did not exist before. */
const FIRST_YEAR = 2026;

const SHARED_WIRE =
  "see that multicast reaches every board: many switches lose it unless IGMP snooping is off. Or name each other in peers, which speaks unicast. `carpio decode -i` on both boards shows who hears whom";

/** In the order in which one would look. */
const rules = {
  configuration: {
    lamp: true,
    advice:
      "correct the line that is named, or run `carpio check`; a board reads carpio.toml from its card when it starts",
    find: ofBoard(/^configuration$/),
  },
  card: {
    lamp: true,
    advice:
      "take away what is on it twice, make room where it is full, and write one again that is damaged; if it is so once more, replace it",
    find: ofBoard(/^card$/),
  },
  interface: {
    lamp: true,
    advice: "correct `interface`, or see why the kernel does not have it",
    find: ({ groups }) =>
      distinct(
        groups.flatMap(({ interface: name, faults }) => {
          const says = faults.get("interface");
          return says === undefined ? [] : [{ subject: name, says }];
        }),
      ),
  },
  link: {
    // The role lamp says it: there is no link yet.
    lamp: false,
    advice: "plug the cable in",
    find: ({ groups }) =>
      distinct(
        groups
          .filter(({ role, why }) => role === "init" && why === "link down")
          .map(({ interface: name }) => ({
            subject: name,
            says: `${name} has no link: no cable, or nobody at its other end`,
          })),
      ),
  },
  address: {
    lamp: true,
    advice: "remove it from the interface's own configuration: a floating address belongs to no board",
    find: ofGroups("misplaced"),
  },
  "kernel settings": {
    lamp: true,
    advice: "see what changes it (sysctl.d, a network manager), and have it leave the interface alone",
    find: both(ofBoard(/^settings/), ofGroups("settings")),
  },
  "addresses held": {
    lamp: true,
    advice:
      "what the kernel said names the obstacle. Another board serves, if there is one; this one stays behind for ten seconds, twice as long each time, and tries again",
    find: both(ofGroups("addresses"), ofGroups("device"), ({ groups }) =>
      groups
        .filter(({ standsBack, faults }) => standsBack && !faults.has("addresses") && !faults.has("device"))
        .map((group) => ({
          subject: subjectOf(group),
          says: `this board could not hold the addresses of vhid ${group.vhid} the last time that it was to`,
          advice:
            "what the kernel said is in the log, and names the obstacle. It is tried again when this board is next to serve",
        })),
    ),
  },
  addresses: {
    lamp: true,
    advice:
      "see what takes them off: a network manager, a script, `ip address flush`. They end by themselves where carpio stands still for longer than their lifetime: a debugger, a board that stalls",
    find: ({ groups }) =>
      groups
        .filter(({ role }) => role === "master")
        .flatMap(({ holding, device, lostForMs, roleForMs, ...group }) => {
          const which = `the addresses of vhid ${group.vhid}`;
          const subject = subjectOf(group);
          if (!holding && roleForMs > SETTLED_MS)
            return [{ subject, says: `${which} are missing from ${device}, though this board serves them` }];
          // A link that goes takes them along, and that was another time as master.
          if (lostForMs > Math.min(TOLD_MS, roleForMs)) return [];
          return [
            {
              subject,
              says: `${which} went missing from ${device} while this board served: they are on again`,
            },
          ];
        }),
  },
  sending: {
    lamp: true,
    advice: "see what stops them: a firewall on this board, or its driver",
    find: ofGroups("sending"),
  },
  digest: {
    lamp: true,
    advice: "set the same password and the same addresses on all boards of the group",
    find: ({ groups }) =>
      groups.flatMap(({ badDigest, ...group }) => {
        if (!badDigest) return [];
        const why = badDigest.hint ?? "its password or its addresses are not ours";
        return [
          {
            subject: subjectOf(group),
            says: `${badDigest.from} advertises vhid ${group.vhid} on ${group.interface}, but its digest is wrong: ${why}`,
          },
        ];
      }),
  },
  vrrp: {
    lamp: true,
    advice: "give the VRRP router or the group another number",
    find: ({ groups }) =>
      groups.flatMap(({ vrrpFrom, ...group }) =>
        vrrpFrom === undefined
          ? []
          : [
              {
                subject: subjectOf(group),
                says: `${vrrpFrom} speaks VRRP with the number ${group.vhid} on ${group.interface}: both use the same virtual MAC`,
              },
            ],
      ),
  },
  loop: {
    lamp: true,
    advice: "look for two cables between the same switches; if there is no loop, somebody replays packets",
    find: ({ groups }) =>
      groups
        .filter(({ loops }) => loops)
        .map((group) => ({
          subject: subjectOf(group),
          says: `this board's own advertisements of vhid ${group.vhid} come back on ${group.interface}`,
        })),
  },
  "peer's configuration": {
    lamp: true,
    advice: "make [[carp]] the same on both boards, but for advskew",
    find: ofPairs(({ group, peer, name }) => {
      const at = `vhid ${group.vhid}`;
      if (!peer) return `${name} has no ${at}, which has ${list(group.addresses)} here`;
      const [more, less] = [
        without(group.addresses, peer.addresses),
        without(peer.addresses, group.addresses),
      ];
      if (more.length > 0) return `${at} has ${list(more)} here, and not on ${name}`;
      if (less.length > 0) return `${at} has ${list(less)} on ${name}, and not here`;
      if (peer.advbase === group.advbase) return undefined;
      return `advbase of ${at} is ${group.advbase} here and ${peer.advbase} on ${name}`;
    }),
  },
  heard: {
    lamp: true,
    advice: SHARED_WIRE,
    find: ofPairs(({ group, peer, us, name }) => {
      const settled = Math.min(group.roleForMs, peer?.roleForMs ?? 0) > patienceMs(group);
      if (group.role !== "master" || peer?.role !== "master" || !settled) return undefined;
      return `${us} and ${name} both serve vhid ${group.vhid}: ${whoHears(group.hears, peer.hears, us, name)}`;
    }),
  },
  families: {
    lamp: true,
    advice:
      "see what loses one family: a switch that snoops MLD and not IGMP, or the other way round, a firewall. A backup takes over from a master that is silent in one family, and gives way to it again, for ever",
    find: both(
      ({ name, groups }) =>
        groups.flatMap((group) => {
          const says = hearsHalf(name, group);
          return says === undefined ? [] : [{ subject: subjectOf(group), says }];
        }),
      ofPairs(({ peer, name }) => peer && hearsHalf(name, peer)),
    ),
  },
  standby: {
    lamp: true,
    advice: "ask that board's own status what is wrong there",
    find: ({ groups, peers }) => {
      const ready = peers.filter(({ problem }) => problem === undefined);
      const served = groups.filter(({ role, roleForMs }) => role === "master" && roleForMs > SETTLED_MS);
      if (served.length > 0 && ready.length === 0) return [nobodyAsked(peers)];
      return served.flatMap((group) => {
        const others = ready.map((peer) => ({ peer, its: counterpart(group, peer.groups) }));
        if (others.some(({ its }) => its?.role !== "init" || its.roleForMs < SETTLED_MS)) return [];
        const [first] = others;
        return first
          ? [
              {
                subject: subjectOf(group),
                says: `nobody could take over vhid ${group.vhid}: ${nameOf(first.peer)} takes no part in it`,
              },
            ]
          : [];
      });
    },
  },
  peers: {
    lamp: false,
    advice: "see that it runs, that its status.listen is not 127.0.0.1, and that no firewall is between",
    find: ({ peers }) =>
      peers.flatMap(({ url, problem, name, asked }) => {
        if (problem === undefined) return [];
        if (!asked) return [{ subject: url, says: `${url} has not answered yet`, state: "unknown" as const }];
        return [{ subject: url, says: `${name ?? url} does not answer over HTTP: ${problem}` }];
      }),
  },
  advskews: {
    lamp: false,
    advice: "give one of them a smaller advskew",
    find: (evidence) =>
      ofPairs(({ group, peer, us, name }) =>
        peer && peer.advbase === group.advbase && peer.advskew === group.advskew
          ? `${us} and ${name} both have advskew ${group.advskew} in vhid ${group.vhid}: none is preferred, and neither takes back what it had`
          : undefined,
      )(evidence).map((finding) => ({ ...finding, state: "ok" as const })),
  },
  clock: {
    lamp: false,
    advice: "let the board have its time by NTP. Only the dates in the history depend on it",
    find: ({ at, peers }) => [
      ...(at.getUTCFullYear() < FIRST_YEAR
        ? [
            {
              subject: "",
              says: `the clock says ${at.getUTCFullYear()}: nobody has set it`,
              state: "unknown" as const,
            },
          ]
        : []),
      ...peers.flatMap(({ url, name, clockAheadMs = 0 }) =>
        Math.abs(clockAheadMs) < CLOCKS_DIFFER_MS
          ? []
          : [
              {
                subject: url,
                says: `the clock of ${name ?? url} ${differs(clockAheadMs)} that of this board`,
              },
            ],
      ),
    ],
  },
  disc: {
    lamp: true,
    advice: "see that the directory can be written: $STATE_DIRECTORY, else /var/lib/carpio; and /run/carpio",
    find: ofBoard(/^(state|runtime)$/),
  },
  prefilter: {
    lamp: false,
    advice: "install nftables",
    find: ofBoard(/^prefilter$/),
  },
  "status port": {
    lamp: true,
    advice: "choose another status.listen, or end what has the port: `ss -ltnp` names it",
    find: ofBoard(/^status$/),
  },
  token: {
    lamp: true,
    advice:
      "put the token into that file, on its first line; until then only this board itself changes anything",
    find: ofBoard(/^token$/),
  },
  panel: {
    lamp: true,
    advice: 'see the board\'s readme for its wiring; without a panel say board = "none"',
    find: ofBoard(/^(panel|board)$/),
  },
  hooks: {
    lamp: false,
    advice: "the log has what it said last. Run the hook's program by hand, or ask its URL with curl",
    find: ofBoard(/^hook\[/),
  },
} satisfies { readonly [check: string]: Rule };

const names = Object.keys(rules) as CheckName[];

/** Everything that was looked at: one line for a check that is well, and one for each thing that is not. */
export function examine(evidence: Evidence): Diagnosis {
  const all = names.flatMap((check): readonly Check[] => {
    const rule: Rule = rules[check];
    const findings = rule.find(evidence);
    if (findings.length === 0) {
      return [{ check, subject: "", state: "ok", says: checks[check], advice: null }];
    }
    return findings.map(({ subject, says, state, advice }) => ({
      check,
      subject,
      state: state ?? "broken",
      says,
      advice: advice ?? rule.advice,
    }));
  });
  return { broken: all.find(({ state }) => state === "broken") ?? null, checks: all };
}

/** What is worth the red lamp. */
export function worthALamp(diagnosis: Diagnosis): readonly string[] {
  return diagnosis.checks
    .filter(({ check, state }) => state === "broken" && rules[check].lamp)
    .map(({ says }) => says);
}

/** Faults that the board itself told, by what they are about. */
function ofBoard(about: RegExp) {
  return ({ faults }: Evidence): readonly Finding[] =>
    [...faults].filter(([key]) => about.test(key)).map(([, says]) => ({ subject: "", says }));
}

function ofGroups(about: string) {
  return ({ groups }: Evidence): readonly Finding[] =>
    groups.flatMap(({ faults, ...group }) => {
      const says = faults.get(about);
      return says === undefined ? [] : [{ subject: subjectOf(group), says }];
    });
}

function both(...finds: readonly ((evidence: Evidence) => readonly Finding[])[]) {
  return (evidence: Evidence): readonly Finding[] => finds.flatMap((find) => find(evidence));
}

/** A group of ours, and what another board has under its number. */
interface Pair {
  readonly group: GroupEvidence;
  readonly peer: PeerGroupEvidence | undefined;
  readonly us: string;
  readonly name: string;
}

/** What a group of ours and a board that answers contradict each other in. */
function ofPairs(compare: (pair: Pair) => string | undefined) {
  return ({ name: us, groups, peers }: Evidence): readonly Finding[] =>
    peers
      .filter(({ problem }) => problem === undefined)
      .flatMap((peer) =>
        groups.flatMap((group) => {
          const name = nameOf(peer);
          const says = compare({ group, peer: counterpart(group, peer.groups), us, name });
          return says === undefined ? [] : [{ subject: subjectOf(group), says }];
        }),
      );
}

function nobodyAsked(peers: readonly PeerEvidence[]): Finding {
  const says =
    peers.length === 0
      ? "whether anybody could take over is not known: a backup is silent on the wire"
      : "whether anybody could take over is not known: no other board answers over HTTP";
  const advice = peers.length === 0 ? "name the other boards in status.peers" : "see `peers` below";
  return { subject: "", says, state: "unknown", advice };
}

function whoHears(we: boolean | null, they: boolean | null, us: string, them: string): string {
  if (we === true && they === false) return `${them} does not hear ${us}, though ${us} hears ${them}`;
  if (we === false && they === true) return `${us} does not hear ${them}, though ${them} hears ${us}`;
  if (we === true && they === true) return "they hear each other, and neither gives way";
  if (we === null || they === null) return "who hears whom is not known yet";
  return "neither hears the other";
}

function hearsHalf(
  who: string,
  { vhid, silentFamily }: Pick<PeerGroupEvidence, "vhid" | "silentFamily">,
): string | undefined {
  if (silentFamily === null) return undefined;
  const other = silentFamily === "IPv4" ? "IPv6" : "IPv4";
  return `${who} hears advertisements of vhid ${vhid} over ${other}, and none over ${silentFamily}`;
}

function differs(aheadMs: number): string {
  const minutes = Math.abs(aheadMs) / 60_000;
  const much = minutes < 120 ? `${Math.round(minutes)} min` : `${Math.round(minutes / 60)} h`;
  return `is ${much} ${aheadMs > 0 ? "ahead of" : "behind"}`;
}

function distinct(findings: readonly Finding[]): readonly Finding[] {
  return [...new Map(findings.map((finding) => [finding.says, finding])).values()];
}

/** A vhid may be used on two interfaces, which need not be called the same on both boards. */
function counterpart(
  group: GroupEvidence,
  theirs: readonly PeerGroupEvidence[],
): PeerGroupEvidence | undefined {
  const candidates = theirs.filter(({ vhid }) => vhid === group.vhid);
  return (
    candidates.find(({ addresses }) => addresses.some((address) => group.addresses.includes(address))) ??
    candidates.find(({ interface: name }) => name === group.interface) ??
    (candidates.length === 1 ? candidates[0] : undefined)
  );
}

function without(all: readonly string[], others: readonly string[]): readonly string[] {
  return all.filter((each) => !others.includes(each));
}

function list(texts: readonly string[]): string {
  return texts.join(", ");
}

function subjectOf({ vhid, interface: name }: { readonly vhid: number; readonly interface: string }): string {
  return `${vhid} on ${name}`;
}

function nameOf({ name, url }: PeerEvidence): string {
  return name ?? url;
}
