/**
 * Listens to the CARP of an interface for somebody who only wants to look.
 */
import type { Packet } from "../wire/packet.js";
import { readDevice } from "./carp-device.js";
import { openReceiver } from "./carp-socket.js";
import { openIp } from "./ip.js";

/** Calls `onPacket` until Ctrl-C, SIGTERM, or nobody reads standard output any more. Rejects with what the kernel says. */
export async function listenTo(name: string, onPacket: (packet: Packet) => void): Promise<void> {
  const ip = openIp();
  const { answers } = await ip.run([`address show dev ${name}`]);
  await ip.close();
  const device = readDevice(answers[0]);
  if (!device) throw new Error(`there is no interface ${name}`);

  await new Promise<void>((resolve, reject) => {
    const refusals: unknown[] = [];
    const receivers = ([4, 6] as const).flatMap((family) => {
      try {
        return openReceiver({ name, index: device.index }, family, onPacket, reject);
      } catch (error) {
        refusals.push(error);
        return [];
      }
    });
    // A kernel without IPv6 still has IPv4 to show.
    if (receivers.length === 0) return reject(refusals[0]);
    const stop = () => {
      for (const receiver of receivers) receiver.close();
      resolve();
    };
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
    process.stdout.once("error", stop);
  });
}
