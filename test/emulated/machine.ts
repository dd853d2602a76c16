/**
 * An arm64 board in QEMU's `virt` machine, as shipped: Debian's kernel, Node
 * and the bundle in a file system in memory, started by QEMU alone.
 *
 *   outside                                inside
 *   run()         ◀─ the serial line ───────▶ a shell, PID 1
 *   cable         ◀─ tap, a port of a switch ▶ eth0, virtio
 *   disc          ◀─ a file that stays ──────▶ /var/lib/carpio, vfat on virtio
 *
 * It knows pins and commands; what carpio does with them is for the tests.
 * scripts/guest.mjs makes what is booted.
 */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cable, freePort, type Outside, QEMU, Qemu, STATUS_PORT } from "./qemu.js";

export interface MachineOptions {
  readonly name: string;
  /** Its number on the network: 192.0.2.NUMBER. */
  readonly number?: number;
  /** Lines of carpio.toml. */
  readonly config: readonly string[];
  /** Without one, eth0 has a link and nobody at its other end. */
  readonly cable?: Cable;
  /** An image from `makeDisc` for what carpio keeps. Without one it is in memory, and gone with the power. */
  readonly disc?: string;
  /** Gives the lamps to the kernel's LED class, as a `gpio-leds` node of the device tree does. */
  readonly leds?: boolean;
}

const root = join(import.meta.dirname, "../../..");
const guest = join(root, "build/guest");
/** The number of one without neighbours; QEMU's own network has its router at .2. */
const ALONE = 15;
/** Of two processors at least one is left for carpio's programs, as on the boards that people have. */
const PARTS = ["-cpu", "cortex-a72", "-smp", "2", "-m", "768"];
const BOOT_MS = 120_000;
const COMMAND_MS = 60_000;
const DISC_BYTES = 4 << 20;
const READY = "the shell is ready";
const INIT = `#!/usr/bin/busybox sh
/usr/bin/busybox --install -s /usr/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs run /run
for module in $(cat /modules/order); do [ $module = leds-gpio.ko ] || insmod /modules/$module; done
ip link set lo up
. /machine
stty -echo
echo ${READY}
PS1= PS2= exec sh
`;

export class Machine extends Qemu {
  #commands = 0;

  /** Returns when a shell answers; carpio does not run yet. */
  static async boot(options: MachineOptions): Promise<Machine> {
    const directory = mkdtempSync(join(tmpdir(), `carpio-machine-${options.name}-`));
    const outside = await outsideOf(options);
    const before = options.cable?.door ?? [];
    const parameters = parametersFor(options, directory, outside);
    const machine = new Machine({ directory, outside, before, parameters });
    try {
      await machine.reachPanel();
      await machine.until(() => machine.lines.includes(READY), {
        holds: (isReady) => isReady,
        what: "the boot",
        deadlineMs: BOOT_MS,
      });
      // What the shell says at first is not the answer to a question.
      await machine.run("true");
      return machine;
    } catch (error) {
      await machine.close();
      throw error;
    }
  }

  /** Starts carpio; what it says goes to a file in the guest and comes with `log`. */
  async start(): Promise<void> {
    await this.run("carpio run --config /etc/carpio.toml >/run/log 2>&1 & echo $! >/run/pid");
  }

  override log(): Promise<string> {
    return this.run("cat /run/log");
  }

  async write(file: string, lines: readonly string[]): Promise<void> {
    await this.run([`cat >${file} <<'END OF FILE'`, ...lines, "END OF FILE"].join("\n"));
  }

  /** A command in the guest; gives what it printed, and throws when it fails. */
  async run(command: string, deadlineMs = COMMAND_MS): Promise<string> {
    const mark = `end of ${++this.#commands}:`;
    const from = this.lines.length;
    // The mark is put together in the guest, so that an echo of the command is not taken for its answer.
    this.process.stdin?.write(`${command}\necho "end of" ${this.#commands}: $?\n`);
    const end = await this.until(
      () => this.lines.findIndex((line, i) => i >= from && line.startsWith(mark)),
      {
        holds: (index) => index >= 0,
        what: command,
        deadlineMs,
      },
    );
    const said = this.lines.slice(from, end).join("\n");
    const status = Number(this.lines[end]?.slice(mark.length));
    if (status !== 0) throw new Error(`${command}: exit status ${status}: ${said}`);
    return said;
  }
}

/** An empty disc, which outlives every machine that it is given to. */
export function makeDisc(file: string): string {
  writeFileSync(file, "");
  truncateSync(file, DISC_BYTES);
  execFileSync("busybox", ["mkdosfs", file]);
  return file;
}

/** Without a cable QEMU itself is at the other end, and forwards a port of this computer. */
async function outsideOf({ number = ALONE, cable }: MachineOptions): Promise<Outside> {
  if (cable) return { door: cable.visitor, host: `${addressOf(number)}:${STATUS_PORT}` };
  return { door: [], host: `127.0.0.1:${await freePort()}` };
}

