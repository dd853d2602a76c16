/**
 * Who may press the button over HTTP, one row a case.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Petition, refuse } from "../../src/status/permission.js";

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
const rows: { is: string; from: Petition; token?: string; status?: number; says?: RegExp }[] = [
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
  { is: "localhost", from: { ...local, host: "localhost:8080" } },
];
for (const { is, from, token, status, says } of rows) {
  test(`${is}: ${status ?? "may"}`, () => {
    const refusal = refuse(from, token, ["left"]);
    assert.equal(refusal?.status, status);
    if (says) assert.match(refusal?.error ?? "", says);
    assert.ok(!refusal?.error.includes(TOKEN), "the token is told to nobody");
  });
}
