/**
 * Who may have how many connections, on sockets without a network.
 */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { type Connections, createConnections } from "../../src/status/connections.js";

class FakeSocket extends EventEmitter {
  destroyed = false;
  readonly remoteAddress: string;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

// biome-ignore format: one rule a line
const rows = [
  { from: () => "192.0.2.9", stay: 16, why: "one client has 16 connections" },
  { from: () => "::ffff:192.0.2.9", stay: 16, why: "on a socket of both families too" },
  { from: (i: number) => `192.0.2.${i % 4}`, stay: 64, why: "four clients have 16 each" },
  { from: (i: number) => `2001:db8:0:7::${i.toString(16)}`, stay: 16, why: "a network of 64 bits is one client" },
  { from: (i: number) => `2001:db8:0:7:${i.toString(16)}::1`, stay: 16, why: "however its addresses are written" },
  { from: (i: number) => `2001:db8:0:${i % 4}::1`, stay: 64, why: "four such networks are four" },
  { from: () => "127.0.0.1", stay: 64, why: "a proxy on the board speaks for many" },
  { from: (i: number) => (i % 2 ? "::1" : "127.0.0.2"), stay: 64, why: "by both families together" },
  { from: (i: number) => `10.0.${i % 100}.1`, stay: 128, why: "and nobody has more than all" },
];
for (const { from, stay, why } of rows) {
  test(`of 1000 from ${from(0)}, ${from(1)}, … ${stay} stay: ${why}`, () => {
    const connections = createConnections();
    const sockets = Array.from({ length: 1000 }, (_, i) => admit(connections, from(i)));
    assert.equal(sockets.filter(({ destroyed }) => !destroyed).length, stay);
  });
}

test("one that goes makes room for another of the same client", () => {
  const connections = createConnections();
  const [first] = Array.from({ length: 16 }, () => admit(connections, "192.0.2.9"));
  assert.ok(admit(connections, "192.0.2.9").destroyed);
  first?.destroy();
  assert.ok(!admit(connections, "192.0.2.9").destroyed);
  assert.ok(admit(connections, "192.0.2.9").destroyed);
});

test("when all places are taken, whoever has the most gives its oldest to somebody who has none", () => {
  const connections = createConnections();
  const greedy = Array.from({ length: 16 }, () => admit(connections, "192.0.2.9"));
  for (let i = 0; i < 112; i++) assert.ok(!admit(connections, `10.0.${i % 56}.1`).destroyed);
  assert.ok(!admit(connections, "127.0.0.1").destroyed);
  assert.deepEqual(greedy.map(({ destroyed }) => destroyed).slice(0, 2), [true, false]);
});

function admit(connections: Connections, from: string): FakeSocket {
  const socket = new FakeSocket(from);
  connections.admit(socket as unknown as Socket);
  return socket;
}
