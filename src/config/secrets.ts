/**
 * Where every group's key comes from: the configuration, or the file that it
 * names. No message shows a secret. How files are found and read is for the
 * caller.
 */
import { KEY_BYTES, keyOfPassphrase } from "../carp/digest.js";
import { passphraseFault } from "./notation.js";
import type { Fault } from "./problem.js";
import type { GroupSketch } from "./sketch.js";
import { systemReason } from "./text-file.js";
import { describe, describeSecret } from "./values.js";

/** The text of a `password_file`; throws when there is none. */
export type ReadSecret = (path: string) => string;

/** The key of every group, or why its file gives none. No password is the BSDs' empty key. */
export function readKeys(groups: readonly (GroupSketch | undefined)[], readSecret: ReadSecret) {
  const faults: Fault[] = [];
  const keys = groups.map((group, i) => {
    const inText = group?.key ?? group?.password;
    if (inText || group?.password_file === undefined) return inText ?? new Uint8Array(KEY_BYTES);

    const secret = readPasswordFile(group.password_file, readSecret);
    if ("key" in secret) return secret.key;
    faults.push({ path: ["carp", i, "password_file"], ...secret });
    return new Uint8Array(KEY_BYTES);
  });
  return { keys, faults };
}

function readPasswordFile(path: string, readSecret: ReadSecret) {
  let text: string;
  try {
    text = readSecret(path);
  } catch (error) {
    return {
      found: `${describe(path)}: ${systemReason(error)}`,
      wanted: "a file whose first line is the password",
    };
  }
  const [passphrase = ""] = text.replace(/^\ufeff/, "").split(/\r?\n/, 1);
  const wanted = passphraseFault(passphrase);
  if (wanted === undefined) return { key: keyOfPassphrase(passphrase) };
  return { found: `${describeSecret(passphrase)} in the first line of ${describe(path)}`, wanted };
}
