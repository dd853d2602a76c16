/**
 * Loads the native addons that travel inside the bundle.
 *
 * The kernel maps shared objects from files only, so the bytes are put into a
 * private directory for the moment of loading: Linux keeps a mapped file alive
 * after it has lost its name. /run is often mounted noexec and other places
 * read-only, hence the list. Who needs an addon, and when, is left to others.
 */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { carried } from "./carried.js";

/** The Node line of each ABI we know, for messages. */
const nodeOfAbi: Readonly<Record<string, string>> = { 115: "Node 20", 127: "Node 22", 137: "Node 24" };

const loaded = new Map<string, unknown>();

/** What the addon exports. Asking twice gives the same object. */
export function loadAddon(name: string): unknown {
  const before = loaded.get(name);
  if (before !== undefined) return before;

  const addon = loadFromAnywhere(name, bytesFor(name));
  loaded.set(name, addon);
  return addon;
}

function bytesFor(name: string): Uint8Array {
  const { arch, platform, versions } = process;
  const fits = (addon: { arch: string; abi: string }) =>
    addon.arch === arch && addon.abi === versions.modules;
  const ours = carried.filter((addon) => addon.name === name);
  const addon = platform === "linux" ? ours.find(fits) : undefined;
  if (addon !== undefined) return addon.bytes();

  const targets = ours.map((addon) => `linux ${addon.arch} ${nodeLine(addon.abi)}`).join(", ");
  throw new Error(
    `this file carries ${name} for ${targets || "no computer"}; ` +
      `this is ${platform} ${arch} Node ${versions.node.split(".")[0]}: build with \`npm run build -- --all\``,
  );
}

function nodeLine(abi: string): string {
  return nodeOfAbi[abi] ?? `Node ABI ${abi}`;
}

function loadFromAnywhere(name: string, bytes: Uint8Array): unknown {
  const refusals: string[] = [];
  for (const place of places()) {
    try {
      return loadFrom(place, name, bytes);
    } catch (error) {
      refusals.push(`  ${place}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Error(`cannot load ${name} from any of these places:\n${refusals.join("\n")}`);
}

/** Leaves nothing behind, whether it worked or not. */
function loadFrom(place: string, name: string, bytes: Uint8Array): unknown {
  const directory = mkdtempSync(join(place, "carpio-"));
  try {
    const file = join(directory, `${name}.node`);
    writeFileSync(file, bytes);
    const holder = { exports: {} };
    process.dlopen(holder, file);
    return holder.exports;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Where to try, in order: memory before a card, a service's own places before shared ones. */
function places(): readonly string[] {
  const { RUNTIME_DIRECTORY, STATE_DIRECTORY } = process.env;
  // systemd gives several directories as one colon-separated value.
  const wanted = [
    ...(RUNTIME_DIRECTORY ?? "").split(":"),
    "/run/carpio",
    tmpdir(),
    ...(STATE_DIRECTORY || "/var/lib/carpio").split(":"),
    "/dev/shm",
    home(),
    bundleDirectory(),
  ];
  return [...new Set(wanted.filter(isAbsolute))];
}

/** A bare image may have neither HOME nor a passwd entry, and Node throws then. */
function home(): string {
  try {
    return homedir();
  } catch {
    return "";
  }
}

function bundleDirectory(): string {
  try {
    return dirname(realpathSync(process.argv[1] ?? ""));
  } catch {
    return "";
  }
}
