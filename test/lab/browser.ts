/**
 * Debian's Chromium on a host of the lab: it runs in there, and the test holds
 * its strings from outside. What a page ought to show is for the tests.
 */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import type { Host } from "./host.js";

export const CHROMIUM = "/usr/bin/chromium";
/** A browser that starts on a busy machine takes its time. */
const START_MS = 60_000;
const ACTION_MS = 30_000;
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Look {
  readonly page: Page;
  /** What the page has complained about, which is nothing. */
  readonly complaints: readonly string[];
}

export function hasChromium(): boolean {
  return existsSync(CHROMIUM);
}

/** Its profile is in the host's directory, and goes with the lab. */
export async function openBrowser(host: Host): Promise<Browser> {
  const file = join(host.directory, "chromium");
  const home = mkdtempSync(join(host.directory, "home-"));
  const door = [...host.namespace.door(["--net"]), "env", `HOME=${home}`, CHROMIUM];
  writeFileSync(file, `#!/bin/sh\nexec ${door.join(" ")} "$@"\n`, { mode: 0o755 });
  return chromium.launch({
    executablePath: file,
    args: FLAGS,
    timeout: START_MS,
    env: { ...process.env, HOME: home, TMPDIR: home },
  });
}

/** A page of its own, with nothing kept from another one. */
export async function look(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Look> {
  const context: BrowserContext = await browser.newContext(options);
  context.setDefaultTimeout(ACTION_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url, { timeout: ACTION_MS });
  return { page, complaints };
}

/** What axe-core finds that somebody could not use. */
export async function barriers(page: Page): Promise<readonly string[]> {
  const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  await page.evaluate(readFileSync(axe, "utf8"));
  // In the page, where `axe` is.
  const found = (await page.evaluate("axe.run()")) as {
    violations: { id: string; impact: string; nodes: { html: string }[] }[];
  };
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`);
}
