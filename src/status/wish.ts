/**
 * Bodies that ask something of the board: JSON objects with few keys, all of
 * them known.
 */

type Keys<K extends string> = { readonly [key in K]?: unknown };

/** An object with no keys but these, or a sentence. What is JSON and no object has none of them. */
export function readKeys<K extends string>(
  body: string,
  keys: readonly K[],
  example: string,
): Keys<K> | string {
  const wanted = `wanted JSON such as ${example}`;
  try {
    const given: Keys<string> = Object(JSON.parse(body));
    const stranger = Object.keys(given).find((key) => !keys.some((known) => known === key));
    if (stranger === undefined) return given;
    return `${stranger}: found a key that means nothing here, ${wanted}`;
  } catch {
    return `found no JSON, ${wanted}`;
  }
}

/** `undefined` stands for nothing that was said. */
export function readSeconds(found: unknown, most: number): number | undefined | string {
  if (found === undefined || found === null) return undefined;
  if (typeof found === "number" && Number.isInteger(found) && found >= 1 && found <= most) return found;
  return `forSeconds: found ${JSON.stringify(found)}, wanted a whole number from 1 to ${most}`;
}
