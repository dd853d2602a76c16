import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { carriedPage } from "../../src/carried-page.js";
import { page, renderPage, wantsPage } from "../../src/status/page.js";
import type { Snapshot } from "../../src/status/snapshot.js";
import { faces } from "../../src/status/vocabulary.js";
import { left, right, rightIsSilent, serving, standingBy } from "../page/boards.js";
import { snapshotOf } from "./board.js";

const wishes: { accept: string | undefined; wants: boolean; why: string }[] = [
  { accept: undefined, wants: false, why: "who says nothing is a program" },
  { accept: "*/*", wants: false, why: "curl" },
  { accept: "application/json", wants: false, why: "a program that says what it wants" },
  {
    accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    wants: true,
    why: "a browser",
  },
  { accept: "text/html", wants: true, why: "who wants nothing else" },
  { accept: "text/*", wants: true, why: "any text is the page" },
  { accept: "application/json, text/html;q=0.5", wants: false, why: "JSON is preferred" },
  { accept: "application/json;q=0.5, text/html", wants: true, why: "the page is preferred" },
  { accept: "text/html;q=0", wants: false, why: "refused by name" },
  { accept: "TEXT/HTML ; Q=0.9", wants: true, why: "in capitals" },
  { accept: "text/html;q=soon", wants: false, why: "a wish that cannot be read" },
];
for (const { accept, wants, why } of wishes) {
  test(`Accept: ${accept} is answered with ${wants ? "the page" : "JSON"}: ${why}`, () => {
    assert.equal(wantsPage(accept), wants);
    const shown = snapshotOf();
    const view = { text: (make: (snapshot: Snapshot) => string) => Buffer.from(make(shown)) };
    const { type, body, headers } = page(view, { headers: accept === undefined ? {} : { accept } });
    assert.match(type, wants ? /^text\/html/ : /^application\/json/);
    assert.equal(headers?.["vary"], "accept");
    if (!wants) assert.deepEqual(JSON.parse(String(body)), shown);
  });
}

test("its policy lets this style and this script run, and nothing else", () => {
  const view = { text: (make: (snapshot: Snapshot) => string) => Buffer.from(make(snapshotOf())) };
  const { headers, body } = page(view, { headers: { accept: "text/html" } });
  const policy = headers?.["content-security-policy"] ?? "";
  assert.match(policy, /^default-src 'none'; .*frame-ancestors 'none'$/);
  assert.doesNotMatch(policy, /unsafe/);
  for (const name of ["style", "script"] as const) {
    const [, text = ""] = new RegExp(`<${name}>([\\s\\S]*?)</${name}>`).exec(String(body)) ?? [];
    assert.ok(text.length > 1000, `the page carries no ${name}`);
    const digest = createHash("sha256").update(text).digest("base64");
    assert.ok(policy.includes(`${name}-src 'sha256-${digest}'`), `${name} is not the one that is allowed`);
  }
});

