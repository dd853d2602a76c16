/**
 * MAC addresses as the text that people and `ip` write, and the one that all
 * hosts of a vhid share. Which interface has which is others' business.
 */

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Reads what `formatMac` writes, and octets of one digit; whether it is a MAC at all, the caller knows. */
export function parseMac(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

/** One that an interface can have; nobody has all zeros. */
export function isUnicast(mac: Uint8Array): boolean {
  return ((mac[0] ?? 0) & 1) === 0 && mac.some((byte) => byte !== 0);
}

/** 00:00:5e:00:01:VHID, for IPv6 too. */
export function virtualMac(vhid: number): string {
  return formatMac(Uint8Array.of(0, 0, 0x5e, 0, 1, vhid));
}
