/**
 * The demo from end to end: the story, the keys on a terminal, and that nothing
 * stays behind in whatever way it ends. The picture is drawn in test/demo.test.ts.
 *
 * It runs on a computer of its own. Needs root or unprivileged user namespaces;
 * runs for two minutes.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { Computer, TEMPORARY } from "./computer.js";
import { becomeLabRoot } from "./namespace.js";

await becomeLabRoot();

const DEMO = join(import.meta.dirname, "../../scripts/demo.js");
const WAIT_MS = 40_000;
const TEST_MS = 180_000;

let computer: Computer;
beforeEach(async () => {
  computer = await Computer.open(WAIT_MS);
});
afterEach(() => computer.close());

// ---- The story -------------------------------------------------------------

test("without a terminal the story is played, and goes as it should", { timeout: TEST_MS }, async () => {
  const story = computer.start([process.execPath, DEMO]);
  const { status } = await story.silent;
  const told = story.text("stdout");
  assert.equal(status, 0, told + story.text("stderr"));
  for (const line of [
    /^No terminal here: this is the story, as with --script\./,
    /namespaces made by (root|an unprivileged user namespace)/,
    /^1\. Both boards start\..*\n {3}Wanted: left serves\. left's lamps: serving\.$/m,
    /= left serves after \d+\.\d s$/m,
    /Wanted: right serves, no packet is lost\. left's lamps: somebody else serves: safe to unplug\.$/m,
    /left {3}its button is pressed\n(.*\n)*?.*left {3}lamps: somebody else serves: safe to unplug\n(.*\n)*?.*= right serves after .*; left let go after .*; 0 packets lost$/m,
    /left {3}its button is pressed\n(.*\n)*?.*maintenance: off, by the button\n(.*\n)*?.*= left serves after .*; 0 packets lost$/m,
    /left {3}its button is held\n(.*\n)*?.*left {3}lamps: held for 5 s: let go to power off\n(.*\n)*?.*left {3}its button is let go\n(.*\n)*?.*left {3}lamps: switched off: safe to unplug\n(.*\n)*?.*= right serves after .*; 0 packets lost$/m,
    /asked to leave \(SIGTERM\)\n(.*\n)*?.*= right serves after .*; 0 packets lost$/m,
    /kill -9 of the daemon\n.*lamps: carpio does not run.*\n.*runs carpio release\n(.*\n)*?.*release: bowed out\n(.*\n)*?.*= right serves after/m,
    /the cable is cut\n(.*\n)*?.*right .*master timed out\n(.*\n)*?.*= right serves after [\d.]+ s; .*[\d,]+ packets lost, [\d.]+ s without an answer$/m,
    /^13\. .*\n {3}Wanted: left serves, no packet is lost\. left's lamps: serving\.$/m,
    /^All 13 acts went as they should\.$/m,
  ]) {
    assert.match(told, line);
  }
  await computer.nothingStays();
});

test("a story that goes otherwise says what was wanted, and ends with status 1", {
  timeout: TEST_MS,
}, async () => {
  const story = computer.start([process.execPath, DEMO, "--script"]);
  await story.waitForLine(/right +carpio starts/, WAIT_MS);
  await loseSomeEchoes("right");
  const { status } = await story.silent;
  const told = story.text("stdout");
  assert.equal(status, 1, told + story.text("stderr"));
  assert.match(told, /^ *[\d.]+ {2}WRONG: [\d,]+ packets? lost; wanted: none$/m);
  assert.match(told, /^\d+ expectations? FAILED\.$/m);
  await computer.nothingStays();
});

const signals = [
  { signal: "SIGTERM", when: "it sets up", after: /Times are in seconds/ },
  { signal: "SIGHUP", when: "the daemons start", after: /carpio starts/ },
  { signal: "SIGINT", when: "the client is made", after: /left serves after/ },
] as const;

for (const { signal, when, after } of signals) {
  test(`the story dies of ${signal} while ${when}: nothing stays`, { timeout: TEST_MS }, async () => {
    const story = computer.start([process.execPath, DEMO, "--script"]);
    await story.waitForLine(after, WAIT_MS);
    await story.kill(signal);
    const { status, signal: died } = await story.ended;
    assert.deepEqual([status, died], [null, signal]);
    await computer.nothingStays();
  });
}

test("a reader of the story that goes away: nothing stays", { timeout: TEST_MS }, async () => {
  const told = computer.start(["sh", "-c", `"${process.execPath}" "${DEMO}" --script | head -n 8`]);
  await told.silent;
  assert.match(told.text("stdout"), /^(.*\n){7}.*carpio starts\n$/);
  await computer.nothingStays();
});

// ---- On a terminal ---------------------------------------------------------

test("keys press the button, kill, cut and bring back, and the picture shows it", {
  timeout: TEST_MS,
}, async () => {
  const terminal = computer.openTerminal([process.execPath, DEMO]);
  await terminal.shows(/1 left.*192\.0\.2\.2.*2 right.*192\.0\.2\.3/);
  await terminal.shows(/MASTER.*BACKUP/);
  await terminal.shows(/answered by left/);

  // A key that is held down repeats itself, and counts once.
  terminal.press("  ");
  await terminal.writes(FINGER_ON_LEFT);
  await terminal.shows(/BACKUP.*MASTER/);
  await terminal.shows(/┃ somebody else serves: safe to unplug .*│ serving /);
  await terminal.shows(/client {2}right serves after .*; 0 packets lost/);
  await terminal.writes(WINK_BESIDE_AMBER);
  terminal.press(" ");
  await terminal.shows(/MASTER.*BACKUP/);
  await terminal.shows(/● green {2}○ amber {2}○ red .*\n.*┃ serving /);

  terminal.press("k");
  await terminal.shows(/NO DAEMON.*MASTER/);
  await terminal.shows(/died of SIGKILL/);
  await terminal.shows(/○ green {2}○ amber {2}● red .*\n.*┃ carpio does not run/);
  await terminal.shows(/release: bowed out/);
  await terminal.shows(/lost [1-9][\d,]* of .* longest outage \d/);
  terminal.press("k");
  await terminal.shows(/not now: no daemon runs on left/);
  terminal.press("b");
  await terminal.shows(/MASTER.*BACKUP/);

  // The wish outlives the daemon, and is taken back as well.
  terminal.press(" ");
  await terminal.shows(/┃ somebody else serves: safe to unplug /);
  terminal.press("k");
  await terminal.shows(/NO DAEMON.*MASTER/);
  terminal.press("b");
  await terminal.shows(/MASTER.*BACKUP/);
  await terminal.shows(/┃ serving .*│ alive, standing by /);

  terminal.press("2c");
  await terminal.shows(/MASTER.*INIT/);
  await terminal.shows(/sends .*cable cut/);
  await terminal.shows(/switch ╌+╳/);
  terminal.press("b");
  await terminal.shows(/switch ─+┴/);

  terminal.press("q");
  await terminal.ends(0);
  assert.match(terminal.raw(), /␛\[\?25h␛\[\?1049l.*packets? lost.*are gone\./s);
  await computer.nothingStays();
});

test("a key holds the button: the lamps change, the board hands over and is off until it is brought back", {
  timeout: TEST_MS,
}, async () => {
  const terminal = computer.openTerminal([process.execPath, DEMO]);
  await terminal.shows(/answered by left/);
  terminal.press("h");
  await terminal.shows(/its button is held/);
  await terminal.shows(/button \[▼\].*\n┃ held for 5 s: let go to power off /);
  await terminal.shows(/SWITCHED OFF.*MASTER/);
  await terminal.shows(/○ green {2}● amber {2}○ red .*\n┃ switched off: safe to unplug /);
  await terminal.shows(/client {2}right serves after .*; 0 packets lost/);
  terminal.press(" ");
  await terminal.shows(/not now: left is switched off/);
  terminal.press("b");
  await terminal.shows(/MASTER.*BACKUP/);
  await terminal.shows(/┃ serving .*│ alive, standing by /);
  terminal.press("q");
  await terminal.ends(0);
  await computer.nothingStays();
});

/** On one line of the screen, whose every line begins with an H. */
const FINGER_ON_LEFT = /button \S*\[▼\][^H]*button \S*\[ \]/;
/** Green lit while amber is. */
const WINK_BESIDE_AMBER = /● green␛\[0m {2}␛\[33m● amber/;
const COLOUR = /␛\[[\d;]*3\dm/;

test("a picture in colours, and with NO_COLOR without them", { timeout: TEST_MS }, async () => {
  for (const env of [{}, { NO_COLOR: "1" }]) {
    const terminal = computer.openTerminal([process.execPath, DEMO], env);
    await terminal.shows(/BACKUP/);
    assert.equal(COLOUR.test(terminal.raw()), !("NO_COLOR" in env), terminal.raw());
    terminal.press("q");
    await terminal.ends(0);
  }
  await computer.nothingStays();
});

const moments = [
  { when: "at once", command: [DEMO], shows: /^begins/ },
  { when: "while it sets up", command: [DEMO], shows: /are made …/ },
  { when: "before the election", command: [DEMO], shows: /BACKUP/ },
  { when: "while it serves", command: [DEMO], shows: /answered by left/ },
  { when: "in the story", command: [DEMO, "--script"], shows: /init -> backup/ },
] as const;

for (const { when, command, shows } of moments) {
  test(`Ctrl-C ${when}: nothing stays, and the terminal is as it was`, { timeout: TEST_MS }, async () => {
    const terminal = computer.openTerminal([process.execPath, ...command]);
    await terminal.shows(shows);
    terminal.press("\x03");
    await terminal.ends(130);
    const raw = terminal.raw();
    assert.equal(raw.includes("␛[?1049h"), raw.includes("␛[?1049l"));
    assert.match(raw, / icanon .* echo /s);
    if (command.length > 1) assert.ok(!raw.includes("␛"), "the story is plain text");
    await computer.nothingStays();
  });
}

test("a terminal that is closed: nothing stays", { timeout: TEST_MS }, async () => {
  const terminal = computer.openTerminal([process.execPath, DEMO]);
  await terminal.shows(/BACKUP/);
  terminal.close();
  await computer.nothingStays();
});

// ---- Sabotage --------------------------------------------------------------

/** A board that serves answers, but not every echo: packets are lost where none may be. */
async function loseSomeEchoes(board: string): Promise<void> {
  const isDaemon = (command: string): boolean =>
    command.startsWith(process.execPath) &&
    command.includes(` run --config ${TEMPORARY}/`) &&
    command.includes(`/${board}/`);
  const daemon = (): string | undefined =>
    [...computer.processes()].find(([, command]) => isDaemon(command))?.[0];
  await computer.until(
    () => daemon() !== undefined,
    () => `no daemon of ${board} among\n${[...computer.processes().values()].join("\n")}`,
  );
  const rule = "type filter hook input priority 0; icmp type echo-request limit rate 20/second drop;";
  await computer.namespace.run(
    ["nsenter", `--target=${daemon()}`, "--net", "nft", "-f", "-"],
    {},
    `table ip sabotage {\nchain sabotage { ${rule} }\n}\n`,
  );
}
