/** What parked and opened devices do to real packets. */
import { type ChildProcess, execFileSync } from "node:child_process";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { virtualMac } from "../../../src/core/vrrp/advertisement.js";
import type { VirtualInterfaceRequest } from "../../../src/driver/driver.js";
import { type Agent, createWorld, type World, within } from "./support/namespaces.js";

const FAMILIES = ["ipv4", "ipv6"] as const;
type Family = (typeof FAMILIES)[number];
const GATEWAY = { ipv4: "192.0.2.10", ipv6: "fe80::10" } as const;
const UPSTREAM = { ipv4: "198.51.100.2", ipv6: "2001:db8:1::2" } as const;
const MAC = { ipv4: virtualMac("ipv4", 10), ipv6: virtualMac("ipv6", 10) } as const;

let world: World;
let agent: Agent;

/** host -- lan0 router up0 -- upstream; the host's default route is the virtual address. */
beforeEach(async () => {
  world = createWorld();
  const [host, router, upstream] = ["host", "router", "upstream"].map((name) => world.namespace(name));
  const cable = (a: string, nsA: string, b: string, nsB: string): void =>
    void execFileSync("ip", [
      "link",
      "add",
      a,
      "netns",
      nsA,
      "type",
      "veth",
      "peer",
      "name",
      b,
      "netns",
      nsB,
    ]);
  cable("h0", host as string, "lan0", router as string);
  cable("u0", upstream as string, "up0", router as string);
  const batch = (name: string, lines: string[]): void =>
    void execFileSync("ip", ["-n", world.namespace(name), "-batch", "-"], { input: lines.join("\n") });
  batch("host", [
    "addr add 192.0.2.100/24 dev h0",
    "addr add 2001:db8::100/64 dev h0 nodad",
    "addr add fe80::100/64 dev h0 nodad",
    "link set h0 addrgenmode none up",
    "route add default via 192.0.2.10",
    "route add default via fe80::10 dev h0",
  ]);
  world.run("router", "sh", "-c", "for f in 4 6; do echo 1 > /proc/sys/net/ipv$f/conf/all/forwarding; done");
  batch("router", [
    "addr add 192.0.2.2/24 dev lan0",
    "addr add 2001:db8::2/64 dev lan0 nodad",
    "addr add fe80::2/64 dev lan0 nodad",
    "addr add 198.51.100.1/24 dev up0",
    "addr add 2001:db8:1::1/64 dev up0 nodad",
    "addr add fe80::1/64 dev up0 nodad", // neighbor solicitations of forwarded packets need a link-local source
    "link set lan0 addrgenmode none up",
    "link set up0 addrgenmode none up",
  ]);
  batch("upstream", [
    "addr add 198.51.100.2/24 dev u0",
    "addr add 2001:db8:1::2/64 dev u0 nodad",
    "addr add fe80::2/64 dev u0 nodad",
    "link set u0 addrgenmode none up",
    "route add 192.0.2.0/24 via 198.51.100.1",
    "route add 2001:db8::/64 via 2001:db8:1::1",
  ]);
  agent = await world.agent("router");
});
afterEach(() => world.destroy());

function requestFor(family: Family, accept = true): VirtualInterfaceRequest {
  const parentIfindex = Number(world.run("router", "cat", "/sys/class/net/lan0/ifindex"));
  const addresses = family === "ipv4" ? ["192.0.2.10/24"] : ["fe80::10/64", "2001:db8::10/64"];
  return { owner: family, parentIfindex, family, vrid: 10, mac: MAC[family], addresses, accept };
}

async function prepare(...requests: VirtualInterfaceRequest[]): Promise<void> {
  const { results } = await agent.prepare(requests);
  expect(results.filter((one) => "code" in one)).toEqual([]);
}

/** One echo request from the host; whether the reply came. */
function ping(target: string): boolean {
  try {
    world.run("host", "ping", "-n", "-q", "-c", "1", "-W", "0.4", target);
    return true;
  } catch {
    return false;
  }
}

