/**
 * A board whose image has a key, as `scripts/image --key` puts one in, and whose
 * operator wants nothing unsigned: whatever else comes is refused in words and
 * never started, and what the key's owner has signed is started and proves itself.
 */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { TRAILER_BYTES } from "../../src/firmware/payload.js";
import { group, untilStatus } from "../emulated/board.js";
import { Appliance } from "./appliance.js";
import { copyCard, imageOf, putFile, putText, showNotices, takeFile } from "./card.js";
import { askBase, readRecordsPart } from "./records.js";
import { LONG_MS, offer } from "./sender.js";
import { flipBit, remake, seal } from "./slot.js";

const TOKEN = "sesame";
const CONFIG = ['name = "signed"', ...group(), "[status]", 'token_file = "token"', ""].join("\n");
const [ours, theirs] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
const PUBLIC = ours.publicKey.export({ type: "spki", format: "pem" });
/** Of what is sent, which is otherwise what runs already. */
const VERSION = "0.0.2";

/** What somebody sends who is not to be trusted. */
const refused: readonly { why: string; make: (squashfs: Buffer) => Buffer; says: RegExp }[] = [
  {
    why: "that nobody has signed",
    make: (squashfs) => seal(squashfs, VERSION),
    says: /^signature: found none, wanted one by the key in this image, or \[update\] unsigned = true$/,
  },
  {
    why: "that was signed with another key",
    make: (squashfs) => seal(squashfs, VERSION, theirs.privateKey),
    says: /^signature: found one by another key, or of something else$/,
  },
  {
    why: "in which a byte was changed after it was signed",
    make: (squashfs) => flipBit(seal(squashfs, VERSION, ours.privateKey), squashfs.length >> 1),
    says: /^sha256: found [0-9a-f]{64}, wanted [0-9a-f]{64}$/,
  },
  {
    why: "that says it is another version than was signed",
    make: (squashfs) => {
      const signed = seal(squashfs, VERSION, ours.privateKey);
      return flipBit(signed, signed.lastIndexOf(`=${VERSION}`) + VERSION.length);
    },
    says: /^signature: found one by another key, or of something else$/,
  },
];

describe("a board with a key in its image", { timeout: 1_800_000 }, () => {
  let directory: string;
  let card: string;
  let squashfs: Buffer;
  let board: Appliance;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "carpio-signed-"));
    card = copyCard(imageOf("virt"), join(directory, "card.img"));
    const slot = takeFile(card, "slot-a.sqf", directory);
    remake(slot, (folder) => writeFileSync(join(folder, "etc/carpio/update.pub"), PUBLIC));
    putFile(card, slot);
    squashfs = readFileSync(slot).subarray(0, -TRAILER_BYTES);
    putText(card, "carpio.toml", CONFIG);
    putText(card, "token", `${TOKEN}\n`);
    showNotices(card);
    board = await Appliance.powerOn({ kind: "virt", card });
    await board.untilLine(/carpio: slot a is good/, LONG_MS);
  });
  after(async () => {
    await board?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const { why, make, says } of refused) {
    test(`refuses a slot ${why}, and stays on its own`, async () => {
      const { status, said } = await offer(board, TOKEN, make(squashfs));
      assert.equal(status, 422, said);
      assert.match((JSON.parse(said) as { error: string }).error, says);
      // The other slot was given up before its first byte was written: a stream has its signature at its end.
      assert.equal(remembered(), "next=a tries=0 a=good b=unfinished");
    });
  }

  test("takes one that was signed with the key, starts from it when it is asked to, and calls it good", async () => {
    const { status, said } = await offer(board, TOKEN, seal(squashfs, VERSION, ours.privateKey));
    assert.equal(status, 200, said);
    assert.equal(remembered(), "next=b tries=0 a=good b=new");
    await restart();
    await board.untilLine(/update, by HTTP: version \S+ is in slot b and started next/, LONG_MS);
    await board.untilLine(new RegExp(`carpio: slot b, version ${VERSION.replaceAll(".", "\\.")}$`), LONG_MS);
    await board.untilLine(/carpio: slot b is good/, LONG_MS);
    assert.equal(remembered(), "next=b tries=0 a=good b=good");
    await untilStatus(
      board,
      "a master on slot b",
      (it) => it.role === "master" && it.slot?.name === "b" && !it.slot.onTrial,
    );
  });

  function remembered(): string {
    return askBase(readRecordsPart(card), mkdtempSync(join(directory, "asked-"))).slots;
  }

  async function restart(): Promise<void> {
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    const answer = await fetch(`http://${board.host}/restart`, { method: "POST", headers, body: "{}" });
    assert.deepEqual(await answer.json(), { restart: { state: "begun" } });
  }
});
