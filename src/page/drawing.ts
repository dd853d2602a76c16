/**
 * The front panel as a drawing whose lamps blink as the real ones do. SVG's own
 * animation does it, without a script and all in step.
 */
import type { Lamp, Lamps } from "../panel/lamp.js";
import { type Html, html } from "./html.js";

type Name = keyof Lamps;

const PLACES: readonly { readonly name: Name; readonly label: string; readonly x: number }[] = [
  { name: "role", label: "ROLE", x: 44 },
  { name: "maintenance", label: "MAINT", x: 100 },
  { name: "fault", label: "FAULT", x: 156 },
];
const BUTTON_X = 222;

/** For those who cannot see it the words stand beside it. */
export function drawPanel(name: string, lamps: Lamps, pressed: boolean): Html {
  return html`<svg class="panel" viewBox="0 0 380 132" aria-hidden="true" focusable="false">
    <rect class="case" x="1" y="1" width="378" height="130" rx="12"/>
    <rect class="plate" x="10" y="10" width="360" height="112" rx="7"/>
    ${[20, 360].map((x) => [20, 112].map((y) => html`<circle class="screw" cx="${x}" cy="${y}" r="2.6"/>`))}
    <text class="brand" x="32" y="32">carpio</text>
    <text class="nameplate" x="348" y="32" text-anchor="end">${name.slice(0, 24)}</text>
    ${PLACES.map((place) => drawLamp(place, lamps[place.name]))}
    <circle class="collar" cx="${BUTTON_X}" cy="74" r="19"/>
    <circle class="${pressed ? "cap pressed" : "cap"}" cx="${BUTTON_X}" cy="74" r="14"/>
    <text class="label" x="${BUTTON_X}" y="110" text-anchor="middle">HAND OVER</text>
    ${[272, 314].map(drawSocket)}
  </svg>`;
}

function drawLamp({ name, label, x }: (typeof PLACES)[number], lamp: Lamp | undefined): Html {
  return html`<g class="lamp ${name}${lamp ? "" : " none"}">
    <circle class="bezel" cx="${x}" cy="74" r="12"/>
    <circle class="lens" cx="${x}" cy="74" r="9"/>
    ${lamp && lamp.pattern !== "off" && light(lamp, x)}
    <text class="label" x="${x}" y="110" text-anchor="middle">${label}</text>
  </g>`;
}

/** A lamp that blinks has a still picture too, for who wants nothing to move. */
function light(lamp: Lamp, x: number): Html {
  const lit = html`<circle class="glow" cx="${x}" cy="74" r="21"/><circle class="lit" cx="${x}" cy="74" r="9"/>`;
  if (lamp.pattern !== "blink") return html`<g>${lit}</g>`;
  return html`<g class="blinks">${lit}${animation(lamp.stepsMs)}</g>
    <g class="still"><path class="lit" d="M${x} 65a9 9 0 0 0 0 18z"/></g>`;
}

function animation(stepsMs: readonly number[]): Html {
  const roundMs = stepsMs.reduce((sum, each) => sum + each, 0);
  const starts = stepsMs.map((_, i) => stepsMs.slice(0, i).reduce((sum, each) => sum + each, 0) / roundMs);
  return html`<animate attributeName="opacity" calcMode="discrete" repeatCount="indefinite"
    dur="${roundMs}ms" keyTimes="${starts.map((each) => each.toFixed(4)).join(";")}" values="${stepsMs
      .map((_, i) => (i % 2 === 0 ? 1 : 0))
      .join(";")}"/>`;
}

/** Where a network cable goes in. */
function drawSocket(x: number): Html {
  return html`<path class="socket" d="M${x} 58h32v30h-8v5h-16v-5h-8z"/>
    <path class="pins" d="M${x + 7} 60v7m4.5-7v7m4.5-7v7m4.5-7v7m4.5-7v7"/>`;
}
