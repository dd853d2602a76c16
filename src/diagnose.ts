/**
 * Why a digest does not fit: found by trying what operators mistype and other
 * implementations do differently, the likeliest first.
 *
 * Knows the mistakes, and for each the sentence that tells what to change.
 * Sentences name keys, addresses and vhids; passwords they never contain.
 */
import type { Advertisement } from "./carp/advertisement.js";
import { createSigner, KEY_BYTES, PASSPHRASE_BYTES, type Signature, verifyDigest } from "./carp/digest.js";
import { type GroupConfig, signatureOf } from "./config.js";
import { type Address, formatAddress, isLinkLocal, sameAddress } from "./wire/address.js";
import { parseMac } from "./wire/mac.js";

/** A packet whose digest fits no group as configured. */
export interface Misfit {
  readonly advertisement: Advertisement;
  readonly source: Address | undefined;
  /** OpenBSD signs a MAC that was set by hand, and sends from it. */
  readonly sourceMac: string | undefined;
}

/** One way in which a peer may have signed, and what to do if it has. */
export interface Theory {
  readonly vhid: number;
  readonly signature: Signature;
  readonly hint: string;
}

/** With more addresses than this not every subset is tried, nor every neighbour. */
const ADDRESSES_TRIED = 8;

/**
 * The mistake that explains a misfit with one of the suspects, the groups of
 * its vhid; `groups` are all there are. What explained the last misfit of the
 * same peer is tried first.
 */
