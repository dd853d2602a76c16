/**
 * Who may press the button over HTTP, and who may read, one row a case.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BodyType, type Petition, refuse, refuseReader } from "../../src/status/permission.js";

const TOKEN = "open sesame";
const local: Petition = {
  remoteAddress: "127.0.0.1",
  localAddress: "127.0.0.1",
  host: "127.0.0.1:8080",
  origin: undefined,
  authorization: undefined,
  contentType: "application/json",
};
const remote: Petition = {
  ...local,
  remoteAddress: "192.0.2.9",
  localAddress: "192.0.2.2",
  host: "192.0.2.2:8080",
};
const bearer = { authorization: `Bearer ${TOKEN}` };

// biome-ignore format: one rule a line
const rows: { is: string; from: Petition; body?: BodyType; token?: string; status?: number; says?: RegExp }[] = [
  { is: "the board itself", from: local },
  { is: "the board itself, with a token set", from: local, token: TOKEN },
  { is: "the board itself by IPv6", from: { ...local, remoteAddress: "::1", localAddress: "::1", host: "[::1]:8080" } },
  { is: "the board itself on a socket of both families", from: { ...local, remoteAddress: "::ffff:127.0.0.1", localAddress: "::ffff:127.0.0.1" } },
  { is: "the board itself by its own address", from: { ...remote, remoteAddress: "192.0.2.2" } },
  { is: "another host without a token set", from: remote, status: 403, says: /without status\.token_file/ },
  { is: "another host that says none", from: remote, token: TOKEN, status: 401, says: /found none, wanted Bearer/ },
  { is: "another host with the token", from: { ...remote, ...bearer }, token: TOKEN },
  { is: "another host with the token, in lower case", from: { ...remote, authorization: `bearer ${TOKEN}` }, token: TOKEN },
  { is: "another host with a wrong one", from: { ...remote, authorization: "Bearer open" }, token: TOKEN, status: 401, says: /the token is wrong/ },
  { is: "another host with the token as a password", from: { ...remote, authorization: `Basic ${TOKEN}` }, token: TOKEN, status: 401, says: /wanted Bearer/ },
  { is: "a form, which any page may send", from: { ...local, contentType: "application/x-www-form-urlencoded" }, status: 415, says: /wanted application\/json/ },
  { is: "text, which any page may send", from: { ...local, contentType: "text/plain" }, status: 415, says: /wanted application\/json/ },
  { is: "no content type", from: { ...local, contentType: undefined }, status: 415, says: /found none/ },
  { is: "a page from elsewhere", from: { ...local, origin: "http://evil.example" }, status: 403, says: /origin: found http:\/\/evil\.example/ },
  { is: "a page from another port", from: { ...local, origin: "http://127.0.0.1:9090" }, status: 403, says: /origin/ },
  { is: "a page without an origin of its own", from: { ...local, origin: "null" }, status: 403, says: /origin/ },
  { is: "our own page", from: { ...local, origin: "http://127.0.0.1:8080" } },
  { is: "a name that somebody gave to our address", from: { ...local, host: "evil.example:8080" }, status: 403, says: /host: found evil\.example/ },
  { is: "a name that only the local network knows, with the token", from: { ...remote, ...bearer, host: "left.lan:8080" }, token: TOKEN },
  { is: "the same name with a wrong token", from: { ...remote, authorization: "Bearer open", host: "left.lan" }, token: TOKEN, status: 403, says: /host/ },
  { is: "the board itself with a token of yesterday", from: { ...local, authorization: "Bearer open" }, token: TOKEN },
  { is: "no host", from: { ...local, host: undefined }, status: 403, says: /host: found none/ },
  { is: "our own name", from: { ...remote, ...bearer, host: "left:8080" }, token: TOKEN },
  { is: "our own name by mDNS", from: { ...remote, ...bearer, host: "Left.local:8080" }, token: TOKEN },
  { is: "whoever reads the log has no body, and needs the token", from: { ...remote, contentType: undefined }, body: "no body", token: TOKEN, status: 401, says: /found none, wanted Bearer/ },
  { is: "who has it reads the log", from: { ...remote, ...bearer, contentType: undefined }, body: "no body", token: TOKEN },
  { is: "localhost", from: { ...local, host: "localhost:8080" } },
];
for (const { is, from, body, token, status, says } of rows) {
  test(`${is}: ${status ?? "may"}`, () => {
    const refusal = refuse(from, token, ["left"], body);
    assert.equal(refusal?.status, status);
    if (says) assert.match(refusal?.error ?? "", says);
    assert.ok(!refusal?.error.includes(TOKEN), "the token is told to nobody");
  });
}

// biome-ignore format: one rule a line
const readers: { by: string | undefined; authorization?: string; may: boolean; why: string }[] = [
  { by: "192.0.2.2:8080", may: true, why: "an address is nobody's name" },
  { by: "[2001:db8::2]:8080", may: true, why: "of either family" },
  { by: "localhost:8080", may: true, why: "the board itself" },
  { by: "LEFT", may: true, why: "our own name" },
  { by: "router", may: true, why: "a name without a dot is the local network's" },
  { by: "router.lan", may: true, why: "nor has the Internet names under lan" },
  { by: "router.home.arpa:80", may: true, why: "or under home.arpa" },
  { by: "router.corp.internal", may: true, why: "or under internal" },
  { by: undefined, may: true, why: "no browser says no host; a health check does" },
  { by: "evil.example", may: false, why: "its server may say that this is our address" },
  { by: "192.0.2.2.evil.example", may: false, why: "an address in front makes none of it" },
  { by: "left.evil.example", may: false, why: "nor does our name" },
  { by: "evil.example", authorization: `Bearer ${TOKEN}`, may: true, why: "no page has the token" },
  { by: "evil.example", authorization: "Bearer open", may: false, why: "a wrong token is none" },
];
for (const { by, authorization, may, why } of readers) {
  test(`who calls the board ${by}${authorization ? " with a token" : ""} ${may ? "may" : "may not"} read: ${why}`, () => {
    const refusal = refuseReader({ ...remote, host: by, authorization }, TOKEN, ["left"]);
    assert.equal(refusal?.status, may ? undefined : 403);
    assert.ok(!refusal?.error.includes(TOKEN));
  });
}
