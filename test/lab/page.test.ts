/**
 * The page of a real pair, in a real browser that stands where a client stands:
 * roles that change while somebody looks, the button, and how it looks to whom.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { lampWords } from "../../src/page/words.js";
import { ADVSKEWS, boardConfig, ROLE_DEADLINE_MS } from "./boards.js";
import { barriers, hasChromium, look, openBrowser } from "./browser.js";
import { servedBy, snapshotOf, until } from "./evidence.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot } from "./namespace.js";
import { carpio, type Daemon } from "./peers.js";

await becomeLabRoot();

const TOKEN = "open sesame";
const LAMPS = ["role", "maintenance", "fault"] as const;
const LEFT_SERVES = "left serves 192.0.2.1 and 2001:db8::1. right stands by.";
const RIGHT_SERVES = "right serves 192.0.2.1 and 2001:db8::1. left stands aside for maintenance.";

describe("the page of a pair", {
  timeout: 400_000,
  skip: !hasChromium() && "found no /usr/bin/chromium",
}, () => {
  let lab: Lab;
  let browser: Browser;
  let daemons: readonly Daemon[];
  const url = (): string => `http://${lab.left.address}:8080/`;

  before(async () => {
    lab = await Lab.open();
    daemons = [panelBoard(lab.left, lab.right), panelBoard(lab.right, lab.left)];
    await until(
      lab.left,
      ({ role, peers }) => role === "master" && peers[0]?.role === "backup",
      ROLE_DEADLINE_MS,
    );
    browser = await openBrowser(lab.client);
  });
  after(async () => {
    await browser?.close();
    await lab?.close();
  });

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [360, 1280]) {
      test(`${colorScheme}, ${width} px wide: nothing is cut off, nothing complains, everybody can use it`, async () => {
        const { page, complaints } = await look(browser, url(), {
          colorScheme,
          viewport: { width, height: 800 },
        });
        await page.locator("body.live").waitFor();
        await says(page, LEFT_SERVES);
        assert.equal(await page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0);
        await page.getByRole("button", { name: "Hand over" }).click();
        await page.getByRole("dialog").getByText("right is ready to take over.").waitFor();
        assert.deepEqual(await barriers(page), []);
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "hidden" });
        for (const details of await page.locator("details").all()) await details.locator("summary").click();
        assert.deepEqual(await barriers(page), []);
        assert.deepEqual(complaints, []);
        await page.context().close();
      });
    }
  }

  test("the lamps are those of the snapshot, in the drawing and in words", async () => {
    const { page } = await look(browser, url());
    await page.locator("body.live").waitFor();
    const { panel } = await snapshotOf(lab.left);
    for (const name of LAMPS) {
      const lamp = panel.lamps[name];
      await page.locator(`.lamps .${name}`, { hasText: lampWords(lamp) }).waitFor();
      const lit = page.locator(`.front svg .lamp.${name} .lit`);
      assert.equal(await lit.count(), lamp?.pattern === "off" ? 0 : lamp?.pattern === "on" ? 1 : 2, name);
    }
    const other = page.locator(".peer svg .lamp.role animate");
    assert.deepEqual(
      [await other.getAttribute("dur"), await other.getAttribute("keyTimes")],
      ["2000ms", "0.0000;0.0250"],
    );
    await page.context().close();
  });

  test("the button hands over with the keyboard alone, says what came of it, and takes back", async () => {
    const { page, complaints } = await look(browser, url());
    const begin = page.getByRole("button", { name: "Hand over" });
    await begin.focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("right is ready to take over.").waitFor();
    await page.locator("#ask-yes").focus();
    await page.keyboard.press("Enter");
    // From another host it takes the token, which is asked for now and not before.
    await dialog.getByText("The board wants its token.").waitFor();
    await page.keyboard.type("wrong");
    await page.keyboard.press("Enter");
    await dialog.getByText("the token is wrong").waitFor();
    await page.locator("#ask-secret").fill(TOKEN);
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "hidden" });

    await says(page, RIGHT_SERVES);
    await page.getByText(/^Handed over to right in [\d.]+ ms\.$/).waitFor();
    await page.getByText("Safe to unplug.").waitFor();
    await servedBy(lab, ["right"]);
    assert.equal(page.url(), url(), "the token is in no address");

    await page.getByRole("button", { name: "End maintenance" }).click();
    await says(page, LEFT_SERVES);
    await servedBy(lab, ["left"]);
    // The browser itself tells of the two refusals.
    assert.deepEqual(
      complaints.filter((each) => !each.includes("401")),
      [],
    );
    await page.context().close();
  });

  test("whoever cannot run scripts sees what is so, and no button that does nothing", async () => {
    const { page } = await look(browser, url(), { javaScriptEnabled: false });
    await says(page, LEFT_SERVES);
    await page.getByText("Without JavaScript this page stays as it is").waitFor();
    await page.getByRole("cell", { name: /192\.0\.2\.1\/24/ }).waitFor();
    assert.equal(await page.locator(".controls").isVisible(), false);
    await page.context().close();
  });

  test("a board that no longer answers is said not to, and its lamps are dark", async () => {
    const { page } = await look(browser, url());
    await says(page, LEFT_SERVES);
    const [left] = daemons;
    await left?.child.kill("SIGKILL");
    await page.getByText(/^No answer since \d\d:\d\d:\d\d\./).waitFor();
    assert.equal(await page.locator(".front svg .lit").first().isVisible(), false);
    assert.equal(await page.locator(".plug").isVisible(), false, "nobody knows what may be unplugged");
    assert.equal(await page.locator(".controls button").first().isVisible(), false);

    const { page: other } = await look(browser, `http://${lab.right.address}:8080/`);
    await other.locator("h1", { hasText: "right serves 192.0.2.1 and 2001:db8::1." }).waitFor();
    await other.getByText("left does not answer.").waitFor();

    panelBoard(lab.left, lab.right);
    await says(page, LEFT_SERVES);
    await page.locator("body.live:not(.silent)").waitFor();
    await says(other, LEFT_SERVES);
    await other.context().close();
    await page.context().close();
  });

  test("nobody would take over: the page says so before, and after", async () => {
    const { page } = await look(browser, url());
    await says(page, LEFT_SERVES);
    await lab.right.cutCable();
    await page.getByRole("button", { name: "Hand over" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(/^Nobody seems ready to take over\./).waitFor();
    await page.locator("#ask-seconds").selectOption("3600");
    await page.locator("#ask-yes").click();
    await page.locator("#ask-secret").fill(TOKEN);
    await page.keyboard.press("Enter");
    await page.getByText("Nobody took over: left still serves.").waitFor();
    await page.getByText("Do not unplug: it serves, and nobody else does.").waitFor();
    const { maintenance } = await snapshotOf(lab.left);
    assert.equal(Date.parse(maintenance.until ?? "") - Date.parse(maintenance.since ?? "") > 3_500_000, true);
    await page.context().close();
  });
});

async function says(page: Page, headline: string): Promise<void> {
  await page.locator("h1", { hasText: headline }).waitFor();
}

/** A board with lamps, whom others may ask and, with the token, tell. */
function panelBoard(host: Host, other: Host): Daemon {
  writeFileSync(join(host.directory, "token"), `${TOKEN}\n`);
  const name = host.name as keyof typeof ADVSKEWS;
  const config = boardConfig(name, [{ advskew: ADVSKEWS[name] }])
    .replace('board = "none"', 'board = "simulated"')
    .replace("127.0.0.1:8080", "0.0.0.0:8080")
    .replace("[[carp]]", `token_file = "token"\npeers = ["http://${other.address}:8080"]\n[[carp]]`);
  return carpio(host, config);
}
