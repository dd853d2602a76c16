/**
 * Everything on the page that a snapshot says: the server writes it for who
 * comes, and the script in the page writes it again for each snapshot after.
 */
import type { GroupSnapshot, PeerSnapshot, Snapshot } from "../status/snapshot.js";
import { drawPanel } from "./drawing.js";
import { handoverSentence, headline, nameAt, nameOf, plugOf } from "./headline.js";
import { type Html, html, marked } from "./html.js";
import { moment, secondsBetween, span, type Zone } from "./moments.js";
import { timeline } from "./timeline.js";
import { type Counter, counted, counterWords, faceWords, lampWords, programOf, roleWords } from "./words.js";

type Check = Snapshot["diagnosis"]["checks"][number];

/** More changes than this are folded away. */
const LATEST = 8;
const FIRST_GROUP = `[[carp]]
vhid = 7                        # which group: 1 to 255
interface = "eth0"
password = "change me"
addresses = ["192.0.2.1/24"]    # what the boards share
advskew = 0                     # 0 on the board that is preferred, 100 on the other one`;
const LAMPS = ["role", "maintenance", "fault"] as const;

export function pageBody(shown: Snapshot, zone: Zone): Html {
  return html`${front(shown, zone)}
  ${troubles(shown)}
  ${toWrite(shown)}
  ${boards(shown)}
  ${groups(shown, zone)}
  ${history(shown, zone)}
  ${packets(shown)}
  <footer><p>${programOf(shown)}, up for ${span(shown.uptimeSeconds)}.
    The same for programs: <a href="/status">/status</a>, <a href="/metrics">/metrics</a>.</p></footer>`;
}

function front(shown: Snapshot, zone: Zone): Html {
  const { name, maintenance, panel, identify, at } = shown;
  const { plug, says } = plugOf(shown);
  const [first, ...others] = headline(shown);
  const handover = handoverSentence(shown);
  const until =
    maintenance.until === null ? "until it is ended" : `until ${moment(maintenance.until, at, zone)}`;
  const begin = shown.role === "backup" ? "Begin maintenance …" : "Hand over …";
  return html`<section class="front" aria-labelledby="says">
    <div>
      <div aria-live="polite" aria-atomic="true">
        <h1 id="says">${first} ${others.map((sentence) => html`<span>${sentence}</span> `)}</h1>
        <p class="plug ${plug}">${says}</p>
        ${handover !== undefined && html`<p class="handover">${handover}</p>`}
      </div>
      ${maintenance.on && html`<p class="quiet">Maintenance since ${moment(maintenance.since ?? at, at, zone)}, ${until}.</p>`}
      ${reasons(shown)}
      <div class="controls">
        <button type="button" class="main" data-does="${maintenance.on ? "end" : "begin"}">${maintenance.on ? "End maintenance" : begin}</button>
        <button type="button" data-does="identify">${identify.until === null ? "Blink to find it" : "Blink on"}</button>
      </div>
    </div>
    <figure>
      ${drawPanel(name, panel.lamps, panel.button.pressed)}
      <figcaption>${captions(shown)}</figcaption>
    </figure>
  </section>`;
}

function captions({ panel }: Snapshot): Html {
  const wired = LAMPS.filter((lamp) => panel.lamps[lamp]);
  const words = wired.map(
    (lamp) => html`<li class="${lamp}"><b>${lamp}</b> ${lampWords(panel.lamps[lamp])}</li>`,
  );
  const means = `${faceWords[panel.face].means}.`;
  return html`${
    words.length > 0
      ? html`<ul class="lamps">${words}</ul><p>The lamps mean: <b>${means}</b></p>`
      : html`<p>This board has no lamps. They would say: <b>${means}</b></p>`
  }`;
}

function reasons({ demotion, maintenance }: Snapshot): Html | undefined {
  const others = demotion.reasons.filter((reason) => !(maintenance.on && reason === "maintenance"));
  if (others.length === 0) return undefined;
  return html`<p class="quiet">Less eager to serve (advskew ${demotion.advskew}): ${others.join(", ")}.</p>`;
}

