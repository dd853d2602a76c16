/**
 * Values as text, for messages: what was found, and which values are allowed.
 * Which of them are secrets, its users know.
 */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (value instanceof Date) return "a date or time";
  return typeof value === "object" ? "a table" : String(value);
}

export function describeSecret(value: unknown): string {
  if (typeof value === "string") return value === "" ? "an empty text" : `${Buffer.byteLength(value)} bytes`;
  return typeof value === "object" || value === undefined ? describe(value) : `a ${typeof value}`;
}

export function alternatives(options: readonly string[]): string {
  const quoted = options.map((option) => `"${option}"`);
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}

/** Shortened, on one line, and without what a terminal would obey or what a URL keeps secret. */
function quote(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 59)}…` : text;
  const tame = JSON.stringify(short).replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return tame.replace(/\/\/[^/@]*@/, "//…@");
}
