/**
 * The page in sentences: who serves what, whether a hand may go to the plug,
 * and what became of the handover. Text alone; how it looks is for body.ts.
 */
import { face } from "../panel/lamp.js";
import type { PeerSnapshot, Snapshot } from "../status/snapshot.js";
import { counted, type FaceWords, faceWords, listed } from "./words.js";

/** More addresses than this are counted, not listed. */
const MOST_LISTED = 4;

interface Standing {
  readonly name: string;
  readonly role: Snapshot["role"];
  readonly maintenance: boolean;
  readonly carp: readonly { readonly role: string; readonly addresses: readonly string[] }[];
}

/** A sentence for each board; those who serve come first. */
export function headline(shown: Snapshot): readonly string[] {
  const self = { ...shown, maintenance: shown.maintenance.on };
  const others = shown.peers.flatMap(standing);
  const boards = [self, ...others].toSorted((a, b) => rank(a) - rank(b));
  const sentences = boards.map((board) => (board === self ? ownSentence(shown, self) : sentence(board)));
  return [...sentences, ...unheard(shown)];
}

/** Neither a fault nor which box this is says what it is doing. */
export function plugOf(shown: Snapshot): Pick<FaceWords, "plug" | "says"> {
  const { face: said } = shown.panel;
  const hidden = said === "identify" || said === "fault";
  return faceWords[hidden ? face({ ...shown, identify: false, leaving: false, faults: [] }) : said];
}

/** `undefined` when there is nothing to tell. */
export function handoverSentence(shown: Snapshot): string | undefined {
  const { on, handover } = shown.maintenance;
  if (!on) return undefined;
  switch (handover.state) {
    case "asking":
      return "Asks the other boards whether one of them would take over.";
    case "handing-over":
      return "Hands over, and serves until its successor is heard.";
    case "handed-over": {
      const took = handover.tookMs === null ? "" : ` in ${handover.tookMs} ms`;
      return `Handed over to ${nameAt(shown, handover.to)}${took}.`;
    }
    case "no-taker":
      return `Nobody took over: ${shown.name} still serves.`;
    case "none":
      return `${shown.name} stands aside; it had nothing to hand over.`;
  }
}

/** What the other boards have said, before anything is handed over. */
export function readiness(shown: Snapshot): { readonly ready: boolean; readonly says: string } {
  const { name, role, peers } = shown;
  if (role === "backup" || role === "init") {
    return { ready: true, says: `${name} serves nothing now. It will stand aside until you end this.` };
  }
  const willing = peers.filter((peer) => peer.reachable && peer.willing === true).map(nameOf);
  if (willing.length > 0) {
    return {
      ready: true,
      says: `${listed(willing)} ${willing.length === 1 ? "is" : "are"} ready to take over.`,
    };
  }
  const stays = `If nobody takes over, ${name} goes on serving and says so.`;
  if (peers.length === 0) {
    return {
      ready: false,
      says: `No other board is configured that could be asked (status.peers). ${stays}`,
    };
  }
  const silent = peers.filter(({ reachable }) => !reachable).map(nameOf);
  const who =
    silent.length > 0 ? ` ${listed(silent)} ${silent.length === 1 ? "does" : "do"} not answer.` : "";
  return { ready: false, says: `Nobody seems ready to take over.${who} ${stays}` };
}

export function nameOf({ name, url }: PeerSnapshot): string {
  return name || url.replace(/^https?:\/\//, "");
}

/** What people call whoever sends from this address: the one board that serves may be known by a name alone. */
export function nameAt({ peers }: Snapshot, address: string | null): string {
  if (address === null) return "another host";
  const [only, ...others] = peers.filter(({ role }) => role === "master");
  const peer = peers.find(({ url }) => hostOf(url) === address) ?? (others.length === 0 ? only : undefined);
  return peer ? nameOf(peer) : address;
}

function standing(peer: PeerSnapshot): readonly Standing[] {
  const { reachable, role, maintenance, carp } = peer;
  if (!reachable || role === null) return [];
  return [{ name: nameOf(peer), role, maintenance: maintenance === true, carp }];
}

function rank({ role }: Standing): number {
  return ["master", "mixed", "backup", "init"].indexOf(role);
}

/** Of this board more is known: for whom it stands by, or why it takes no part. */
function ownSentence(shown: Snapshot, self: Standing): string {
  const [group] = shown.carp;
  if (!group) return `${self.name} has nothing to do: no group is configured.`;
  if (self.role === "init") return `${self.name} takes no part: ${group.why}.`;
  const master = shown.carp.find((each) => each.master)?.master;
  const isTold = shown.peers.some(({ role }) => role === "master" || role === "mixed");
  if (self.role !== "backup" || isTold || self.maintenance) return sentence(self);
  if (!master) return `${self.name} stands by and has heard nobody serve yet.`;
  return `${self.name} stands by for ${nameAt(shown, master.address)}.`;
}

function sentence({ name, role, maintenance, carp }: Standing): string {
  const served = carp.filter((group) => group.role === "master").flatMap(({ addresses }) => addresses);
  switch (role) {
    case "master":
      return `${name} serves ${named(served)}.`;
    case "mixed":
      return `${name} serves ${named(served)}, and stands by for the rest.`;
    case "backup":
      return `${name} ${maintenance ? "stands aside for maintenance" : "stands by"}.`;
    case "init":
      return `${name} takes no part.`;
  }
}

function unheard({ peers }: Snapshot): readonly string[] {
  return peers.filter(({ reachable }) => !reachable).map((peer) => `${nameOf(peer)} does not answer.`);
}

function named(addresses: readonly string[]): string {
  if (addresses.length > MOST_LISTED) return counted(addresses.length, "address", "addresses");
  return listed(addresses.map((address) => address.replace(/\/\d+$/, "")));
}

function hostOf(url: string): string {
  return url
    .replace(/^https?:\/\//, "")
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1");
}
