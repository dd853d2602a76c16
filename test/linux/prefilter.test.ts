/**
 * The counters, as an `nft` of ours prints them. What the rules drop is in
 * lab/flood.test.ts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createPrefilter, type FilterCounters } from "../../src/linux/prefilter.js";
import { replaceProgram } from "./another-ip.js";

const counted = [{ counter: { name: "badttl", packets: 3 } }, { counter: { name: "flooded", packets: 5 } }];
const outputs: readonly { prints: string; counters: FilterCounters | undefined }[] = [
  {
    prints: JSON.stringify({ nftables: [{ metainfo: {} }, ...counted] }),
    counters: { badttl: 3, badvhid: 0, flooded: 5 },
  },
  { prints: "counter badttl { packets 3 bytes 168 }", counters: undefined },
  { prints: "", counters: undefined },
  { prints: "{}", counters: undefined },
  { prints: '{"nftables":[null]}', counters: undefined },
];

for (const { prints, counters } of outputs) {
  test(`nft prints '${prints}': ${counters ? "that is read" : "no counters, and no harm"}`, async (t) => {
    replaceProgram(t, "nft", `[ "$1" != -j ] || echo '${prints}'`);
    const prefilter = createPrefilter();
    assert.equal(await prefilter.load([{ name: "eth0", vhids: [7], devices: [] }]), undefined);
    await prefilter.read();
    assert.deepEqual(prefilter.counters, counters);
  });
}