test("it asks nobody but the board, and has no handlers or styles in attributes", () => {
  const text = renderPage(left(serving, { peers: [right()] }));
  assert.doesNotMatch(markupOf(text), /\s(on\w+|style)=/);
  const addresses = [...markupOf(text).matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address);
  assert.deepEqual(addresses, ["data:,", "/", "http://192.0.2.3:8080", "/status", "/metrics"]);
  assert.doesNotMatch(carriedPage.style, /url\(|@import/);
});

const EVIL = `<script>alert("1")</script>'&`;
const evils: { where: string; shown: Snapshot }[] = [
  { where: "the name of this board", shown: left(serving, { name: EVIL }) },
  { where: "the name of a peer", shown: left(serving, { peers: [right({ name: EVIL })] }) },
  {
    where: "the URL of a peer",
    shown: left(serving, { peers: [right({ name: null, url: `javascript:${EVIL}` })] }),
  },
  { where: "a peer's fault", shown: left(serving, { peers: [right({ faults: [EVIL] })] }) },
  { where: "a peer's problem", shown: left(serving, { peers: [{ ...rightIsSilent, problem: EVIL }] }) },
  { where: "a reason", shown: left({ ...serving, why: EVIL }) },
  { where: "a fault", shown: left(serving, { faults: [EVIL] }) },
  {
    where: "a check",
    shown: left(serving, {
      diagnosis: {
        broken: null,
        checks: [{ check: "digest", subject: EVIL, state: "broken", says: `\`${EVIL}\``, advice: EVIL }],
      },
    }),
  },
  {
    where: "a lamp of a peer",
    shown: left(serving, {
      peers: [right({ lamps: { role: { pattern: "blink", stepsMs: [EVIL] as never } } })],
    }),
  },
  {
    where: "a thing that pretends to be markup",
    shown: left(serving, { name: { text: EVIL, toString: () => EVIL, slice: () => EVIL } as never }),
  },
];
describe("what the network says is text", () => {
  for (const { where, shown } of evils) {
    test(where, () => {
      const markup = markupOf(renderPage(shown));
      assert.doesNotMatch(markup, /<script|alert\("/);
      assert.doesNotMatch(markup, /href="javascript/);
    });
  }
});

for (const face of Object.keys(faces) as (keyof typeof faces)[]) {
  test(`a board whose face is ${face}`, () => {
    const panel = { face, lamps: {}, button: { pressed: false, held: false, presses: 0 } };
    const text = renderPage(left(standingBy, { panel }));
    assert.match(text, /<h1 id="says">left stands by/);
    assertWhole(text);
  });
}

test("what is wrong with the other board stands beside its name", () => {
  const faults = ["maintenance will be forgotten at a restart: EROFS"];
  const text = markupOf(renderPage(left(serving, { peers: [right({ faults })] })));
  assert.match(text, />right<\/a><\/h3>.*<li>maintenance will be forgotten at a restart: EROFS<\/li>/s);
  assert.match(text, /All is well/, "with this board");
});

test("hundreds of groups each have their row, in time", () => {
  const groups = Array.from({ length: 510 }, (_, i) => ({ ...serving, vhid: (i % 255) + 1 }));
  const from = performance.now();
  const text = renderPage(snapshotOf(groups));
  assert.ok(performance.now() - from < 2_000);
  assert.equal(markupOf(text).match(/<tr role="row">/g)?.length, 511);
  assert.match(text, /left serves 1020 addresses/);
  assertWhole(text);
});

test("without JavaScript it is whole: what is so, when, and what to do instead of the button", () => {
  const text = markupOf(renderPage(left(standingBy, { at: "2026-11-22T08:13:32.400Z" })));
  assert.match(text, /As of 08:13:32 UTC\. Without JavaScript/);
  assert.match(text, /<code>192\.0\.2\.1\/24<\/code>/);
  assert.match(text, /handed over/);
});

test("counters that are not zero are explained, and no others", () => {
  const text = renderPage(snapshotOf([{}], { dropped: { badvhid: 3 }, prefilter: null }));
  assert.match(text, /<b>3<\/b> <span>advertisements were of a group that is not ours/);
  assert.doesNotMatch(markupOf(text), /came through a router/);
});

test("it is small", () => {
  const bytes = Buffer.byteLength(renderPage(left(serving, { peers: [right()] })));
  assert.ok(bytes < 50_000, `${bytes} bytes`);
});

/** All but the style and the script that are ours. */
function markupOf(text: string): string {
  const { style, script } = carriedPage;
  return text.replace(`<style>${style}</style>`, () => "").replace(`<script>${script}</script>`, () => "");
}

/** Every element that is opened is closed. */
function assertWhole(text: string): void {
  const open: string[] = [];
  for (const [, end, name = "", self] of markupOf(text).matchAll(/<(\/?)([a-z]\w*)[^>]*?(\/?)>/g)) {
    if (["meta", "link", "input"].includes(name) || self) continue;
    if (!end) open.push(name);
    else assert.equal(open.pop(), name);
  }
  assert.deepEqual(open, []);
}
