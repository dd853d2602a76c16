/**
 * Announces addresses where the kernel does not: it does when a device is given
 * a MAC, and some drivers take none while they are up, not even the one they
 * have (until Linux 6.5 many, such as the Raspberry Pi 4's; Wi-Fi). IPv6 by a packet
 * of our own. IPv4 by `arping`, because ARP is no IP, which is all that our sockets send.
 */
import { type Address, formatAddress } from "../wire/address.js";
import { encodeNeighbourAdvertisement } from "../wire/neighbour.js";
import { openSender } from "./carp-socket.js";
import { execute, problemOf } from "./program.js";
import { isForwarding } from "./sysctl.js";

/** It sends at once, and then waits a second for answers that nobody gives. */
const ARPING_MS = 5_000;

/** Says which addresses could not be announced, and why. */
export async function announceByHand(
  device: string,
  mac: string,
  addresses: readonly Address[],
): Promise<string | undefined> {
  const problems = await Promise.all([
    advertiseNeighbours(
      device,
      mac,
      addresses.filter(({ family }) => family === 6),
    ),
    ...addresses.filter(({ family }) => family === 4).map((address) => arping(device, address)),
  ]);
  return problems.find((said) => said !== undefined);
}

async function advertiseNeighbours(
  device: string,
  mac: string,
  addresses: readonly Address[],
): Promise<string | undefined> {
  const sender = openSender();
  const router = isForwarding(device);
  const errors = await Promise.all(
    addresses.map((address) => {
      const { packet, destination } = encodeNeighbourAdvertisement(address, mac, router);
      return sender.send(packet, destination, device);
    }),
  );
  sender.close();
  const failed = errors.findIndex((error) => error !== undefined);
  return addresses[failed] && cannot(addresses[failed], device, errors[failed]?.message ?? "");
}

/** That of iputils and busybox's take the same words. */
async function arping(device: string, address: Address): Promise<string | undefined> {
  const words = ["arping", "-U", "-c", "1", "-I", device, formatAddress(address)];
  const ran = await execute(words, { deadlineMs: ARPING_MS });
  const problem = problemOf(ran);
  // Where it complains of nothing but a lack of answers, it has sent.
  if (!problem || (ran.code === 1 && ran.said === "")) return undefined;
  const missing = "arping is not installed (Debian's package iputils-arping)";
  return cannot(address, device, ran.code === "ENOENT" ? missing : problem);
}

function cannot(address: Address, device: string, why: string): string {
  return `cannot announce ${formatAddress(address)} on ${device}: ${why}`;
}
