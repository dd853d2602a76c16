/**
 * The token by which others may change something over HTTP: the first line of
 * a file, so that it is in no configuration that people send around.
 */
import { readText } from "./config/text-file.js";

/** The token, or a sentence about what was found instead. */
export function readToken(path: string): { readonly token: string } | { readonly problem: string } {
  const read = readText(path);
  const token = "text" in read ? read.text.replace(/\r?\n.*/s, "").trim() : "";
  if (token !== "") return { token };
  const found = "found" in read ? read.found : "nothing on its first line";
  return {
    problem: `status.token_file: ${path}: found ${found}, wanted a file whose first line is the token`,
  };
}
