/**
 * What a board finds at its provider: names, the time, and a place for its log.
 * A program for a host of the lab, where these ports are free; it prints a line
 * for whatever is asked of it or told to it.
 *
 *   node provider.js NAME=ADDRESS… CLOCK     CLOCK is ahead of ours by so many seconds
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { formatAnswer, readQuestion } from "./names.js";

const PORTS = { names: 53, time: 123, log: 514 } as const;
const SECONDS_FROM_1900_TO_1970 = 2_208_988_800;
const NTP_BYTES = 48;
/** No warning, version 4, a server; of stratum 1, which knows by itself. */
const [SERVER, STRATUM, PRECISION] = [0x24, 1, 0xec] as const;

const names = new Map<string, string>();
let aheadSeconds = 0;
for (const argument of process.argv.slice(2)) {
  const [name = "", address] = argument.split("=");
  if (address === undefined) aheadSeconds = Number(name);
  else names.set(name, address);
}

serve(PORTS.names, (message) => {
  const { name, kind } = readQuestion(message) ?? {};
  const address = names.get(name ?? "");
  console.log(`name ${name} ${kind}`);
  return formatAnswer(message, address === undefined ? [] : [address]);
});

/** SNTP (RFC 4330): the moment of the question comes back, with ours. */
serve(PORTS.time, (message, { address }) => {
  console.log(`time ${address}`);
  const answer = Buffer.alloc(NTP_BYTES);
  answer.set([SERVER, STRATUM, message.readUInt8(2), PRECISION]);
  answer.write("TEST", 12);
  message.copy(answer, 24, 40, NTP_BYTES);
  for (const at of [16, 32, 40]) answer.writeBigUInt64BE(timestamp(), at);
  return answer;
});

serve(PORTS.log, (message) => {
  console.log(`log ${message.toString().trim()}`);
  return undefined;
});

console.log("ready");

function serve(port: number, answer: (message: Buffer, from: RemoteInfo) => Buffer | undefined): Socket {
  const socket = createSocket("udp4");
  return socket
    .on("message", (message, from) => {
      const said = answer(message, from);
      if (said) socket.send(said, from.port, from.address);
    })
    .bind(port);
}

/** Seconds since 1900, and 1/2^32 s. */
function timestamp(): bigint {
  const ms = performance.timeOrigin + performance.now() + aheadSeconds * 1000;
  const seconds = Math.floor(ms / 1000);
  const fraction = Math.floor((ms / 1000 - seconds) * 2 ** 32);
  return (BigInt(seconds + SECONDS_FROM_1900_TO_1970) << 32n) | BigInt(fraction);
}
