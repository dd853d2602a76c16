/**
 * A file's values against the schema, one by one: what is wrong with them, and
 * what can be relied on all the same, so that the rules still find their own.
 */
import * as v from "valibot";
import type { Address, Prefix } from "../wire/address.js";
import type { Fault } from "./problem.js";
import { type FileTable, fileTable, type GroupTable, type Happening, type HookTable } from "./schema.js";
import type { InterfaceSketch } from "./system-rules.js";
import type { Table } from "./toml.js";
import type { KeyPath } from "./toml-lines.js";
import { describe, describeSecret } from "./values.js";

/** What can be relied on while other values are wrong: those are `undefined` here. */
export type Sketch = Partial<Omit<FileTable, "carp" | "hook" | "maintenance" | "network" | "status">> & {
  readonly carp?: readonly (GroupSketch | undefined)[];
  readonly maintenance?: Partial<FileTable["maintenance"]>;
  readonly status?: StatusSketch;
  readonly hook?: readonly (HookSketch | undefined)[];
  readonly network?: { readonly interface?: readonly (InterfaceSketch | undefined)[] };
};

export type HookSketch = Partial<Omit<HookTable, "run" | "on">> & {
  readonly run?: readonly (string | undefined)[];
  readonly on?: readonly (Happening | undefined)[];
};

export type StatusSketch = Partial<Omit<FileTable["status"], "peers">> & {
  readonly peers?: readonly (string | undefined)[];
};

export type GroupSketch = Partial<Omit<GroupTable, "addresses" | "peers" | "compat">> & {
  readonly addresses?: readonly (Prefix | undefined)[];
  readonly peers?: readonly (Address | undefined)[];
  readonly compat?: Partial<GroupTable["compat"]>;
};

export interface Checked {
  /** `undefined` when any value is wrong. */
  readonly file: FileTable | undefined;
  readonly sketch: Sketch;
  readonly faults: readonly Fault[];
}

/** Their values are never shown, whatever is wrong with them: whoever knows a webhook's URL may use it. */
const SECRETS = ["password", "key", "url"];

export function checkValues(table: Table): Checked {
  const { value, sketch, faults } = checkTable(fileTable, table);
  return { file: value, sketch: sketch as Sketch, faults };
}

/** A table against any schema; `value` is `undefined` when anything in it is wrong. */
export function checkTable<T>(schema: v.GenericSchema<unknown, T>, table: Table) {
  const result = v.safeParse(schema, table, { abortPipeEarly: true });
  const issues = result.issues ?? [];
  return {
    value: result.success ? result.output : undefined,
    sketch: withoutBroken(result.output, issues),
    faults: issues.map(faultOf),
  };
}

/** The output of a schema keeps the input where it is wrong; this takes it out. */
function withoutBroken(output: unknown, issues: readonly v.BaseIssue<unknown>[]): unknown {
  for (const path of issues.map(pathOf)) {
    const parent = path.slice(0, -1).reduce<unknown>((at, part) => (at as Table | undefined)?.[part], output);
    if (parent) Object.assign(parent, { [path.at(-1) ?? ""]: undefined });
  }
  return output;
}

function faultOf(issue: v.BaseIssue<unknown>): Fault {
  const path = pathOf(issue);
  const isSecret = path.some((part) => SECRETS.includes(String(part)));
  const found = isSecret ? describeSecret(issue.input) : describe(issue.input);
  return { path, found, wanted: issue.message };
}

function pathOf(issue: v.BaseIssue<unknown>): KeyPath {
  return (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));
}
