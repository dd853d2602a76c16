/** The story of two boards and a client, of machines that run the bundle. */
import { join } from "node:path";
import { test } from "node:test";
import { CONTROL } from "../lab/boards.js";
import { Lab } from "../lab/lab.js";
import { becomeLabRoot } from "../lab/namespace.js";
import { Machine, type MachineOptions, makeDisc } from "./machine.js";
import { cableOf, type Name, NUMBERS, noCables, storyConfig, storyteller, tellStory } from "./story.js";

await becomeLabRoot();

test("two boards, a client and two presses: the plug is pulled in between, and nothing is lost", {
  timeout: 600_000,
  skip: noCables(),
}, async () => {
  await using lab = await Lab.open({ boards: [CONTROL] });
  const setups = { left: await setupOf(lab, "left"), right: await setupOf(lab, "right") };
  await tellStory(lab, storyteller(), async (name) => {
    const machine = await Machine.boot(setups[name]);
    await machine.start();
    return machine;
  });
});

async function setupOf(lab: Lab, name: Name): Promise<MachineOptions> {
  return {
    name,
    number: NUMBERS[name],
    cable: await cableOf(lab, name),
    disc: makeDisc(join(lab.directory, `${name}.img`)),
    config: storyConfig(name),
  };
}
