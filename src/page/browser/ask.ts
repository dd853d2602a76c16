/**
 * The buttons: what is asked before something is done, and the token, which is
 * wanted only where the board refuses without it. What came of it the page shows
 * as it shows everything, from the next snapshot.
 */

import type { Snapshot } from "../../status/snapshot.js";
import { readiness } from "../headline.js";
import { element } from "./element.js";

interface Deed {
  readonly path: string;
  readonly title: string;
  readonly verb: string;
  /** For how long is asked, and whether the others are ready is told. */
  readonly isHandover: boolean;
  readonly body: (forSeconds: number | undefined) => object;
}

const deeds: { readonly [name: string]: Deed } = {
  begin: {
    path: "/maintenance",
    title: "Hand over for maintenance?",
    verb: "Hand over",
    isHandover: true,
    body: (forSeconds) => ({ on: true, forSeconds }),
  },
  end: {
    path: "/maintenance",
    title: "End maintenance",
    verb: "End it",
    isHandover: false,
    body: () => ({ on: false }),
  },
  identify: {
    path: "/identify",
    title: "Blink all lamps",
    verb: "Blink",
    isHandover: false,
    body: () => ({ forSeconds: 60 }),
  },
};

/** In this tab alone, and until it is closed. */
const KEPT_AS = "carpio-token";
/** A handover that nobody takes lasts some seconds. */
const DONE_WITHIN_MS = 20_000;

export function readyToAsk(): { show(shown: Snapshot): void } {
  const dialog = element<HTMLDialogElement>("ask");
  const yes = element<HTMLButtonElement>("ask-yes");
  const secret = element<HTMLInputElement>("ask-secret");
  let shown: Snapshot | undefined;
  let deed: Deed | undefined;

  const write = (): void => {
    const { ready, says } = shown ? readiness(shown) : { ready: true, says: "" };
    element("ask-says").textContent = deed?.isHandover ? says : "";
    element("ask-says").className = ready ? "ready" : "unready";
  };

  const open = (next: Deed, problem: string): void => {
    deed = next;
    element("ask-title").textContent = next.title;
    element("ask-for").hidden = !next.isHandover;
    element("ask-problem").textContent = problem;
    yes.textContent = next.verb;
    write();
    if (!dialog.open) dialog.showModal();
  };

  const carryOut = async (next: Deed): Promise<void> => {
    const seconds = element<HTMLSelectElement>("ask-seconds").value;
    if (secret.value !== "") sessionStorage.setItem(KEPT_AS, secret.value);
    yes.disabled = true;
    const refusal = await send(next, next.body(seconds === "" ? undefined : Number(seconds)));
    yes.disabled = false;
    if (!refusal) return dialog.close();
    if (refusal.wantsToken) {
      sessionStorage.removeItem(KEPT_AS);
      element("ask-token").hidden = false;
    }
    open(next, refusal.wantsToken && secret.value === "" ? "The board wants its token." : refusal.says);
    if (refusal.wantsToken) secret.focus();
  };

  document.addEventListener("click", ({ target }) => {
    const name = target instanceof Element ? target.closest<HTMLElement>("[data-does]")?.dataset["does"] : "";
    const next = deeds[name ?? ""];
    if (next?.isHandover) open(next, "");
    else if (next) void carryOut(next);
  });
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    if (deed && !yes.disabled) void carryOut(deed);
  });
  element("ask-no").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    secret.value = "";
  });
  return {
    show(next) {
      shown = next;
      if (dialog.open) write();
    },
  };
}

/** `undefined`: it is done. */
async function send(
  { path }: Deed,
  body: object,
): Promise<{ says: string; wantsToken: boolean } | undefined> {
  const token = sessionStorage.getItem(KEPT_AS);
  const headers = {
    "content-type": "application/json",
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
  try {
    const signal = AbortSignal.timeout(DONE_WITHIN_MS);
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
    if (answer.ok) return undefined;
    const { error } = (await answer.json()) as { error?: string };
    return { says: `Refused: ${error ?? answer.statusText}.`, wantsToken: answer.status === 401 };
  } catch {
    return { says: "The board did not answer.", wantsToken: false };
  }
}
