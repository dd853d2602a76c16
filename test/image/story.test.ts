/**
 * The story of two boards and a client, of the image as it is shipped: two
 * cards are written as README says, each with a carpio.toml, and get power.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { cableOf, type Name, NUMBERS, storyConfig, storyteller, tellStory } from "../emulated/story.js";
import { becomeLabRoot } from "../lab/namespace.js";
import { Appliance } from "./appliance.js";
import { imageOf } from "./card.js";
import { openNetwork } from "./network.js";

await becomeLabRoot();

/** What `scripts/flash` calls. */
const FLASH = join(import.meta.dirname, "../../scripts/flash.js");

test("two cards are flashed, with a carpio.toml each: a handover, a power cut and a way back, and nothing is lost", {
  timeout: 900_000,
}, async () => {
  await using lab = await openNetwork(Object.values(NUMBERS));
  const tell = storyteller();
  const image = `${imageOf("virt")}.zst`;
  tell("both", `the image was built: ${image}`);
  const setupOf = async (name: Name) => {
    const card = join(lab.directory, `${name}.img`);
    const config = join(lab.directory, `${name}.toml`);
    writeFileSync(config, [`name = "${name}"`, ...storyConfig(name), ""].join("\n"));
    tell(name, "carpio.toml is edited");
    for (const line of await flash(card, image, config)) tell(name, `scripts/flash: ${line}`);
    return { kind: "virt", card, number: NUMBERS[name], cable: await cableOf(lab, name) } as const;
  };
  const setups = { left: await setupOf("left"), right: await setupOf("right") };
  await tellStory(lab, tell, (name) => Appliance.powerOn(setups[name]));
});

/** Gives what it said, without its progress. */
async function flash(card: string, image: string, config: string): Promise<readonly string[]> {
  const command = [FLASH, card, image, "--config", config, "--yes"];
  const { stdout } = await promisify(execFile)(process.execPath, command);
  return stdout.split("\n").filter((line) => line !== "" && !/^(writes|reads back) \d+ %/.test(line));
}
