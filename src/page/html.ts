/**
 * HTML as a template whose blanks are escaped. What the network said cannot
 * become markup: only this file makes an `Html`, and no JSON is one.
 */

/** What may stand in a blank. Of `null`, `undefined` and `false` nothing is written. */
export type Part = Html | string | number | null | undefined | false | readonly Part[];

/** Markup that is safe to write. A class, because that is what a value from outside cannot pretend to be. */
class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type { Html };

export function html(markup: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(markup.map((piece, i) => piece + written(parts[i])).join(""));
}

/** What stands between backticks is for a terminal. */
export function marked(text: string): Part {
  return text.split("`").map((piece, i) => (i % 2 === 0 ? piece : html`<code>${piece}</code>`));
}

/** For what came with the program, and from nowhere else. */
export function trusted(text: string): Html {
  return new Html(text);
}

function written(part: Part): string {
  if (part === null || part === undefined || part === false) return "";
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(written).join("");
  return escaped(String(part));
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