/** Makes the host send to the virtual MAC, whoever answers for the address. */
function pin(family: Family): void {
  const args = ["neigh", "replace", GATEWAY[family], "lladdr", MAC[family], "dev", "h0", "nud", "permanent"];
  world.run("host", "ip", ...args);
}

function forget(): void {
  world.run("host", "ip", "neigh", "flush", "dev", "h0", "nud", "all");
}

interface Capture {
  /** All frames up to now. */
  frames(): Promise<readonly string[]>;
  /** Frames with the virtual MACs as source that came in since the last call. */
  fromVirtualMacs(): Promise<string[]>;
}

/** Everything that reaches the host. */
async function captureAtHost(): Promise<Capture> {
  const child: ChildProcess = world.spawn("host", "sh", "-c", "exec tcpdump -l -e -n -i h0 -Q in 2>&1");
  const lines: string[] = [];
  let heard = (): void => undefined;
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    lines.push(line);
    heard();
  });
  const until = (pattern: RegExp): Promise<void> =>
    within(
      new Promise((resolve) => {
        heard = () => {
          if (lines.some((line) => pattern.test(line))) resolve();
        };
        heard();
      }),
      `captured line with ${pattern}`,
    );
  await until(/^listening/);
  let markers = 0;
  let read = 0;
  const frames = async (): Promise<readonly string[]> => {
    // A reply of a length of its own is the last line that counts.
    const length = 200 + ++markers;
    world.run("host", "ping", "-n", "-q", "-c", "1", "-s", String(length), "192.0.2.2");
    await until(new RegExp(`ICMP echo reply.*length ${length + 8}$`));
    return lines;
  };
  return {
    frames,
    async fromVirtualMacs() {
      const fresh = (await frames()).slice(read).filter((line) => / 00:00:5e:00:0[12]:0a > /.test(line));
      read = lines.length;
      return fresh;
    },
  };
}

/** What the kernel delays at random, within so many milliseconds on devices that are made from now on. */
const DELAYED_MS = 100;

function hurryReports(mldVersion: number): void {
  // 0: what the network speaks (2 here); 1 has messages of its own for leaving a group.
  const settings = [
    ["ipv6/conf/all/force_mld_version", mldVersion],
    ["ipv6/conf/default/mldv1_unsolicited_report_interval", DELAYED_MS],
    ["ipv6/conf/default/mldv2_unsolicited_report_interval", DELAYED_MS],
    ["ipv6/conf/default/router_solicitation_delay", 0],
    ["ipv4/conf/default/igmpv2_unsolicited_report_interval", DELAYED_MS],
    ["ipv4/conf/default/igmpv3_unsolicited_report_interval", DELAYED_MS],
  ];
  const script = settings.map(([path, value]) => `echo ${value} > /proc/sys/net/${path}`).join(" && ");
  world.run("router", "sh", "-c", script);
}

/** Pings to the router's own address for as long as a delayed multicast report and its repetition may take, twice. */
function letTimePass(): void {
  world.run("host", "ping", "-n", "-q", "-c", String((4 * DELAYED_MS) / 100 + 1), "-i", "0.1", "192.0.2.2");
}

