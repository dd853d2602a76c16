/**
 * The history as a picture: a bar for each group, from the oldest change that is
 * known until now. The changes themselves stand below it in words.
 */
import type { EventSnapshot, Snapshot } from "../status/snapshot.js";
import { type Html, html } from "./html.js";
import { moment, secondsBetween, span, type Zone } from "./moments.js";

/** One more bar helps nobody. */
const MOST_BARS = 12;
const WIDTH = 1000;
/** So that a role that was held for a moment can be seen. */
const LEAST = 4;

export function timeline({ events, at }: Snapshot, zone: Zone): Html | undefined {
  const oldest = events.at(-1);
  if (!oldest) return undefined;
  const lengthSeconds = Math.max(1, secondsBetween(oldest.at, at));
  const bars = [...new Set(events.map(groupOf))].toSorted().slice(0, MOST_BARS);
  return html`<div class="timeline">
    ${bars.map((group) => {
      const changes = events.filter((event) => groupOf(event) === group).toReversed();
      return html`<span>${group}</span>${bar(group, changes, at, lengthSeconds)}`;
    })}
    <span></span><p class="axis"><span>${moment(oldest.at, at, zone)}</span><span>now</span></p>
    <p class="key">${(["master", "backup", "init"] as const).map((role) => html`<span class="${role}">${role}</span> `)}</p>
  </div>`;
}

function bar(group: string, changes: readonly EventSnapshot[], now: string, lengthSeconds: number): Html {
  const [first] = changes;
  const placeOf = (at: string) =>
    WIDTH * (1 - Math.min(1, Math.max(0, secondsBetween(at, now) / lengthSeconds)));
  const starts = [
    { x: 0, role: first?.from ?? "init", at: now },
    ...changes.map((change) => ({ x: placeOf(change.at), role: change.to, at: change.at })),
  ];
  const pieces = starts.map(({ x, role }, i) => {
    const width = Math.max(LEAST, (starts[i + 1]?.x ?? WIDTH) - x);
    return html`<rect class="${role}" x="${Math.min(x, WIDTH - LEAST).toFixed(1)}" y="0" width="${width.toFixed(1)}" height="16"/>`;
  });
  const last = changes.at(-1);
  const says = last ? `, ${last.to} for ${span(secondsBetween(last.at, now))}` : "";
  return html`<svg viewBox="0 0 ${WIDTH} 16" preserveAspectRatio="none" role="img"
    aria-label="${group}: ${changes.length} changes of role${says}">${pieces}</svg>`;
}

function groupOf({ vhid, interface: name }: EventSnapshot): string {
  return `${vhid} on ${name}`;
}
