/**
 * The story of two boards and a client, of the image as it is shipped: two
 * copies, a carpio.toml on each, and power.
 */
import { join } from "node:path";
import { test } from "node:test";
import { cableOf, type Name, NUMBERS, storyConfig, storyteller, tellStory } from "../emulated/story.js";
import { becomeLabRoot } from "../lab/namespace.js";
import { Appliance } from "./appliance.js";
import { copyCard, imageOf, putText } from "./card.js";
import { openNetwork } from "./network.js";

await becomeLabRoot();

test("two cards with a carpio.toml each: a handover, a power cut and a way back, and nothing is lost", {
  timeout: 900_000,
}, async () => {
  await using lab = await openNetwork(Object.values(NUMBERS));
  const tell = storyteller();
  const setupOf = async (name: Name) => {
    const card = copyCard(imageOf("virt"), join(lab.directory, `${name}.img`));
    putText(card, "carpio.toml", [`name = "${name}"`, ...storyConfig(name), ""].join("\n"));
    tell(name, "its card is written, and carpio.toml put on it");
    return { kind: "virt", card, number: NUMBERS[name], cable: await cableOf(lab, name) } as const;
  };
  const setups = { left: await setupOf("left"), right: await setupOf("right") };
  await tellStory(lab, tell, (name) => Appliance.powerOn(setups[name]));
});
