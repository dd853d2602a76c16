/**
 * The Internet checksum (RFC 1071): the 16-bit one's complement of the one's
 * complement sum. Over data that carries its own right checksum it is 0.
 */
export function checksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const bytes of parts) {
    for (let i = 0; i + 1 < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
    if (bytes.length % 2 === 1) sum += (bytes[bytes.length - 1] ?? 0) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
