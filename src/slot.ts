/**
 * A record that survives a power cut at any byte: two slots of one sector each,
 * written in turn. Whichever of them was cut short fails its checksum, and the
 * other one has what was true before.
 *
 * Knows bytes alone; where the slots lie is for `state`.
 */
/** One sector, and one page of most cards: whole or garbage, and never a part of another slot. */
export const SLOT_BYTES = 512;
const MAGIC = 0x43415250;
const HEADER_BYTES = 10;
const CRC_BYTES = 4;
/** Of each byte alone. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});
/** What there is room for, in bytes of UTF-8. */
export const RECORD_BYTES = SLOT_BYTES - HEADER_BYTES - CRC_BYTES;

export interface Slot {
  /** Counts the writes, from 1. */
  readonly sequence: number;
  readonly text: string;
}

/** Throws a RangeError for a text of more than `RECORD_BYTES`. */
export function encodeSlot({ sequence, text }: Slot): Uint8Array {
  const record = Buffer.from(text);
  if (record.length > RECORD_BYTES) {
    throw new RangeError(`found ${record.length} bytes, wanted at most ${RECORD_BYTES}`);
  }
  const bytes = Buffer.alloc(SLOT_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(sequence, 4);
  bytes.writeUInt16BE(record.length, 8);
  record.copy(bytes, HEADER_BYTES);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, -CRC_BYTES)), SLOT_BYTES - CRC_BYTES);
  return bytes;
}

/** `undefined` for a slot that was never written, or not to its end. */
export function decodeSlot(bytes: Uint8Array): Slot | undefined {
  const slot = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (slot.length !== SLOT_BYTES || slot.readUInt32BE(0) !== MAGIC) return undefined;
  if (slot.readUInt32BE(SLOT_BYTES - CRC_BYTES) !== crc32(slot.subarray(0, -CRC_BYTES))) return undefined;
  const length = slot.readUInt16BE(8);
  if (length > RECORD_BYTES) return undefined;
  return { sequence: slot.readUInt32BE(4), text: slot.toString("utf8", HEADER_BYTES, HEADER_BYTES + length) };
}

/** Which of two counts: the later one that is whole. Sequence numbers may wrap. */
export function newestSlot(slots: readonly [Slot | undefined, Slot | undefined]): 0 | 1 | undefined {
  const [a, b] = slots;
  if (!a || !b) return a ? 0 : b ? 1 : undefined;
  return ((a.sequence - b.sequence) | 0) >= 0 ? 0 : 1;
}

/** The CRC-32 of Ethernet and zip files. Node has it from 20.15 and 22.2 on, and we run on all of 20 and 22. */
export function crc32(bytes: Uint8Array): number {
  const crc = bytes.reduce((sum, byte) => (sum >>> 8) ^ (CRC_TABLE[(sum ^ byte) & 0xff] ?? 0), 0xffffffff);
  return ~crc >>> 0;
}