export function diagnose(
  misfit: Misfit,
  suspects: readonly GroupConfig[],
  groups: readonly GroupConfig[],
  earlier?: Theory,
): Theory | undefined {
  const steps = searchTheory(misfit, suspects, groups, earlier);
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

/** The same in steps, one theory each, for whoever has something else to do in between. */
export function* searchTheory(
  misfit: Misfit,
  suspects: readonly GroupConfig[],
  groups: readonly GroupConfig[],
  earlier?: Theory,
): Generator<undefined, Theory | undefined> {
  if (earlier && fits(earlier, misfit.advertisement)) return earlier;
  for (const group of suspects) {
    const others = groups.filter((other) => other !== group);
    for (const theory of theories(misfit, group, others)) {
      if (fits(theory, misfit.advertisement)) return theory;
      yield;
    }
  }
  return undefined;
}

/** Whether a vhid that nobody has here is one of our groups under another number. */
export function diagnoseVhid(
  advertisement: Advertisement,
  groups: readonly GroupConfig[],
): string | undefined {
  const { vhid } = advertisement;
  const group = groups.find((one) => fits({ vhid, signature: signatureOf(one) }, advertisement));
  return group && `this is ${nameOf(group)} under another number: use the same vhid on both sides`;
}

function fits(theory: Pick<Theory, "vhid" | "signature">, advertisement: Advertisement): boolean {
  return verifyDigest(createSigner(theory.vhid, theory.signature), advertisement) !== undefined;
}

/** What may differ from our own signature, and the sentence for it. */
type Change = readonly [Partial<Signature>, string];

function* theories(misfit: Misfit, group: GroupConfig, others: readonly GroupConfig[]): Generator<Theory> {
  const { vhid } = misfit.advertisement;
  const own = signatureOf(group);
  for (const [change, hint] of changes(misfit, own, others)) {
    yield { vhid, signature: { ...own, ...change }, hint };
  }
  for (const other of others) {
    const hint = `the peer has password and addresses of ${nameOf(other)}: one side has the wrong vhid`;
    yield { vhid, signature: signatureOf(other), hint };
  }
  for (const [addresses, hint] of slippedAddresses(own.addresses)) {
    yield { vhid, signature: { ...own, addresses, linkLocal: "auto" }, hint: `password right, but ${hint}` };
  }
  yield* otherVhids(vhid, own);
}

function* changes(misfit: Misfit, own: Signature, others: readonly GroupConfig[]): Generator<Change> {
  for (const [change, hint] of otherForms(misfit, own)) {
    yield [change, `password and addresses right, but ${hint}`];
  }
  for (const [addresses, hint] of otherAddresses(misfit, own.addresses, others)) {
    yield [{ addresses, linkLocal: "auto" }, `password right, but ${hint}`];
  }
  for (const [key, hint] of otherKeys(own.key, others)) {
    yield [{ key, linkLocal: "auto" }, `addresses right, but ${hint}`];
    for (const address of own.addresses) {
      const also = `and the peer signs ${formatAddress(address)} alone, as UCARP does`;
      if (address.family === 4) yield [{ key, addresses: [address] }, `${hint}; ${also}`];
    }
  }
}

/** Same password, same addresses, signed in another way. */
function* otherForms(misfit: Misfit, own: Signature): Generator<Change> {
  const place = "in [carp.compat]";
  if (own.order === "interface") {
    yield [{ order: "sorted" }, `the peer signs them in ascending order: set order = "sorted" ${place}`];
  }
  for (const addresses of ordersOf(own.addresses)) {
    const hint =
      `the peer signs them in interface order, as FreeBSD before 7.1: ` +
      `set order = "interface" ${place}, with addresses in the order ${textOf(addresses)}`;
    yield [{ addresses, order: "interface" }, hint];
  }
  yield own.linkLocal === "with"
    ? [{ linkLocal: "without" }, `the peer leaves link-local addresses out: set link_local = "auto" ${place}`]
    : [{ linkLocal: "with" }, `the peer signs link-local addresses too: set link_local = "with" ${place}`];
  yield [{ lladdr: undefined }, `the peer signs no link-layer address: remove lladdr from [carp.compat]`];
  for (const mac of macsOf(misfit)) {
    const lladdr = parseMac(mac);
    yield [{ lladdr }, `the peer signs the link-layer address it was given: set lladdr = "${mac}" ${place}`];
  }
}

/** Same password, other addresses. */
function* otherAddresses(
  { advertisement, source }: Misfit,
  own: readonly Address[],
  others: readonly GroupConfig[],
): Generator<readonly [readonly Address[], string]> {
  for (const address of own.length > 1 ? own : []) {
    const hint = `the peer signs ${formatAddress(address)} alone, as UCARP must`;
    const cure = "give it a vhid of its own, or add the others there";
    if (address.family === 4) yield [[address], `${hint}: ${cure}`];
  }
  // OpenBSD and NetBSD put this one on a carp interface by themselves, and NetBSD signs it.
  const automatic = linkLocalOf(advertisement.vhid);
  yield [[...own, automatic], surplus(automatic)];
  for (const missing of omissions(own)) {
    const them = missing.length === 1 ? "it" : "them";
    const hint = `the peer does not sign ${textOf(missing)}: add ${them} there, or take ${them} off here`;
    yield [own.filter((address) => !missing.includes(address)), hint];
  }
  const known = others.flatMap((other) => addressesOf(other));
  for (const extra of source ? [source, ...known] : known) yield [[...own, extra], surplus(extra)];
  for (const other of others) {
    const theirs = addressesOf(other);
    yield [theirs, `the peer signs the addresses of ${nameOf(other)}: one side has the wrong addresses`];
    yield [[...own, ...theirs], `the peer also signs the addresses of ${nameOf(other)}: remove them there`];
  }
}

/** Same password, but an address that differs in its last byte only: where slips are made. */
function* slippedAddresses(own: readonly Address[]): Generator<readonly [readonly Address[], string]> {
  for (const address of own.slice(0, ADDRESSES_TRIED)) {
    for (const near of neighbours(address)) {
      const replaced = own.map((one) => (one === address ? near : one));
      const both = `${formatAddress(near)} and not ${formatAddress(address)}`;
      yield [replaced, `the peer signs ${both}: correct one of them`];
      yield [[...own, near], surplus(near)];
    }
  }
}

/** Same addresses, another key. */
function* otherKeys(
  own: Uint8Array,
  others: readonly GroupConfig[],
): Generator<readonly [Uint8Array, string]> {
  for (const other of others) yield [other.key, `the peer has the password of ${nameOf(other)}`];
  yield [new Uint8Array(KEY_BYTES), "the peer has no password: set it there"];

  // The text that was typed is not kept, but all of it that counts is in the key.
  const password = own.subarray(0, own.includes(0) ? own.indexOf(0) : KEY_BYTES);
  for (const [bytes, hint] of slips(Buffer.from(password).toString("latin1"))) {
    const key = new Uint8Array(KEY_BYTES);
    key.set(Buffer.from(bytes, "latin1").subarray(0, PASSPHRASE_BYTES));
    yield [key, hint];
  }
  if (password.length !== PASSPHRASE_BYTES) return;
  const hint = "the peer counts a 20th byte of its password: shorten the password to 19 bytes there";
  for (let last = 1; last < 256; last++) yield [Uint8Array.of(...password, last), hint];
}

/** What happens to a password on its way from one machine to another. One character is one byte here. */
function* slips(password: string): Generator<[string, string]> {
  for (const length of [19, 16, 15, 8]) {
    const hint = `the peer counts only ${length} bytes of the password: use a shorter one on both sides`;
    yield [password.slice(0, length), hint];
  }
  const rewrite = "write its password file again without";
  yield [`${password}\n`, `the peer's password ends in a newline: ${rewrite}`];
  yield [`${password}\r`, `the peer's password ends in a carriage return: ${rewrite}`];
  yield [`${password}\r\n`, `the peer's password ends in carriage return and newline: ${rewrite}`];
  yield [`${password} `, `the peer's password ends in a space: ${rewrite}`];
  yield [password.trim(), "password here begins or ends in white space, the peer's does not: remove it"];
  const unquoted = password.replace(/^(["'])(.*)\1$/, "$2");
  yield [unquoted, "password here has quotation marks inside, the peer's has none: remove them"];
  for (const mark of [`"`, "'"]) {
    const quoted = `${mark}${password}${mark}`;
    yield [quoted, "the peer's password has quotation marks around it: remove them there"];
  }
  const swapped = password.replace(/[a-z]/gi, (c) => (c < "a" ? c.toLowerCase() : c.toUpperCase()));
  const first = swapped.slice(0, 1) + password.slice(1);
  for (const written of [swapped, first, password.toLowerCase(), password.toUpperCase()]) {
    yield [written, "the peer's password differs in upper and lower case: type it again there"];
  }
  const narrow = Buffer.from(password, "latin1").toString("utf8");
  yield [narrow, "the peer's password is in Latin-1, password here in UTF-8: use ASCII characters only"];
  const hex = Buffer.from(password, "latin1").toString("hex");
  yield [hex, "the peer took the hex digits of key for its password: use a password on both sides"];
}

function* otherVhids(vhid: number, signature: Signature): Generator<Theory> {
  for (let signed = 1; signed < 256; signed++) {
    const hint = `password and addresses right, but signed for vhid ${signed}, which the header does not say`;
    if (signed !== vhid)
      yield { vhid: signed, signature, hint: `${hint}: the sender is faulty, or it was altered` };
  }
}

/** What a peer may have left out: the smallest omissions first, everything last. */
function omissions(own: readonly Address[]): Address[][] {
  const families = [4, 6].map((family) => own.filter((address) => address.family === family));
  const subsets =
    own.length > ADDRESSES_TRIED ? [...own.map((address) => [address]), ...families] : subsetsOf(own);
  return [...subsets, [...own]].filter((subset) => subset.length > 0).sort((a, b) => a.length - b.length);
}

function subsetsOf(own: readonly Address[]): Address[][] {
  return Array.from({ length: 2 ** own.length }, (_, bits) => own.filter((_, i) => (bits >> i) & 1));
}

/** Every order of a few addresses: whose interface order it is, we do not know. As configured comes first. */
function ordersOf(addresses: readonly Address[]): (readonly Address[])[] {
  if (addresses.length < 2 || addresses.length > 5) return [addresses];
  return addresses.flatMap((first) => {
    const rest = addresses.filter((address) => address !== first);
    return ordersOf(rest).map((order) => [first, ...order]);
  });
}

function neighbours(address: Address): Address[] {
  const last = address.bytes.length - 1;
  return Array.from({ length: 256 }, (_, byte) => {
    const bytes = Uint8Array.from(address.bytes);
    bytes[last] = byte;
    return { family: address.family, bytes };
  }).filter((near) => !sameAddress(near, address));
}

/** fe80::200:5eff:fe00:1VV, made from the virtual MAC. */
function linkLocalOf(vhid: number): Address {
  return {
    family: 6,
    bytes: Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x02, 0x00, 0x5e, 0xff, 0xfe, 0x00, 0x01, vhid),
  };
}

/** What OpenBSD may have for a link-layer address: what it sends from, or a default of another mode. */
function macsOf({ advertisement, sourceMac }: Misfit): string[] {
  const vhid = advertisement.vhid.toString(16).padStart(2, "0");
  return [...(sourceMac ? [sourceMac] : []), `00:00:5e:00:01:${vhid}`, `01:00:5e:00:01:${vhid}`];
}

function addressesOf(group: GroupConfig): Address[] {
  return group.addresses.map(({ address }) => address);
}

function surplus(extra: Address): string {
  const also = isLinkLocal(extra) ? ` and set link_local = "with" in [carp.compat]` : "";
  return `the peer also signs ${formatAddress(extra)}: remove it there, or add it to addresses${also}`;
}

function textOf(addresses: readonly Address[]): string {
  return addresses.map(formatAddress).join(", ");
}

function nameOf(group: GroupConfig): string {
  return `vhid ${group.vhid} on ${group.interface}`;
}
