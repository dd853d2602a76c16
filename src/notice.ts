/**
 * What there is to tell a program or a webhook: a role that was entered,
 * maintenance, a fault; and how it is put, as environment and as JSON. Pure.
 * Who is told, in which order and for how long is for hooks.ts.
 */
import type { Role } from "./carp/vhost.js";
import type { GroupConfig, Happening } from "./config.js";
import type { RoleChange } from "./group.js";
import type { MaintenanceSnapshot } from "./status/snapshot.js";
import { formatPrefix } from "./wire/address.js";

/** README's contract, like the snapshot's: fields may be added, never renamed. */
export interface Notice {
  readonly event: Happening;
  /** The role; `on`, `off`, `handed-over` or `no-taker` of maintenance; `begun` or `ended` of a fault. */
  readonly state: string;
  readonly oldRole: Role | null;
  readonly newRole: Role | null;
  readonly why: string;
  /** Of the group it is about; a notice about the whole board has none. */
  readonly vhid: number | null;
  readonly interface: string | null;
  readonly addresses: readonly string[];
  /** Wall-clock time, for people. */
  readonly at: string;
}

/** As one hook is told it. */
export interface Message extends Notice {
  /** What the board is called. */
  readonly name: string;
  /** Counts what this hook was to hear: a gap is what was left out. */
  readonly sequence: number;
}

type GroupWords = Pick<GroupConfig, "vhid" | "interface" | "addresses">;

const OF_THE_BOARD = { oldRole: null, newRole: null, vhid: null, interface: null, addresses: [] };

export function roleNotice({ from, to, why, at }: RoleChange, group: GroupWords): Notice {
  return { event: to, state: to, ...ofGroup(group), oldRole: from, newRole: to, why, at: at.toISOString() };
}

/** `group` is the one at fault; without it, the board is. */
export function faultNotice(
  about: string,
  said: string | undefined,
  group: GroupWords | undefined,
  at: Date,
): Notice {
  const state = said === undefined ? "ended" : "begun";
  const why = said ?? `${about}: well again`;
  return { event: "fault", state, ...(group ? ofGroup(group) : OF_THE_BOARD), why, at: at.toISOString() };
}

/** `undefined` when nothing has changed that is worth telling: of a handover, what came of it. */
export function maintenanceNotice(
  before: MaintenanceSnapshot,
  after: MaintenanceSnapshot,
  at: Date,
): Notice | undefined {
  const { on, until, handover } = after;
  const notice = (state: string, why: string): Notice => {
    return { event: "maintenance", state, ...OF_THE_BOARD, why, at: at.toISOString() };
  };
  if (on !== before.on) {
    if (!on) return notice("off", "maintenance is off");
    return notice("on", until === null ? "maintenance is on" : `maintenance is on, until ${until}`);
  }
  if (handover.state === before.handover.state) return undefined;
  if (handover.state === "handed-over") {
    return notice("handed-over", `handed over to ${handover.to}: safe to unplug`);
  }
  return handover.state === "no-taker"
    ? notice("no-taker", "nobody took over, so this board serves on: do not unplug")
    : undefined;
}

/** What is not there is empty, so that a program need not ask. */
export function environmentOf(message: Message): { readonly [name: string]: string } {
  return {
    CARPIO_EVENT: message.event,
    CARPIO_STATE: message.state,
    CARPIO_OLD_ROLE: message.oldRole ?? "",
    CARPIO_NEW_ROLE: message.newRole ?? "",
    CARPIO_WHY: message.why,
    CARPIO_VHID: String(message.vhid ?? ""),
    CARPIO_INTERFACE: message.interface ?? "",
    CARPIO_ADDRESSES: message.addresses.join(" "),
    CARPIO_NAME: message.name,
    CARPIO_AT: message.at,
    CARPIO_SEQUENCE: String(message.sequence),
  };
}

function ofGroup({ vhid, interface: name, addresses }: GroupWords) {
  const listed = addresses.map(formatPrefix);
  return { oldRole: null, newRole: null, vhid, interface: name, addresses: listed };
}
