/**
 * A machine that a router runs on: interfaces at segments, a kernel, one process at a time, and all that can happen
 * to them. `openDriver` starts a process and gives the `Driver` to hand to `openRouter`.
 */
import type { KernelStep } from "../../core/automaton.js";
import { type CommandRequest, type CommandResult, DONE } from "../command.js";
import type { Driver } from "../driver.js";
import type { SessionView } from "./heartbeat.js";
import { decodeHostPacket } from "./host-packet.js";
import { NetworkStack, type SimulatedInterface, type VirtualPlace } from "./network-stack.js";
import type { EchoScript, Followers } from "./prober.js";
import { type ProbeScript, RouteTable } from "./probes.js";
import { type Latencies, SimulatedProcess } from "./process.js";
import type { Random } from "./random.js";
import type { Cable, SimulatedSegment } from "./segment.js";
import type { SimulatedWorld } from "./world.js";

export type { Latencies } from "./process.js";

/** An idle machine with a real-time thread, as measured. */
export const QUICK_MACHINE: Latencies = {
  wakeUs: [5, 120],
  reportUs: [30, 300],
  stepUs: [20, 80],
  requestUs: [500, 5_000],
  newsUs: [50, 500],
};

export interface InterfaceOptions {
  /** Default: made from the machine's and the interface's name. */
  readonly mac?: string;
  /** With prefix length: "192.0.2.2/24", "fe80::2/64". There from the beginning, not tentative. */
  readonly addresses: readonly string[];
}

/** Frames that a network card keeps while the machine is frozen. */
const RING_FRAMES = 256;

interface Wire {
  readonly name: string;
  readonly segment: SimulatedSegment;
  readonly mac: string;
  readonly addresses: readonly string[];
}

export class SimulatedMachine {
  readonly name: string;
  readonly world: SimulatedWorld;
  latencies: Latencies = QUICK_MACHINE;
  /** Answers with an errno for a step of the kernel lane that is to fail. */
  failStep: ((step: KernelStep) => string | null) | null = null;
  /** While set, the kernel refuses to prepare virtual interfaces, for this reason. */
  refusePrepare: string | null = null;
  /** While set, sockets of the heartbeat engine are refused with this errno. */
  refuseSockets: string | null = null;
  /** What probes of trackers find. By default nobody answers. */
  probeScript: ProbeScript = () => null;
  /** What comes of a command that is run here, and how long it takes. By default it ends well at once. */
  commandScript: (request: CommandRequest) => {
    readonly result?: Partial<CommandResult>;
    readonly afterUs?: number;
  } = () => ({});
  /** Routes that trackers follow. */
  readonly routes = new RouteTable();
  /** What survives restarts: the store of the driver. */
  readonly store = new Map<string, string>();
  /** Whether and when probes that leave now are answered. */
  echoScript: EchoScript = () => null;
  readonly #followers: Followers = new Map();
  readonly #random: Random;
  readonly #jitter: Random;
  readonly #wires: Wire[] = [];
  #stack: NetworkStack;
  #powered = true;
  #bootedUs: number;
  #processes = 0;
  #process: SimulatedProcess | null = null;
  readonly #holds = new Set<"frozen" | "stopped">();
  #ring: { readonly ifindex: number; readonly frame: Uint8Array }[] = [];

  constructor(world: SimulatedWorld, name: string) {
    this.world = world;
    this.name = name;
    this.#random = world.random.fork(`machine ${name}`);
    this.#jitter = this.#random.fork("jitter");
    this.#stack = this.#makeStack();
    this.#bootedUs = this.#drawBoot();
  }

  /** The machine's monotonic clock, microseconds since its boot. */
  now(): number {
    return this.world.nowUs - this.#bootedUs;
  }

  // ---- hardware and network configuration ---------------------------------------------------------------

  addInterface(name: string, segment: SimulatedSegment, options: InterfaceOptions): SimulatedInterface {
    const mac = options.mac ?? this.#makeMac(name);
    this.#wires.push({ name, segment, mac, addresses: options.addresses });
    return this.#plugIn(name);
  }

  /** Takes an interface away, with all that stands on it. */
  removeInterface(name: string): void {
    this.#note(`lost interface ${name}`);
    this.#stack.removeInterface(name);
  }

