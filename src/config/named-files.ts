/**
 * Which other files a configuration names, and by which key. Where they lie and
 * what is in them is for whoever reads them, or takes them along.
 */
import { isPath } from "./notation.js";
import type { FileTable } from "./schema.js";
import type { KeyPath } from "./toml-lines.js";

/** Where it is named, as a `Problem` has it, and the name as it was written. */
export interface NamedFile {
  readonly line: number | undefined;
  readonly key: string;
  readonly name: string;
}

export function namedFiles({ board, carp, status, router }: FileTable) {
  const named = (path: KeyPath, name: string | undefined) => (name === undefined ? [] : [{ path, name }]);
  return [
    ...named(["board"], isPath(board) ? board : undefined),
    ...carp.flatMap((group, i) => named(["carp", i, "password_file"], group.password_file)),
    ...named(["status", "token_file"], status.token_file),
    ...named(["router", "nftables"], router.nftables),
  ];
}
