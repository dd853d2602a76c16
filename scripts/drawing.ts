/** What the pictures in board/ have in common: paper, words, and the colours of the lamps. */
import type { LampName } from "../src/board.js";

export const colours: { readonly [L in LampName]: { readonly name: string; readonly fill: string } } = {
  role: { name: "green", fill: "#2fa84f" },
  maintenance: { name: "amber", fill: "#f5a300" },
  fault: { name: "red", fill: "#d93636" },
};

export interface Picture {
  readonly title: string;
  readonly width: number;
  readonly height: number;
  /** What `text`, `.title` and `.note` do not say. */
  readonly style: readonly string[];
  readonly parts: readonly string[];
}

/** On white, so that it can be read on a dark page as well. */
export function svg({ title, width, height, style, parts }: Picture): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${title}</title>
<style>
  text { font-family: system-ui, sans-serif; font-size: 14px; fill: #222; }
  .title { font-size: 20px; font-weight: bold; }
  .note { fill: #555; }
${style.map((rule) => `  ${rule}\n`).join("")}</style>
<rect width="${width}" height="${height}" fill="#fff"/>
${parts.join("\n")}
</svg>
`;
}

/** One line of it. `words` is SVG as well: an `&` or a `<` has to be written as such. */
export function text(x: number, y: number, words: string, kind?: string): string {
  return `<text x="${x}" y="${y}"${kind === undefined ? "" : ` class="${kind}"`}>${words}</text>`;
}
