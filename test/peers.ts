/**
 * The others' state machines by name. They speak the events and actions of our
 * own core, so that the world runs them side by side with it. They share no rule
 * with it, on purpose: they are what it is judged by. Faults of the originals
 * are kept.
 */
import type { Settings, Sources } from "../src/carp/vhost.js";
import { type BsdKind, createBsd } from "./bsd.js";
import type { Machine } from "./machine.js";
import { createUcarp } from "./ucarp.js";

export type PeerKind = BsdKind | "ucarp";

export function createPeer(kind: PeerKind, settings: Settings, sources: Sources): Machine {
  return kind === "ucarp" ? createUcarp(settings, sources) : createBsd(kind, settings);
}
