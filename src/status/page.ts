/**
 * `GET /`: for a browser the page, for everybody else the snapshot. The page is
 * one file that asks nobody but this board: its policy forbids it the rest.
 */
import { createHash } from "node:crypto";
import { carriedPage } from "../carried-page.js";
import { pageBody } from "../page/body.js";
import { type Html, html, trusted } from "../page/html.js";
import { moment } from "../page/moments.js";
import { type Answer, type Asked, json, jsonLine } from "./route.js";
import type { Snapshot } from "./snapshot.js";
import type { View } from "./view.js";

const style = trusted(carriedPage.style);
const script = trusted(carriedPage.script);

/**
 * No handler in an attribute, no address but this one, and nobody's frame, where a click may be meant for
 * something else. Made for the first who asks: cryptography takes long to load, and not every command needs it.
 */
const policy = once(() =>
  [
    "default-src 'none'",
    `style-src '${digest(style)}'`,
    `script-src '${digest(script)}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
);

export function page(view: Pick<View, "text">, { headers: asked }: Pick<Asked, "headers">): Answer {
  const answer = wantsPage(asked.accept)
    ? { status: 200, type: "text/html; charset=utf-8", body: view.text(renderPage), headers: guarded() }
    : json(view.text(jsonLine));
  return { ...answer, headers: { ...answer.headers, vary: "accept" } };
}

function guarded(): Answer["headers"] {
  return {
    "content-security-policy": policy(),
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
  };
}

/** Only who names HTML wants it: a browser does, and `*` is what programs say. */
export function wantsPage(accept = ""): boolean {
  const wishes = accept.split(",").map((wish) => {
    const [type = "", ...parameters] = wish.split(";").map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith("q="));
    return { type, q: q === undefined ? 1 : Number(q.slice(2)) || 0 };
  });
  const wished = (type: string) => wishes.find((wish) => wish.type === type)?.q;
  const page = wished("text/html") ?? wished("text/*") ?? 0;
  return page > 0 && page >= (wished("application/json") ?? 0);
}

export function renderPage(shown: Snapshot): string {
  const { name, at } = shown;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${name}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<p id="answering" role="status">As of ${moment(at, at, "utc")}. Without JavaScript this page stays as it is:
  <a href="/">look again</a>, and press the button on the case, or say <code>carpio maintenance on</code>.</p>
<main id="board">${pageBody(shown, "utc")}</main>
${dialog}
<script>${script}</script>
</body>
</html>
`.text;
}

/** Asked before something is done, and for a token where one is wanted. */
const dialog: Html = html`<dialog id="ask" aria-labelledby="ask-title" aria-describedby="ask-says">
  <form method="dialog">
    <h2 id="ask-title"></h2>
    <p id="ask-says"></p>
    <p id="ask-for"><label for="ask-seconds">Maintenance lasts</label>
      <select id="ask-seconds">
        <option value="">until I end it</option>
        <option value="900">15 minutes</option>
        <option value="3600">an hour</option>
        <option value="14400">4 hours</option>
        <option value="86400">a day</option>
      </select></p>
    <p id="ask-token" hidden><label for="ask-secret">Token of this board</label>
      <input id="ask-secret" type="password" autocomplete="off" spellcheck="false">
      <small>The first line of the file that status.token_file names.</small></p>
    <p id="ask-problem" role="alert"></p>
    <p class="buttons"><button type="submit" class="main" id="ask-yes"></button>
      <button type="button" id="ask-no">Cancel</button></p>
  </form>
</dialog>`;

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

function digest({ text }: Html): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
