/** Simulated routers between a LAN and an upstream, and what is tracked there. */
import { type ConfigInput, defineConfig } from "../../../src/config/index.js";
import { SimulatedMachine, SimulatedSegment, SimulatedWorld } from "../../../src/driver/simulated/index.js";
import { Router } from "../../../src/engine/router.js";
import type { RouterEvent, VirtualRouterStatus } from "../../../src/engine/status.js";

export type Change = Partial<ConfigInput> & {
  readonly router?: Partial<ConfigInput["virtualRouters"][number]>;
};

export interface One {
  readonly machine: SimulatedMachine;
  readonly router: Router;
  readonly events: RouterEvent[];
  status(): VirtualRouterStatus;
}

export class Stage {
  readonly world: SimulatedWorld;
  readonly lan: SimulatedSegment;
  readonly upstream: SimulatedSegment;
  #count = 0;

  constructor(seed = 7) {
    this.world = new SimulatedWorld(seed);
    this.lan = new SimulatedSegment(this.world);
    this.upstream = new SimulatedSegment(this.world);
  }

  static config({ router, ...rest }: Change): ReturnType<typeof defineConfig> {
    const virtualRouter = {
      interface: "lan0",
      vrid: 10,
      addresses: ["192.0.2.1/24"],
      advertisementInterval: "100ms",
      ...router,
    };
    return defineConfig({ virtualRouters: [virtualRouter], ...rest });
  }

  async open(change: Change, prepare: (machine: SimulatedMachine) => void = () => {}): Promise<One> {
    const index = ++this.#count;
    const machine = new SimulatedMachine(this.world, `r${index}`);
    prepare(machine);
    machine.addInterface("lan0", this.lan, { addresses: [`192.0.2.${index + 1}/24`] });
    machine.addInterface("wan0", this.upstream, { addresses: [`203.0.113.${index + 1}/24`] });
    const events: RouterEvent[] = [];
    const router = await this.world.settle(
      Router.open(Stage.config(change), {
        driver: machine.openDriver(),
        onEvent: (event) => events.push(event),
      }),
    );
    return {
      machine,
      router,
      events,
      status: () => router.status().virtualRouters[0] as VirtualRouterStatus,
    };
  }

  /** Microseconds until it is so. */
  async until(what: () => boolean): Promise<number> {
    const fromUs = this.world.nowUs;
    while (!what() && this.world.nowUs - fromUs < 10_000_000) await this.world.runFor(1000);
    return this.world.nowUs - fromUs;
  }

  run(ms: number): Promise<void> {
    return this.world.runFor(ms * 1000);
  }
}
