/**
 * Keeps the picture of the source tree true, by reading it: who may import whom,
 * and who knows no clock, socket or file.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, test } from "node:test";

const root = join(import.meta.dirname, "../..");
const files = sourceFiles("src");

/** Where a file may import from. Folders end in a slash; the first rule whose `of` a path begins with is its own. */
const layers: readonly { of: string; imports: readonly string[]; why: string }[] = [
  { of: "carp/", imports: ["carp/", "wire/", "node:crypto"], why: "the protocol is pure" },
  { of: "wire/", imports: ["wire/", "node:net"], why: "bytes are pure" },
  {
    of: "linux/",
    imports: ["linux/", "wire/", "node:", "raw-socket"],
    why: "the kernel's side knows no CARP",
  },
  {
    of: "status/snapshot.ts",
    imports: ["*"],
    why: "it makes the one view that others get",
  },
  {
    of: "status/",
    imports: ["status/", "page/", "carried-page.ts", "version.ts", "log.ts", "node:", "tiny-json-http"],
    why: "pages see only snapshots",
  },
  {
    of: "page/",
    imports: ["page/", "panel/lamp.ts", "status/snapshot.ts"],
    why: "a browser runs it too",
  },
  {
    of: "panel/",
    imports: ["panel/", "status/snapshot.ts", "board.ts", "log.ts", "linux/dead-man.ts", "node:", "onoff"],
    why: "lamps see only snapshots",
  },
  { of: "firmware/boot-record.ts", imports: [], why: "a shell script has the same rules" },
  { of: "firmware/payload.ts", imports: ["node:crypto"], why: "what a payload is, its bytes say" },
  { of: "firmware/naming.ts", imports: [], why: "a plan has it done, and setup waits by it" },
  {
    of: "firmware/plan.ts",
    imports: ["firmware/lease-script.ts", "firmware/naming.ts", "config/system.ts", "wire/"],
    why: "a plan is shown before it is done",
  },
  { of: "", imports: ["*"], why: "the rest puts these together" },
];

/** What only one place may use. */
const owners: readonly { name: string; owners: readonly string[]; why: string }[] = [
  { name: "raw-socket", owners: ["linux/"], why: "only linux/ changes the network" },
  { name: "node:child_process", owners: ["linux/"], why: "only linux/ changes the network" },
  { name: "onoff", owners: ["panel/"], why: "lamps and buttons are the panel's" },
  { name: "tiny-json-http", owners: ["status/"], why: "HTTP is the status side's" },
  { name: "cli.ts", owners: ["main.ts"], why: "nothing but the way in knows the commands" },
  { name: "main.ts", owners: ["nobody"], why: "it is the way in" },
];

/** The rules of the panel are as pure as the protocol. */
const purePanel = ["panel/lamp.ts", "panel/press.ts"];
/** In pure code none of these words appears, outside comments and strings. */
const impure =
  /\b(Date|performance|process|console|globalThis|fetch|require|set(Timeout|Interval|Immediate)|queueMicrotask|Math\.random|random(Bytes|Int|UUID|FillSync)|getRandomValues)\b/;
/** Of node:net the pure code may ask what an address is, and no more. */
const pureOfNet = /^(isIP|isIPv4|isIPv6)$/;

test("there is something to read", () => {
  assert.ok(files.includes("carp/vhost.ts") && files.includes("wire/packet.ts"));
});

for (const path of files) {
  test(`src/${path} keeps to its place`, () => {
    assert.deepEqual(complaintsAbout(path, readFileSync(join(root, "src", path), "utf8")), []);
  });
}

