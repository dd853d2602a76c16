/**
 * The base: what the boot loader starts. A kernel, and a small archive with
 * busybox, the modules of one kind of board and board/base, which chooses the
 * slot to go on in.
 */
import { copyFileSync, cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fetchInputs, root, run } from "./inputs.mjs";
import { installModules, moduleOrder } from "./kernel.mjs";
import { packArchive, settle } from "./tree.mjs";

/** What every slot may ask for, on whichever board. */
const common = {
  first: ["loop", "squashfs", "vfat", "nls_cp437", "nls_ascii"],
  later: ["macvlan", "nf_tables", "nft_limit"],
};

/** What the kernel loads by itself when the operator's file or rules for nft need it. */
const asked = [
  ...["8021q", "nf_conntrack", "nft_ct", "nft_chain_nat", "nft_nat", "nft_masq", "nft_redir"],
  ...["nft_reject_inet", "nft_reject_ipv4", "nft_reject_ipv6", "nft_log", "nf_log_syslog", "nft_quota"],
  ...["nft_fib_inet", "nft_fib_ipv4", "nft_fib_ipv6", "nft_hash", "nft_numgen", "nft_connlimit"],
  ...["nf_conntrack_ftp", "nf_nat_ftp", "nft_flow_offload", "nf_flow_table_inet"],
];

/** Fills a folder and packs it; `modules` is the board's table of that name. */
export function makeBase({ folder, file, kernel, modules, seconds }, say) {
  say("the base: busybox and modules");
  // The board's own first: its network takes a while to come up, and what follows does not wait for it.
  const later = [...modules.later, ...common.later];
  for (const name of ["usr/bin", "usr/lib", "etc"]) mkdirSync(join(folder, name), { recursive: true });
  installModules(kernel, [...modules.first, ...common.first, ...later, ...asked], join(folder, "usr"));
  symlinkSync("usr/lib", join(folder, "lib"));
  const busybox = fetchInputs("userland", say).find(({ name }) => name === "busybox-static");
  const unpacked = `${folder}.busybox`;
  run("dpkg-deb", ["-x", busybox.file, unpacked]);
  copyFileSync(join(unpacked, "usr/bin/busybox"), join(folder, "usr/bin/busybox"));
  cpSync(join(root, "board/base/init"), join(folder, "init"));
  cpSync(join(root, "board/base/record"), join(folder, "usr/bin/record"));
  mkdirSync(join(folder, "usr/lib/carpio"));
  cpSync(join(root, "board/base/slots"), join(folder, "usr/lib/carpio/slots"));
  writeFileSync(join(folder, "etc/modules"), moduleOrder(kernel, modules.first));
  writeFileSync(join(folder, "etc/modules-common"), moduleOrder(kernel, common.first));
  writeFileSync(join(folder, "usr/lib/modules/wanted"), moduleOrder(kernel, later));
  settle(folder, seconds);
  packArchive(folder, file);
}
