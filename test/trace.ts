/**
 * Actions as one line of text each, as traces and tables show them.
 */
import type { Action } from "../src/carp/vhost.js";
import { formatAddress } from "../src/wire/address.js";

export function describeAction(action: Action): string {
  if (action.do === "enter") return `enter ${action.role}: ${action.why}`;
  if (action.do !== "advertise") return action.do;
  const demoted = action.demote > 0 ? ` demote ${action.demote}` : "";
  const to = action.to ? ` to ${formatAddress(action.to)}` : "";
  return `advertise ${action.advbase}/${action.advskew}${demoted}${to}`;
}
