/**
 * What monitoring systems are given in board/common/monitoring: that it speaks
 * of metrics and fields that there are, and that the alerts say what they ought
 * to. Needs `promtool`, which scripts/test fetches.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Snapshot } from "../src/status/snapshot.js";
import { lacksPromtool, promtool } from "./promtool.js";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "board/common/monitoring");
/** Where the metrics' names are written. */
const metrics = join(root, "src/status/metrics.ts");

/** What Home Assistant reads of a snapshot: the compiler knows whether it is there. */
const fields: { readonly [path: string]: (snapshot: Snapshot) => unknown } = {
  diagnosis: ({ diagnosis }) => diagnosis,
  "diagnosis.broken": ({ diagnosis }) => diagnosis.broken,
  name: ({ name }) => name,
  version: ({ version }) => version,
  role: ({ role }) => role,
  faults: ({ faults }) => faults,
  events: ({ events }) => events,
  maintenance: ({ maintenance }) => maintenance,
  "maintenance.on": ({ maintenance }) => maintenance.on,
  "panel.face": ({ panel }) => panel.face === "safe",
};

describe("Prometheus", { skip: lacksPromtool }, () => {
  test("reads the rules", () => {
    const { status, said } = promtool(["check", "rules", "prometheus-rules.yml"], { cwd: folder });
    assert.equal(status, 0, said);
  });

  test("alerts when it ought to, and is silent when all is well", () => {
    const { status, said } = promtool(["test", "rules", "prometheus-rules.test.yml"], { cwd: folder });
    assert.equal(status, 0, said);
  });

  test("each alert is tried, while it fires and while it does not", () => {
    const tried = read("prometheus-rules.test.yml");
    const alerts = [...read("prometheus-rules.yml").matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    assert.ok(alerts.length > 0);
    for (const name of alerts) {
      assert.match(tried, new RegExp(`alertname: ${name} }`), `${name} is silent`);
      assert.match(tried, new RegExp(`alertname: ${name}\\n +exp_alerts`), `${name} fires`);
    }
  });
});

describe("metrics", { skip: !existsSync(metrics) && "there are none yet" }, () => {
  for (const file of ["prometheus-rules.yml", "prometheus-rules.test.yml", "grafana-dashboard.json"]) {
    test(`${file} asks for those that there are`, () => {
      const known = namesIn(readFileSync(metrics, "utf8"));
      const asked = namesIn(read(file));
      assert.ok(asked.size > 0);
      assert.deepEqual(
        [...asked].filter((name) => !known.has(name)),
        [],
      );
    });
  }
});

test("the dashboard is one that Grafana can import: every panel in its place, with its own number and a query", () => {
  const { panels } = JSON.parse(read("grafana-dashboard.json")) as { panels: readonly GrafanaPanel[] };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { title, gridPos: at, targets } of panels) {
    assert.ok(at.x + at.w <= 24, title);
    assert.ok(
      targets.every(({ expr }) => expr.includes('job="$job"')),
      title,
    );
    const over = panels.filter(({ gridPos: it }) => overlaps(at, it));
    assert.deepEqual(
      over.map((panel) => panel.title),
      [title],
    );
  }
});

test("Home Assistant reads fields that a snapshot has", () => {
  const text = read("home-assistant.yaml");
  const inTemplates = [...text.matchAll(/value_json\.([a-z.]+)/gi)].map(([, path = ""]) => path);
  const [, attributes = ""] = /json_attributes: \[(.*)\]/.exec(text) ?? [];
  const asked = [...inTemplates, ...attributes.split(", ")];
  assert.ok(asked.length > 5);
  assert.deepEqual(
    asked.filter((path) => !Object.hasOwn(fields, path)),
    [],
  );
});

interface GrafanaPanel {
  readonly id: number;
  readonly title: string;
  readonly gridPos: Place;
  readonly targets: readonly { readonly expr: string }[];
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

function overlaps(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

function namesIn(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/\bcarpio_[a-z0-9_]+/g)].map(([name]) => name));
}

function read(file: string): string {
  return readFileSync(join(folder, file), "utf8");
}
