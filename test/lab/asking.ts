/**
 * One request over HTTP from a host of the lab; a program, and how to run it.
 * Unlike `fetch` it can say another Host, and shows what streams line by line.
 */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { Child } from "./child.js";
import type { Host } from "./host.js";

export interface Question {
  readonly method?: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Said {
  readonly status: number;
  readonly type: string | undefined;
  readonly allow: string | undefined;
  readonly body: string;
}

export async function ask(host: Host, question: Question): Promise<Said> {
  return JSON.parse(
    await host.run([process.execPath, import.meta.filename, "once", JSON.stringify(question)]),
  );
}

/** Every line of what streams is a line of the child. */
export function listen(host: Host, url: string): Child {
  return host.spawn([process.execPath, import.meta.filename, "stream", JSON.stringify({ url })]);
}

async function main([how, json = ""]: readonly string[]): Promise<void> {
  const { url, method = "GET", headers = {}, body = "" }: Question = JSON.parse(json);
  const asking = request(url, { method, headers, timeout: 20_000 }).end(body);
  const [response] = (await once(asking, "response")) as [IncomingMessage];
  if (how === "stream") return void response.pipe(process.stdout);
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  const { "content-type": type, allow } = response.headers;
  console.log(JSON.stringify({ status: response.statusCode, type, allow, body: text }));
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
