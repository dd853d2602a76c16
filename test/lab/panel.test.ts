/**
 * The panel of a running board: the simulated button is pressed as people press
 * a button, and the lamps in the status say what the label on the case says.
 * Real lines and a real button are in test/emulated.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Snapshot } from "../../src/status/snapshot.js";
import {
  ADVSKEWS,
  assertNothingLost,
  CONTROL,
  lossesDuring,
  ROLE_DEADLINE_MS,
  type Sides,
  startPanelBoard,
} from "./boards.js";
import { press, touch } from "./button.js";
import type { Child } from "./child.js";
import { DEADLINE_MS, FLOATING, servedBy, until } from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import type { Daemon } from "./peers.js";

await becomeLabRoot();

describe("a board with lamps and a button", { concurrency: 2, timeout: 240_000 }, () => {
  test("a press hands over, the lamps say when it is safe, and another press takes back", async () => {
    await using lab = await Lab.open({ boards: ["left", "right", CONTROL] });
    await startPanels(lab);
    const losses = await lossesDuring(lab, FLOATING, async () => {
      await press(lab.left);
      await until(lab.left, shows("safe"));
      await servedBy(lab, ["right"]);
      await until(lab.right, shows("master"));
      const { panel } = await until(lab.left, shows("safe"));
      assert.deepEqual(panel.lamps, {
        role: { pattern: "blink", stepsMs: [50, 1950] },
        maintenance: { pattern: "on" },
        fault: { pattern: "off" },
      });
      assert.equal(panel.button.presses, 1);

      await press(lab.left);
      await until(lab.left, shows("master"));
      await servedBy(lab, ["left"]);
    });
    assertNothingLost(losses);
  });

  test("nobody takes over: the lamps say so, until somebody does", async () => {
    await using lab = await Lab.open();
    const left = startPanelBoard(lab.left);
    await left.enters("master", ROLE_DEADLINE_MS);
    await press(lab.left);
    const { panel } = await until(lab.left, shows("no-taker"));
    assert.deepEqual(panel.lamps.fault, { pattern: "on" });
    startPanelBoard(lab.right, [{ advskew: ADVSKEWS.right }]);
    await until(lab.left, shows("safe"), ROLE_DEADLINE_MS);
  });

  test("held: the lamps change under the finger; when it lets go the board hands over and powers off", async () => {
    await using lab = await Lab.open({ boards: ["left", "right", CONTROL] });
    const { left } = await startPanels(lab);
    const losses = await lossesDuring(lab, FLOATING, async () => {
      const finger = await touch(lab.left);
      finger.write("press\n");
      await until(lab.left, shows("power-off"));
      await servedBy(lab, ["left"]);
      finger.end("release\n");
      const { status } = await left.child.ended;
      assert.equal(status, 0);
      await servedBy(lab, ["right"]);
    });
    assertNothingLost(losses);
    assert.equal(await lab.left.run(["cat", join(lab.left.directory, "off")]), "powered off\n");
  });

  test("stopped with nobody there to take over: the lamps ask for patience as long as it serves", async () => {
    await using lab = await Lab.open();
    const left = startPanelBoard(lab.left);
    await left.enters("master", ROLE_DEADLINE_MS);
    const faces = await watchFaces(lab.left);
    await left.child.kill("SIGTERM");
    await faces.waitForLine(/^handing-over$/, DEADLINE_MS);
    assert.equal((await left.child.ended).status, 0);
  });

  test("a fault lights the red lamp, and it goes out when all is well", async () => {
    await using lab = await Lab.open();
    const left = startPanelBoard(lab.left);
    await left.enters("master", ROLE_DEADLINE_MS);
    await lab.left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=8"]);
    const { panel } = await until(lab.left, shows("fault"));
    assert.deepEqual(panel.lamps.role, { pattern: "on" }, "it serves all the same");
    await lab.left.run(["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=0"]);
    await until(lab.left, shows("master"));
  });

  test("a button that is stuck is a fault and no press", async () => {
    await using lab = await Lab.open();
    const left = startPanelBoard(lab.left);
    await left.enters("master", ROLE_DEADLINE_MS);
    const finger = await touch(lab.left);
    finger.write("press\n");
    const { faults } = await until(lab.left, (it) => it.faults.length > 0, 60_000);
    assert.match(faults.join(), /button/);
    finger.end();
    await until(lab.left, ({ panel }) => !panel.button.pressed);
    await servedBy(lab, ["left"]);
    assert.equal(left.child.running, true);
  });
});

/** Prints each face as the board shows it: a process for each question may be too slow for one that is soon over. */
async function watchFaces(host: Host): Promise<Child> {
  const program = `fetch("http://127.0.0.1:8080/events").then(async ({ body }) => {
    let text = "";
    for await (const part of body) {
      text += Buffer.from(part);
      for (let end; (end = text.indexOf("\\n\\n")) >= 0; text = text.slice(end + 2)) {
        const data = text.slice(0, end).split("\\n").find((line) => line.startsWith("data: "));
        if (data) console.log(JSON.parse(data.slice(6)).panel.face);
      }
    }
  }).catch(() => {})`;
  const child = host.spawn([process.execPath, "-e", program]);
  await child.waitForLine(/^master$/, DEADLINE_MS);
  return child;
}

function shows(face: Snapshot["panel"]["face"]): (snapshot: Snapshot) => boolean {
  return ({ panel }) => panel.face === face;
}

async function startPanels(lab: Lab): Promise<Sides<Daemon>> {
  const left = startPanelBoard(lab.left);
  const right = startPanelBoard(lab.right, [{ advskew: ADVSKEWS.right }]);
  await until(lab.left, shows("master"), ROLE_DEADLINE_MS);
  await until(lab.right, shows("backup"), ROLE_DEADLINE_MS);
  return { left, right };
}
