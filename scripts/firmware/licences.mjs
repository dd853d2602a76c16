/**
 * What a package of Debian says of its licences, in SPDX's words: an expression
 * of all that its copyright file names. What SPDX has no id for becomes a
 * reference of that package, with the text that the file has for it.
 */

/** Ids of SPDX that copyright files name as they are, in whichever case. */
const spdxIds = [
  ...["Apache-2.0", "Beerware", "BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause", "BSL-1.0", "CC-BY-SA-4.0"],
  ...["FSFAP", "FSFULLR", "ISC", "MIT", "MPL-1.1", "SunPro", "Unicode-DFS-2016", "Unlicense", "X11", "Zlib"],
];
/** Names that Debian has for others. GNU's, which carry a version and perhaps a `+`, go by a rule. */
const debianNames = new Map([
  // Perl's, as base-files says, which has its text.
  ["artistic", "Artistic-1.0-Perl"],
  ["expat", "MIT"],
  ["wtfpl-2", "WTFPL"],
  ["gpl-2 with linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"],
  ["gpl-3+ with bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"],
]);

/** Copyright files in prose: their words on what is on the card. Other words are a new licence, or a new file to read. */
const prose = [
  {
    names: ["busybox-static"],
    says: "under the terms of the GNU General Public License as published by the Free Software Foundation; version 2 dated June, 1991.",
    licence: "GPL-2.0-only",
  },
  {
    names: ["libcrypt1"],
    says: "The overall license for libxcrypt is the GNU Lesser General Public License, version 2.1 (or, at your option, any later version)",
    licence: "LGPL-2.1-or-later",
  },
  {
    // gcc-14-base has the file for both; libgcc and libstdc++-v3 follow in its list.
    names: ["libgcc-s1", "libstdc++6"],
    says: "The following runtime libraries are licensed under the terms of the GNU General Public License (v3 or later) with version 3.1 of the GCC Runtime Library Exception",
    licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
  },
  {
    names: ["libgnutls30t64"],
    says: "the core library has been released under the GNU Lesser General Public License (LGPL) version 2.1 or later.",
    licence: "LGPL-2.1-or-later",
  },
  {
    names: ["libtasn1-6"],
    says: "The library itself is licensed as LGPLv2.1+",
    licence: "LGPL-2.1-or-later",
  },
];

/** The expression, a comment on it, and the references in it, of a package's copyright file. */
export function declaredLicences(name, copyright) {
  if (!/^Format(-Specification)?:/im.test(copyright)) return declaredInProse(name, copyright);
  const fields = [...copyright.matchAll(/^License:[ \t]*(\S.*)\n((?:[ \t].*\n)*)/gm)];
  const clauses = new Set();
  const references = new Map();
  for (const [, said, text] of fields) {
    for (const clause of clausesOf(said)) {
      const alternatives = clause.map((ids) => ids.map((each) => idOf(name, each)).join(" AND "));
      clauses.add(alternatives.length > 1 ? `(${alternatives.join(" OR ")})` : alternatives[0]);
      for (const each of clause.flat().filter((it) => !knownId(it)))
        addReference(references, idOf(name, each), each, plainText(text));
    }
  }
  if (clauses.size === 0) throw new Error(`${name}: found no licence in its copyright file, wanted one`);
  return {
    expression: [...clauses].toSorted().join(" AND "),
    comment: "All that the copyright file names, also for parts of its source that are not on the card.",
    references: [...references.values()].map(({ texts, ...reference }) => ({
      ...reference,
      extractedText: texts.join("\n\n") || "The copyright file names it, and has no text of it.",
    })),
  };
}

function declaredInProse(name, copyright) {
  const known = prose.find(({ names }) => names.includes(name));
  const words = copyright.replace(/\s+/g, " ");
  if (!known || !words.includes(known.says)) {
    const wanted = known ? `"${known.says}"` : "the form that machines read";
    throw new Error(
      `${name}: found a copyright file in other words, wanted ${wanted}: read it, and renew \`prose\``,
    );
  }
  const comment = `The copyright file says in prose: "${known.says}" Single parts of the source are under others.`;
  return { expression: known.licence, comment, references: [] };
}

/** `A or B, and C` is two clauses of alternatives; each of these is one licence or several at once. */
function clausesOf(said) {
  return said.split(/,\s*(?:and\s+)?/i).flatMap((part) => {
    const alternatives = part.trim().split(/\s+or\s+/i);
    const ids = alternatives.map((each) => each.split(/\s+and\s+/i));
    return ids.length > 1 ? [ids] : ids[0].map((each) => [[each]]);
  });
}

function idOf(name, said) {
  // SPDX lets a reference have letters, digits, dots and dashes.
  const word = said.replaceAll("+", "-or-later").replace(/[^A-Za-z0-9.]+/g, "-");
  return knownId(said) ?? `LicenseRef-${name.replace(/[^A-Za-z0-9.]+/g, "-")}-${word}`;
}

function knownId(said) {
  const [, family, version, plus] = /^(GPL|LGPL|GFDL)-(\d(?:\.\d)?)(\+?)$/i.exec(said) ?? [];
  if (family !== undefined) {
    const full = version.includes(".") ? version : `${version}.0`;
    return `${family.toUpperCase()}-${full}-${plus ? "or-later" : "only"}`;
  }
  const lower = said.toLowerCase();
  return debianNames.get(lower) ?? spdxIds.find((id) => id.toLowerCase() === lower);
}

/** One name may stand over different texts: public-domain has no other way. */
function addReference(references, licenseId, name, text) {
  const known = references.get(licenseId) ?? { licenseId, name, texts: [] };
  if (text !== "" && !known.texts.includes(text)) known.texts.push(text);
  references.set(licenseId, known);
}

/** Without the space that begins its lines, and the full stop on those that are empty. */
function plainText(lines) {
  return lines
    .replace(/^[ \t]/gm, "")
    .replace(/^\.$/gm, "")
    .trim();
}
