/**
 * QEMU's two sockets: QMP, which answers JSON, and qtest, which reads memory
 * and sets lines while the machine runs. On both, one answer to one question.
 */
import { createConnection, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

export interface Dialogue {
  /** One line, and the line that answers it. */
  ask(line: string): Promise<string>;
  close(): void;
}

const OPEN_MS = 20_000;

export async function openQtest(path: string): Promise<Dialogue> {
  // Interrupts of the machine are reported between the answers.
  return converse(await connect(path), (line) => !line.startsWith("IRQ"));
}

export async function openQmp(path: string): Promise<Dialogue> {
  const dialogue = converse(
    await connect(path),
    (line) => line.startsWith('{"return"') || line.startsWith('{"error"'),
  );
  await dialogue.ask('{"execute": "qmp_capabilities"}');
  return dialogue;
}

function converse(socket: Socket, isAnswer: (line: string) => boolean): Dialogue {
  const waiting: ((answer: string) => void)[] = [];
  const lines = createInterface({ input: socket });
  // Passed on from the socket, whose end is what counts.
  lines.on("error", () => {});
  lines.on("line", (line) => {
    if (isAnswer(line)) waiting.shift()?.(line);
  });
  socket.once("close", () => {
    for (const answer of waiting.splice(0)) answer("gone");
  });
  return {
    ask: (line) =>
      new Promise((resolve) => {
        // Nobody would answer any more.
        if (socket.destroyed) return resolve("gone");
        waiting.push(resolve);
        socket.write(`${line}\n`);
      }),
    close: () => socket.destroy(),
  };
}

/** QEMU needs a moment until its sockets are there. */
async function connect(path: string): Promise<Socket> {
  const deadlineAt = performance.now() + OPEN_MS;
  for (;;) {
    const socket = createConnection(path);
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once("connect", () => resolve(undefined));
      socket.once("error", resolve);
    });
    if (!error) {
      socket.on("error", () => {});
      return socket;
    }
    if (performance.now() > deadlineAt) throw error;
    await delay(50);
  }
}
