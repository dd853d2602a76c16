/**
 * JSON held against a schema by Ajv, which also refuses a schema with a keyword
 * that it does not know.
 */
import { Ajv2020 } from "ajv/dist/2020.js";

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** What does not fit, each with where it is; none if all does. */
export function complaints(schema: object, it: unknown): readonly string[] {
  const ajv = new Ajv2020({ strict: true, strictRequired: true, allErrors: true });
  ajv.addFormat("date-time", ISO);
  ajv.validate(schema, it);
  return (ajv.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
