/**
 * A board with a card of ours in it, in QEMU. What is started is what the card
 * itself names, with nothing added but what QEMU needs of a machine.
 *
 *   kind          machine                      card      network
 *   virt          `virt`: lamps and a button   virtio    virtio, eth0
 *   raspberrypi   `raspi3b`: BCM2835, its own  SD        USB, usb0
 *                 device tree
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cable, type Chip, freePort, type Outside, Qemu, STATUS_PORT } from "../emulated/qemu.js";
import { type Kind, startOf, takeFile } from "./card.js";

export interface ApplianceOptions {
  readonly kind: Kind;
  /** A copy that is its own: it is written. */
  readonly card: string;
  /** Its number on the network, 192.0.2.NUMBER, which a DHCP server gives it by its MAC address. */
  readonly number?: number;
  /** Without one QEMU itself is at the other end, and gives it an address. */
  readonly cable?: Cable;
  /** A file for all that is written to the card of a `virt`, in order: write-log.ts reads it. */
  readonly writeLog?: string;
  /** Sectors of the card of a `virt`, counted from its beginning, that nobody can read any more. */
  readonly unreadable?: readonly number[];
  /** How fast the card of a `virt` is read at first, and no faster. */
  readonly bytesPerSecond?: number;
  /** Where stuck-card.ts gives the card of a `virt` out. */
  readonly cardSocket?: string;
  /** For eth1 of a `virt` board. */
  readonly secondCable?: Cable;
}

/** The number of one without neighbours; QEMU's own network has its router at .2. */
export const ALONE = 15;
/** What the boot loader of a Raspberry Pi 3B takes. */
const PI_TREE = "bcm2837-rpi-3-b.dtb";
/** Half a gigabyte is what the smallest of the boards has. */
const VIRT_MACHINE = ["-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "512"];
/** QEMU's name for what slows a card down. */
const PACE = "pace";
/** Writes that QEMU has merged may have more parts than its log of them can take. */
const VIRTIO_CARD = "virtio-blk-pci,drive=card,request-merging=off";
/** With a thread for each processor, those that wait for the kernel starve the one that boots. */
const PI_MACHINE = ["-M", "raspi3b", "-accel", "tcg,thread=single"];
/** QEMU's model of the Pi's watchdog takes the opening for the end of its time. */
const PI_NEEDS = "carpio.watchdog=off";

export const CHIPS: { readonly [K in Kind]: Chip } = { virt: "pl061", raspberrypi: "bcm2835" };

export class Appliance extends Qemu {
  /** Returns when it has power. */
  static async powerOn(options: ApplianceOptions): Promise<Appliance> {
    const { number = ALONE, cable } = options;
    const directory = mkdtempSync(join(tmpdir(), `carpio-appliance-${number}-`));
    const outside = cable
      ? { door: cable.visitor, host: `${addressOf(number)}:${STATUS_PORT}` }
      : { door: [], host: `127.0.0.1:${await freePort()}` };
    const lan = cable ? tapOf(cable) : aloneAt(number, outside);
    const parameters = machineOf({ ...options, number, directory, lan });
    const chip = CHIPS[options.kind];
    const appliance = new Appliance({ directory, outside, before: cable?.door ?? [], parameters, chip });
    try {
      await appliance.reachPanel();
      return appliance;
    } catch (error) {
      await appliance.close();
      throw error;
    }
  }

  /** Of one that has been given a speed. */
  async changeCardSpeed(bytesPerSecond: number): Promise<void> {
    const limits = { path: `/objects/${PACE}`, property: "limits", value: { "bps-read": bytesPerSecond } };
    await this.command("qom-set", limits);
  }
}

export function addressOf(number: number): string {
  return `192.0.2.${number}`;
}

export function macOf(number: number): string {
  return `52:54:00:00:02:${number.toString(16).padStart(2, "0")}`;
}

/** Of its second cable. */
export function secondMacOf(number: number): string {
  return macOf(number).replace(":02:", ":03:");
}

export interface MachineOptions extends ApplianceOptions {
  readonly number: number;
  /** For the files that are taken off the card. */
  readonly directory: string;
  /** What is at the other end of its cable, in QEMU's words for a netdev. */
  readonly lan: string;
}

/** QEMU's parameters; the serial line is its standard input and output. */
export function machineOf(options: MachineOptions): readonly string[] {
  const { kind, number, directory, card, lan, secondCable, bytesPerSecond } = options;
  const { kernel, initramfs, line } = startOf(card);
  const file = (name: string) => takeFile(card, name, directory);
  const started = ["-kernel", file(kernel), "-initrd", file(initramfs)];
  const network = `netdev=lan,mac=${macOf(number)}`;
  const netdev = ["-netdev", `${lan},id=lan`];
  return kind === "virt"
    ? [
        ...[...VIRT_MACHINE, ...started, "-append", line, "-serial", "stdio"],
        ...(bytesPerSecond === undefined
          ? []
          : ["-object", `throttle-group,id=${PACE},x-bps-read=${bytesPerSecond}`]),
        ...["-blockdev", JSON.stringify(driveOf(options)), "-device", VIRTIO_CARD],
        ...["-device", "i6300esb", "-action", "watchdog=reset"],
        ...[...netdev, "-device", `virtio-net-pci,${network},romfile=`],
        ...(secondCable ? ["-netdev", `${tapOf(secondCable)},id=second`] : []),
        ...(secondCable
          ? ["-device", `virtio-net-pci,netdev=second,mac=${secondMacOf(number)},romfile=`]
          : []),
      ]
    : [
        ...[...PI_MACHINE, ...started, "-append", `${line} ${PI_NEEDS}`, "-dtb", file(PI_TREE)],
        ...["-serial", "null", "-serial", "stdio", "-drive", `if=sd,format=raw,file=${card}`],
        ...[...netdev, "-device", `usb-net,${network}`],
      ];
}

function driveOf({ card, writeLog, unreadable = [], bytesPerSecond, cardSocket }: ApplianceOptions) {
  const bad = unreadable.map((sector) => ({ event: "none", iotype: "read", sector }));
  const whole =
    cardSocket === undefined
      ? { driver: "file", filename: card }
      : { driver: "nbd", server: { type: "unix", path: cardSocket } };
  const image =
    bytesPerSecond === undefined ? whole : { driver: "throttle", "throttle-group": PACE, file: whole };
  const file = bad.length === 0 ? image : { driver: "blkdebug", image, "inject-error": bad };
  const named = { "node-name": "card", file };
  if (writeLog === undefined) return { driver: "raw", ...named };
  writeFileSync(writeLog, "");
  return { driver: "blklogwrites", ...named, log: { driver: "file", filename: writeLog } };
}

function tapOf({ device }: Cable): string {
  return `tap,ifname=${device},script=no,downscript=no`;
}

/** QEMU answers its DHCP, with this one address. */
function aloneAt(number: number, outside: Outside): string {
  const forwarded = `hostfwd=tcp:${outside.host}-${addressOf(number)}:${STATUS_PORT}`;
  return `user,restrict=on,ipv6=off,net=192.0.2.0/24,dhcpstart=${addressOf(number)},${forwarded}`;
}
