/**
 * What the daemon of a board may not ask the kernel for: the filter, run as the
 * kernel runs it.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const file = join(import.meta.dirname, "../../../scripts/firmware/filter.mjs");
const { formatFilter } = (await import(pathToFileURL(file).href)) as {
  formatFilter: () => Buffer;
};
const program = formatFilter();

/** Of linux/audit.h, linux/seccomp.h and asm-generic/unistd.h. */
const [AARCH64, ARM, X86_64] = [0xc00000b7, 0x40000028, 0xc000003e];
const [ALLOWED, REFUSED, KILLED] = [0x7fff0000, 0x00050001, 0x80000000];
const [IOCTL, WRITE] = [29, 64];
/** Of linux/loop.h, linux/if_tun.h and asm-generic/ioctls.h. */
const [LOOP_SET_FD, LOOP_SET_STATUS64, LOOP_CONFIGURE] = [0x4c00, 0x4c04, 0x4c0a];
const [TUNSETIFF, TCGETS] = [0x400454ca, 0x5401];

// biome-ignore format: a call a line
const calls = [
  { is: "a write", call: WRITE, request: LOOP_SET_STATUS64, gives: ALLOWED },
  { is: "a terminal's settings", call: IOCTL, request: TCGETS, gives: ALLOWED },
  { is: "a tunnel", call: IOCTL, request: TUNSETIFF, gives: ALLOWED },
  { is: "a loop device for a file", call: IOCTL, request: LOOP_SET_FD, gives: REFUSED },
  { is: "a loop device at another place", call: IOCTL, request: LOOP_SET_STATUS64, gives: REFUSED },
  { is: "a loop device in one go", call: IOCTL, request: LOOP_CONFIGURE, gives: REFUSED },
  { is: "the last of a loop device's", call: IOCTL, request: 0x4cff, gives: REFUSED },
  { is: "what only ends like one of a loop device's", call: IOCTL, request: 0x14c04, gives: ALLOWED },
  { is: "one with more bits than the kernel looks at", call: IOCTL, request: LOOP_SET_STATUS64, above: 1, gives: REFUSED },
  { is: "of 32 bits", architecture: ARM, call: WRITE, request: 0, gives: KILLED },
  { is: "of another computer", architecture: X86_64, call: IOCTL, request: TCGETS, gives: KILLED },
];
for (const { is, architecture = AARCH64, call, request, above = 0, gives } of calls) {
  test(`asked for ${is}, the kernel answers ${gives.toString(16)}`, () => {
    assert.equal(run(dataOf(architecture, call, request, above)), gives);
  });
}

/** A struct seccomp_data: the call, its architecture, where from, and six arguments. */
function dataOf(architecture: number, call: number, request: number, above: number): Buffer {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call, 0);
  data.writeUInt32LE(architecture, 4);
  data.writeUInt32LE(request, 24);
  data.writeUInt32LE(above, 28);
  return data;
}

/** The four instructions that are in it, as linux/bpf_common.h has them. */
function run(data: Buffer): number {
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const [code, number] = [program.readUInt16LE(at), program.readUInt32LE(at + 4)];
    if (code === 0x20) accumulator = data.readUInt32LE(number);
    else if (code === 0x54) accumulator = (accumulator & number) >>> 0;
    else if (code === 0x15) at += 8 * program.readUInt8(at + (accumulator === number ? 2 : 3));
    else if (code === 0x06) return number;
    else throw new Error(`found ${code} at ${at}`);
  }
  throw new Error("it does not end");
}
