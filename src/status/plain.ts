/**
 * Text that somebody else's server sent: control characters have no business in
 * it, and what is long is cut.
 */

export function plain(raw: string, mostCharacters: number): string {
  return raw.slice(0, mostCharacters).replace(/\p{C}/gu, "\ufffd");
}
