/**
 * Style and script of the page: here those that scripts/page.mjs made, for
 * programs that run from build/. In the bundle rollup.config.js puts a module
 * with the same export in this one's place, with the texts in it.
 */
import { existsSync, readFileSync } from "node:fs";

export interface CarriedPage {
  readonly style: string;
  readonly script: string;
}

export const carriedPage: CarriedPage = { style: read("style.css"), script: read("script.js") };

function read(name: string): string {
  const file = new URL(`../page/${name}`, import.meta.url);
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}
