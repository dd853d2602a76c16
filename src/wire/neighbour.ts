/**
 * The packet by which a host tells all its neighbours which MAC has an IPv6
 * address, unasked (RFC 4861, sections 4.4 and 7.2.6), as Linux sends it.
 * IPv4 does the same with ARP, which is no IP and not for us to send.
 */
import type { Address } from "./address.js";
import { checksum } from "./checksum.js";
import { parseMac } from "./mac.js";
import { encodeIpv6, pseudoHeader } from "./packet.js";

const PROTOCOL_ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const TARGET_LINK_LAYER_ADDRESS = 2;
/** The option counts units of eight bytes. */
const OPTION_LENGTH = 1;
const ROUTER = 0x80;
/** What the neighbours know already is to be replaced. */
const OVERRIDE = 0x20;
const ALL_NODES: Address = {
  family: 6,
  bytes: Uint8Array.of(0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
};

/** A whole IPv6 packet, and where it goes. `router`: whoever hears that we are none stops using us as one. */
export function encodeNeighbourAdvertisement(
  target: Address,
  mac: string,
  router: boolean,
): { readonly packet: Uint8Array; readonly destination: Address } {
  const payload = new Uint8Array(32);
  payload[0] = NEIGHBOUR_ADVERTISEMENT;
  payload[4] = router ? ROUTER | OVERRIDE : OVERRIDE;
  payload.set(target.bytes, 8);
  payload.set([TARGET_LINK_LAYER_ADDRESS, OPTION_LENGTH, ...parseMac(mac)], 24);

  const pseudo = pseudoHeader(target, ALL_NODES, payload.length, PROTOCOL_ICMPV6);
  new DataView(payload.buffer).setUint16(2, checksum(pseudo, payload));
  return { packet: encodeIpv6(target, ALL_NODES, payload, PROTOCOL_ICMPV6), destination: ALL_NODES };
}
