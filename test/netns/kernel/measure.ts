/**
 * Measures the kernel side in a namespace and prints a table: `npm exec` is not needed, it is
 * `node --import ./scripts/lib/typescript-loader.mjs test/netns/kernel/measure.ts` (as root).
 */
import { execFileSync } from "node:child_process";
import { virtualMac } from "../../../src/core/vrrp/advertisement.js";
import type { VirtualInterfaceRequest } from "../../../src/driver/driver.js";
import { type Agent, createWorld } from "./support/namespaces.js";

const ROUNDS = 2_000;
const ROUNDS_OF_ALL = 10;

function requestFor(parentIfindex: number, vrid: number, family: "ipv4" | "ipv6"): VirtualInterfaceRequest {
  const addresses =
    family === "ipv4" ? [`192.0.2.${vrid}/24`] : [`fe80::1:${vrid}/64`, `2001:db8::1:${vrid}/64`];
  return {
    owner: `${family}/${vrid}`,
    parentIfindex,
    family,
    vrid,
    mac: virtualMac(family, vrid),
    addresses,
    accept: true,
  };
}

function quantile(values: readonly number[], part: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN).toFixed(1);
}

function row(what: string, values: readonly number[]): void {
  console.log(`| ${what} | ${quantile(values, 0.5)} | ${quantile(values, 0.99)} | ${quantile(values, 1)} |`);
}

async function measureSteps(agent: Agent, parent: number, others: string): Promise<void> {
  for (const family of ["ipv4", "ipv6"] as const) {
    await agent.prepare([requestFor(parent, 200, family)]);
    await agent.measure(`${family}/200`, ROUNDS / 10);
    const { openUs, closeUs, nothingUs } = await agent.measure(`${family}/200`, ROUNDS);
    row(`no steps at all, ${others}, us`, nothingUs);
    row(`open ${family}, ${others}, us`, openUs);
    row(`close ${family}, ${others}, us`, closeUs);
    await agent.release([`${family}/200`]);
  }
}

const world = createWorld();
try {
  const router = world.namespace("router");
  const far = ["peer", "name", "far", "netns", world.namespace("lan")];
  execFileSync("ip", ["link", "add", "lan0", "netns", router, "type", "veth", ...far]);
  world.run("lan", "ip", "link", "set", "far", "up");
  world.run("router", "ip", "link", "set", "lan0", "up");
  world.run("router", "ip", "addr", "add", "192.0.2.254/24", "dev", "lan0");
  const parent = Number(world.run("router", "cat", "/sys/class/net/lan0/ifindex"));
  const agent = await world.agent("router");
  console.log("| what | p50 | p99 | max |\n|---|---|---|---|");
  await measureSteps(agent, parent, "alone");
  for (const family of ["ipv4", "ipv6"] as const) {
    const requests = Array.from({ length: 255 }, (_, index) => requestFor(parent, index + 1, family));
    const prepareMs: number[] = [];
    const releaseMs: number[] = [];
    for (let round = 0; round < ROUNDS_OF_ALL; round++) {
      prepareMs.push((await agent.prepare(requests)).tookMs);
      releaseMs.push((await agent.release(requests.map((one) => one.owner))).tookMs);
    }
    row(`prepare 255 ${family}, ms`, prepareMs);
    row(`release 255 ${family}, ms`, releaseMs);
  }
  const crowd = Array.from({ length: 199 }, (_, index) => requestFor(parent, index + 1, "ipv4"));
  await agent.prepare(crowd);
  await measureSteps(agent, parent, "beside 199 others");
} finally {
  world.destroy();
}
