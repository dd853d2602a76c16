/**
 * All paths of the status server.
 */
import { healthz } from "./healthz.js";
import { readIdentify } from "./identify-wish.js";
import { readMaintenance } from "./maintenance-wish.js";
import { metricsText } from "./metrics.js";
import { page } from "./page.js";
import { readRestart } from "./restart-wish.js";
import { json, jsonLine, type Route } from "./route.js";
import { schema } from "./schema.js";

/** Prometheus' own name for its text format. */
const METRICS = "text/plain; version=0.0.4; charset=utf-8";

export const routes: { readonly [path: string]: Route } = {
  "/": { reads: page },
  "/status": { reads: (view) => json(view.text(jsonLine)) },
  "/metrics": { reads: (view) => ({ status: 200, type: METRICS, body: view.text(metricsText) }) },
  "/healthz": { reads: healthz },
  "/schema.json": { reads: () => ({ status: 200, type: "application/schema+json", body: jsonLine(schema) }) },
  "/events": { streams: "views" },
  "/log": { shows: "log" },
  "/maintenance": { changes: readMaintenance },
  "/identify": { changes: readIdentify },
  "/update": { takes: "payload" },
  "/restart": { changes: readRestart },
};

/** Names such as `toString` are no paths of ours. */
export function findRoute(path: string): Route | undefined {
  return Object.hasOwn(routes, path) ? routes[path] : undefined;
}
