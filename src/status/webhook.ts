/**
 * Carries one message to a webhook: a POST of JSON, of whose answer only the
 * status is read. Runs in a process of its own (`carpio post`), because a name
 * that is looked up and a TLS handshake take longer than an advertisement can
 * wait.
 */
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";

/** `again`: another time it may go well. */
export type Posted =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: string; readonly again: boolean };

/** Errors name the host alone: the rest of a webhook's URL is a secret. */
export async function postMessage(url: string, json: string): Promise<Posted> {
  const { protocol, host } = new URL(url);
  const begin = protocol === "https:" ? requestHttps : requestHttp;
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(json),
    "user-agent": "carpio",
  };
  try {
    const status = await new Promise<number>((resolve, reject) => {
      const onAnswer = (answer: IncomingMessage) => {
        answer.destroy();
        resolve(answer.statusCode ?? 0);
      };
      const asking = begin(url, { method: "POST", headers, agent: false }, onAnswer).on("error", reject);
      // Comes last, and is all that comes of an answer that switches to another protocol.
      asking.on("close", () => reject(new Error("it hung up without an answer"))).end(json);
    });
    if (status >= 200 && status < 300) return { ok: true };
    const again = status >= 500 || status === 429 || status === 408;
    return { ok: false, why: `${host} answers with HTTP status ${status}`, again };
  } catch (error) {
    return { ok: false, why: `${host}: ${wordsOf(error)}`, again: true };
  }
}

/** Of several addresses that were tried there is a code, and no message. */
function wordsOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  return message || code || String(error);
}
