/**
 * Takes out of Node what no board speaks: the words, calendars and alphabetical
 * orders of some 800 languages and places, and the tables of old encodings. They
 * are a third of it, and a slot is read, checked and copied whole at every start.
 *
 * They lie in the program as one file of ICU's, which says in a table what is in
 * it, and where. Nothing moves: an entry leaves the table, and its bytes become
 * zeros, which pack into nothing. ICU itself then finds English, and for every
 * other language what it falls back to; Node of a build with `small-icu` is so.
 */

/** In front of every file of ICU's: the header's length, two bytes, and 8 bytes on what kind of file it is. */
const KIND = Buffer.from("CmnD");
const KIND_AT = 12;
const MARK = 0x27da;
const ENTRY_BYTES = 8;

/** What is no language's: characters, numbers, time zones, and lists of what there is. */
const kept = [
  /\.(icu|nrm|cfu|spp)$/,
  /^([a-z]+\/)?(root|en|en_US|en_US_POSIX|en_001|pool|res_index|tzdbNames)\.res$/,
  /^[a-z]+[A-Z][A-Za-z0-9]*\.res$/,
  /^(icuver|icustd|metadata|plurals|zoneinfo64)\.res$/,
  /^brkitr\/(char|word|sent|line|title)\.brk$/,
];

/** Changes a program in its place; gives how many entries went. */
export function dropLanguages(program) {
  const start = findData(program);
  const table = start + program.readUInt16LE(start);
  const count = program.readUInt32LE(table);
  const entryAt = (index) => table + 4 + index * ENTRY_BYTES;
  const entries = Array.from({ length: count }, (_, index) => ({
    nameAt: program.readUInt32LE(entryAt(index)),
    dataAt: program.readUInt32LE(entryAt(index) + 4),
  }));
  let left = 0;
  for (const [index, { nameAt, dataAt }] of entries.entries()) {
    const end = entries[index + 1]?.dataAt;
    // How long the last one is stands nowhere.
    if (end === undefined || isKept(textAt(program, table + nameAt))) {
      program.writeUInt32LE(nameAt, entryAt(left));
      program.writeUInt32LE(dataAt, entryAt(left) + 4);
      left++;
    } else program.fill(0, table + dataAt, table + end);
  }
  program.writeUInt32LE(left, table);
  return count - left;
}

function findData(program) {
  for (let at = program.indexOf(KIND); at >= 0; at = program.indexOf(KIND, at + 1)) {
    const start = at - KIND_AT;
    if (start >= 0 && program.readUInt16LE(start + 2) === MARK) return start;
  }
  throw new Error("Node: found no data of ICU in it, wanted what it knows of languages");
}

/** Names have the version before them: `icudt78l/coll/de.res`. */
function isKept(name) {
  const path = name.slice(name.indexOf("/") + 1);
  return kept.some((pattern) => pattern.test(path));
}

function textAt(program, at) {
  return program.toString("latin1", at, program.indexOf(0, at));
}
