/**
 * What an arriving packet is worth: every check that stands between the wire
 * and the state machine, the cheap ones first.
 *
 * Knows the order of the checks and the names of the drops. What groups there
 * are, and which digests this host made itself, the receiver tells.
 */
import type { Address, Family } from "../wire/address.js";
import { GROUP, LINK_TTL, pseudoHeader } from "../wire/packet.js";
import {
  type Advertisement,
  type Decoded,
  type Drop,
  decodeAdvertisement,
  HEADER_BYTES,
  isVrrp,
  mayBeVrrp,
} from "./advertisement.js";
import { type Signer, verifyDigest } from "./digest.js";

/** A packet as it came from the wire; a decoded `Packet` is one. */
export interface Arrival {
  readonly source: Address;
  /** `undefined` where the kernel does not tell us; then it was sent to the group. */
  readonly destination: Address | undefined;
  /** `undefined` where the kernel does not tell us; then the prefilter has judged it. */
  readonly ttl: number | undefined;
  readonly payload: Uint8Array;
}

export interface Receiver {
  /** The signer of a vhid that has addresses of this family here. FreeBSD too has no vhid for the others. */
  readonly signerOf: (vhid: number, family: Family) => Signer | undefined;
  /** True for a digest this host made and sent in this family: it looped back, or somebody replays it. */
  readonly isOurs: (digest: Uint8Array, family: Family) => boolean;
}

export type Verdict =
  | {
      readonly ok: true;
      readonly advertisement: Advertisement;
      /** In which form it was signed. */
      readonly form: string;
    }
  | {
      readonly ok: false;
      readonly drop: Drop;
      /** As claimed by the packet, or VRRP's vrid; `undefined` when the packet is too short to have one. */
      readonly vhid: number | undefined;
    };

/**
 * Judges a packet in the order length, TTL, checksum, version, vhid, digest.
 * Where the implementations differ (specification, sections 1.2, 1.3 and 9) we
 * ignore bytes after the 36, as OpenBSD does, and do not compare the
 * destination, as FreeBSD does not: a peer may have been told to speak to us
 * alone. The TTL must be 255 in that case too, as OpenBSD demands.
 */
export function inspect(packet: Arrival, receiver: Receiver): Verdict {
  const read = inspectHeader(packet);
  if (!read.ok) return reject(packet, read.drop);

  const { advertisement } = read;
  const { family } = packet.source;
  const signer = receiver.signerOf(advertisement.vhid, family);
  if (!signer) return reject(packet, "badvhid");
  if (receiver.isOurs(advertisement.digest, family)) return reject(packet, "looped");
  const form = verifyDigest(signer, advertisement);
  if (form === undefined) return reject(packet, "badauth");

  return { ok: true, advertisement, form };
}

/** The checks that need no configuration: all but vhid and digest. */
export function inspectHeader({ source, destination, ttl, payload }: Arrival): Decoded {
  if (isVrrp(payload)) return { ok: false, drop: "foreign" };
  if (payload.length < HEADER_BYTES) return { ok: false, drop: "badlen" };
  if (ttl !== undefined && ttl !== LINK_TTL) return { ok: false, drop: "badttl" };

  const plain = decodeAdvertisement(payload);
  if (plain.ok || plain.drop !== "badsum" || source.family === 4) return plain;
  return decodeAdvertisement(payload, pseudoHeader(source, destination ?? GROUP[6], HEADER_BYTES));
}

/** VRRP is never a bad digest, checksum or vhid: it is somebody else's traffic, and no mistake. */
function reject({ payload }: Arrival, drop: Drop): Verdict {
  const foreign = (drop === "badauth" || drop === "badvhid" || drop === "badsum") && mayBeVrrp(payload);
  return { ok: false, drop: foreign ? "foreign" : drop, vhid: payload[1] };
}
