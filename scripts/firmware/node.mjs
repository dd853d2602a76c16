/**
 * Node as a board runs it: the npm package of the newest line that
 * scripts/addons.mjs pins, because our addons are compiled with its headers;
 * and without its symbols. It is kept in build/inputs beside Debian's packages,
 * with a record of what it was made of and what came out.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { fetchNode, nodes, whatNpmSaid } from "../addons.mjs";
import { digestOf, run, store } from "./inputs.mjs";

const stripper = "aarch64-linux-gnu-strip";
const node = nodes.at(-1);
const [name, version] = node.headers.split("@");

/** Where the program and its licence lie. What is not as it was when it was made is made again. */
export function fetchNodeProgram(say) {
  const program = join(store, `${name}-${version}`);
  const licence = `${program}.licence`;
  const record = `${program}.made`;
  const made = () => recordOf([program, licence]);
  if (existsSync(record) && readFileSync(record, "utf8") === made()) return { program, licence };
  say(`fetching ${name} ${version}`);
  mkdirSync(store, { recursive: true });
  const fetched = fetchNode(node, ["include", "bin/node", "LICENSE"]);
  copyFileSync(join(fetched, "LICENSE"), licence);
  const symbols = join(fetched, "bin/node");
  const unfinished = `${program}.${process.pid}`;
  try {
    execFileSync(stripper, ["-s", "-o", unfinished, symbols]);
    renameSync(unfinished, program);
  } finally {
    rmSync(unfinished, { force: true });
  }
  writeFileSync(record, made());
  rmSync(symbols);
  return { program, licence };
}

function recordOf(files) {
  const [tool] = run(stripper, ["--version"]).split("\n");
  const sums = files.map((file) => `sha256 ${digestOf(file)} ${basename(file)}\n`).join("");
  return `of sha512 ${node.sha512}\nby ${tool}\n${sums}`;
}

/** Says whether the pinned line has a newer one: a person pins it, since the addons of every board change with it. */
export function lookForNewerNode(say) {
  const pinned = `${name}: ${version} is pinned in scripts/addons.mjs`;
  try {
    const newest = newestOf(node.major);
    const sha512 = newest["dist.integrity"].replace("sha512-", "");
    if (newest.version === version) say(`${pinned}, the newest of ${node.major}`);
    else say(`${pinned}, and ${newest.version} is the newest of ${node.major}: sha512 ${sha512}`);
  } catch (error) {
    say(`${pinned}; whether there is a newer one, npm could not say: ${whatNpmSaid(error)}`);
  }
}

function newestOf(major) {
  const parameters = ["view", "--json", "--loglevel=error", `${name}@${major}`, "version", "dist.integrity"];
  const said = run("npm", parameters, { stdio: ["ignore", "pipe", "pipe"] });
  // npm gives one alone without the list around it.
  const found = [JSON.parse(said)].flat();
  return found.toSorted((a, b) => a.version.localeCompare(b.version, "en", { numeric: true })).at(-1);
}
