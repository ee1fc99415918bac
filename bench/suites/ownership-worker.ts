/**
 * The measuring half of the suite `ownership`: runs in a network namespace of its own, which ends with it, and prints
 * one JSON line for each sample. Argument: rounds.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { ipToBytes, macToBytes } from "../../src/core/address.js";
import { buildEthernet, buildIp, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../../src/core/ethernet.js";
import { virtualMac } from "../../src/core/vrrp/advertisement.js";
import type { OwnershipProgram } from "../../src/native/ownership.js";
import { loadNative } from "../../src/native.js";

const RUNS = 200_000;
const FRAMES = 64_000;
const FLOODS = 5;
/** As many virtual routers as one interface can have. */
const GROUPS = 255;

const rounds = Number(process.argv[2]);
const { openOwnership, floodFrames } = loadNative();
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;

const HOST = "02:00:00:00:00:01";
function packet(destination: string, family: "ipv4" | "ipv6" = "ipv4"): Uint8Array {
  const [from, to] = family === "ipv4" ? ["192.0.2.9", "198.51.100.1"] : ["2001:db8::9", "2001:db8:1::1"];
  const datagram = buildIp(ipToBytes(from), ipToBytes(to), 17, new Uint8Array(64));
  const etherType = family === "ipv4" ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  return buildEthernet(macToBytes(destination), macToBytes(HOST), etherType, datagram);
}

/** BPF_PROG_TEST_RUN: each program in turn with the bare one of the same verdict, so that noise hits both. */
function testRuns(): void {
  const tables = openOwnership({ token: 1 });
  for (let vrid = 1; vrid <= GROUPS; vrid++) {
    for (const [slot, family] of [[vrid, "ipv4"] as const, [GROUPS + vrid, "ipv6"] as const]) {
      const mac = virtualMac(family, vrid);
      const address = family === "ipv4" ? `192.0.2.${vrid}` : `fe80::${vrid.toString(16)}`;
      tables.setGroup(slot, { ifindex: 1, mac, addresses: [address], overdueUs: 15_000, limitUs: 5_000_000 });
    }
  }
  const [own4, own6] = [virtualMac("ipv4", 10), virtualMac("ipv6", 10)];
  const others = "02:00:00:00:00:02";
  const time = (program: OwnershipProgram, frame: Uint8Array): number =>
    tables.testRun(program, frame, { repeat: RUNS }).ns;
  const places = [
    { name: "XDP", program: "xdp", pass: "bare-xdp-pass", drop: "bare-xdp-drop" },
    { name: "tc", program: "ingress", pass: "bare-tc-pass", drop: "bare-tc-drop" },
    { name: "tc, the guard", program: "egress", pass: "bare-tc-pass", drop: "bare-tc-drop" },
  ] as const;
  for (let round = 0; round < rounds; round++) {
    for (const { name, program, pass, drop } of places) {
      for (const [kind, frame, open, bare] of [
        ["owned, IPv4", packet(own4), true, pass],
        ["owned, IPv6", packet(own6, "ipv6"), true, pass],
        ["not owned, IPv4", packet(own4), false, drop],
        ["not owned, IPv6", packet(own6, "ipv6"), false, drop],
        ["for anyone else, IPv4", packet(others), false, pass],
        ["for anyone else, IPv6", packet(others, "ipv6"), false, pass],
      ] as const) {
        if (program === "egress") {
          if (kind !== "for anyone else, IPv4") continue;
        }
        for (const slot of [10, GROUPS + 10]) tables.setLease(slot, open);
        const bareNs = time(bare, frame);
        say({ metric: "program", condition: `${name}, ${kind}`, value: time(program, frame) - bareNs });
        say({
          metric: "bare",
          condition: `${name}, ${bare.endsWith("pass") ? "pass" : "drop"}`,
          value: bareNs,
        });
      }
    }
  }
  tables.close();
}

interface Filter {
  readonly name: string;
  start(): () => void;
}