/** For a board that nobody has told anything yet. */
function toWrite({ carp, diagnosis }: Snapshot): Html | undefined {
  if (carp.length > 0 || diagnosis.broken) return undefined;
  return html`<section aria-labelledby="to-write">
    <h2 id="to-write">What to write into carpio.toml</h2>
    <p>A group, the same on all its boards but for <code>advskew</code>. A board that starts from a card has
      that file on the card, with an explanation of all that can stand in it; elsewhere it is
      <code>/etc/carpio.toml</code>. Then start it again.</p>
    <pre tabindex="0">${FIRST_GROUP}</pre>
  </section>`;
}

/** The first broken thing in full: who repairs it may well have repaired the others. */
function troubles({ carp, diagnosis, faults }: Snapshot): Html | undefined {
  const { broken, checks } = diagnosis;
  const said = checks.map(({ says }) => says);
  const more = faults.filter((fault) => !said.some((says) => says.includes(fault)));
  const isWell = broken === null && more.length === 0;
  const well = carp.length > 0 ? "All is well" : "Nothing is wrong so far";
  return html`<section aria-labelledby="trouble" class="${isWell ? "well" : "trouble"}">
    <h2 id="trouble">${isWell ? well : "What is wrong"}</h2>
    ${broken && html`<p class="first">${marked(sentenceOf(broken))}</p>${advice(broken)}`}
    ${more.length > 0 && html`<ul class="faults">${more.map((fault) => html`<li>${fault}</li>`)}</ul>`}
    ${
      checks.length > 0 &&
      html`<details><summary>${summary(checks)}</summary>
      <ul class="checks">${checks.map((each) => check(each, each !== broken))}</ul></details>`
    }
  </section>`;
}

function summary(checks: readonly Check[]): string {
  const broken = checks.filter(({ state }) => state === "broken").length;
  const unknown = checks.filter(({ state }) => state === "unknown").length;
  const parts = [broken > 0 ? `${broken} broken` : "", unknown > 0 ? `${unknown} not known` : ""].filter(
    Boolean,
  );
  return `${counted(checks.length, "check")}${parts.length > 0 ? `: ${parts.join(", ")}` : ", all well"}`;
}

function check(each: Check, withAdvice: boolean): Html {
  const { state } = each;
  return html`<li class="${state}"><span class="state">${state}</span> <div>${marked(sentenceOf(each))}
    ${state === "broken" && withAdvice && advice(each)}</div></li>`;
}

/** What it is about comes first, where the sentence does not say it. */
function sentenceOf({ subject, says }: Check): string {
  const isSaid = says.includes(subject) || subject === "this board";
  return asSentence(isSaid ? says : `${subject}: ${says}`);
}

function advice({ advice: text }: Check): Html | undefined {
  return text === null ? undefined : html`<p class="advice">${marked(asSentence(text))}</p>`;
}

function boards(shown: Snapshot): Html | undefined {
  const { peers } = shown;
  if (peers.length === 0) return undefined;
  return html`<section aria-labelledby="others">
    <h2 id="others">${peers.length === 1 ? "The other board" : "The other boards"}</h2>
    <div class="peers">${peers.map(peerCard)}</div>
  </section>`;
}

function peerCard(peer: PeerSnapshot): Html {
  const { reachable, problem, role, face, lamps, willing, faults, askedSecondsAgo, url } = peer;
  const asked = askedSecondsAgo === null ? "" : ` Asked ${span(askedSecondsAgo)} ago.`;
  // What the configuration says may be anything, and a link must not be.
  const where = /^https?:\/\//.test(url) ? html`<a href="${url}">${nameOf(peer)}</a>` : nameOf(peer);
  if (!reachable) {
    return html`<article class="peer lost"><div><h3>${where}</h3>
      <p><b>Does not answer</b>${problem === null ? "" : `: ${problem}`}.${asked}</p></div></article>`;
  }
  const does = face === null ? `It ${role === null ? "answers" : roleWords[role]}` : faceWords[face].means;
  const would = willing === null || role !== "backup" ? "" : ` It would ${willing ? "" : "not "}take over.`;
  return html`<article class="peer">
    ${lamps && drawPanel(nameOf(peer), lamps, false)}
    <div><h3>${where}</h3><p><b>${does}.</b>${would}</p>
      ${faults.length > 0 && html`<ul class="faults">${faults.map((fault) => html`<li>${fault}</li>`)}</ul>`}
      <p class="quiet">${asked}</p></div>
  </article>`;
}

