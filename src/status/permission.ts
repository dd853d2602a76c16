/**
 * Who may ask something over HTTP. To change something, or read the log: the board
 * itself, and whoever has the token. And no web page that somebody happens to look at: a
 * browser says where a page comes from, and asks before it sends JSON elsewhere.
 *
 * To read: everybody who calls the board by an address or a name of its own. A
 * page from elsewhere cannot read an answer, unless its own name is made to mean
 * our address (DNS rebinding), and then the request says that name.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

/** What a request says of itself. */
export interface Petition {
  readonly remoteAddress: string | undefined;
  /** Our own address that it was sent to. */
  readonly localAddress: string | undefined;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
}

export interface Refusal {
  readonly status: 400 | 401 | 403 | 415;
  readonly error: string;
}

/** What a body may be. No page sends one of these to another host without asking first, or reads the answer. */
export type BodyType = "application/json" | "application/octet-stream" | "no body";

/** `undefined`: it may. `names` are what this board is called. */
export function refuse(
  petition: Petition,
  token: string | undefined,
  names: readonly string[],
  wanted: BodyType = "application/json",
): Refusal | undefined {
  const { host = "", origin, contentType = "" } = petition;
  if (wanted !== "no body" && contentType.split(";", 1)[0]?.trim() !== wanted) {
    return { status: 415, error: `content-type: found ${contentType || "none"}, wanted ${wanted}` };
  }
  const said = saidToken(petition);
  // No page has it, wherever it comes from.
  if (said !== undefined && token !== undefined && isSame(said, token)) return undefined;
  if (!isOurs(host, names)) return foreignHost(host);
  if (origin !== undefined && origin !== `http://${host}`) {
    return { status: 403, error: `origin: found ${origin}, wanted http://${host}` };
  }
  if (isBoardItself(petition)) return undefined;
  if (token === undefined) {
    return { status: 403, error: "without status.token_file only the board itself may ask for this" };
  }
  const why = said === undefined ? "found none, wanted Bearer and the token" : "the token is wrong";
  return { status: 401, error: `authorization: ${why}` };
}

/** `undefined`: it may read. Every browser says a host; what says none is some health check. */
export function refuseReader(
  petition: Petition,
  token: string | undefined,
  names: readonly string[],
): Refusal | undefined {
  const { host = "" } = petition;
  if (host === "" || isOurs(host, names) || isLocal(nameIn(host))) return undefined;
  const said = saidToken(petition);
  return said !== undefined && token !== undefined && isSame(said, token) ? undefined : foreignHost(host);
}

function foreignHost(host: string): Refusal {
  const wanted = "this board's address or name, or one of status.names";
  return { status: 403, error: `host: found ${host || "none"}, wanted ${wanted}` };
}

/** A name that somebody else's server may give to our address would pass off their page as ours. */
function isOurs(host: string, names: readonly string[]): boolean {
  const name = nameIn(host);
  if (isIP(name) !== 0 || name === "localhost") return true;
  return names.some((own) => name === own.toLowerCase() || name === `${own.toLowerCase()}.local`);
}

/** No server of the Internet can give out such a name. */
function isLocal(name: string): boolean {
  return /^[^.]+$|\.(local|lan|home\.arpa|internal)$/.test(name);
}

function nameIn(host: string): string {
  return host
    .replace(/:\d+$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .toLowerCase();
}

function saidToken({ authorization = "" }: Petition): string | undefined {
  return /^Bearer +(.*)$/i.exec(authorization)?.[1];
}

function isBoardItself({ remoteAddress = "", localAddress }: Petition): boolean {
  const plain = remoteAddress.replace(/^::ffff:/, "");
  return plain === "::1" || plain.startsWith("127.") || remoteAddress === localAddress;
}

/** In constant time, whatever the lengths. */
function isSame(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => createHash("sha256").update(text).digest());
  return left !== undefined && right !== undefined && timingSafeEqual(left, right);
}
