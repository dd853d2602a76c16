/**
 * Lines by label, in trees as kernels before and after 6.6 show them, and what
 * is said when there is no such line. That a real kernel's lines are driven is
 * tried in test/emulated.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Wire } from "../../src/board.js";
import { exportLine, numberOf } from "../../src/panel/gpio-line.js";

/** `cat label base ngpio` on each. */
const kernels = {
  "Pi 4, 6.12": ["pinctrl-bcm2711 512 58", "raspberrypi-exp-gpio 570 8"],
  "Pi 4, 5.10": ["pinctrl-bcm2711 0 58", "raspberrypi-exp-gpio 504 8"],
  "virt, 6.12": ["9030000.pl061 512 8"],
  "Pi 5": ["gpio-brcmstb@107d508500 512 32", "gpio-brcmstb@107d508500 544 4", "pinctrl-rp1 569 54"],
} as const;

function sysfs(t: TestContext, chips: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "carpio-gpio-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const chip of chips) {
    const [label = "", base = "", ngpio = ""] = chip.split(" ");
    const path = join(folder, `gpiochip${base}`);
    mkdirSync(path);
    for (const [file, text] of Object.entries({ label, base, ngpio }))
      writeFileSync(join(path, file), `${text}\n`);
  }
  mkdirSync(join(folder, "gpio512"));
  writeFileSync(join(folder, "export"), "");
  return folder;
}

function wire(chip: string, offset: number): Wire {
  return { chip, offset, activeLow: false, pin: undefined, ground: undefined };
}

const found: readonly { on: keyof typeof kernels; chip: string; line: number; number: number }[] = [
  { on: "Pi 4, 6.12", chip: "pinctrl-bcm2711", line: 17, number: 529 },
  { on: "Pi 4, 5.10", chip: "pinctrl-bcm2711", line: 17, number: 17 },
  { on: "Pi 4, 6.12", chip: "raspberrypi-exp-gpio", line: 2, number: 572 },
  { on: "virt, 6.12", chip: "9030000.pl061", line: 7, number: 519 },
  { on: "Pi 5", chip: "pinctrl-rp1", line: 17, number: 586 },
];
for (const { on, chip, line, number } of found) {
  test(`${on}: line ${line} of ${chip} is ${number}`, async (t) => {
    assert.equal(await numberOf(wire(chip, line), sysfs(t, kernels[on])), number);
  });
}

const missing: readonly { on: keyof typeof kernels; chip: string; line: number; says: string }[] = [
  {
    on: "Pi 4, 6.12",
    chip: "pinctrl-bcm2835",
    line: 17,
    says: "found no GPIO chip pinctrl-bcm2835, wanted one of those that are here: pinctrl-bcm2711, raspberrypi-exp-gpio",
  },
  {
    on: "Pi 4, 6.12",
    chip: "pinctrl-bcm2711",
    line: 58,
    says: "found line 58, wanted 0 to 57: pinctrl-bcm2711 has no more",
  },
  {
    on: "Pi 5",
    chip: "gpio-brcmstb@107d508500",
    line: 1,
    says: "found several GPIO chips gpio-brcmstb@107d508500, wanted one that can be told from the others",
  },
];
for (const { on, chip, line, says } of missing) {
  test(`${on}: ${says}`, async (t) => {
    const folder = sysfs(t, kernels[on]);
    await assert.rejects(exportLine(wire(chip, line), "board/x/board.toml:7", folder), {
      message: `board/x/board.toml:7: ${says}`,
    });
  });
}

test("a line that cannot be read is not opened", async (t) => {
  const folder = sysfs(t, kernels["virt, 6.12"]);
  for (const file of ["value", "direction"]) mkdirSync(join(folder, "gpio512", file));
  await assert.rejects(exportLine(wire("9030000.pl061", 0), "b.toml:7", folder), {
    message: "b.toml:7: found line 0 of 9030000.pl061 without a value (EISDIR), wanted one to read",
  });
});

test("a kernel without the old interface, or without any chip", async (t) => {
  await assert.rejects(exportLine(wire("a", 1), "b.toml:7", "/nowhere/gpio"), {
    message: "b.toml:7: found no /nowhere/gpio, wanted a kernel with CONFIG_GPIO_SYSFS",
  });
  await assert.rejects(exportLine(wire("a", 1), "b.toml:7", sysfs(t, [])), {
    message: "b.toml:7: found no GPIO chip a, wanted one of those that are here: none at all",
  });
});
