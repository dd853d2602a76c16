/**
 * What describes an image: the list of all that is inside, in SPDX's JSON, what
 * Raspberry Pi Imager wants to know of it, and the card's README.txt.
 */

import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleFile, nodes } from "../addons.mjs";
import { digestOf, root } from "./inputs.mjs";
import { declaredLicences } from "./licences.mjs";

/** The picture that stands beside the image's name in Raspberry Pi Imager. */
const icon = "carpio.svg";

/**
 * The packages of the card, each with where it is from, what it is known by and
 * which licences it names. Gives the names of the files that it leaves.
 */
export function listInputs({ board, version, license, seconds, work, inputs }) {
  const known = inputs.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(withLicences);
  const debian = known.map(debianPackage);
  const packages = [
    {
      name: `carpio-${board}`,
      SPDXID: `SPDXRef-carpio-${board}`,
      versionInfo: version,
      downloadLocation: "NOASSERTION",
      filesAnalyzed: false,
      licenseConcluded: "NOASSERTION",
      licenseDeclared: license,
      copyrightText: "NOASSERTION",
    },
    ...debian,
    ...npmPackages(),
  ];
  const [whole, ...parts] = packages;
  const document = {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: `carpio-${board}-${version}`,
    // A name that no two documents share: of what is inside.
    documentNamespace: `urn:carpio:${board}:${createHash("sha256").update(JSON.stringify(packages)).digest("hex")}`,
    creationInfo: { created: timeOf(seconds), creators: ["Tool: carpio scripts/image"] },
    packages,
    hasExtractedLicensingInfos: known.flatMap(({ licences }) => licences.references),
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: whole.SPDXID },
      ...parts.map(({ SPDXID }) => ({
        spdxElementId: whole.SPDXID,
        relationshipType: "CONTAINS",
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
  return [write(work, `carpio-${board}.spdx.json`, document)];
}

function withLicences(input) {
  return { ...input, licences: declaredLicences(input.name, readFileSync(input.copyright, "utf8")) };
}

function debianPackage({ name, version, source, archive, path, sha256, licences }) {
  return {
    name,
    SPDXID: `SPDXRef-deb-${name.replace(/[^A-Za-z0-9.-]/g, "-")}`,
    versionInfo: version,
    supplier: "Organization: Debian",
    sourceInfo: `built from the source package ${source}; ${path} of the archive ${archive}`,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
    licenseConcluded: "NOASSERTION",
    licenseDeclared: licences.expression,
    licenseComments: licences.comment,
    copyrightText: "NOASSERTION",
    externalRefs: [
      {
        referenceCategory: "PACKAGE-MANAGER",
        referenceType: "purl",
        referenceLocator: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}`,
      },
    ],
  };
}

/** Node, and what is in the bundle. */
function npmPackages() {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const bundled = packagesIn(readFileSync(join(root, bundleFile("guest")), "utf8"));
  const inside = bundled.map((each) => ({ ...each, integrity: lock[`node_modules/${each.name}`].integrity }));
  const { headers, sha512 } = nodes.at(-1);
  const [name, version] = headers.split("@");
  const node = {
    name,
    version,
    license: "MIT",
    licenseComments:
      "Node's own. The libraries in it have theirs in the same file, usr/share/doc/node/copyright.",
    integrity: `sha512-${sha512}`,
    comment: "On the card without ICU's data for languages other than English.",
  };
  const all = [node, ...inside];
  return all.map((each) => ({
    name: each.name,
    SPDXID: `SPDXRef-npm-${each.name.replace(/[^A-Za-z0-9.-]/g, "-")}`,
    versionInfo: each.version,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    checksums: [{ algorithm: "SHA512", checksumValue: hexOf(each.integrity) }],
    licenseConcluded: "NOASSERTION",
    licenseDeclared: each.license,
    licenseComments: each.licenseComments,
    copyrightText: "NOASSERTION",
    comment: each.comment,
    externalRefs: [
      {
        referenceCategory: "PACKAGE-MANAGER",
        referenceType: "purl",
        referenceLocator: `pkg:npm/${each.name.replace("@", "%40")}@${each.version}`,
      },
    ],
  }));
}

/** The packages of a bundle, as the licences at its end are headed: rollup.config.js writes one for each. */
export function packagesIn(bundle) {
  const headings = [...bundle.matchAll(/^-{72}\n\n(\S+) (\S+), (.+):$/gm)];
  if (headings.length === 0) throw new Error("the bundle: found no package with its licence, wanted some");
  return headings.map(([, name, version, license]) => ({ name, version, license }));
}

/** As package-lock.json has it. */
function hexOf(integrity) {
  return Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
}

/** Where an image is published: what comes before the names of its files. */
export function readAddress(text) {
  const address = URL.canParse(text) ? new URL(text) : undefined;
  if (!/^https?:$/.test(address?.protocol) || address.search !== "" || address.hash !== "")
    throw new Error(`--url: found ${text}, wanted the http or https address of a folder`);
  return text.endsWith("/") ? text : `${text}/`;
}

/**
 * A repository of Imager's: the boards to choose from, without which it goes no
 * further, and one image for them. Nothing where there are no such boards; and
 * without an address bare names, for whoever puts one before them.
 */
export function describeForImager({ board, seconds, layout, work, image, address }) {
  if (!layout.devices) return [];
  copyFileSync(join(root, "board/common/icon.svg"), join(work, icon));
  const packed = `${image}.zst`;
  const entry = {
    name: layout.title,
    description: "Shares addresses by CARP, with lamps and a button. Edit carpio.toml on the card.",
    icon: `${address}${icon}`,
    url: `${address}${packed}`,
    release_date: timeOf(seconds).slice(0, 10),
    extract_size: statSync(join(work, image)).size,
    extract_sha256: digestOf(join(work, image)),
    image_download_size: statSync(join(work, packed)).size,
    image_download_sha256: digestOf(join(work, packed)),
    devices: [...new Set(layout.devices.flatMap(({ tags }) => tags))],
    init_format: "none",
    architecture: "armv8",
  };
  const repository = { imager: { devices: layout.devices }, os_list: [entry] };
  return [write(work, `carpio-${board}.imager.json`, repository), icon];
}

/** README.txt, of the text for every card: a line that names a licence's file is for the cards that have it. */
export function readmeFor(text, files) {
  const isForUs = (line) => [...line.matchAll(/LICENCE-\S+\.txt/g)].every(([name]) => files.includes(name));
  return text.split("\n").filter(isForUs).join("\n");
}

function timeOf(seconds) {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

function write(work, name, content) {
  writeFileSync(join(work, name), `${JSON.stringify(content, undefined, 2)}\n`);
  return name;
}
