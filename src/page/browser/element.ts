/**
 * An element that the server wrote, by its id.
 */
export function element<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`found no element ${id}`);
  return found as E;
}
