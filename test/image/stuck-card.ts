/**
 * A card that never answers for one part of itself, as worn ones do: QEMU has it over NBD, the
 * protocol of network block devices (its document is doc/proto.md of nbd), from here.
 */
import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";
import { createServer, type Socket } from "node:net";

/** In bytes from the card's beginning. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

const GREETING = Buffer.from("NBDMAGICIHAVEOPT\0\x01");
const CLIENT_FLAGS_BYTES = 4;
const [OPTION_BYTES, REQUEST_BYTES, ANSWER_BYTES] = [16, 28, 16];
const GO = 7;
const OPTION_ANSWER = 0x3e889045565a9n;
const [ACKNOWLEDGED, INFORMATION, UNKNOWN] = [1, 3, 0x80000001];
/** Of the export: its size, and that it can be flushed. */
const [EXPORT, CAN_FLUSH] = [0, 0b101];
const [READ, WRITE, DISCONNECT] = [0, 1, 2];
const ANSWER = 0x67446698;

/** QEMU finds it at a socket of that path. */
export async function openStuckCard(card: string, socket: string, stuck: Part): Promise<AsyncDisposable> {
  const file = await open(card, "r+");
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    // QEMU ends with its board, in the middle of whatever it is at.
    client.on("error", () => {});
    serve(client, file, stuck).catch(() => client.destroy());
  });
  server.listen(socket);
  await once(server, "listening");
  return {
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      server.close();
      await file.close();
    },
  };
}

async function serve(client: Socket, file: FileHandle, stuck: Part): Promise<void> {
  const take = takerOf(client);
  client.write(GREETING);
  await take(CLIENT_FLAGS_BYTES);
  await agree(client, take, (await file.stat()).size);
  for (;;) {
    const request = await take(REQUEST_BYTES);
    const [type, at, length] = [
      request.readUInt16BE(6),
      Number(request.readBigUInt64BE(16)),
      request.readUInt32BE(24),
    ];
    if (type === DISCONNECT) return void client.end();
    const data = type === WRITE ? await take(length) : Buffer.alloc(type === READ ? length : 0);
    if (at < stuck.to && at + length > stuck.from) continue;
    if (type === READ) await file.read(data, 0, length, at);
    if (type === WRITE) await file.write(data, 0, length, at);
    const answer = Buffer.alloc(ANSWER_BYTES);
    answer.writeUInt32BE(ANSWER);
    request.copy(answer, 8, 8, 16);
    client.write(type === READ ? Buffer.concat([answer, data]) : answer);
  }
}

/** Until the client has what it asks for, and begins. */
async function agree(client: Socket, take: Taker, bytes: number): Promise<void> {
  for (let option: number | undefined; option !== GO; ) {
    const asked = await take(OPTION_BYTES);
    option = asked.readUInt32BE(8);
    await take(asked.readUInt32BE(12));
    const answer = (kind: number, data = Buffer.alloc(0)) => {
      const head = Buffer.alloc(20);
      head.writeBigUInt64BE(OPTION_ANSWER);
      head.writeUInt32BE(option ?? 0, 8);
      head.writeUInt32BE(kind, 12);
      head.writeUInt32BE(data.length, 16);
      client.write(Buffer.concat([head, data]));
    };
    if (option !== GO) answer(UNKNOWN);
    else {
      const information = Buffer.alloc(12);
      information.writeUInt16BE(EXPORT);
      information.writeBigUInt64BE(BigInt(bytes), 2);
      information.writeUInt16BE(CAN_FLUSH, 10);
      answer(INFORMATION, information);
      answer(ACKNOWLEDGED);
    }
  }
}

type Taker = (bytes: number) => Promise<Buffer>;

/** The next so many bytes, whenever they are there. Throws at the end. */
function takerOf(client: Socket): Taker {
  const chunks = client[Symbol.asyncIterator]();
  let there = Buffer.alloc(0);
  return async (bytes) => {
    while (there.length < bytes) {
      const { value, done } = await chunks.next();
      if (done) throw new Error("the client has gone");
      there = Buffer.concat([there, value]);
    }
    const taken = there.subarray(0, bytes);
    there = there.subarray(bytes);
    return taken;
  };
}
