/**
 * What a switch does with a frame, without the cables: pure, but for what it
 * has learnt of who is where.
 */
const MAC_BYTES = 6;
/** In the first byte of an address: it is for many. */
const GROUP = 1;

/** Says by which of so many sockets a frame leaves that came in by one of them. */
export function createSwitch(sockets: number): (frame: Uint8Array, from: number) => readonly number[] {
  const places = new Map<string, number>();
  const all = Array.from({ length: sockets }, (_, socket) => socket);
  return (frame, from) => {
    if (frame.length < 2 * MAC_BYTES) return [];
    places.set(hex(frame.subarray(MAC_BYTES, 2 * MAC_BYTES)), from);
    const isForMany = ((frame[0] ?? 0) & GROUP) !== 0;
    const place = isForMany ? undefined : places.get(hex(frame.subarray(0, MAC_BYTES)));
    return all.filter((socket) => socket !== from && (place === undefined || place === socket));
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
