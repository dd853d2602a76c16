/**
 * What a switch does with a frame, without the cables: pure, but for what it
 * has learnt of who is where.
 */
const MAC_BYTES = 6;
/** In the first byte of an address: it is for many. */
const GROUP = 1;

export class Switch {
  readonly #sockets: number;
  readonly #places = new Map<string, number>();

  constructor(sockets: number) {
    this.#sockets = sockets;
  }

  /** By which of its sockets a frame leaves that came in by one of them. */
  pass(frame: Uint8Array, from: number): readonly number[] {
    if (frame.length < 2 * MAC_BYTES) return [];
    this.#places.set(hex(frame.subarray(MAC_BYTES, 2 * MAC_BYTES)), from);
    const isForMany = ((frame[0] ?? 0) & GROUP) !== 0;
    const place = isForMany ? undefined : this.#places.get(hex(frame.subarray(0, MAC_BYTES)));
    const all = Array.from({ length: this.#sockets }, (_, socket) => socket);
    return all.filter((socket) => socket !== from && (place === undefined || place === socket));
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
