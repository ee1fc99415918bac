/** What the kernel side puts into the kernel, and that it takes all of it out again. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { virtualMac } from "../../../src/core/vrrp/advertisement.js";
import type { VirtualInterfaceRequest } from "../../../src/driver/driver.js";
import { type Agent, createWorld, describeKernel, type Prepared, type World } from "./support/namespaces.js";

let world: World;

beforeEach(() => {
  world = createWorld();
});
afterEach(() => world.destroy());

/** A router with one LAN interface; the other end of its cable is in "lan". */
function plug(interfaceName = "lan0"): number {
  const router = world.namespace("router");
  execFileSync("ip", [
    ...["link", "add", interfaceName, "netns", router],
    ...["type", "veth", "peer", "name", "far", "netns", world.namespace("lan")],
  ]);
  for (const family of ["ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"]) sysctl(`net/${family}`, 1);
  world.run("router", "ip", "addr", "add", "192.0.2.2/24", "dev", interfaceName);
  world.run("router", "ip", "addr", "add", "2001:db8::2/64", "dev", interfaceName, "nodad");
  world.run("router", "ip", "link", "set", interfaceName, "addrgenmode", "none", "up");
  world.run("lan", "ip", "link", "set", "far", "addrgenmode", "none", "up");
  return Number(world.run("router", "cat", `/sys/class/net/${interfaceName}/ifindex`));
}

function sysctl(name: string, value?: number): string {
  const path = `/proc/sys/${name}`;
  if (value !== undefined) world.run("router", "sh", "-c", `echo ${value} > ${path}`);
  return world.run("router", "cat", path).trim();
}

function requestFor(
  parentIfindex: number,
  vrid: number,
  family: "ipv4" | "ipv6",
  more: Partial<VirtualInterfaceRequest> = {},
): VirtualInterfaceRequest {
  return {
    owner: `${parentIfindex}/${vrid}/${family}`,
    parentIfindex,
    family,
    vrid,
    mac: virtualMac(family, vrid),
    addresses:
      family === "ipv4"
        ? [`192.0.2.${vrid}/24`]
        : [`fe80::${vrid.toString(16)}/64`, `2001:db8::1:${vrid}/64`],
    accept: true,
    ...more,
  };
}

async function prepareOne(agent: Agent, request: VirtualInterfaceRequest): Promise<Prepared> {
  const { results } = await agent.prepare([request]);
  return results[0] as Prepared;
}

const addressesOf = (device: string): string =>
  world.run("router", "ip", "-br", "addr", "show", "dev", device);
const links = (): string => world.run("router", "ip", "-br", "link");
const records = (): string[] =>
  readdirSync(world.stateDirectory, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".json"));

