/**
 * What a daemon says of itself to whoever keeps it: ready with all its sockets, and alive
 * with the reason without them, because a slot on trial is judged by it. What no other
 * slot would do better changes nothing of that.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { BOTH_FAMILIES, boardConfig } from "./boards.js";
import type { Child } from "./child.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { CARPIO, configFile, VIRTUAL_ADDRESS } from "./peers.js";

await becomeLabRoot();

interface Circumstances {
  /** What happens to the board before the daemon starts. */
  readonly before?: (board: Host) => unknown;
  /** Words before the command that starts it. */
  readonly under?: readonly string[];
  /** What becomes of the program. */
  readonly change?: (bundle: string) => string;
  readonly addresses?: readonly string[];
}

interface Case extends Circumstances {
  readonly why: string;
  readonly says: RegExp;
}

const DEADLINE_MS = 30_000;
const WAITING = /^alive waiting for /;
/** Of a daemon that has started. */
const BEAT = /^(ready|alive (?!waiting))/;
const READY = /^ready http:\/\/127\.0\.0\.1:8080\/status$/;
const ANOTHER_NODE =
  /^alive cannot listen for IPv4 on eth0: this file carries raw for linux \w+ Node ABI 999;/;
/** Of no protocol and no option of the kernel. */
const NO_SUCH_NUMBER = 999;

const cases: readonly Case[] = [
  { why: "it has its sockets", says: READY },
  { why: "its cable is out", says: READY, before: (board) => board.cutCable() },
  {
    why: "its interface is not there",
    says: READY,
    before: (board) => board.namespace.ip("link set eth0 down", "link set eth0 name eth9"),
  },
  {
    why: "its interface is off",
    says: READY,
    before: (board) => board.namespace.ip("link set eth0 down"),
  },
  {
    why: "its floating address is the board's own",
    says: READY,
    before: (board) => board.namespace.ip(`address add ${VIRTUAL_ADDRESS}/24 dev eth0`),
  },
  {
    why: "the kernel refuses the sockets",
    says: /^alive cannot listen for IPv4 on eth0: Operation not permitted$/,
    under: ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-all"],
  },
  {
    why: "the kernel refuses the sockets of IPv6 alone",
    says: /^alive cannot listen for IPv6 on eth0: Protocol not available$/,
    change: (bundle) => bundle.replace("IPV6_ADD_MEMBERSHIP = 20", `IPV6_ADD_MEMBERSHIP = ${NO_SUCH_NUMBER}`),
    addresses: BOTH_FAMILIES,
  },
  {
    why: "the kernel refuses the socket to send by, and nobody has to send yet",
    says: /^alive cannot open a socket to send IPv4: Invalid argument$/,
    change: (bundle) => bundle.replace("IPPROTO_RAW = 255", `IPPROTO_RAW = ${NO_SUCH_NUMBER}`),
  },
  {
    why: "its addon is for another Node",
    says: ANOTHER_NODE,
    change: forAnotherNode,
  },
  {
    why: "its addon is damaged",
    says: /^alive cannot listen for IPv4 on eth0: cannot load raw from any of these places: \S/,
    // Packed is `no such file`.
    change: (bundle) => bundle.replace(/(name: "raw".*unpack\(")[^"]*/g, "$1y8tXKC5NzlBIy8xJBQA="),
  },
];

describe("the daemon's beat", { concurrency: 4, timeout: 120_000 }, () => {
  for (const { why, says, ...circumstances } of cases) {
    test(`${says === READY ? "ready" : "alive, and why"}: ${why}`, async () => {
      await using lab = await Lab.open({ boards: ["left"] });
      const keeper = await keep(lab.left, circumstances);
      assert.match((await keeper.waitForLine(BEAT, DEADLINE_MS)).text, says);
    });
  }

  test("what was refused in a rehearsal is refused with the same words at the start", async () => {
    await using lab = await Lab.open({ boards: ["left"] });
    const begun = join(lab.left.directory, "begun");
    const keeper = await keep(lab.left, { change: forAnotherNode }, "--after", begun);
    await keeper.waitForLine(WAITING, DEADLINE_MS);
    writeFileSync(begun, "");
    assert.match((await keeper.waitForLine(BEAT, DEADLINE_MS)).text, ANOTHER_NODE);
  });
});

/** Starts a daemon, and somebody who keeps it and says again what it tells. */
async function keep(board: Host, circumstances: Circumstances, ...more: readonly string[]): Promise<Child> {
  const { before, under = [], change, addresses } = circumstances;
  await before?.(board);
  const fifo = join(board.directory, "alive");
  await board.run(["mkfifo", fifo]);
  // With a writer of its own it does not end with ours.
  const keeper = board.spawn(["sh", "-c", 'exec cat "$0" 3<>"$0"', fifo]);
  writeFileSync(configFile(board), boardConfig(board.name, [addresses ? { addresses } : {}]));
  const program = join(board.directory, "carpio.cjs");
  writeFileSync(program, changed(readFileSync(CARPIO, "utf8"), change));
  const command = [...under, process.execPath, program, "run", "--config", configFile(board), ...more];
  board.spawn(command, { STATE_DIRECTORY: board.directory, CARPIO_HEARTBEAT: fifo });
  return keeper;
}

function changed(bundle: string, change?: (bundle: string) => string): string {
  const next = change?.(bundle);
  assert.notEqual(next, bundle);
  return next ?? bundle;
}

function forAnotherNode(bundle: string): string {
  return bundle.replace(/(name: "raw".*abi: )"\d+"/g, '$1"999"');
}
