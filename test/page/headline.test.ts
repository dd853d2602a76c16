import assert from "node:assert/strict";
import { test } from "node:test";
import { handoverSentence, headline, plugOf, readiness } from "../../src/page/headline.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import { left, right, rightIsSilent, rightServes, serving, standingBy } from "./boards.js";

const headlines: { when: string; shown: Snapshot; says: string }[] = [
  {
    when: "a pair",
    shown: left(serving, { peers: [right()] }),
    says: "left serves 192.0.2.1 and 2001:db8::1. right stands by.",
  },
  {
    when: "the other one serves",
    shown: left(standingBy, { peers: [rightServes] }),
    says: "right serves 192.0.2.1 and 2001:db8::1. left stands by.",
  },
  {
    when: "this one is in maintenance",
    shown: left(standingBy, { peers: [rightServes], maintenance: inMaintenance("handed-over") }),
    says: "right serves 192.0.2.1 and 2001:db8::1. left stands aside for maintenance.",
  },
  {
    when: "the other one is in maintenance",
    shown: left(serving, { peers: [right({ maintenance: true })] }),
    says: "left serves 192.0.2.1 and 2001:db8::1. right stands aside for maintenance.",
  },
  {
    when: "the other one is silent",
    shown: left(serving, { peers: [rightIsSilent] }),
    says: "left serves 192.0.2.1 and 2001:db8::1. 192.0.2.3:8080 does not answer.",
  },
  { when: "no peers are configured", shown: left(standingBy), says: "left stands by for 192.0.2.3." },
  {
    when: "nobody was heard",
    shown: left({ ...standingBy, master: null }),
    says: "left stands by and has heard nobody serve yet.",
  },
  {
    when: "there is no link",
    shown: left({ role: "init", why: "link down" }),
    says: "left takes no part: link down.",
  },
  {
    when: "nothing is configured",
    shown: { ...left({}), carp: [] },
    says: "left has nothing to do: no group is configured.",
  },
  {
    when: "there are many addresses",
    shown: left({ ...serving, addresses: ["1", "2", "3", "4", "5"].map((n) => `192.0.2.${n}/24`) }),
    says: "left serves 5 addresses.",
  },
];
for (const { when, shown, says } of headlines) {
  test(`the headline when ${when}: ${says}`, () => {
    assert.equal(headline(shown).join(" "), says);
  });
}

type Face = Snapshot["panel"]["face"];
const plugs: { face: Face; group?: Snapshot["carp"][number]["role"]; maintained?: boolean; plug: string }[] =
  [
    { face: "safe", plug: "safe" },
    { face: "handing-over", plug: "wait" },
    { face: "no-taker", plug: "wait" },
    { face: "power-off", plug: "wait" },
    { face: "master", plug: "calm" },
    { face: "backup", plug: "calm" },
    { face: "fault", group: "master", plug: "calm" },
    { face: "identify", group: "master", plug: "calm" },
    { face: "identify", group: "backup", maintained: true, plug: "safe" },
    { face: "identify", group: "master", maintained: true, plug: "wait" },
  ];
for (const { face, group = "master", maintained, plug } of plugs) {
  test(`the plug of a ${group}${maintained ? " in maintenance" : ""} whose face is ${face}: ${plug}`, () => {
    const shown = left(group === "master" ? serving : standingBy, {
      panel: { face, lamps: {}, button: { pressed: false, held: false, presses: 0 } },
      ...(maintained && { maintenance: inMaintenance(group === "master" ? "no-taker" : "handed-over") }),
    });
    assert.equal(plugOf(shown).plug, plug);
  });
}

const results: {
  state: Snapshot["maintenance"]["handover"]["state"];
  peers?: Snapshot["peers"];
  says: string;
}[] = [
  { state: "handed-over", peers: [rightServes], says: "Handed over to right in 4 ms." },
  { state: "handed-over", says: "Handed over to 192.0.2.3 in 4 ms." },
  { state: "no-taker", says: "Nobody took over: left still serves." },
  { state: "asking", says: "Asks the other boards whether one of them would take over." },
  { state: "handing-over", says: "Hands over, and serves until its successor is heard." },
  { state: "none", says: "left stands aside; it had nothing to hand over." },
];
for (const { state, peers = [], says } of results) {
  test(`a handover that is ${state}${peers.length > 0 ? " in a pair" : ""}: ${says}`, () => {
    assert.equal(handoverSentence(left(serving, { maintenance: inMaintenance(state), peers })), says);
  });
}

const stays = "If nobody takes over, left goes on serving and says so.";
const answers: { when: string; shown: Snapshot; ready: boolean; says: string }[] = [
  {
    when: "right would",
    shown: left(serving, { peers: [right()] }),
    ready: true,
    says: "right is ready to take over.",
  },
  {
    when: "right would not",
    shown: left(serving, { peers: [right({ willing: false })] }),
    ready: false,
    says: `Nobody seems ready to take over. ${stays}`,
  },
  {
    when: "right is silent",
    shown: left(serving, { peers: [rightIsSilent] }),
    ready: false,
    says: `Nobody seems ready to take over. 192.0.2.3:8080 does not answer. ${stays}`,
  },
  {
    when: "nobody can be asked",
    shown: left(serving),
    ready: false,
    says: `No other board is configured that could be asked (status.peers). ${stays}`,
  },
  {
    when: "it serves nothing",
    shown: left(standingBy, { peers: [rightServes] }),
    ready: true,
    says: "left serves nothing now. It will stand aside until you end this.",
  },
];
for (const { when, shown, ready, says } of answers) {
  test(`before the handover, when ${when}: ${says}`, () => {
    assert.deepEqual(readiness(shown), { ready, says });
  });
}

function inMaintenance(state: Snapshot["maintenance"]["handover"]["state"]): Snapshot["maintenance"] {
  const isDone = state === "handed-over";
  const [to, tookMs] = [isDone ? "192.0.2.3" : null, isDone ? 4 : null];
  return { on: true, since: "2026-11-22T08:00:00.000Z", until: null, handover: { state, to, tookMs } };
}