describe("a virtual MAC", () => {
  it("comes, opens, closes and goes, and leaves nothing", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const agent = await world.agent("router");
    const requests = [requestFor(parent, 10, "ipv4"), requestFor(parent, 10, "ipv6")];
    const { results } = await agent.prepare(requests);
    expect(results).toMatchObject([
      { name: "fh10-lan0", mac: "00:00:5e:00:01:0a" },
      { name: "fh10v6-lan0", mac: "00:00:5e:00:02:0a" },
    ]);
    const detail = world.run("router", "ip", "-d", "link", "show", "fh10-lan0");
    expect(detail).toMatch(/mode source remotes \(0\)|mode source/);
    expect(detail).toContain("addrgenmode none");
    expect(detail).toMatch(/<[A-Z,_]*\bUP\b/);
    expect(addressesOf("fh10-lan0")).not.toMatch(/[0-9a-f]\//);
    expect(addressesOf("fh10v6-lan0")).not.toMatch(/[0-9a-f]\//);
    for (const { owner } of requests) expect(await agent.open(owner)).toEqual([]);
    expect(addressesOf("fh10-lan0")).toContain("192.0.2.10/24");
    expect(addressesOf("fh10v6-lan0")).toContain("fe80::a/64");
    expect(addressesOf("fh10v6-lan0")).toContain("2001:db8::1:10/64");
    expect(world.run("router", "ip", "addr", "show", "dev", "fh10v6-lan0")).not.toContain("tentative");
    // The connected route stays the parent's.
    expect(world.run("router", "ip", "route", "get", "192.0.2.99")).toContain("dev lan0");
    expect(world.run("router", "ip", "-6", "route", "get", "2001:db8::99")).toContain("dev lan0");
    for (const { owner } of requests) expect(await agent.close(owner)).toEqual([]);
    expect(addressesOf("fh10-lan0")).not.toMatch(/[0-9a-f]\//);
    expect(addressesOf("fh10v6-lan0")).not.toMatch(/[0-9a-f]\//);
    await agent.release(requests.map((one) => one.owner));
    expect(describeKernel(world, "router")).toBe(before);
    expect(records()).toEqual([]);
  });

  it("is taken out also while it is open", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const agent = await world.agent("router");
    const requests = [
      requestFor(parent, 10, "ipv4"),
      requestFor(parent, 10, "ipv6"),
      requestFor(parent, 11, "ipv4", { accept: false }),
      requestFor(parent, 11, "ipv6", { accept: false }),
      requestFor(parent, 12, "ipv4", { mac: null }),
      requestFor(parent, 12, "ipv6", { mac: null }),
      requestFor(parent, 13, "ipv4", { mac: null, accept: false }),
    ];
    await agent.prepare(requests);
    for (const { owner } of requests) expect(await agent.open(owner)).toEqual([]);
    expect(addressesOf("lan0")).toContain("192.0.2.12/24");
    expect(world.run("router", "ip", "route", "show", "type", "blackhole")).toContain("192.0.2.11");
    await agent.release(requests.map((one) => one.owner));
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("needs no IPv6 for IPv4, and for IPv6 says what is in its way, on an interface of a small MTU", async () => {
    const parent = plug();
    world.run("router", "ip", "link", "set", "lan0", "mtu", "1200");
    const before = describeKernel(world, "router");
    const agent = await world.agent("router");
    const [ipv4, ipv6] = [requestFor(parent, 10, "ipv4"), requestFor(parent, 10, "ipv6")];
    const { results } = await agent.prepare([ipv4, ipv6, requestFor(parent, 11, "ipv6", { mac: null })]);
    const refused = {
      message: expect.stringMatching(/no IPv6 on lan0: its MTU is 1200, and IPv6 takes 1280/),
    };
    expect(results).toMatchObject([{ name: "fh10-lan0" }, refused, refused]);
    expect(await agent.open(ipv4.owner)).toEqual([]);
    expect(addressesOf("fh10-lan0")).toContain("192.0.2.10/24");
    expect(links()).not.toContain("fh10v6-lan0");
    await agent.release([ipv4.owner]);
    expect(describeKernel(world, "router")).toBe(before);
    world.run("router", "ip", "link", "set", "lan0", "mtu", "1500");
    expect(await prepareOne(agent, ipv6)).toMatchObject({ name: "fh10v6-lan0" });
  });

  it("comes back from a crash with nothing stale", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const victim = await world.agent("router");
    const requests = [
      requestFor(parent, 10, "ipv4"),
      requestFor(parent, 10, "ipv6"),
      requestFor(parent, 11, "ipv4", { accept: false }),
      requestFor(parent, 12, "ipv4", { mac: null }),
      requestFor(parent, 12, "ipv6", { mac: null }),
    ];
    await victim.prepare(requests);
    for (const { owner } of requests) expect(await victim.open(owner)).toEqual([]);
    await victim.kill();
    expect(links()).toContain("fh10-lan0");
    const next = await world.agent("router");
    const lines = await next.recover();
    expect(lines).toContain(
      "removed fh10-lan0, fh10v6-lan0, fh11-lan0, left by a firsthop that did not end properly",
    );
    expect(lines).toContain("removed 192.0.2.12 from lan0, left by a firsthop that did not end properly");
    expect(lines).toContain(
      "removed the blackhole route for 192.0.2.11, left by a firsthop that did not end properly",
    );
    expect(lines).toContain("set net.ipv4.conf.lan0.arp_ignore back to 0");
    expect(describeKernel(world, "router")).toBe(before);
    expect(records()).toEqual([]);
    expect(await next.recover()).toEqual([]);
    await next.prepare(requests);
    await next.release(requests.map((one) => one.owner));
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("is recognised also when its daemon died before it could tag it, or when the records are gone", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const victim = await world.agent("router");
    await victim.prepare([requestFor(parent, 10, "ipv4")]);
    world.run("router", "ip", "link", "set", "fh10-lan0", "alias", "");
    await victim.kill();
    const second = await world.agent("router");
    expect((await second.recover())[0]).toContain("removed fh10-lan0");
    expect(describeKernel(world, "router")).toBe(before);
    const request = requestFor(parent, 10, "ipv6");
    await second.prepare([request]);
    await second.open(request.owner);
    await second.kill();
    rmSync(join(world.stateDirectory, records()[0] as string));
    const third = await world.agent("router");
    expect((await third.recover())[0]).toContain("removed fh10v6-lan0");
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("of a daemon in another namespace is no business of ours, though the state directory is one", async () => {
    const parent = plug();
    const first = await world.agent("router");
    await first.prepare([requestFor(parent, 10, "ipv4")]);
    const elsewhere = await world.agent("elsewhere");
    expect(await elsewhere.recover()).toEqual([]);
    expect(records()).toHaveLength(1);
    expect(sysctl("net/ipv4/conf/lan0/arp_ignore")).toBe("1");
  });

  it("of a dead daemon is adopted when nobody cleaned up, and its settings are known", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const victim = await world.agent("router");
    const request = requestFor(parent, 10, "ipv4");
    const made = await prepareOne(victim, request);
    await victim.open(request.owner);
    await victim.kill();
    const next = await world.agent("router");
    expect(await prepareOne(next, request)).toMatchObject({ ifindex: (made as { ifindex: number }).ifindex });
    expect(addressesOf("fh10-lan0")).not.toContain("192.0.2.10");
    expect(world.run("router", "ip", "-d", "link", "show", "fh10-lan0")).toContain("mode source");
    await next.recover();
    expect(links()).toContain("fh10-lan0");
    await next.release([request.owner]);
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("of another daemon that runs is left alone", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const first = await world.agent("router");
    // Not even the same state directory.
    const second = await world.agent("router", join(world.stateDirectory, "second"));
    await first.prepare([requestFor(parent, 10, "ipv4")]);
    expect(await second.recover()).toEqual([]);
    expect(links()).toContain("fh10-lan0");
    expect(await prepareOne(second, { ...requestFor(parent, 10, "ipv4"), owner: "other" })).toMatchObject({
      code: "INTERFACE_CONFLICT",
      message: expect.stringContaining("another running firsthop"),
    });
    await first.release([`${parent}/10/ipv4`]);
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("shares the parent's settings with other daemons: the last one restores them", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const first = await world.agent("router");
    const second = await world.agent("router");
    await first.prepare([requestFor(parent, 10, "ipv4")]);
    await second.prepare([requestFor(parent, 11, "ipv4")]);
    await first.release([`${parent}/10/ipv4`]);
    expect(sysctl("net/ipv4/conf/lan0/arp_ignore")).toBe("1");
    await first.prepare([requestFor(parent, 10, "ipv4")]);
    await second.kill();
    await first.recover();
    expect(sysctl("net/ipv4/conf/lan0/arp_ignore")).toBe("1");
    await first.release([`${parent}/10/ipv4`]);
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("does not undo what somebody else set meanwhile", async () => {
    const parent = plug();
    const agent = await world.agent("router");
    await agent.prepare([requestFor(parent, 10, "ipv4")]);
    sysctl("net/ipv4/conf/lan0/arp_announce", 1);
    await agent.release([`${parent}/10/ipv4`]);
    expect(sysctl("net/ipv4/conf/lan0/arp_announce")).toBe("1");
    expect(sysctl("net/ipv4/conf/lan0/arp_ignore")).toBe("0");
  });

  it("forwards where its parent does, also when the default says otherwise", async () => {
    const parent = plug();
    for (const family of ["ipv4", "ipv6"]) {
      sysctl(`net/${family}/conf/all/forwarding`, 0);
      sysctl(`net/${family}/conf/lan0/forwarding`, 1);
    }
    const agent = await world.agent("router");
    await agent.prepare([requestFor(parent, 10, "ipv4"), requestFor(parent, 10, "ipv6")]);
    expect(sysctl("net/ipv4/conf/fh10-lan0/forwarding")).toBe("1");
    expect(sysctl("net/ipv6/conf/fh10v6-lan0/forwarding")).toBe("1");
  });

  it("fits below interfaces with names of 15 characters", async () => {
    const parent = plug("a23456789012345");
    const before = describeKernel(world, "router");
    const agent = await world.agent("router");
    const requests = [requestFor(parent, 255, "ipv4"), requestFor(parent, 255, "ipv6")];
    const { results } = await agent.prepare(requests);
    expect(results).toMatchObject([{ name: `fh255_i${parent}` }, { name: `fh255v6_i${parent}` }]);
    await agent.release(requests.map((one) => one.owner));
    expect(describeKernel(world, "router")).toBe(before);
  });
});

describe("255 virtual routers", () => {
  it("come and go together", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const agent = await world.agent("router");
    for (const family of ["ipv4", "ipv6"] as const) {
      const requests = Array.from({ length: 255 }, (_, index) => requestFor(parent, index + 1, family));
      const { results, tookMs } = await agent.prepare(requests);
      expect(results.filter((one) => "code" in one)).toEqual([]);
      const released = await agent.release(requests.map((one) => one.owner));
      console.log(
        `${family}: prepared in ${tookMs.toFixed(0)} ms, released in ${released.tookMs.toFixed(0)} ms`,
      );
      expect(describeKernel(world, "router")).toBe(before);
    }
  });
});

describe("refusals", () => {
  const refusalOf = async (request: VirtualInterfaceRequest): Promise<Prepared> =>
    prepareOne(await world.agent("router"), request);

  it("a device of that name that is not ours", async () => {
    const parent = plug();
    world.run("router", "ip", "link", "add", "fh10-lan0", "type", "bridge");
    const before = describeKernel(world, "router");
    expect(await refusalOf(requestFor(parent, 10, "ipv4"))).toEqual({
      code: "INTERFACE_CONFLICT",
      message: expect.stringContaining("fh10-lan0 is there, which firsthop did not make"),
    });
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("a macvlan that has the virtual MAC already", async () => {
    const parent = plug();
    const mac = "00:00:5e:00:01:0a";
    world.run("router", "ip", "link", "add", "vrrp.10", "link", "lan0", "address", mac, "type", "macvlan");
    expect(await refusalOf(requestFor(parent, 10, "ipv4"))).toEqual({
      code: "INTERFACE_CONFLICT",
      message: expect.stringContaining("vrrp.10 is there with the virtual MAC address 00:00:5e:00:01:0a"),
    });
  });

  it("a port of a bridge", async () => {
    const parent = plug();
    world.run("router", "ip", "link", "add", "br0", "type", "bridge");
    world.run("router", "ip", "link", "set", "lan0", "master", "br0");
    expect(await refusalOf(requestFor(parent, 10, "ipv4"))).toEqual({
      code: "INTERFACE_CONFLICT",
      message: expect.stringContaining("lan0 is a port of br0"),
    });
  });

  it("a macvlan, which no frame for a virtual MAC passes", async () => {
    plug();
    world.run("router", "ip", "link", "add", "mv0", "link", "lan0", "type", "macvlan", "mode", "bridge");
    const parent = Number(world.run("router", "cat", "/sys/class/net/mv0/ifindex"));
    expect(await refusalOf(requestFor(parent, 10, "ipv4"))).toEqual({
      code: "INTERFACE_CONFLICT",
      message: expect.stringContaining("mv0 is a macvlan, which can't carry a virtual MAC"),
    });
  });

  it("an interface that is not there", async () => {
    plug();
    expect(await refusalOf(requestFor(4711, 10, "ipv4"))).toMatchObject({ code: "INTERFACE_MISSING" });
  });

  it("one VRID twice, but not its twin", async () => {
    const parent = plug();
    const agent = await world.agent("router");
    const { results } = await agent.prepare([
      requestFor(parent, 10, "ipv4"),
      requestFor(parent, 10, "ipv4", { owner: "again" }),
    ]);
    expect(results).toMatchObject([{ name: "fh10-lan0" }, { code: "INTERFACE_CONFLICT" }]);
  });

  it.each([
    ["arp_filter", 1],
    ["arp_ignore", 8],
  ])("all.%s %i, which would silence the addresses", async (setting, value) => {
    const parent = plug();
    sysctl(`net/ipv4/conf/all/${setting}`, value);
    expect(await refusalOf(requestFor(parent, 10, "ipv4"))).toEqual({
      code: "KERNEL_REFUSED",
      message: expect.stringContaining(`net.ipv4.conf.all.${setting} is ${value}`),
    });
  });

  it("a full disk, before anything is changed", async () => {
    const parent = plug();
    const before = describeKernel(world, "router");
    const full = join(world.stateDirectory, "full");
    mkdirSync(full);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4k", "none", full]);
    try {
      execFileSync("sh", ["-c", `head -c 65536 /dev/zero > ${full}/fill || true`], { stdio: "ignore" });
      const agent = await world.agent("router", full);
      expect(await prepareOne(agent, requestFor(parent, 10, "ipv4"))).toEqual({
        code: "KERNEL_REFUSED",
        message: expect.stringMatching(/could not record .*ENOSPC.*nothing was changed/),
      });
      expect(describeKernel(world, "router")).toBe(before);
    } finally {
      execFileSync("umount", ["-l", full]);
    }
  });
});

describe("addresses on the interface itself", () => {
  it("leaves an address alone that is there already", async () => {
    const parent = plug();
    world.run("router", "ip", "addr", "add", "192.0.2.12/24", "dev", "lan0");
    const before = describeKernel(world, "router");
    const agent = await world.agent("router");
    const request = requestFor(parent, 12, "ipv4", {
      mac: null,
      addresses: ["192.0.2.12/24", "192.0.2.13/24"],
    });
    expect(await prepareOne(agent, request)).toMatchObject({
      name: "lan0",
      labels: ["add 192.0.2.13 to lan0"],
    });
    expect(await agent.open(request.owner)).toEqual([]);
    expect(await agent.close(request.owner)).toEqual([]);
    await agent.release([request.owner]);
    expect(describeKernel(world, "router")).toBe(before);
  });

  it("keeps secondaries when the virtual address was the first of its subnet", async () => {
    const parent = plug();
    const agent = await world.agent("router");
    const request = requestFor(parent, 12, "ipv4", { mac: null, addresses: ["198.51.100.1/24"] });
    await prepareOne(agent, request);
    await agent.open(request.owner);
    world.run("router", "ip", "addr", "add", "198.51.100.7/24", "dev", "lan0");
    await agent.close(request.owner);
    expect(addressesOf("lan0")).toContain("198.51.100.7/24");
    expect(addressesOf("lan0")).not.toContain("198.51.100.1/24");
  });
});

describe("news", () => {
  it("tell about links and addresses as they change, each once", async () => {
    const parent = plug();
    const agent = await world.agent("router");
    world.run("router", "ip", "link", "set", "lan0", "down");
    await agent.newsWith((one) => one.type === "link" && one.link.ifindex === parent && !one.link.adminUp);
    world.run("router", "ip", "link", "set", "lan0", "up");
    await agent.newsWith((one) => one.type === "link" && one.link.ifindex === parent && one.link.carrier);
    world.run("router", "ip", "addr", "add", "203.0.113.1/24", "dev", "lan0");
    world.run("router", "ip", "addr", "del", "203.0.113.1/24", "dev", "lan0");
    await agent.newsWith((one) => one.type === "addressGone" && one.address.address === "203.0.113.1");
    world.run("router", "ip", "link", "set", "lan0", "name", "lan1");
    await agent.newsWith((one) => one.type === "link" && one.link.name === "lan1");
    world.run("router", "ip", "link", "del", "lan1");
    await agent.newsWith((one) => one.type === "linkGone" && one.ifindex === parent);
    const added = agent.news.filter((one) => one.type === "address" && one.address.address === "203.0.113.1");
    expect(added).toHaveLength(1);
  });

  it("survive the loss of the parent while it is in use", async () => {
    const parent = plug();
    const agent = await world.agent("router");
    const requests = [
      requestFor(parent, 10, "ipv4", { accept: false }),
      requestFor(parent, 10, "ipv6"),
      requestFor(parent, 12, "ipv4", { mac: null }),
    ];
    await agent.prepare(requests);
    for (const { owner } of requests) await agent.open(owner);
    world.run("router", "ip", "link", "del", "lan0");
    await agent.newsWith((one) => one.type === "linkGone" && one.name === "fh10-lan0");
    await agent.newsWith((one) => one.type === "linkGone" && one.name === "lan0");
    // The interface returns under another index, and the routers come back on it without a release between.
    const again = plug();
    const moved = requests.map((one) => ({ ...one, parentIfindex: again }));
    const { results } = await agent.prepare(moved);
    expect(results.filter((one) => "code" in one)).toEqual([]);
    await agent.release(requests.map((one) => one.owner));
    expect(world.run("router", "ip", "route", "show", "type", "blackhole")).toBe("");
    expect(sysctl("net/ipv4/conf/lan0/arp_ignore")).toBe("0");
    expect(records()).toEqual([]);
  });

  it("are made up for by a dump when there were too many", async () => {
    const parent = plug();
    const agent = await world.agent("router");
    process.kill(agent.pid, "SIGSTOP");
    // More than the socket's room holds.
    const churn: string[] = Array.from({ length: 30_000 }, (_, index) =>
      index % 2 === 0 ? "addr add 203.0.113.1/24 dev lan0" : "addr del 203.0.113.1/24 dev lan0",
    );
    churn.push(
      "addr add 203.0.113.77/24 dev lan0",
      "link set lan0 mtu 1400",
      "addr del 192.0.2.2/24 dev lan0",
    );
    execFileSync("ip", ["-n", world.namespace("router"), "-batch", "-"], { input: churn.join("\n") });
    process.kill(agent.pid, "SIGCONT");
    await agent.newsWith((one) => one.type === "address" && one.address.address === "203.0.113.77");
    await agent.newsWith((one) => one.type === "addressGone" && one.address.address === "192.0.2.2");
    await agent.newsWith(
      (one) => one.type === "link" && one.link.ifindex === parent && one.link.mtu === 1400,
    );
    const { addresses } = await agent.snapshot();
    expect(addresses.filter((one) => one.ifindex === parent && one.family === "ipv4")).toMatchObject([
      { address: "203.0.113.77" },
    ]);
  });
});

describe("the record on the disk", () => {
  it("names what was changed, and is gone with it", async () => {
    const parent = plug();
    const agent = await world.agent("router");
    await agent.prepare([requestFor(parent, 10, "ipv4")]);
    const [file] = records();
    const record = JSON.parse(readFileSync(join(world.stateDirectory, file as string), "utf8"));
    expect(record).toMatchObject({
      version: 1,
      links: [{ name: "fh10-lan0", mac: "00:00:5e:00:01:0a" }],
      sysctls: [
        { ifindex: parent, setting: "arp_ignore", original: "0", written: "1" },
        { ifindex: parent, setting: "arp_announce", original: "0", written: "2" },
      ],
    });
    await agent.release([`${parent}/10/ipv4`]);
    expect(existsSync(join(world.stateDirectory, file as string))).toBe(false);
  });
});
