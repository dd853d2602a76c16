/**
 * `GET /healthz`: whether this board is of use, for load balancers and
 * supervisors. 200, or 503 with the reasons.
 *
 * Of use is a board that serves or stands by in every group. A fault that does
 * not keep it from that is told by `/status` and `/metrics`.
 */
import { type Answer, type Asked, json, jsonError, jsonLine } from "./route.js";
import type { GroupSnapshot, Snapshot } from "./snapshot.js";
import type { View } from "./view.js";

const ROLES: readonly string[] = ["master", "backup"] satisfies readonly Snapshot["role"][];

/** With `?role=master` it is of use only where it is master of all its groups. */
export function healthz({ snapshot }: Pick<View, "snapshot">, { query }: Pick<Asked, "query">): Answer {
  const role = query.get("role");
  if (role !== null && !ROLES.includes(role)) {
    return jsonError(400, `role: found ${role}, wanted ${ROLES.join(" or ")}`);
  }
  const why = ailments(snapshot, role);
  return json(jsonLine({ ok: why.length === 0, role: snapshot.role, why }), why.length === 0 ? 200 : 503);
}

/** What keeps the board from being of use; none if nothing does. */
function ailments({ carp }: Snapshot, role: string | null): readonly string[] {
  if (carp.length === 0) return ["no group is configured"];
  return carp.flatMap((group) => {
    const said = role !== null && group.role !== role ? `is ${group.role}, wanted ${role}` : ailment(group);
    return said === undefined ? [] : [`carp ${group.vhid} on ${group.interface}: ${said}`];
  });
}

function ailment({ role, why, holding }: GroupSnapshot): string | undefined {
  if (role === "init") return `is init: ${why}`;
  return role === "master" && !holding ? "is master and does not hold its addresses" : undefined;
}
