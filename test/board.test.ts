import assert from "node:assert/strict";
import { test } from "node:test";
import { boardName } from "../src/board.js";

const rows = [
  { configured: "auto", tree: "raspberrypi,4-model-b\0brcm,bcm2711\0", name: "raspberrypi,4-model-b" },
  { configured: "auto", tree: undefined, name: "none" },
  { configured: "auto", tree: "", name: "none" },
  { configured: "virt", tree: "linux,dummy-virt\0", name: "virt" },
];

for (const { configured, tree, name } of rows) {
  test(`board ${configured} on ${tree?.split("\0")[0] || "a computer without a device tree"} is ${name}`, () => {
    const read = (): string => {
      if (tree === undefined) throw new Error("no such file");
      return tree;
    };
    assert.equal(boardName(configured, read), name);
  });
}