/** Everything is dropped that comes for the group; what is measured is what this costs. */
function filters(ifindex: number, mac: string): Filter[] {
  const ours = (hook: "xdp" | "xdp-generic" | "tc" | "tc-clsact") => () => {
    const tables = openOwnership({ token: 2 });
    tables.setGroup(1, { ifindex, mac, addresses: [], overdueUs: 15_000, limitUs: 5_000_000 });
    tables.attach(ifindex, hook);
    return () => tables.close();
  };
  const nft = (rules: string) => () => {
    run("nft", rules);
    return () => void run("nft", "delete table netdev bench");
  };
  const cluster = () => {
    const rule = (node: number) => [
      ...["-t", "mangle", "-A", "PREROUTING", "-m", "cluster", "--cluster-total-nodes", "2"],
      ...["--cluster-local-node", String(node), "--cluster-hash-seed", "1", "-j", "DROP"],
    ];
    // All packets have one source, so one of the two nodes drops them all.
    run("iptables", ...rule(1));
    floodFrames(ifindexOf("far0"), packet(mac), 64);
    const dropped = run("iptables", "-t", "mangle", "-L", "PREROUTING", "-v", "-x", "-n");
    if (!/^\s*[1-9]\d*\s+\d+\s+DROP/m.test(dropped)) {
      run("iptables", "-t", "mangle", "-F");
      run("iptables", ...rule(2));
    }
    return () => void run("iptables", "-t", "mangle", "-F");
  };
  return [
    {
      name: "bare XDP_DROP",
      start: () => {
        const tables = openOwnership({ token: 2 });
        tables.attachBare(ifindex, "xdp", "bare-xdp-drop");
        return () => tables.close();
      },
    },
    { name: "firsthop, native XDP", start: ours("xdp") },
    { name: "firsthop, generic XDP", start: ours("xdp-generic") },
    { name: "firsthop, tcx", start: ours("tc") },
    { name: "firsthop, clsact", start: ours("tc-clsact") },
    {
      name: "nftables netdev",
      start: nft(
        "table netdev bench { chain in { type filter hook ingress device lan0 priority 0; " +
          `ether daddr ${mac} counter drop; }; }`,
      ),
    },
    { name: "xt_cluster", start: cluster },
  ];
}

const softirqd = readdirSync("/proc").filter(
  (pid) => /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("ksoftirqd/"),
);
/** Nanoseconds that the kernel's softirq threads ran. */
const softirqNs = (): number =>
  softirqd.reduce(
    (sum, pid) => sum + Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]),
    0,
  );

/** Processor time for one frame from the generator to the filter: unlike the clock, it leaves others' work out. */
function flood(ifindex: number, frame: Uint8Array): number {
  const before = softirqNs();
  const ns = floodFrames(ifindex, frame, FRAMES);
  return (ns + softirqNs() - before) / FRAMES;
}

const ifindexOf = (device: string): number =>
  (JSON.parse(run("ip", "-j", "link", "show", "dev", device)) as { ifindex: number }[])[0]?.ifindex as number;

function receivedAt(device: string): number {
  type Statistics = { stats64: { rx: { packets: number } } };
  const [link] = JSON.parse(run("ip", "-j", "-s", "link", "show", "dev", device)) as Statistics[];
  return link?.stats64.rx.packets ?? 0;
}

function endToEnd(): void {
  const mac = virtualMac("ipv4", 10);
  run("ip", "link", "add", "far0", "type", "veth", "peer", "name", "lan0", "address", mac);
  for (const device of ["lo", "far0", "lan0"]) run("ip", "link", "set", device, "up");
  // The receiving end polls a ring also without an XDP program: else no live frame reaches it.
  run("ethtool", "-K", "lan0", "gro", "on");
  const far = ifindexOf("far0");
  const frame = packet(mac);
  const usable = filters(ifindexOf("lan0"), mac).filter(({ name, start }) => {
    try {
      start()();
      return true;
    } catch (error) {
      say({
        gap: `end to end, ${name}`,
        reason: String((error as Error).message)
          .split("\n")
          .at(-1),
      });
      return false;
    }
  });
  for (let round = 0; round < rounds; round++) {
    let bareNs = Number.NaN;
    for (const { name, start } of usable) {
      const end = start();
      const before = receivedAt("lan0");
      const samples = Array.from({ length: FLOODS }, () => flood(far, frame));
      const received = receivedAt("lan0") - before;
      end();
      // What the ring had no room for cost nothing: then the figure means nothing.
      if (received < 0.99 * FLOODS * FRAMES)
        throw new Error(`${name}: only ${received} packets came through`);
      const ns = median(samples);
      if (name === "bare XDP_DROP") bareNs = ns;
      say({ metric: "packet", condition: name, value: ns });
      if (name !== "bare XDP_DROP") say({ metric: "added", condition: name, value: ns - bareNs });
    }
  }
}

testRuns();
endToEnd();
