/**
 * The other boards of `status.peers`: asked for their status every two seconds,
 * so that a board can say what it cannot know from the wire. Backups are silent
 * there, and a master that nobody hears does not notice it.
 *
 * Nothing the protocol does waits for them.
 */
import { lookup } from "node:dns/promises";
import type { Instant } from "./carp/vhost.js";
import { createGrowth, type Growth } from "./growth.js";
import { readPeer, type Said } from "./peer.js";
import { askStatus, type Reply } from "./status/client.js";

/** One of them, as far as it is known. */
export interface Peer {
  readonly url: string;
  /** Of its last answer; kept while it does not answer, so that it has a name. */
  readonly said: Said | undefined;
  readonly saidAt: Instant | undefined;
  /** Why it did not answer when it was asked last. */
  readonly problem: string | undefined;
  /** How its clock differs from ours, as far as an answer's way lets us know. */
  readonly clockAheadMs: number | undefined;
  /** Since when a group has had the role it has, as we saw it. */
  roleSince(vhid: number, interfaceName: string): Instant | undefined;
  /** Whether it goes on hearing advertisements of a group; `null`: not known yet. */
  hears(vhid: number, interfaceName: string, withinMs: number, now: Instant): boolean | null;
}

export interface Peers {
  readonly all: readonly Peer[];
  /** Others are asked from now on. */
  reconfigure(urls: readonly string[]): void;
  close(): void;
}

export interface PeersOptions {
  readonly urls: readonly string[];
  readonly now: () => Instant;
  /** One has answered, or has not. */
  readonly onNews: () => void;
}

const ASK_EVERY_MS = 2_000;
const ANSWER_WITHIN_MS = 1_500;

/** One of its groups, from answer to answer. */
interface Followed {
  readonly role: string;
  readonly since: Instant;
  readonly heard: Growth;
}

interface Asked {
  readonly peer: Peer;
  close(): void;
}

export function createPeers({ urls, now, onNews }: PeersOptions): Peers {
  let asked: readonly Asked[] = [];
  const self: Peers = {
    get all() {
      return asked.map(({ peer }) => peer);
    },
    reconfigure(next) {
      for (const each of asked) if (!next.includes(each.peer.url)) each.close();
      asked = next.map((url) => asked.find(({ peer }) => peer.url === url) ?? keepAsking(url, now, onNews));
    },
    close() {
      for (const each of asked) each.close();
    },
  };
  self.reconfigure(urls);
  return self;
}

function keepAsking(url: string, now: () => Instant, onNews: () => void): Asked {
  /** Those of its last answer: a board that goes on inventing new ones fills nothing. */
  let groups: ReadonlyMap<string, Followed> = new Map();
  const hostname = new URL(url).hostname.replace(/^\[|\]$/g, "");
  let said: Said | undefined;
  let saidAt: Instant | undefined;
  let problem: string | undefined;
  let clockAheadMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const ask = async (): Promise<void> => {
    // A look-up that finds no name server goes on after its question was given up, on one of the few threads that
    // also read and write files. So after a problem the next question waits until one has come to an end.
    if (problem !== undefined) await lookup(hostname).catch(() => {});
    if (closed) return;
    const sentAt = Date.now();
    const reply = await askStatus(url, { deadlineMs: ANSWER_WITHIN_MS });
    if (closed) return;
    take(reply, (sentAt + Date.now()) / 2);
    timer = setTimeout(ask, ASK_EVERY_MS).unref();
    onNews();
  };

  const take = (reply: Reply<unknown>, answeredAt: number): void => {
    const read = reply.ok ? readPeer(reply.body) : undefined;
    problem = reply.ok ? (read ? undefined : "its carpio is another version, or no carpio") : reply.why;
    if (!read) return;
    said = read;
    const at = now();
    saidAt = at;
    clockAheadMs = read.at === undefined ? undefined : Date.parse(read.at) - answeredAt;
    groups = new Map(read.carp.map((group) => [keyOf(group.vhid, group.interface), follow(group, at)]));
  };

  const follow = ({ vhid, interface: name, role, counters }: Said["carp"][number], at: Instant): Followed => {
    const known = groups.get(keyOf(vhid, name));
    const heard = known?.heard ?? createGrowth();
    heard.see(counters.received, at);
    return { role, since: known?.role === role ? known.since : at, heard };
  };

  const peer: Peer = {
    url,
    get said() {
      return said;
    },
    get saidAt() {
      return saidAt;
    },
    get problem() {
      return problem;
    },
    get clockAheadMs() {
      return clockAheadMs;
    },
    roleSince: (vhid, name) => groups.get(keyOf(vhid, name))?.since,
    hears: (vhid, name, withinMs, at) => groups.get(keyOf(vhid, name))?.heard.grows(withinMs, at) ?? null,
  };
  void ask();
  return {
    peer,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function keyOf(vhid: number, interfaceName: string): string {
  return `${vhid} on ${interfaceName}`;
}