/** A table, and it says so, because on a telephone its rows are laid out as blocks. */
function groups(shown: Snapshot, zone: Zone): Html {
  return html`<section aria-labelledby="groups">
    <h2 id="groups">${shown.carp.length === 1 ? "The group" : `${shown.carp.length} groups`}</h2>
    <table role="table"><thead role="rowgroup"><tr role="row">${["Group", "Role", "Addresses", "Heard"].map(
      (title) => html`<th role="columnheader" scope="col">${title}</th>`,
    )}</tr></thead>
    <tbody role="rowgroup">${shown.carp.map((group) => groupRow(group, shown, zone))}</tbody></table>
  </section>`;
}

function groupRow(group: GroupSnapshot, shown: Snapshot, zone: Zone): Html {
  const { vhid, role, why, since, addresses, advbase, advskew, advertisedAdvskew, mac } = group;
  const { at } = shown;
  const raised = advertisedAdvskew === advskew ? "" : `, now advertised as ${advertisedAdvskew}`;
  return html`<tr role="row">
    <th role="rowheader" scope="row"><b>${vhid}</b> on ${group.interface}
      <small>advbase ${advbase}, advskew ${advskew}${raised}; ${mac}</small></th>
    <td role="cell"><span class="role ${role}">${role}</span>
      ${why} <small>for ${span(secondsBetween(since, at))}, since ${moment(since, at, zone)}</small></td>
    <td role="cell">${addresses.map((address) => html`<code>${address}</code> `)}${
      role === "master" && !group.holding && html`<small class="alarm">not on this board yet</small>`
    }</td>
    <td role="cell">${heard(group, shown)} <small>${group.counters.sent} sent, ${group.counters.received} heard</small></td>
  </tr>`;
}

function heard({ role, master }: GroupSnapshot, shown: Snapshot): Html {
  if (role === "master") return html`this board serves`;
  if (!master) return html`nobody`;
  const name = nameAt(shown, master.address);
  const address = name === master.address ? "" : ` (${master.address})`;
  return html`${name}${address} ${span(master.heardSecondsAgo)} ago`;
}

function history(shown: Snapshot, zone: Zone): Html {
  const { events } = shown;
  const older = events.slice(LATEST);
  const list = (some: Snapshot["events"]) =>
    html`<ol class="events">${some.map((event) => eventRow(event, shown, zone))}</ol>`;
  return html`<section aria-labelledby="history">
    <h2 id="history">Changes of role</h2>
    ${events.length === 0 ? html`<p>None since the start.</p>` : timeline(shown, zone)}
    ${list(events.slice(0, LATEST))}
    ${older.length > 0 && html`<details><summary>${older.length} older</summary>${list(older)}</details>`}
  </section>`;
}

function eventRow(
  { at, vhid, interface: name, from, to, why }: Snapshot["events"][number],
  shown: Snapshot,
  zone: Zone,
): Html {
  return html`<li><time datetime="${at}">${moment(at, shown.at, zone)}</time>
    <span>${vhid} on ${name}: ${from} → <b>${to}</b>, ${why}</span></li>`;
}

/** What is counted and worth a word; nothing when all of it is zero. */
function packets({ carp, dropped, prefilter }: Snapshot): Html | undefined {
  const places: readonly { readonly where: string; readonly counts: { readonly [name: string]: number } }[] =
    [
      ...carp.map(({ vhid, interface: name, counters }) => {
        const { sent, received, ...drops } = counters;
        return { where: `${vhid} on ${name}`, counts: drops };
      }),
      { where: "of no group", counts: dropped },
      { where: "dropped by the kernel", counts: prefilter ?? {} },
    ];
  const rows = places.flatMap(({ where, counts }) =>
    Object.entries(counts).flatMap(([name, count]) =>
      count > 0 && isCounter(name) ? [{ where, count, ...counterWords[name] }] : [],
    ),
  );
  if (rows.length === 0) return undefined;
  return html`<section aria-labelledby="packets">
    <h2 id="packets">Packets that were ignored</h2>
    <ul class="counters">${rows.map(
      ({ where, count, says, alarming }) =>
        html`<li class="${alarming ? "alarm" : "harmless"}"><b>${count}</b> <span>${marked(says)} <small>${where}</small></span></li>`,
    )}</ul>
  </section>`;
}

function isCounter(name: string): name is Counter {
  return Object.hasOwn(counterWords, name);
}

function asSentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
