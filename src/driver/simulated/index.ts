/**
 * A whole LAN in one process, on virtual time: the second implementation of ../driver.ts. firsthop's own tests run
 * production core and engine on it under every fault they can think of; programs that use firsthop can test against
 * it just as well. One seed always tells the same story, frame by frame, on every machine.
 *
 *     const world = new SimulatedWorld(42);
 *     const lan = new SimulatedSegment(world);
 *     const r1 = new SimulatedMachine(world, "r1");
 *     r1.addInterface("eth0", lan, { addresses: ["192.0.2.2/24"] });
 *     const router = await world.settle(openRouter(config, { driver: r1.openDriver() }));
 *     const host = new SimulatedHost(lan, {
 *       name: "h1", address: "192.0.2.100", gateway: "192.0.2.1", packetEveryUs: 10_000,
 *     });
 *     host.start();
 *     await world.runFor(5_000_000);            // five seconds, at once
 *     r1.cable("eth0").carrier = false;         // or kill, freeze, pauseJavaScript, removeInterface, powerOff …
 *     await world.runFor(5_000_000);
 *     host.packets.filter((packet) => packet.forwardedBy.length !== 1);
 *
 * Time passes only in `runFor`, `runUntil`, `settle` and `step`; between them the world stands still, so tests need
 * no waiting and no tolerance. Promises of the code under test are awaited through `settle`. What happens can be
 * followed with `world.observe`.
 *
 * Simulated: the heartbeat engine (lateness, slack, skipped periods, epochs and stale loads, control lost and back,
 * bounded queues), the kernel lane step by step, links and addresses and the news of them, parked and open virtual
 * interfaces, ARP and neighbour discovery, classic BPF filters, a learning switch, hosts. Not simulated: fragments,
 * VLANs, routing beyond the LAN, address resolution between routers.
 */
export type { SessionView } from "./heartbeat.js";
export { type HostOptions, type SentPacket, SimulatedHost } from "./host.js";
export { type InterfaceOptions, type Latencies, QUICK_MACHINE, SimulatedMachine } from "./machine.js";
export type { SimulatedInterface, VirtualPlace } from "./network-stack.js";
export type { EchoScript } from "./prober.js";
export { type ProbeScript, RouteTable } from "./probes.js";
export { Random } from "./random.js";
export { type Cable, HEALTHY_LINK, type LinkFaults, SimulatedSegment, type Station } from "./segment.js";
export { type Happening, SimulatedWorld } from "./world.js";
