/**
 * From a packet to an event: which group it is for, whether it may be believed,
 * and the counter and the log line for one that may not.
 */
import type { Drop } from "./carp/advertisement.js";
import { inspect } from "./carp/inspect.js";
import type { OwnDigests } from "./carp/own-digests.js";
import type { Instant } from "./carp/vhost.js";
import { createComplaints } from "./complaint.js";
import type { GroupConfig } from "./config.js";
import type { Groups } from "./groups.js";
import type { Log } from "./log.js";
import { formatAddress } from "./wire/address.js";
import type { Packet } from "./wire/packet.js";

export interface Reception {
  /** A packet that came in on an interface. */
  take(interfaceName: string, packet: Packet): void;
  /** How many packets have come so far, good and bad. */
  readonly taken: number;
  /** What was dropped and belongs to no group of ours. */
  readonly dropped: { readonly [K in Drop]?: number };
}

export interface ReceptionOptions {
  readonly groups: Groups;
  readonly ownDigests: OwnDigests;
  readonly log: Log;
  readonly now: () => Instant;
  /** A packet was dropped in the name of a group. */
  readonly onDrop: (group: GroupConfig, drop: Drop, packet: Packet) => void;
}

export function createReception({ groups, ownDigests, log, now, onDrop }: ReceptionOptions): Reception {
  const complaints = createComplaints();
  const dropped: { [K in Drop]?: number } = {};
  let taken = 0;

  const drop = (name: string, packet: Packet, reason: Drop, vhid: number | undefined): void => {
    log.debug("wire", () => `${name}: ${formatAddress(packet.source)}: dropped, ${reason}`);
    const group = vhid === undefined ? undefined : groups.find(name, vhid);
    if (!group) {
      dropped[reason] = (dropped[reason] ?? 0) + 1;
      return;
    }
    group.counters[reason]++;
    onDrop(group.config, reason, packet);
    const said = complaints.about(packet, reason, group.config, now());
    if (said) log.warn(said);
  };

  return {
    get taken() {
      return taken;
    },
    dropped,
    take(name, packet) {
      taken++;
      const verdict = inspect(packet, {
        signerOf(vhid, family) {
          const group = groups.find(name, vhid);
          return group?.vhost.settings.families.includes(family) ? group.signer : undefined;
        },
        isOurs: ownDigests.has,
      });
      if (!verdict.ok) return drop(name, packet, verdict.drop, verdict.vhid);

      const { advertisement } = verdict;
      const group = groups.find(name, advertisement.vhid);
      if (!group) return;
      group.counters.received++;
      const { vhid, advbase, advskew, demote } = advertisement;
      const said = `vhid ${vhid}, ${advbase}/${advskew}, ${demote}`;
      log.debug("carp", () => `${name}: ${formatAddress(packet.source)}: ${said}`);
      group.handle({ kind: "heard", ad: advertisement, from: packet.source });
    },
  };
}
