/**
 * What describes an image: the list of all that is inside, in SPDX's JSON, and
 * what Raspberry Pi Imager wants to know of it.
 */

import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodes } from "../addons.mjs";
import { root } from "./inputs.mjs";

/** The packages of the card, each with where it is from, what it is known by and which licences it names. */
export function listInputs({ board, version, license, seconds, work, inputs }) {
  const debian = inputs.map(debianPackage).toSorted((a, b) => (a.name < b.name ? -1 : 1));
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
    relationships: [
      { spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: whole.SPDXID },
      ...parts.map(({ SPDXID }) => ({
        spdxElementId: whole.SPDXID,
        relationshipType: "CONTAINS",
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
  write(join(work, `carpio-${board}.spdx.json`), document);
}

function debianPackage({ name, version, source, archive, path, sha256, copyright }) {
  const licences = licencesOf(copyright);
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
    licenseDeclared: "NOASSERTION",
    licenseComments: licences.length > 0 ? `its copyright file names ${licences.join(", ")}` : undefined,
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

/** By the short names that Debian's copyright files have for licences. */
function licencesOf(copyright) {
  const names = [...readFileSync(copyright, "utf8").matchAll(/^License: *(\S.*)$/gm)];
  return [...new Set(names.map(([, said]) => said.trim()))].toSorted();
}

/** Node, and what is in the bundle: what carpio's own package needs when it runs. */
function npmPackages() {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const inside = Object.entries(lock)
    .filter(([path, each]) => path !== "" && !each.dev)
    .map(([path, { version, license, integrity }]) => ({
      name: path.replace(/^.*node_modules\//, ""),
      version,
      license,
      integrity: integrity?.replace(/^sha512-/, ""),
    }));
  const { headers, sha512 } = nodes.at(-1);
  const [name, version] = headers.split("@");
  const comment = "On the card without ICU's data for languages other than English.";
  const all = [{ name, version, license: "MIT", integrity: sha512, comment }, ...inside];
  return all.map((each) => ({
    name: each.name,
    SPDXID: `SPDXRef-npm-${each.name.replace(/[^A-Za-z0-9.-]/g, "-")}`,
    versionInfo: each.version,
    downloadLocation: "NOASSERTION",
    filesAnalyzed: false,
    checksums: [
      { algorithm: "SHA512", checksumValue: Buffer.from(each.integrity ?? "", "base64").toString("hex") },
    ],
    licenseConcluded: "NOASSERTION",
    licenseDeclared: each.license ?? "NOASSERTION",
    copyrightText: "NOASSERTION",
    ...(each.comment && { comment: each.comment }),
    externalRefs: [
      {
        referenceCategory: "PACKAGE-MANAGER",
        referenceType: "purl",
        referenceLocator: `pkg:npm/${each.name.replace("@", "%40")}@${each.version}`,
      },
    ],
  }));
}

/** An os_list for Imager's repository option. Whoever publishes the image puts the address before its name. */
export function describeForImager({ board, seconds, layout, work, image }) {
  const packed = `${image}.zst`;
  const entry = {
    name: layout.title,
    description: "Shares addresses by CARP, with lamps and a button. Edit carpio.toml on the card.",
    url: packed,
    release_date: timeOf(seconds).slice(0, 10),
    extract_size: statSync(join(work, image)).size,
    extract_sha256: digest(join(work, image)),
    image_download_size: statSync(join(work, packed)).size,
    image_download_sha256: digest(join(work, packed)),
    devices: layout.devices ?? [],
    init_format: "none",
  };
  write(join(work, `carpio-${board}.imager.json`), { os_list: [entry] });
}

function timeOf(seconds) {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

function digest(file) {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}

function write(file, content) {
  writeFileSync(file, `${JSON.stringify(content, undefined, 2)}\n`);
}
