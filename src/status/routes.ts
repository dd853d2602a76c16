/**
 * All paths of the status server.
 */
import { healthz } from "./healthz.js";
import { readIdentify } from "./identify-wish.js";
import { readMaintenance } from "./maintenance-wish.js";
import { json, jsonLine, type Route } from "./route.js";

export const routes: { readonly [path: string]: Route } = {
  "/status": { reads: (view) => json(view.text(jsonLine)) },
  "/healthz": { reads: healthz },
  "/events": { streams: "views" },
  "/maintenance": { changes: readMaintenance },
  "/identify": { changes: readIdentify },
};

/** Names such as `toString` are no paths of ours. */
export function findRoute(path: string): Route | undefined {
  return Object.hasOwn(routes, path) ? routes[path] : undefined;
}
