/**
 * Lines of keys, beside a reader that knows the values: whatever the text,
 * both must see the same keys.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parse } from "smol-toml";
import { findLines, formatKey, type KeyPath } from "../src/config/toml-lines.js";

const text = `# a comment with [brackets] and a = sign
top = 1
"quoted key" = 'it is "quoted"'
fruit.apple . color = "#not a comment" # a comment
date = 1979-05-27 07:32:00

[[carp]] # the first
vhid = 7
addresses = [ "a", # ]
  "b", 'c',
  # "d"
  """
e ] = """, ["f",
"g"]
]
[carp.compat]
order = "sorted"
[[ carp ]]
"v\\u0068id" = 8
compat = { order = "x", link = { local = [
  1,
  2,
] } }
[[carp.more]]
a = '''
[not.a.table]
b = 1'''''
[[carp.more]]
a = """\\"""" # three quotes, the first escaped
[status]
listen = "x"
inline = { a = 1 }
quotes = ["""x""""", '''x''''',
  2]
`;

const lines: readonly (readonly [line: number | undefined, ...path: KeyPath])[] = [
  [2, "top"],
  [3, "quoted key"],
  [4, "fruit"],
  [4, "fruit", "apple", "color"],
  [5, "date"],
  [7, "carp"],
  [7, "carp", 0],
  [7, "carp", 0, "missing"],
  [8, "carp", 0, "vhid"],
  [9, "carp", 0, "addresses", 0],
  [10, "carp", 0, "addresses", 1],
  [10, "carp", 0, "addresses", 2],
  [12, "carp", 0, "addresses", 3],
  [13, "carp", 0, "addresses", 4],
  [14, "carp", 0, "addresses", 4, 1],
  [16, "carp", 0, "compat"],
  [16, "carp", 0, "compat", "missing"],
  [17, "carp", 0, "compat", "order"],
  [18, "carp", 1],
  [19, "carp", 1, "vhid"],
  [20, "carp", 1, "compat", "order"],
  [20, "carp", 1, "compat", "link", "local"],
  [21, "carp", 1, "compat", "link", "local", 0],
  [22, "carp", 1, "compat", "link", "local", 1],
  [24, "carp", 1, "more", 0],
  [25, "carp", 1, "more", 0, "a"],
  [28, "carp", 1, "more", 1],
  [29, "carp", 1, "more", 1, "a"],
  [30, "status"],
  [31, "status", "listen"],
  [32, "status", "inline", "a"],
  [33, "status", "quotes", 0],
  [33, "status", "quotes", 1],
  [34, "status", "quotes", 2],
  [undefined, "missing"],
];

for (const ending of ["\n", "\r\n"]) {
  for (const [line, ...path] of lines) {
    test(`${formatKey(path)} stands on line ${line}, with lines that end in ${JSON.stringify(ending)}`, () => {
      assert.equal(findLines(text.replaceAll("\n", ending))(path), line);
    });
  }
}

/** Every key, table and list element of what a reader made of a text. */
function pathsOf(value: unknown, path: KeyPath = []): KeyPath[] {
  if (typeof value !== "object" || value === null || value instanceof Date) return [path];
  const inner = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...inner.flatMap(([key, item]) => pathsOf(item, [...path, key]))];
}

test("the text above is TOML, and few of its keys were not looked for", () => {
  const known = new Set(lines.map(([, ...path]) => formatKey(path)));
  const others = pathsOf(parse(text))
    .map(formatKey)
    .filter((key) => !known.has(key));
  assert.deepEqual(
    new Set(others),
    new Set([
      "",
      "fruit.apple",
      "carp[0].addresses",
      "carp[0].addresses[4][0]",
      "carp[1].compat",
      "carp[1].compat.link",
      "carp[1].more",
      "status.inline",
      "status.quotes",
    ]),
  );
});

/** Statements of one line each and with keys of their own, so that each key tells its line. */
const value: fc.Arbitrary<(key: string) => string> = fc.constantFrom(
  () => "1",
  () => '"]}#="',
  () => "'\"'",
  () => "1979-05-27 07:32:00",
  () => '["a", \'b]\', "c"]',
  (key: string) => `{ ${key}x = 1 }`,
  (key: string) => `{ ${key}x = 1, ${key}y.z = [1, { ${key}w = "}" }] }`,
  () => '"""x"""""',
  () => "'''y''''",
);
const statement = fc.oneof(
  { weight: 4, arbitrary: value.map((write) => (key: string) => `  ${key} = ${write(key)} # ${key} = "`) },
  value.map((write) => (key: string) => `"${key}".sub = ${write(key)}`),
  fc.constantFrom(
    (key: string) => `[${key}]`,
    (key: string) => `[ ${key} . "deep" ]`,
    () => "[[list]]",
    (key: string) => `[list.${key}]`,
    (key: string) => `[[list.${key}]]`,
    () => "# comment [x]",
    () => "",
    (key: string) => `${key} = [ # [\n"a",\n\n{ ${key}n = 2 } ]`,
    (key: string) => `${key} = """\nx = 1\n\\""""`,
  ),
);

test("each key is found, on the line where its name is", () => {
  fc.assert(
    fc.property(
      fc.array(statement, { maxLength: 20 }),
      fc.constantFrom("\n", "\r\n"),
      (statements, ending) => {
        const made = ["[[list]]", ...statements.map((write, i) => write(`k${i}_`))]
          .join("\n")
          .replaceAll("\n", ending);
        const lineOf = findLines(made);
        for (const path of pathsOf(parse(made))) {
          const name = path.findLast((part) => typeof part === "string");
          if (name === undefined || !/^k\d+_[xywn]?$/.test(name)) continue;
          const line = lineOf(path) ?? 0;
          const near = made
            .split(ending)
            .slice(Math.max(0, line - (typeof path.at(-1) === "number" ? 4 : 1)), line);
          assert.ok(
            near.some((row) => row.includes(name)),
            `${formatKey(path)} on line ${line} of\n${made}`,
          );
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("no text keeps it from coming to an end", () => {
  const unit = fc.constantFrom(..."[]{}=.,#\"'\\\n\r ab1", '"""', "'''", "[[", "]]");
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 40 }), (any) => void findLines(any)(["a", 0, "b"])),
    { numRuns: 5000 },
  );
});

test("a huge text is no burden", () => {
  const deep = Array.from({ length: 200_000 }, () => "a");
  assert.equal(findLines(`\n${deep.join(".")} = 1`)(deep), 2);
  assert.equal(findLines("[[a]]\n".repeat(100_000))(["a", 99_999]), 100_000);
});

test("lists in lists in lists are no burden", () => {
  const depth = 900;
  const lineOf = findLines(`a = ${"[\n".repeat(depth)}${"]".repeat(depth)}`);
  assert.equal(lineOf(["a", ...Array.from({ length: depth - 1 }, () => 0)]), depth);
});