  /** Puts an interface back that was taken away, under another index. */
  returnInterface(name: string): void {
    if (!this.#powered || this.#stack.find(name)) return;
    this.#note(`got interface ${name} back`);
    this.#plugIn(name);
  }

  /** `ip link set NAME up` or `down`. */
  setUp(name: string, up: boolean): void {
    this.#note(`set ${name} ${up ? "up" : "down"}`);
    this.#stack.setUp(name, up);
  }

  addAddress(name: string, address: string): void {
    const [text = "", length] = address.split("/");
    this.#note(`added ${address} to ${name}`);
    this.#stack.addAddress(name, text, Number(length), false);
  }

  removeAddress(name: string, address: string): void {
    this.#note(`removed ${address} from ${name}`);
    this.#stack.removeAddress(name, address.split("/")[0] as string);
  }

  /** The cable of an interface; null while the interface is away. */
  cable(name: string): Cable | null {
    return this.#stack.find(name)?.cable ?? null;
  }

  /** Somebody shows on a link. */
  showNeighbour(interfaceName: string, address: string, mac: string): void {
    for (const follow of this.#followers.get(interfaceName) ?? []) follow({ address, mac });
  }

  // ---- processes ----------------------------------------------------------------------------------------

  /**
   * Starts a process. The one before must have ended, and the machine be switched on.
   * @throws RangeError
   */
  openDriver(): Driver {
    if (this.#process?.alive) throw new RangeError(`${this.name} runs a process already`);
    if (!this.#powered) throw new RangeError(`${this.name} is switched off`);
    const process = new SimulatedProcess(++this.#processes, {
      name: this.name,
      world: this.world,
      stack: this.#stack,
      store: this.store,
      now: () => this.now(),
      draw: (what) => this.#random.integer(...this.latencies[what]),
      drawFraction: () => this.#jitter.fraction(),
      failureOf: (step) => this.failStep?.(step) ?? null,
      refusal: () => this.refusePrepare,
      socketRefusal: () => this.refuseSockets,
      routes: this.routes,
      probeScript: () => this.probeScript,
      echoScript: () => this.echoScript,
      followers: this.#followers,
      runCommand: (request) => {
        const { result = {}, afterUs = 1_000 } = this.commandScript(request);
        return { result: { ...DONE, ...result }, afterUs };
      },
    });
    for (const reason of this.#holds) hold(process, reason);
    this.#process = process;
    return process;
  }

  get powered(): boolean {
    return this.#powered;
  }

  get running(): boolean {
    return this.#process?.alive ?? false;
  }

  /** `kill -9`: the process ends without a word; what the kernel holds for it stays. */
  kill(): void {
    this.#note("killed");
    this.#process?.kill();
  }

  /** JavaScript stands still (a blocked event loop); the engine's thread goes on. */
  pauseJavaScript(): void {
    this.#note("JavaScript stands still");
    this.#process?.javaScript.hold("paused");
  }

  resumeJavaScript(): void {
    this.#note("JavaScript goes on");
    this.#process?.javaScript.release("paused");
  }

  /** SIGSTOP: no thread of the process runs; the kernel goes on, and keeps frames for it. */
  stop(): void {
    this.#hold("stopped");
  }

  /** SIGCONT */
  continue(): void {
    this.#release("stopped");
  }

  /** The machine stands still, its kernel too (a paused virtual machine). Its clock goes on. */
  freeze(): void {
    this.#hold("frozen");
  }

  thaw(): void {
    this.#release("frozen");
    const ring = this.#ring;
    this.#ring = [];
    for (const { ifindex, frame } of ring) this.#stack.receive(ifindex, frame);
  }

  /** Power lost: process, kernel and carriers are gone; only `store` is left. */
  powerOff(): void {
    if (!this.#powered) return;
    this.#powered = false;
    this.#note("lost power");
    this.#process?.kill();
    this.#holds.clear();
    this.#ring = [];
    for (const link of [...this.#stack.interfaces.values()]) this.#stack.removeInterface(link.name);
  }

  /** Boots: interfaces are up, with the addresses that they were made with. */
  powerOn(): void {
    if (this.#powered) return;
    this.#powered = true;
    this.#note("booted");
    this.#stack = this.#makeStack();
    this.#bootedUs = this.#drawBoot();
    for (const wire of this.#wires) this.#plugIn(wire.name);
  }

  // ---- what a test looks at -----------------------------------------------------------------------------

  /** The sessions of the heartbeat engine. */
  sessions(): SessionView[] {
    return this.running ? (this.#process?.heartbeat?.views() ?? []) : [];
  }

  /** The places of virtual routers in the kernel, those of dead processes included. */
  places(): VirtualPlace[] {
    return [...this.#stack.places.values()];
  }

  /** Whether the kernel forwards and answers for a virtual router: "eth0/10/ipv4". */
  forwardsFor(owner: string): boolean {
    const place = this.#stack.places.get(owner);
    return place !== undefined && this.#stack.isOpen(place);
  }

  // ---- the inside ---------------------------------------------------------------------------------------

  #makeStack(): NetworkStack {
    const stack: NetworkStack = new NetworkStack({
      name: this.name,
      world: this.world,
      now: () => this.now(),
      intake: (ifindex, frame) => {
        if (!this.#holds.has("frozen")) stack.receive(ifindex, frame);
        else if (this.#ring.length < RING_FRAMES) this.#ring.push({ ifindex, frame });
      },
      forward: (frame) => {
        const packet = decodeHostPacket(frame);
        if (packet) this.world.note({ type: "forwarded", machine: this.name, ...packet });
      },
    });
    return stack;
  }

  #plugIn(name: string): SimulatedInterface {
    const wire = this.#wires.find((one) => one.name === name);
    if (!wire) throw new RangeError(`${this.name} has no interface ${name}`);
    const added = this.#stack.addInterface(name, wire.segment, wire.mac);
    for (const text of wire.addresses) {
      const [address = "", length] = text.split("/");
      this.#stack.addAddress(name, address, Number(length), false);
    }
    return added;
  }

  #makeMac(name: string): string {
    const octets = this.#random.fork(`mac ${name}`);
    const rest = Array.from({ length: 5 }, () => octets.integer(0, 255).toString(16).padStart(2, "0"));
    return ["02", ...rest].join(":");
  }

  #drawBoot(): number {
    return this.world.nowUs - this.#random.integer(1_000_000, 1_000_000_000_000);
  }

  #hold(reason: "frozen" | "stopped"): void {
    this.#note(reason);
    this.#holds.add(reason);
    if (this.#process) hold(this.#process, reason);
  }

  #release(reason: "frozen" | "stopped"): void {
    this.#note(`no longer ${reason}`);
    this.#holds.delete(reason);
    this.#process?.native.release(reason);
    this.#process?.javaScript.release(reason);
  }

  #note(what: string): void {
    this.world.note({ type: "fault", what: `${this.name} ${what}` });
  }
}

function hold(process: SimulatedProcess, reason: string): void {
  process.native.hold(reason);
  process.javaScript.hold(reason);
}
