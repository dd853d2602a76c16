/**
 * The CARP sockets by themselves, in a process that has nothing else. What
 * they send and hear on a wire is in frames.test.ts.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Family } from "../../src/wire/address.js";
import type { Host } from "./host.js";
import { Lab } from "./lab.js";
import { becomeLabRoot, type Output } from "./namespace.js";

await becomeLabRoot();

const SRC = join(import.meta.dirname, "../../src");
/** Its queue takes all, and lets go of a byte in a second. */
const JAMMED = "qdisc add dev eth0 root tbf rate 8bit burst 200 limit 100mb".split(" ");
const LOOPBACK: { readonly [F in Family]: string } = { 4: "127.0.0.1", 6: "::1" };

for (const family of [4, 6] as const) {
  test(`IPv${family}: what is to be sent is sent, and heard, although the garbage is collected first`, async () => {
    await using lab = await Lab.open({ boards: ["left"] });
    const { stdout, stderr, status } = await run(
      lab.left,
      family,
      `openReceiver(lo, self.family, ({ source }) => process.exit(source.family === self.family ? 0 : 1), onError);
      openSender().send(packet, self, "lo").then((refused) => console.log(refused ?? "sent"));
      gc();`,
    );
    assert.deepEqual({ stdout, stderr, status }, { stdout: "sent\n", stderr: "", status: 0 });
  });

  test(`IPv${family}: a mistake in handling a packet ends the process, and is no error of the socket`, async () => {
    await using lab = await Lab.open({ boards: ["left"] });
    const { stdout, stderr, status } = await run(
      lab.left,
      family,
      `const mistake = () => {
        throw new Error("a mistake of ours");
      };
      openReceiver(lo, self.family, mistake, onError);
      openSender().send(packet, self, "lo");`,
    );
    assert.equal(stdout, "");
    assert.match(stderr, /Error: a mistake of ours/);
    assert.equal(status, 1);
  });

  test(`IPv${family}: an interface that sends no more delays each answer by a second, and fails the others once`, async () => {
    await using lab = await Lab.open({ boards: ["left"], lans: 2 });
    await lab.left.run(["tc", ...JAMMED]);
    const { stdout, stderr, status } = await run(
      lab.left,
      family,
      `const sender = openSender();
      const to = (device) => sender.send(packet, GROUP[self.family], device);
      const jammed = await Promise.all(Array.from({ length: 1_000 }, () => to("eth0")));
      console.log(jammed[0] ?? "sent");
      console.log(jammed.at(-1)?.message);
      console.log(await to("eth1") ?? "sent");
      sender.close();`,
    );
    const said = ["sent", "the kernel has taken no packet for 1 s", "sent", ""].join("\n");
    assert.deepEqual({ stdout, stderr, status }, { stdout: said, stderr: "", status: 0 });
  });
}

test("a program that is started inherits none of the sockets", async () => {
  await using lab = await Lab.open({ boards: ["left"] });
  const { stdout, stderr, status } = await run(
    lab.left,
    4,
    `import { execFileSync } from "node:child_process";
    import { readFileSync } from "node:fs";
    openReceiver(lo, 4, () => {}, onError);
    await openSender().send(packet, self, "lo");
    const raw = readFileSync("/proc/net/raw", "utf8").split("\\n").map((line) => line.trim().split(" ").at(-4));
    const has = (pid) => {
      const files = execFileSync("ls", ["-l", \`/proc/\${pid}/fd\`], { encoding: "utf8" });
      return raw.filter((inode) => files.includes(\`socket:[\${inode}]\`)).length;
    };
    console.log(has(process.pid), has("self"));
    process.exit();`,
  );
  assert.deepEqual({ stdout, stderr, status }, { stdout: "2 0\n", stderr: "", status: 0 });
});

/** Runs a program on a host, which finds there our functions and a packet to itself. */
function run(host: Host, family: Family, program: string): Promise<Output> {
  const script = `
    import { openReceiver, openSender } from "${SRC}/linux/carp-socket.js";
    import { parseAddress } from "${SRC}/wire/address.js";
    import { encodeIpv4, encodeIpv6, GROUP } from "${SRC}/wire/packet.js";

    const lo = { name: "lo", index: 1 };
    const self = parseAddress("${LOOPBACK[family]}");
    const packet = ${family === 4 ? "encodeIpv4" : "encodeIpv6"}(self, self, new Uint8Array(36));
    const onError = (error) => console.log("error of the socket:", error.message);
    ${program}`;
  const argv = [process.execPath, "--expose-gc", "--input-type=module", "-e", script];
  return host.attempt(["timeout", "20", ...argv]);
}
