/**
 * The story of two boards and a client, of the image as it is shipped: two
 * cards are written as README says, carpio.toml is edited on each, and they get power.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { cableOf, type Name, NUMBERS, storyConfig, storyteller, tellStory } from "../emulated/story.js";
import { becomeLabRoot } from "../lab/namespace.js";
import { Appliance } from "./appliance.js";
import { imageOf, putText } from "./card.js";
import { openNetwork } from "./network.js";

await becomeLabRoot();

/** What `scripts/flash` calls. */
const FLASH = join(import.meta.dirname, "../../scripts/flash.js");

test("two cards are flashed, and carpio.toml is edited on each: a handover, a power cut and a way back, and nothing is lost", {
  timeout: 900_000,
}, async () => {
  await using lab = await openNetwork(Object.values(NUMBERS));
  const tell = storyteller();
  const image = `${imageOf("virt")}.zst`;
  tell("both", `the image was built: ${image}`);
  const setupOf = async (name: Name) => {
    const card = join(lab.directory, `${name}.img`);
    for (const line of await flash(card, image)) tell(name, `scripts/flash: ${line}`);
    putText(card, "carpio.toml", [`name = "${name}"`, ...storyConfig(name), ""].join("\n"));
    tell(name, "carpio.toml is edited on the card");
    return { kind: "virt", card, number: NUMBERS[name], cable: await cableOf(lab, name) } as const;
  };
  const setups = { left: await setupOf("left"), right: await setupOf("right") };
  await tellStory(lab, tell, (name) => Appliance.powerOn(setups[name]));
});

/** Gives what it said, without its progress. */
async function flash(card: string, image: string): Promise<readonly string[]> {
  const command = [FLASH, card, image, "--yes"];
  const { stdout } = await promisify(execFile)(process.execPath, command);
  return stdout.split("\n").filter((line) => line !== "" && !/^(writes|reads back) \d+ %/.test(line));
}
