/** The LAN of a scenario: production routers on simulated machines, and hosts. */
import { defineConfig } from "../../src/config/index.js";
import {
  type Random,
  SimulatedHost,
  SimulatedMachine,
  SimulatedSegment,
  SimulatedWorld,
} from "../../src/driver/simulated/index.js";
import { Router } from "../../src/engine/router.js";
import type { RouterEvent, VirtualRouterStatus } from "../../src/engine/status.js";
import {
  configOf,
  type Group,
  hostAddress,
  type Member,
  ownerKey,
  type RouterPlan,
  routerName,
  type Scenario,
} from "./scenario.js";

/** A router that is started, ended and started again in the course of a run. */
export class LanRouter {
  readonly machine: SimulatedMachine;
  readonly plan: RouterPlan;
  /** The interface's own. */
  readonly mac: string;
  readonly #lan: Lan;
  /** Of the running process; null before it is open. */
  router: Router | null = null;
  /** Since when the running process is open. */
  openSinceUs = 0;
  #generation = 0;
  readonly events: { readonly atUs: number; readonly generation: number; readonly event: RouterEvent }[] = [];

  constructor(lan: Lan, plan: RouterPlan) {
    this.#lan = lan;
    this.plan = plan;
    this.machine = new SimulatedMachine(lan.world, plan.name);
    const { mac } = this.machine.addInterface("eth0", lan.segment, { addresses: plan.addresses });
    this.mac = mac;
  }

  get generation(): number {
    return this.#generation;
  }

  start(): void {
    if (this.machine.running || !this.machine.powered) return;
    const generation = ++this.#generation;
    this.router = null;
    const config = defineConfig(configOf(this.plan, this.#lan.scenario));
    const opening = Router.open(config, {
      driver: this.machine.openDriver(),
      onEvent: (event) => {
        const entry = { atUs: this.#lan.world.nowUs, generation, event };
        this.events.push(entry);
        this.#lan.onEvent(this, entry.event);
      },
    });
    opening.then(
      (router) => {
        if (generation !== this.#generation) return;
        this.router = router;
        this.openSinceUs = this.#lan.world.nowUs;
      },
      (error: unknown) => this.#lan.fail(`${this.plan.name} does not open: ${String(error)}`),
    );
  }

  kill(): void {
    this.machine.kill();
    this.router = null;
  }

  /** A graceful end. */
  close(): void {
    const { router } = this;
    if (!router || !this.machine.running) return;
    this.router = null;
    router
      .close()
      .catch((error: unknown) => this.#lan.fail(`${this.plan.name} does not close: ${String(error)}`));
  }

  /** Another priority, as an administrator would reload it. */
  reload(priority: number | undefined): void {
    const config = defineConfig(configOf(this.plan, this.#lan.scenario, priority));
    this.router
      ?.reload(config)
      .catch((error: unknown) => this.#lan.fail(`${this.plan.name} does not reload: ${String(error)}`));
  }

  status(group: Group): VirtualRouterStatus | null {
    const name = routerName(group, this.#lan.scenario.groups);
    return this.router?.status().virtualRouters.find((one) => one.name === name) ?? null;
  }

  member(group: Group): Member {
    return this.plan.members.find((one) => one.group === group) as Member;
  }

  forwards(group: Group): boolean {
    return this.machine.forwardsFor(ownerKey(group));
  }
}

export class Lan {
  readonly scenario: Scenario;
  readonly world: SimulatedWorld;
  readonly segment: SimulatedSegment;
  readonly routers: readonly LanRouter[];
  readonly hosts: readonly { readonly group: Group; readonly host: SimulatedHost }[];
  /** What is wrong, in the order in which it was found. */
  readonly violations: string[] = [];
  onEvent: (router: LanRouter, event: RouterEvent) => void = () => undefined;

  constructor(seed: number, make: (random: Random) => Scenario) {
    this.world = new SimulatedWorld(seed);
    this.scenario = make(this.world.random.fork("scenario"));
    this.segment = new SimulatedSegment(this.world);
    this.routers = this.scenario.routers.map((plan) => new LanRouter(this, plan));
    this.hosts = this.scenario.groups.flatMap((group, index) =>
      [0, 1].map((number) => {
        const host = new SimulatedHost(this.segment, {
          name: `h${index + 1}${number + 1}`,
          address: hostAddress(group.family, 2 * index + number),
          gateway: group.addresses[0] as string,
          packetEveryUs: 20_000 + number * 3_000,
        });
        return { group, host };
      }),
    );
  }

  fail(what: string): void {
    if (this.violations.length < 20)
      this.violations.push(`${(this.world.nowUs / 1000).toFixed(3)} ms: ${what}`);
  }

  /** The routers that believe that they are Active. */
  actives(group: Group): LanRouter[] {
    return this.routers.filter(
      (router) => router.machine.running && router.status(group)?.state === "active",
    );
  }

  longestIntervalUs(group: Group): number {
    return Math.max(...this.routers.map((router) => router.member(group).intervalMs)) * 1000;
  }
}
