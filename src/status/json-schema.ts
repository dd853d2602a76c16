/**
 * JSON Schemas that the compiler holds against a type: a field that the schema
 * lacks, has too many or takes for something else is an error where the schema
 * is written. What the fields are is for schema.ts.
 */

/** Describes a `T`, no more and no less. The property is for the compiler alone. */
export interface Schema<T> {
  readonly [keyword: string]: unknown;
  readonly describes?: (it: T) => T;
}

type Properties<T> = { readonly [K in keyof T]-?: Schema<Exclude<T[K], undefined>> };

export const text: Schema<string> = { type: "string" };
export const number: Schema<number> = { type: "number" };
export const count: Schema<number> = { type: "integer", minimum: 0 };
export const flag: Schema<boolean> = { type: "boolean" };
/** With its offset, such as 2026-11-22T08:00:00.000Z. */
export const moment: Schema<string> = { type: "string", format: "date-time" };

/** One of these words, each with its meaning. */
export function word<T extends string>(meanings: { readonly [W in T]: string }): Schema<T> {
  return { oneOf: Object.entries(meanings).map(([value, description]) => ({ const: value, description })) };
}

/** One word and no other. */
export function only<const T extends string>(value: T): Schema<T> {
  return { const: value };
}

export function list<T>(items: Schema<T>): Schema<readonly T[]> {
  return { type: "array", items };
}

export function orNull<T>(schema: Schema<T>): Schema<T | null> {
  return { anyOf: [schema, { type: "null" }] };
}

/** For a union of objects: one of its members. */
export function either<T extends readonly unknown[]>(
  ...members: { readonly [I in keyof T]: Schema<T[I]> }
): Schema<T[number]> {
  return { anyOf: members };
}

/** More keys may come with a later version, none of these will go; of a type's optional keys each may be missing. */
export function object<T extends object>(
  properties: Properties<T>,
  { optional = [] }: { readonly optional?: readonly OptionalKey<T>[] } = {},
): Schema<T> {
  const required = Object.keys(properties).filter((key) => !optional.some((each) => each === key));
  return { type: "object", properties, required };
}

type OptionalKey<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T];

export function described<T>(description: string, schema: Schema<T>): Schema<T> {
  return { ...schema, description };
}
