/** What describes an image, made of small ones: licences in SPDX's words, the bundle's packages, Imager's manifest, the card's own text. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

interface Licences {
  readonly expression: string;
  readonly comment: string;
  readonly references: readonly {
    readonly licenseId: string;
    readonly name: string;
    readonly extractedText: string;
  }[];
}
const scripts = join(import.meta.dirname, "../../../scripts/firmware");
const { declaredLicences } = (await import(pathToFileURL(join(scripts, "licences.mjs")).href)) as {
  readonly declaredLicences: (name: string, copyright: string) => Licences;
};
const { describeForImager, packagesIn, readAddress, readmeFor } = (await import(
  pathToFileURL(join(scripts, "papers.mjs")).href
)) as {
  readonly describeForImager: (paper: object) => readonly string[];
  readonly packagesIn: (bundle: string) => readonly object[];
  readonly readAddress: (text: string) => string;
  readonly readmeFor: (text: string, files: readonly string[]) => string;
};

const FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/";

const named: readonly { readonly says: readonly string[]; readonly is: string; readonly why: string }[] = [
  { says: ["GPL-2"], is: "GPL-2.0-only", why: "no plus, no later one" },
  { says: ["LGPL-2.1+"], is: "LGPL-2.1-or-later", why: "a plus is a later one" },
  { says: ["GPL-2.0"], is: "GPL-2.0-only", why: "some write the nought" },
  { says: ["gfdl-1.3+"], is: "GFDL-1.3-or-later", why: "some write small" },
  { says: ["Expat", "bsd-3-clause"], is: "BSD-3-Clause AND MIT", why: "two files, and both count" },
  { says: ["ISC", "ISC"], is: "ISC", why: "said again it is no other" },
  { says: ["Zlib or GPL-2+"], is: "(Zlib OR GPL-2.0-or-later)", why: "one may choose" },
  {
    says: ["ISC or MIT", "ISC and X11"],
    is: "(ISC OR MIT) AND ISC AND X11",
    why: "a choice stands in brackets",
  },
  { says: ["ISC or MIT, and X11"], is: "(ISC OR MIT) AND X11", why: "a comma ends what is chosen from" },
  {
    says: ["GPL-3+ with Bison exception"],
    is: "GPL-3.0-or-later WITH Bison-exception-2.2",
    why: "an exception that SPDX knows",
  },
  {
    says: ["GPL-2+ with Some exception"],
    is: "LicenseRef-libx1--GPL-2-or-later-with-Some-exception",
    why: "one that it does not know is a licence of its own",
  },
  { says: ["GPL"], is: "LicenseRef-libx1--GPL", why: "without a version nobody knows which" },
];
for (const { says, is, why } of named) {
  test(`a copyright file that names ${says.join(" and then ")}: ${why}`, () => {
    const fields = says.map((each) => `\nFiles: *\nLicense: ${each}\n`);
    assert.equal(declaredLicences("libx1+", `${FORMAT}\n${fields.join("")}`).expression, is);
  });
}

test("what SPDX has no id for keeps its texts, each once and as it was written", () => {
  const field = "License: public-domain\n Nobody's.\n .\n Take it.\n";
  const other = "License: public-domain\n Mine no more.\n";
  const { references } = declaredLicences("libx1", `${FORMAT}\n\n${field}\n${other}\n${field}`);
  assert.deepEqual(references, [
    {
      licenseId: "LicenseRef-libx1-public-domain",
      name: "public-domain",
      extractedText: "Nobody's.\n\nTake it.\n\nMine no more.",
    },
  ]);
});

test("a copyright file in prose counts as long as it has the words that somebody read", () => {
  const says = "The library itself is licensed as\nLGPLv2.1+, the build system is GPLv3+.\n";
  assert.equal(declaredLicences("libtasn1-6", says).expression, "LGPL-2.1-or-later");
  assert.throws(
    () => declaredLicences("libtasn1-6", says.replace("2.1", "3")),
    /libtasn1-6: found .* other words/,
  );
  assert.throws(() => declaredLicences("libx1", says), /libx1: found .* wanted the form that machines read/);
  assert.throws(() => declaredLicences("libx1", `${FORMAT}\n`), /libx1: found no licence/);
});

test("the packages of a bundle are those whose licences it ends with", () => {
  const line = "-".repeat(72);
  const texts = [
    "carpio itself:\n\nMIT",
    "@a/b 1.2.3, (MIT OR ISC):\n\nDo: as you like.",
    "c.d 4.0.0, MIT:\n\nDo.",
  ];
  assert.deepEqual(packagesIn(`/*!\n${texts.join(`\n\n${line}\n\n`)}\n*/`), [
    { name: "@a/b", version: "1.2.3", license: "(MIT OR ISC)" },
    { name: "c.d", version: "4.0.0", license: "MIT" },
  ]);
  assert.throws(() => packagesIn("carpio itself:\n\nMIT"), /found no package/);
});

test("Imager's manifest says of the files what they are, and where they are published", () => {
  const work = mkdtempSync(join(tmpdir(), "carpio-papers-"));
  try {
    writeFileSync(join(work, "a.img"), "the image");
    writeFileSync(join(work, "a.img.zst"), "packed");
    const device = { name: "A 4", description: "4B", tags: ["pi4-64bit"] };
    const layout = { title: "A board", devices: [device, { ...device, name: "A 400" }] };
    const address = readAddress("https://example.net/carpio");
    const paper = { board: "a", seconds: 86_400, work, image: "a.img", address };
    const made = describeForImager({ ...paper, layout });
    assert.deepEqual(made, ["carpio-a.imager.json", "carpio.svg"]);
    assert.match(readFileSync(join(work, "carpio.svg"), "utf8"), /^<svg /);
    const manifest: unknown = JSON.parse(readFileSync(join(work, "carpio-a.imager.json"), "utf8"));
    const entry = {
      name: "A board",
      description: "Shares addresses by CARP, with lamps and a button. Edit carpio.toml on the card.",
      icon: "https://example.net/carpio/carpio.svg",
      url: "https://example.net/carpio/a.img.zst",
      release_date: "1970-01-02",
      extract_size: 9,
      extract_sha256: sha256("the image"),
      image_download_size: 6,
      image_download_sha256: sha256("packed"),
      devices: ["pi4-64bit"],
      init_format: "none",
      architecture: "armv8",
    };
    assert.deepEqual(manifest, { imager: { devices: layout.devices }, os_list: [entry] });
    assert.deepEqual(describeForImager({ ...paper, layout: { title: "No Raspberry Pi" } }), []);
  } finally {
    rmSync(work, { recursive: true });
  }
});

for (const licences of [["LICENCE-linux.txt"], ["LICENCE-linux.txt", "LICENCE-raspi-firmware.txt"]]) {
  test(`a card with ${licences.join(" and ")} has a README.txt that names that, and nothing else`, () => {
    const text = readFileSync(join(scripts, "../../board/common/card-readme.txt"), "utf8");
    const readme = readmeFor(text, ["carpio.toml", ...licences]);
    assert.deepEqual(readme.match(/LICENCE-[\w-]+\.txt/g), licences);
    assert.equal(/Raspberry/.test(readme), licences.length > 1);
    // Nothing but whole lines goes.
    assert.match(readme, /the kernel's is in\nLICENCE-linux\.txt\.\n(The .*\n)?\nSources:[\s\S]+keeps\.\n$/);
  });
}

for (const text of ["example.net/carpio", "file:///tmp", "https://example.net/?folder=carpio", ""]) {
  test(`--url "${text}" is no folder that an image can be fetched from`, () => {
    assert.throws(() => readAddress(text), /--url: found .*, wanted the http or https address of a folder/);
  });
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
