/**
 * The measuring half of the suite `ownership`: runs in a network namespace of its own, which ends with it, and prints
 * one JSON line for each sample. Arguments: rounds, seconds after which no further round begins.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { ipToBytes, macToBytes } from "../../src/core/address.js";
import { buildEthernet, buildIp, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../../src/core/ethernet.js";
import { virtualMac } from "../../src/core/vrrp/advertisement.js";
import type { OwnershipProgram } from "../../src/native/ownership.js";
import { loadNative } from "../../src/native.js";

const RUNS = 200_000;
const FRAMES = 64_000;
const FLOODS = 5;
/** Of the packets, as many must go the way that they should. */
const ENOUGH = 0.99;
/** As many virtual routers as one interface can have. */
const GROUPS = 255;

const rounds = Number(process.argv[2]);
const endMs = performance.now() + 1000 * Number(process.argv[3]);
const { openOwnership, floodFrames } = loadNative();
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number;

const HOST = "02:00:00:00:00:01";
/** UDP from port 4000 to 4001, as long as it says: connection tracking leaves others alone. No checksum. */
const DATAGRAM = new Uint8Array(64);
DATAGRAM.set([0x0f, 0xa0, 0x0f, 0xa1, 0, 64, 0, 0]);
function packet(destination: string, family: "ipv4" | "ipv6" = "ipv4"): Uint8Array {
  const [from, to] = family === "ipv4" ? ["192.0.2.9", "198.51.100.1"] : ["2001:db8::9", "2001:db8:1::1"];
  const datagram = buildIp(ipToBytes(from), ipToBytes(to), 17, DATAGRAM);
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
  for (const { name, program, pass, drop } of places) {
    for (const [kind, frame, open, bare] of [
      ["owned, IPv4", packet(own4), true, pass],
      ["owned, IPv6", packet(own6, "ipv6"), true, pass],
      ["not owned, IPv4", packet(own4), false, drop],
      ["not owned, IPv6", packet(own6, "ipv6"), false, drop],
      ["for anyone else, IPv4", packet(others), false, pass],
      ["for anyone else, IPv6", packet(others, "ipv6"), false, pass],
    ] as const) {
      if (program === "egress" && kind !== "for anyone else, IPv4") continue;
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
  tables.close();
}

interface Filter {
  readonly name: string;
  /** Puts it in the way; the function returned takes it away. */
  start(): () => void;
}

interface Task {
  readonly condition: string;
  /** What the others are held against, and the others. */
  readonly bare: Filter;
  readonly filters: readonly Filter[];
}

const nothing: Filter["start"] = () => () => undefined;

/** firsthop's filter on each hook, with the group's lease open or closed. */
function ours(ifindex: number, mac: string, open: boolean): Filter[] {
  const hooks = {
    "firsthop, native XDP": "xdp",
    "firsthop, generic XDP": "xdp-generic",
    "firsthop, tcx": "tc",
    "firsthop, clsact": "tc-clsact",
  } as const;
  return Object.entries(hooks).map(([name, hook]) => ({
    name,
    start: () => {
      const tables = openOwnership({ token: 2 });
      tables.setGroup(1, { ifindex, mac, addresses: [], overdueUs: 15_000, limitUs: 5_000_000 });
      tables.setLease(1, open);
      tables.attach(ifindex, hook);
      return () => tables.close();
    },
  }));
}

/** One match on the MAC address, which all packets have. */
function nftables(mac: string, verdict: "drop" | "accept"): Filter {
  const rules =
    "table netdev bench { chain in { type filter hook ingress device lan0 priority 0; " +
    `ether daddr ${mac} counter ${verdict}; }; }`;
  return {
    name: "nftables netdev",
    start: () => {
      run("nft", rules);
      return () => void run("nft", "delete table netdev bench");
    },
  };
}

/** Of two nodes; all packets have one source, so it drops all of them or none. */
function cluster(mac: string, drops: boolean): Filter {
  const rule = (node: number): string[] => [
    ...["-t", "mangle", "-A", "PREROUTING", "-m", "cluster", "--cluster-total-nodes", "2"],
    ...["--cluster-local-node", String(node), "--cluster-hash-seed", "1", "-j", "DROP"],
  ];
  const flush = (): void => void run("iptables", "-t", "mangle", "-F");
  return {
    name: "xt_cluster",
    start: () => {
      run("iptables", ...rule(1));
      floodFrames(ifindexOf("far0"), packet(mac), 64);
      const list = run("iptables", "-t", "mangle", "-L", "PREROUTING", "-v", "-x", "-n");
      if (/^\s*[1-9]\d*\s+\d+\s+DROP/m.test(list) !== drops) {
        flush();
        run("iptables", ...rule(2));
      }
      return flush;
    },
  };
}

function tasksOf(ifindex: number, mac: string): Task[] {
  const bareDrop = (): (() => void) => {
    const tables = openOwnership({ token: 2 });
    tables.attachBare(ifindex, "xdp", "bare-xdp-drop");
    return () => tables.close();
  };
  return [
    {
      condition: "dropped",
      bare: { name: "bare XDP_DROP", start: bareDrop },
      filters: [...ours(ifindex, mac, false), nftables(mac, "drop"), cluster(mac, true)],
    },
    {
      condition: "forwarded",
      bare: { name: "plain kernel forwarding", start: nothing },
      filters: [...ours(ifindex, mac, true), nftables(mac, "accept"), cluster(mac, false)],
    },
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

interface Passed {
  readonly received: number;
  readonly sent: number;
}

/** What a device took in, and what another one was given to send. */
function passed(): Passed {
  type Statistics = { stats64: { rx: { packets: number }; tx: { packets: number } } };
  const of = (device: string): Statistics["stats64"] | undefined =>
    (JSON.parse(run("ip", "-j", "-s", "link", "show", "dev", device)) as Statistics[])[0]?.stats64;
  return { received: of("lan0")?.rx.packets ?? 0, sent: of("out0")?.tx.packets ?? 0 };
}

/** far0 - lan0, this machine, out0 - beyond0: packets come in at lan0, and leave by out0 where they are forwarded. */
function makeRoad(mac: string): void {
  const ip = (...words: string[]): void => void run("ip", ...words);
  ip("link", "add", "far0", "type", "veth", "peer", "name", "lan0", "address", mac);
  ip("link", "add", "out0", "type", "veth", "peer", "name", "beyond0");
  for (const device of ["lo", "far0", "lan0", "out0", "beyond0"]) ip("link", "set", device, "up");
  // The receiving end polls a ring also without an XDP program: else no live frame reaches it.
  run("ethtool", "-K", "lan0", "gro", "on");
  ip("addr", "add", "203.0.113.1/24", "dev", "out0");
  ip("route", "add", "192.0.2.0/24", "dev", "lan0");
  ip("route", "add", "198.51.100.0/24", "via", "203.0.113.2");
  ip("neigh", "add", "203.0.113.2", "lladdr", "02:00:00:00:00:99", "dev", "out0");
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
}

function endToEnd(tasks: readonly Task[], far: number, frame: Uint8Array): void {
  for (const { condition, bare, filters } of tasks) {
    const bareNs = floodedOrNot(condition, bare, far, frame);
    for (const filter of filters) {
      const ns = floodedOrNot(condition, filter, far, frame);
      if (ns === null || bareNs === null) continue;
      say({ metric: "added", condition, subject: filter.name, value: ns - bareNs });
    }
  }
}

/** Null when it did not come about; why, is said then. The next round tries again. */
function floodedOrNot(condition: string, filter: Filter, far: number, frame: Uint8Array): number | null {
  try {
    return flooded(condition, filter, far, frame);
  } catch (error) {
    say({ gap: condition, subject: filter.name, reason: lastLine(error) });
    return null;
  }
}

const lastLine = (error: unknown): string =>
  String((error as Error).message)
    .trim()
    .split("\n")
    .at(-1) ?? "";

/** With the filter in their way. @returns nanoseconds of a packet. */
function flooded(condition: string, { name, start }: Filter, far: number, frame: Uint8Array): number {
  const end = start();
  const before = passed();
  let [samples, after]: [readonly number[], Passed] = [[], before];
  try {
    samples = Array.from({ length: FLOODS }, () => flood(far, frame));
    after = passed();
  } finally {
    end();
  }
  const [received, sent] = [after.received - before.received, after.sent - before.sent];
  const all = FLOODS * FRAMES;
  // What the ring had no room for cost nothing: then the figure means nothing.
  if (received < ENOUGH * all) throw new Error(`${name}: only ${received} packets came through`);
  const right = condition === "forwarded" ? sent >= ENOUGH * all : sent <= (1 - ENOUGH) * all;
  if (!right) throw new Error(`${name}: ${sent} of ${all} packets were forwarded`);
  const ns = median(samples);
  say({ metric: "packet", condition, subject: name, value: ns });
  say({ metric: "rate", condition, subject: name, value: 1000 / ns });
  return ns;
}

/** Those that this kernel can do; why not, of the others. */
function usable(task: Task): Task {
  const works = ({ name, start }: Filter): boolean => {
    try {
      start()();
      return true;
    } catch (error) {
      say({ gap: task.condition, subject: name, reason: lastLine(error) });
      return false;
    }
  };
  return { ...task, filters: task.filters.filter(works) };
}

/** Without a road only the programs by themselves are measured. */
function openRoad(mac: string): { readonly tasks: readonly Task[]; readonly far: number } {
  try {
    makeRoad(mac);
    return { tasks: tasksOf(ifindexOf("lan0"), mac).map(usable), far: ifindexOf("far0") };
  } catch (error) {
    for (const gap of ["dropped", "forwarded"]) say({ gap, subject: "firsthop", reason: lastLine(error) });
    return { tasks: [], far: 0 };
  }
}

function measure(): void {
  const mac = virtualMac("ipv4", 10);
  const { tasks, far } = openRoad(mac);
  let longestMs = 0;
  for (let round = 0; round < rounds; round++) {
    const beganMs = performance.now();
    if (round > 0 && beganMs + longestMs > endMs) return;
    say({ round: round + 1 });
    testRuns();
    endToEnd(tasks, far, packet(mac));
    longestMs = Math.max(longestMs, performance.now() - beganMs);
  }
}

measure();
