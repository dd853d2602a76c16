/**
 * A group as it is, on a device without a kernel and with a sender without a
 * network: both only note what they were asked. And a log that is read.
 */
import { decodeAdvertisement } from "../src/carp/advertisement.js";
import { KEY_BYTES } from "../src/carp/digest.js";
import type { GroupConfig } from "../src/config.js";
import { createGroup, type Group } from "../src/group.js";
import type { CarpDevice } from "../src/linux/carp-device.js";
import type { Sender } from "../src/linux/carp-socket.js";
import type { Holder } from "../src/linux/holder.js";
import type { Log } from "../src/log.js";
import { plainCompat } from "./spec.js";

export interface FakeHolder extends Holder {
  /** What it was asked, in order: `prepare`, `claim`, … */
  readonly deeds: string[];
  /** Where it is set, `prepare` waits for it. */
  preparing: Promise<void> | undefined;
  /** Where it is set, `claim` fails and says so. */
  refusal: string | undefined;
  /** What they were leased for has passed, and nobody has renewed it. */
  leaseOver: boolean;
}

export interface FakeSender extends Sender {
  /** What was advertised, as `advbase/advskew`. */
  readonly said: string[];
}

export interface HeardLog extends Log {
  readonly lines: string[];
}

const IPV4_HEADER_BYTES = 20;

export function groupConfig(changes: Partial<GroupConfig> = {}): GroupConfig {
  return {
    vhid: 7,
    interface: "eth0",
    key: new Uint8Array(KEY_BYTES),
    addresses: [],
    advbase: 1,
    advskew: 0,
    preempt: true,
    mac: "virtual",
    peers: [],
    compat: plainCompat,
    ...changes,
  };
}

export function fakeGroup(
  config: GroupConfig,
  holder: Holder,
  sender: Sender,
  now: () => number,
  onChange: () => void = () => {},
): Group {
  const ignore = () => {};
  return createGroup({
    config,
    holder,
    sender,
    log: createHeardLog(),
    now,
    onSigned: ignore,
    onRoleChange: ignore,
    onFault: ignore,
    onSending: ignore,
    onChange,
  });
}

export function createFakeHolder(device: CarpDevice): FakeHolder {
  const deeds: string[] = [];
  let holding = false;
  const note = (deed: string, holds: boolean) => {
    deeds.push(deed);
    holding = holds;
  };
  const holder: FakeHolder = {
    device,
    deeds,
    preparing: undefined,
    refusal: undefined,
    leaseOver: false,
    get holding() {
      return holding;
    },
    async prepare() {
      note("prepare", false);
      await holder.preparing;
      return undefined;
    },
    lost: () => note("lost", false),
    async claim() {
      note("claim", holder.refusal === undefined);
      return holder.refusal;
    },
    release: async () => note("release", false),
    announce: async () => note("announce", holding),
    renew() {},
    fallSilent() {},
    check: async () => {},
    readdress: async () => {},
    destroy: async () => note("destroy", false),
  };
  return holder;
}

export function createFakeSender(): FakeSender {
  const said: string[] = [];
  return {
    said,
    async send(packet) {
      const decoded = decodeAdvertisement(packet.subarray(IPV4_HEADER_BYTES));
      if (decoded.ok) said.push(`${decoded.advertisement.advbase}/${decoded.advertisement.advskew}`);
      return undefined;
    },
    mutenessIn: () => undefined,
    close() {},
  };
}

export function createHeardLog(): HeardLog {
  const lines: string[] = [];
  return { lines, info: (line) => void lines.push(line), warn: (line) => void lines.push(line), debug() {} };
}

/** Until all that only waits for promises has been done. */
export async function quiet(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** For what goes through a socket; the clock of the timers may stand still meanwhile. */
export async function until(what: string, condition: () => boolean, deadlineMs = 20_000): Promise<void> {
  for (const endsAt = performance.now() + deadlineMs; !condition(); ) {
    if (performance.now() > endsAt) throw new Error(`waited ${deadlineMs / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