describe.each(FAMILIES)("%s", (family) => {
  it("parked, neither answers nor forwards; opened, does both", async () => {
    await prepare(requestFor(family));
    expect(ping(GATEWAY[family] + (family === "ipv6" ? "%h0" : ""))).toBe(false);
    pin(family);
    expect(ping(UPSTREAM[family])).toBe(false);
    forget();
    expect(await agent.open(family)).toEqual([]);
    expect(ping(UPSTREAM[family])).toBe(true);
    expect(ping(GATEWAY[family] + (family === "ipv6" ? "%h0" : ""))).toBe(true);
    expect(world.run("host", "ip", "neigh", "show", GATEWAY[family])).toContain(MAC[family]);
    expect(await agent.close(family)).toEqual([]);
    pin(family);
    expect(ping(UPSTREAM[family])).toBe(false);
    expect(ping(GATEWAY[family] + (family === "ipv6" ? "%h0" : ""))).toBe(false);
  });

  it("without accept mode forwards, but is no host", async () => {
    await prepare(requestFor(family, false));
    pin(family);
    expect(ping(UPSTREAM[family])).toBe(false);
    expect(await agent.open(family)).toEqual([]);
    expect(ping(UPSTREAM[family])).toBe(true);
    expect(ping(GATEWAY[family] + (family === "ipv6" ? "%h0" : ""))).toBe(false);
    expect(await agent.close(family)).toEqual([]);
    expect(ping(UPSTREAM[family])).toBe(false);
  });

  it.each([0, 1])("says nothing parked, closing and released (MLD version %i)", async (mldVersion) => {
    hurryReports(mldVersion);
    const capture = await captureAtHost();
    await prepare(requestFor(family));
    letTimePass();
    expect(await capture.fromVirtualMacs()).toEqual([]);
    await agent.open(family);
    expect(ping(UPSTREAM[family])).toBe(true);
    letTimePass();
    const opened = await capture.fromVirtualMacs();
    expect(opened.length).toBeGreaterThan(0);
    // No duplicate address detection: it would ask from the unspecified address.
    expect(
      opened.filter((line) => line.includes("neighbor solicitation") && line.includes(" :: > ")),
    ).toEqual([]);
    await agent.close(family);
    letTimePass();
    expect(await capture.fromVirtualMacs()).toEqual([]);
    await agent.open(family);
    letTimePass();
    await capture.fromVirtualMacs();
    await agent.release([family]);
    letTimePass();
    expect(await capture.fromVirtualMacs()).toEqual([]);
  });
});

describe.each([0, 1, 2])("rp_filter %i for all interfaces", (value) => {
  it.each([true, false])("lets hosts' packets through (accept %s)", async (accept) => {
    const set = `for d in all default lan0 up0; do echo ${value} > /proc/sys/net/ipv4/conf/$d/rp_filter; done`;
    world.run("router", "sh", "-c", set);
    await prepare(requestFor("ipv4", accept));
    pin("ipv4");
    for (let round = 0; round < 2; round++) {
      expect(ping(UPSTREAM.ipv4)).toBe(false);
      expect(await agent.open("ipv4")).toEqual([]);
      expect(ping(UPSTREAM.ipv4)).toBe(true);
      if (accept) expect(ping(GATEWAY.ipv4)).toBe(true);
      expect(await agent.close("ipv4")).toEqual([]);
    }
    await agent.release(["ipv4"]);
    expect(world.run("router", "cat", "/proc/sys/net/ipv4/conf/all/rp_filter").trim()).toBe(String(value));
  });
});

describe("the host's ARP entry", () => {
  it("stays on the virtual MAC when the router asks by itself", async () => {
    const capture = await captureAtHost();
    await prepare(requestFor("ipv4"));
    await agent.open("ipv4");
    expect(ping(GATEWAY.ipv4)).toBe(true);
    // The reply of a ping to the virtual address has it as source; the router must ask for the host first.
    world.run("router", "ip", "neigh", "flush", "dev", "lan0");
    expect(ping(GATEWAY.ipv4)).toBe(true);
    expect(world.run("host", "ip", "neigh", "show", GATEWAY.ipv4)).toContain(MAC.ipv4);
    const asked = (await capture.frames()).filter((line) => line.includes("Request who-has 192.0.2.100"));
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((line) => !line.includes("tell 192.0.2.2,"))).toEqual([]);
  });

  it("is not offered for the router's own address with the virtual MAC", async () => {
    await prepare(requestFor("ipv4"), requestFor("ipv6"));
    await agent.open("ipv4");
    await agent.open("ipv6");
    for (let round = 0; round < 3; round++) {
      forget();
      expect(ping("192.0.2.2")).toBe(true);
      expect(world.run("host", "ip", "neigh", "show", "192.0.2.2")).not.toContain("00:00:5e");
    }
  });
});
