/**
 * Asks everybody on the network who has a name that ends in .local, and prints
 * the addresses that somebody answers with, in a line of JSON. A program for a
 * host of the lab.
 *
 *   node local-name.js NAME A|AAAA ADDRESS     ADDRESS is its own
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { addressesIn, formatQuestion, type Kind } from "./names.js";

const GROUP = "224.0.0.251";
const PORT = 5353;
const AGAIN_MS = 500;
const GIVE_UP_MS = 60_000;

const [name = "", kind = "A", ours = ""] = process.argv.slice(2);
const socket = createSocket("udp4").bind(0, ours);
await once(socket, "listening");
socket.setMulticastInterface(ours);
// Whoever asks from another port than 5353 is answered like any other client of DNS.
const ask = () =>
  socket.send(formatQuestion({ name, kind: kind as Kind }), PORT, GROUP, (error) => {
    if (error) throw error;
  });
const again = setInterval(ask, AGAIN_MS);
const giveUp = setTimeout(() => {
  console.error(`nobody answers to ${name}`);
  process.exit(1);
}, GIVE_UP_MS);
ask();
const [answer] = (await once(socket, "message")) as [Buffer];
console.log(JSON.stringify(addressesIn(answer)));
clearInterval(again);
clearTimeout(giveUp);
socket.close();
