/**
 * The slot record: what each event makes of it, and that no sequence of them
 * leaves a board without a slot to start.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type BootRecord,
  begin,
  choose,
  condemn,
  FIRST_RECORD,
  formatRecord,
  install,
  parseRecord,
  prove,
  type SlotName,
  TRIES,
  vacate,
} from "../../src/firmware/boot-record.js";

interface Row {
  readonly from: string;
  readonly gives: string;
  readonly why: string;
}

function table(title: string, step: (record: BootRecord) => BootRecord, rows: readonly Row[]): void {
  for (const { from, gives, why } of rows) {
    test(`${title} at ${from}: ${why}`, () => {
      assert.equal(formatRecord(step(parseRecord(from))), gives);
    });
  }
}

describe("the base", () => {
  table("a start", begin, [
    {
      from: "next=a tries=0 a=new b=new",
      gives: "next=a tries=1 a=new b=new",
      why: "a new card counts its tries",
    },
    {
      from: "next=a tries=0 a=good b=good",
      gives: "next=a tries=0 a=good b=good",
      why: "a good slot costs no write",
    },
    {
      from: "next=b tries=2 a=good b=new",
      gives: "next=b tries=3 a=good b=new",
      why: "the third try is the last",
    },
    {
      from: "next=b tries=3 a=good b=new",
      gives: "next=a tries=0 a=good b=unproven",
      why: "after three, the good one",
    },
    {
      from: "next=b tries=3 a=new b=new",
      gives: "next=a tries=1 a=new b=unproven",
      why: "a new one has its own three",
    },
    {
      from: "next=a tries=3 a=new b=damaged",
      gives: "next=b tries=1 a=unproven b=new",
      why: "when nothing is good, they take turns",
    },
    {
      from: "next=b tries=0 a=good b=silent",
      gives: "next=a tries=0 a=good b=silent",
      why: "a bad slot is not started, and stays as bad as it was",
    },
  ]);

  table("a damaged a", (record) => begin(condemn(record, "a")), [
    {
      from: "next=a tries=0 a=good b=good",
      gives: "next=b tries=0 a=damaged b=good",
      why: "the good other, at once",
    },
    {
      from: "next=a tries=0 a=new b=new",
      gives: "next=b tries=1 a=damaged b=new",
      why: "the new other, with its tries",
    },
  ]);
});

describe("the running system", () => {
  table("an answer in b", (record) => prove(record, "b"), [
    { from: "next=b tries=1 a=good b=new", gives: "next=b tries=0 a=good b=good", why: "it is good" },
    {
      from: "next=a tries=2 a=new b=new",
      gives: "next=a tries=2 a=new b=good",
      why: "the tries are those of the next one",
    },
  ]);
  table("a payload begins to go to b", (record) => vacate(record, "b", "unfinished"), [
    {
      from: "next=b tries=1 a=good b=new",
      gives: "next=a tries=0 a=good b=unfinished",
      why: "a is started again",
    },
  ]);
  table("a payload was written to b", (record) => install(record, "b"), [
    {
      from: "next=a tries=0 a=good b=unfinished",
      gives: "next=b tries=0 a=good b=new",
      why: "b has to prove itself",
    },
  ]);
  table("`carpio slot b`", (record) => choose(record, "b"), [
    {
      from: "next=a tries=0 a=good b=good",
      gives: "next=b tries=0 a=good b=good",
      why: "a good one stays good",
    },
    {
      from: "next=a tries=0 a=good b=bad",
      gives: "next=b tries=0 a=good b=new",
      why: "a bad one is tried again",
    },
  ]);
});

describe("a text", () => {
  const first = formatRecord(FIRST_RECORD);
  const rows: readonly Row[] = [
    { from: "b=good a=bad tries=2 next=b", gives: "next=b tries=2 a=bad b=good", why: "in any order" },
    { from: " next=b  a=good\n", gives: "next=b tries=0 a=good b=new", why: "with gaps, and parts left out" },
    {
      from: "next=b since=1970 a=good",
      gives: "next=b tries=0 a=good b=new",
      why: "with words of another time",
    },
    { from: "next=c tries=9 a=fine b", gives: first, why: "of values that mean nothing" },
    { from: "", gives: first, why: "of nothing" },
  ];
  table("is read", (record) => record, rows);
});

test("whatever happens, a slot that proved itself is started until it is replaced or damaged", () => {
  const name = fc.constantFrom<SlotName>("a", "b");
  const updates = fc.array(name, { maxLength: 8 });
  fc.assert(
    fc.property(name, updates, (running, tried) => {
      const other = running === "a" ? "b" : "a";
      let record = prove(choose(FIRST_RECORD, running), running);
      for (const chosen of tried) {
        record =
          chosen === running ? choose(record, chosen) : install(vacate(record, other, "unfinished"), other);
        // It never answers, until the base gives it up.
        for (let start = 0; start <= TRIES; start++) record = begin(record);
        assert.equal(record.next, running);
        assert.equal(record[running], "good");
      }
    }),
  );
});
