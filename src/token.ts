/**
 * The token by which others may change something over HTTP: the first line of
 * a file, so that it is in no configuration that people send around.
 */
import { readText } from "./config/text-file.js";

/** The token, or a sentence about what was found instead; `key` is what named the file. */
export function readToken(
  path: string,
  key = "status.token_file",
): { readonly token: string } | { readonly problem: string } {
  const read = readText(path);
  const token = "text" in read ? read.text.replace(/\r?\n.*/s, "").trim() : "";
  if (/^[\x20-\x7e]+$/.test(token)) return { token };
  const odd = token === "" ? "nothing on its first line" : "a character that HTTP cannot carry";
  const found = "found" in read ? read.found : odd;
  return {
    problem: `${key}: ${path}: found ${found}, wanted a file whose first line is the token`,
  };
}
