/**
 * What the daemon of a board may not ask the kernel for, as a program of the kernel's own for its
 * seccomp: `enclosed` of board/payload hands it over. The daemon writes two records through loop devices,
 * and whoever may write to one may also move it to any other place of the card. Nothing else is refused:
 * what a Node asks for changes with each version.
 */

/** Of linux/filter.h: an instruction is a code, how far to jump if so and if not, and a number. */
const LOAD = 0x20;
const AND = 0x54;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const INSTRUCTION_BYTES = 8;

/** Of linux/seccomp.h: where a call's number, its architecture and its second argument stand. */
const CALL_AT = 0;
const ARCHITECTURE_AT = 4;
const SECOND_ARGUMENT_AT = 24;

const AARCH64 = 0xc00000b7;
/** Of asm-generic/unistd.h. */
const IOCTL = 29;
/** All of linux/loop.h: the type of a request is in its second byte. */
const TYPE_MASK = 0xffffff00;
const LOOP_TYPE = 0x4c00;

const ALLOW = 0x7fff0000;
const REFUSE = 0x00050001; // with EPERM
const KILL = 0x80000000;

const program = [
  [LOAD, 0, 0, ARCHITECTURE_AT],
  [JUMP_IF_EQUAL, 1, 0, AARCH64],
  // Other numbers mean other calls there.
  [RETURN, 0, 0, KILL],
  [LOAD, 0, 0, CALL_AT],
  [JUMP_IF_EQUAL, 0, 4, IOCTL],
  [LOAD, 0, 0, SECOND_ARGUMENT_AT],
  [AND, 0, 0, TYPE_MASK],
  [JUMP_IF_EQUAL, 0, 1, LOOP_TYPE],
  [RETURN, 0, 0, REFUSE],
  [RETURN, 0, 0, ALLOW],
];

export function formatFilter() {
  const bytes = Buffer.alloc(program.length * INSTRUCTION_BYTES);
  for (const [index, [code, ifSo, ifNot, number]] of program.entries()) {
    const at = index * INSTRUCTION_BYTES;
    bytes.writeUInt16LE(code, at);
    bytes.writeUInt8(ifSo, at + 2);
    bytes.writeUInt8(ifNot, at + 3);
    bytes.writeUInt32LE(number, at + 4);
  }
  return bytes;
}
