/**
 * Makes an element like another one and leaves alone what is the same: the focus
 * stays where it is, lamps blink on in step, and a screen reader hears what is new.
 */

/** What whoever looks has opened stays open. */
const THEIRS = "open";

export function morph(old: Element, fresh: Element): void {
  morphAttributes(old, fresh);
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  for (const [i, node] of after.entries()) {
    const there = before[i];
    if (there === undefined) old.append(node);
    else if (!morphNode(there, node)) there.replaceWith(node);
  }
  for (const surplus of before.slice(after.length)) surplus.remove();
}

/** False: they are too different. */
function morphNode(old: ChildNode, fresh: ChildNode): boolean {
  if (old.nodeName !== fresh.nodeName) return false;
  if (!(old instanceof Element && fresh instanceof Element)) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return true;
  }
  // One attribute after the other, an animation would be wrong in between.
  if (old.nodeName === "animate" && !old.isEqualNode(fresh)) return false;
  morph(old, fresh);
  return true;
}

function morphAttributes(old: Element, fresh: Element): void {
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== THEIRS && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}