describe("what is not tidy is found", () => {
  const rows: { path: string; source: string; says: RegExp }[] = [
    {
      path: "carp/vhost.ts",
      source: 'import { readFileSync } from "node:fs";',
      says: /the protocol is pure/,
    },
    {
      path: "carp/vhost.ts",
      source: 'import type { Config } from "../config.js";',
      says: /the protocol is pure/,
    },
    { path: "carp/vhost.ts", source: 'export * from "../daemon.js";', says: /the protocol is pure/ },
    { path: "carp/vhost.ts", source: 'const fs = await import("node:fs");', says: /the protocol is pure/ },
    { path: "carp/vhost.ts", source: 'import "../clock.js";', says: /the protocol is pure/ },
    { path: "carp/vhost.ts", source: "const at = Date.now();", says: /Date/ },
    { path: "carp/vhost.ts", source: "const at = performance.now();", says: /performance/ },
    { path: "carp/vhost.ts", source: "setTimeout(() => {}, 1);", says: /setTimeout/ },
    { path: "carp/vhost.ts", source: "const x = Math.random();", says: /Math\.random/ },
    { path: "carp/digest.ts", source: 'import { randomBytes } from "node:crypto";', says: /randomBytes/ },
    { path: "wire/packet.ts", source: 'import { createSocket } from "node:dgram";', says: /bytes are pure/ },
    { path: "wire/packet.ts", source: 'import { connect, isIP } from "node:net";', says: /connect/ },
    { path: "wire/packet.ts", source: 'import { step } from "../carp/vhost.js";', says: /bytes are pure/ },
    { path: "linux/ip.ts", source: 'import { step } from "../carp/vhost.js";', says: /knows no CARP/ },
    { path: "panel/press.ts", source: "setTimeout(() => {}, 1);", says: /setTimeout/ },
    { path: "panel/lamp.ts", source: 'import { step } from "../carp/vhost.js";', says: /lamps see only/ },
    { path: "status/page.ts", source: 'import { createGroup } from "../group.js";', says: /pages see only/ },
    { path: "daemon.ts", source: 'import { spawn } from "node:child_process";', says: /only linux/ },
    { path: "panel/led.ts", source: 'import { spawn } from "node:child_process";', says: /only linux/ },
    { path: "status/server.ts", source: 'import { Gpio } from "onoff";', says: /the panel's/ },
    { path: "daemon.ts", source: 'import { main } from "./cli.js";', says: /the way in/ },
    { path: "helpers/text.ts", source: "", says: /the noun/ },
    { path: "carp/utils.ts", source: "", says: /the noun/ },
    { path: "carp/index.ts", source: "", says: /the noun/ },
  ];
  for (const { path, source, says } of rows) {
    test(`${path}: ${source}`, () => {
      assert.match(complaintsAbout(path, `/** A file. */\n${source}\n`).join("\n"), says);
    });
  }

  test("a file that does not say what it is about", () => {
    assert.match(complaintsAbout("log.ts", "export const a = 1;\n").join(), /opens with/);
  });

  const tidy: { path: string; source: string }[] = [
    {
      path: "carp/vhost.ts",
      source: 'import { isIP } from "../wire/address.js";\n// Date.now() is not called.',
    },
    { path: "carp/vhost.ts", source: 'const why = "no process heard";' },
    { path: "wire/address.ts", source: 'import { isIPv4, isIPv6 } from "node:net";' },
    { path: "status/snapshot.ts", source: 'import type { Role } from "../carp/vhost.js";' },
    { path: "linux/ip.ts", source: 'import { spawn } from "node:child_process";' },
  ];
  for (const { path, source } of tidy) {
    test(`and this is tidy: ${path}: ${source.split("\n")[0]}`, () => {
      assert.deepEqual(complaintsAbout(path, `/** A file. */\n${source}\n`), []);
    });
  }
});

/** Everything that is out of place in one file; `path` is relative to src. */
function complaintsAbout(path: string, source: string): string[] {
  const layer = layers.find(({ of }) => path.startsWith(of));
  const complaints: string[] = [];
  for (const imported of importsOf(path, source)) {
    if (layer && !layer.imports.some((allowed) => allowed === "*" || within(imported, allowed))) {
      complaints.push(`imports ${imported}, but ${layer.why}`);
    }
    for (const { name, owners: places, why } of owners) {
      if (imported === name && !places.some((place) => path.startsWith(place)))
        complaints.push(`imports ${imported}, but ${why}`);
    }
  }
  if (path.startsWith("carp/") || path.startsWith("wire/") || purePanel.includes(path))
    complaints.push(...impurities(source));
  if (/(^|\/)(utils?|helpers?|misc|common|index)(\/|\.ts$)/.test(path)) {
    complaints.push("is not called by the noun that it is about");
  }
  if (!/^(#!.*\n)?\/\*\*/.test(source)) complaints.push("opens with something else than what it is about");
  return complaints;
}

function importsOf(path: string, source: string): string[] {
  const found = source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g);
  return [...found].map(([, name = ""]) =>
    name.startsWith(".") ? posix.join(posix.dirname(path), name).replace(/\.js$/, ".ts") : name,
  );
}

function within(imported: string, allowed: string): boolean {
  return allowed.endsWith("/") || allowed.endsWith(":") ? imported.startsWith(allowed) : imported === allowed;
}

function impurities(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*|"[^"\n]*"/g, " ");
  const [word] = impure.exec(code) ?? [];
  const [, names = ""] = /import\s*\{([^}]*)\}\s*from\s*"node:net"/.exec(source) ?? [];
  const foreign = names.split(",").filter((name) => name.trim() && !pureOfNet.test(name.trim()));
  return [
    ...(word ? [`mentions ${word}, but it is pure`] : []),
    ...foreign.map((name) => `imports ${name.trim()} of node:net, but it is pure`),
  ];
}

function sourceFiles(folder: string): string[] {
  const found = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return found.filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts")).toSorted();
}
