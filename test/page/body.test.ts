import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../src/config.js";
import { pageBody } from "../../src/page/body.js";
import { left, standingBy } from "./boards.js";

const PLAIN: Readonly<Record<string, string>> = { "&quot;": '"', "&#34;": '"', "&amp;": "&", "&lt;": "<" };

test("a board without a group says what to write, and that is a configuration as it stands", () => {
  const { text } = pageBody({ ...left({}), carp: [] }, "utc");
  const shown = /<pre[^>]*>([^<]*)<\/pre>/.exec(text)?.[1] ?? "";
  const written = shown.replace(/&[^;]+;/g, (name) => PLAIN[name] ?? name);
  const parsed = parseConfig(written, {
    hostname: "left",
    readSecret: () => assert.fail("it names no file"),
  });
  assert.deepEqual(parsed.ok ? parsed.config.groups.map(({ vhid }) => vhid) : parsed.problems, [7]);
  assert.match(text, /Nothing is wrong so far/);
  assert.doesNotMatch(text, /All is well/);
});

test("one with a group does not, and all may be well with it", () => {
  const { text } = pageBody(left(standingBy), "utc");
  assert.doesNotMatch(text, /<pre/);
  assert.match(text, /All is well/);
});