function addressOf(number: number): string {
  return `192.0.2.${number}`;
}

function parametersFor(options: MachineOptions, directory: string, outside: Outside): readonly string[] {
  const { number = ALONE, cable, disc, leds = false } = options;
  const mac = `52:54:00:00:02:${number.toString(16).padStart(2, "0")}`;
  const forwarded = `hostfwd=tcp:${outside.host}-${addressOf(number)}:${STATUS_PORT}`;
  const lan = cable
    ? `tap,ifname=${cable.device},script=no,downscript=no`
    : `user,restrict=on,ipv6=off,net=192.0.2.0/24,${forwarded}`;
  return [
    ...["-M", "virt", ...PARTS, "-no-reboot", "-serial", "stdio"],
    ...["-kernel", join(guest, "vmlinuz"), "-initrd", makeInitrd(options, directory)],
    ...["-append", "console=ttyAMA0 loglevel=1 panic=1"],
    ...(leds ? ["-dtb", treeWithLeds(directory)] : []),
    ...["-netdev", `${lan},id=lan`, "-device", `virtio-net-pci,netdev=lan,mac=${mac},romfile=`],
    ...(disc ? ["-drive", `if=none,id=disc,format=raw,file=${disc}`] : []),
    ...(disc ? ["-device", "virtio-blk-pci,drive=disc"] : []),
  ];
}

/** Two archives, one behind the other: what all machines have, and what is this one's. */
function makeInitrd(options: MachineOptions, directory: string): string {
  const { name, number = ALONE, config, disc, leds = false } = options;
  const common = join(guest, "common.cpio");
  if (!existsSync(common)) {
    archive(join(guest, "root"), `${common}.${process.pid}`);
    execFileSync("mv", [`${common}.${process.pid}`, common]);
  }
  const own = join(directory, "own");
  for (const folder of ["usr/bin", "etc", "proc", "sys", "dev", "run", "tmp", "var/lib/carpio"]) {
    mkdirSync(join(own, folder), { recursive: true });
  }
  copyFileSync(join(root, "build/guest.cjs"), join(own, "usr/bin/carpio"));
  writeFileSync(join(own, "etc/carpio.toml"), [`name = "${name}"`, ...config, ""].join("\n"));
  const settings = [
    `hostname ${name}`,
    `ip address add ${addressOf(number)}/24 dev eth0`,
    "ip link set eth0 up",
    "export PATH=/usr/local/bin:/usr/sbin:/usr/bin",
    ...(disc ? ["mount -t vfat /dev/vda /var/lib/carpio"] : []),
    ...(leds ? ["insmod /modules/leds-gpio.ko"] : []),
  ];
  writeFileSync(join(own, "machine"), `${settings.join("\n")}\n`);
  writeFileSync(join(own, "init"), INIT);
  for (const file of ["init", "usr/bin/carpio"]) chmodSync(join(own, file), 0o755);

  const initrd = join(directory, "initrd");
  copyFileSync(common, initrd);
  archive(own, join(directory, "own.cpio"));
  appendFileSync(initrd, readFileSync(join(directory, "own.cpio")));
  return initrd;
}

/** The kernel wants every archive to begin at a multiple of four; cpio's are padded to 512. */
function archive(folder: string, file: string): void {
  const names = execFileSync("find", [".", "-mindepth", "1"], { cwd: folder });
  const stdio: ["pipe", number, "ignore"] = ["pipe", openSync(file, "w"), "ignore"];
  execFileSync("cpio", ["-o", "-H", "newc", "-R", "0:0"], { cwd: folder, input: names, stdio });
  if (statSync(file).size % 4 !== 0) throw new Error(`${file}: found a length that is no multiple of 4`);
}

/** QEMU's own device tree with the lamps as LEDs, under the names of board/virt/board.toml. */
function treeWithLeds(directory: string): string {
  const tree = join(directory, "virt.dtb");
  const parameters = ["-M", `virt,dumpdtb=${tree}`, ...PARTS];
  execFileSync(QEMU, [...parameters, "-nodefaults", "-display", "none"], { stdio: "ignore" });
  const chip = execFileSync("fdtget", ["-t", "x", tree, "/pl061@9030000", "phandle"], {
    encoding: "utf8",
  }).trim();
  execFileSync("fdtput", ["-c", tree, "/leds"]);
  execFileSync("fdtput", ["-t", "s", tree, "/leds", "compatible", "gpio-leds"]);
  for (const [line, label] of [
    "carpio:green:role",
    "carpio:amber:maintenance",
    "carpio:red:fault",
  ].entries()) {
    execFileSync("fdtput", ["-c", tree, `/leds/lamp${line}`]);
    execFileSync("fdtput", ["-t", "s", tree, `/leds/lamp${line}`, "label", label]);
    execFileSync("fdtput", ["-t", "x", tree, `/leds/lamp${line}`, "gpios", chip, String(line), "0"]);
  }
  return tree;
}
