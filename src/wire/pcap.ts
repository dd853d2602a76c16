/**
 * Capture files in the classic pcap format, as tcpdump writes them: the IP
 * packets of every frame, with the moment and the sender's MAC.
 *
 * Knows file and link-layer headers. What is in the IP packets is for others
 * to read, and frames without one (ARP) are left out. The bytes come from
 * anywhere, so nothing throws: what could be read is given, and one sentence
 * about what could not.
 */

export interface Capture {
  /** LINKTYPE_ number; `undefined` when this is no capture file. */
  readonly linkType: number | undefined;
  readonly packets: readonly CapturedPacket[];
  /** Why there is not more. */
  readonly problem?: string;
}

export interface CapturedPacket {
  /** Milliseconds since 1970, with a fraction. */
  readonly at: number;
  /** From the IP header on; link-layer padding may follow. */
  readonly ip: Uint8Array;
  /** Like `00:00:5e:00:01:07`, where the link layer has one. */
  readonly sourceMac?: string;
}

/** What a frame holds for us. */
export type Content = Pick<CapturedPacket, "ip" | "sourceMac">;

const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const MAGIC_PCAPNG = 0x0a0d0d0a;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
/** 802.1Q, 802.1ad, and two older ways to stack tags. */
const ETHERTYPES_VLAN = [0x8100, 0x88a8, 0x9100, 0x9200];

/** How to get at the IP packet, for each LINKTYPE_ we read. */
const linkTypes: ReadonlyMap<number, (frame: Uint8Array) => Content | undefined> = new Map([
  [1, ethernet],
  [113, linuxCooked],
  [276, linuxCooked2],
  // Raw IP: as written by most, by BSD/OS, by OpenBSD, and for one family only.
  ...[101, 12, 14, 228, 229].map((linkType) => [linkType, raw] as const),
]);

export function readPcap(bytes: Uint8Array): Capture {
  const file = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < FILE_HEADER_BYTES) {
    return { linkType: undefined, packets: [], problem: "not a capture file: too short for a pcap header" };
  }
  const order = byteOrder(file);
  if (typeof order === "string") return { linkType: undefined, packets: [], problem: order };

  // The upper half can hold the length of a frame check sequence.
  const linkType = file.getUint32(20, order.littleEndian) & 0xffff;
  const contentOf = linkTypes.get(linkType);
  if (!contentOf) {
    const problem = `link type ${linkType} cannot be read: wanted Ethernet, Linux cooked or raw IP`;
    return { linkType, packets: [], problem };
  }

  const packets: CapturedPacket[] = [];
  for (let start = FILE_HEADER_BYTES, number = 1; start < bytes.length; number++) {
    const body = start + RECORD_HEADER_BYTES;
    const length = body <= bytes.length ? file.getUint32(start + 8, order.littleEndian) : 0;
    if (body + length > bytes.length) {
      return { linkType, packets, problem: `the file ends in the middle of frame ${number}` };
    }
    const content = contentOf(bytes.subarray(body, body + length));
    const seconds = file.getUint32(start, order.littleEndian);
    const fraction = file.getUint32(start + 4, order.littleEndian);
    if (content) packets.push({ at: seconds * 1000 + fraction / order.fractionsPerMs, ...content });
    start = body + length;
  }
  return { linkType, packets };
}

interface ByteOrder {
  readonly littleEndian: boolean;
  readonly fractionsPerMs: number;
}

/** The file's magic number tells byte order and resolution; or a sentence says what the file is instead. */
function byteOrder(file: DataView): ByteOrder | string {
  for (const littleEndian of [true, false]) {
    const magic = file.getUint32(0, littleEndian);
    if (magic === MAGIC_MICROSECONDS) return { littleEndian, fractionsPerMs: 1e3 };
    if (magic === MAGIC_NANOSECONDS) return { littleEndian, fractionsPerMs: 1e6 };
  }
  if (file.getUint32(0) === MAGIC_PCAPNG) {
    return "this is a pcapng file: turn it into pcap with `tcpdump -r FILE -w FILE.pcap` first";
  }
  const found = file.getUint32(0).toString(16).padStart(8, "0");
  return `not a capture file: starts with ${found}, wanted a1b2c3d4 or a1b23c4d in either byte order`;
}

/** The IP packet in an Ethernet frame, if there is one. */
export function ethernet(frame: Uint8Array): Content | undefined {
  return behind(frame, 12, macText(frame, 6));
}

/** Version 1: packet type, device type, address length, address, ethertype. */
function linuxCooked(frame: Uint8Array): Content | undefined {
  return behind(frame, 14, uint16(frame, 4) === 6 ? macText(frame, 6) : undefined);
}

/** Version 2: ethertype, interface, device type, packet type, address length, address. */
function linuxCooked2(frame: Uint8Array): Content | undefined {
  const mac = frame[11] === 6 ? macText(frame, 12) : undefined;
  return frame.length < 20 ? undefined : tagged(frame, uint16(frame, 0), 20, mac);
}

function raw(frame: Uint8Array): Content | undefined {
  return frame.length > 0 ? { ip: frame } : undefined;
}

/** What follows the ethertype at `at`. */
function behind(frame: Uint8Array, at: number, mac: string | undefined): Content | undefined {
  return tagged(frame, uint16(frame, at), at + 2, mac);
}

/** The IP packet at `start`, or behind the VLAN tags there: two bytes of tag, then another ethertype. */
function tagged(frame: Uint8Array, ethertype: number, start: number, mac?: string): Content | undefined {
  if (ETHERTYPES_VLAN.includes(ethertype) && start + 4 <= frame.length) return behind(frame, start + 2, mac);
  if (ethertype !== ETHERTYPE_IPV4 && ethertype !== ETHERTYPE_IPV6) return undefined;
  return { ip: frame.subarray(start), ...(mac === undefined ? {} : { sourceMac: mac }) };
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function macText(bytes: Uint8Array, at: number): string {
  return Array.from(bytes.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, "0")).join(":");
}
