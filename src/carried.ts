/**
 * The native addons this program carries: here those in build/addons, for
 * programs that run from build/. In the bundle rollup.config.js puts a module
 * with the same export in this one's place, with the bytes in it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";

export interface CarriedAddon {
  readonly name: string;
  /** As `process.arch` has it. */
  readonly arch: string;
  /** As `process.versions.modules` has it. */
  readonly abi: string;
  readonly bytes: () => Uint8Array;
}

const folder = new URL("../addons/", import.meta.url);

export const carried: readonly CarriedAddon[] = existsSync(folder) ? readdirSync(folder).flatMap(inFile) : [];

function inFile(file: string): readonly CarriedAddon[] {
  const [, name, arch, abi] = /^(\w+)-linux-(\w+)-(\d+)\.node$/.exec(file) ?? [];
  if (name === undefined || arch === undefined || abi === undefined) return [];
  return [{ name, arch, abi, bytes: () => readFileSync(new URL(file, folder)) }];
}
