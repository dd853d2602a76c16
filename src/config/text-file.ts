/**
 * Files of text in UTF-8, or why one cannot be read, as people would say it.
 * What a file is for, and where it lies, its reader knows.
 */
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { getSystemErrorMap } from "node:util";

/** The text of a file, or what was found instead. */
export function readText(
  path: string,
): { readonly text: string } | { readonly line: number | undefined; readonly found: string } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return { line: undefined, found: systemReason(error) };
  }
  if (isUtf8(bytes)) return { text: bytes.toString("utf8") };
  const lines = bytes.toString("latin1").split("\n");
  const line = 1 + lines.findIndex((text) => !isUtf8(Buffer.from(text, "latin1")));
  return { line, found: "bytes that are not UTF-8" };
}

/** As the system puts it: `no such file or directory (ENOENT)`. */
export function systemReason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  const [name, reason] = getSystemErrorMap().get(errno ?? 0) ?? [];
  return name === undefined ? message : `${reason} (${name})`;
}
