/** Sync groups on simulated LANs: production code, virtual time. Groups move as one, and two never fight. */
import { describe, expect, it } from "vitest";
import { type ConfigInput, defineConfig } from "../../src/config/index.js";
import type { CommandRequest } from "../../src/driver/driver.js";
import {
  Random,
  SimulatedMachine,
  SimulatedSegment,
  SimulatedWorld,
} from "../../src/driver/simulated/index.js";
import { Router } from "../../src/engine/router.js";
import type { RouterEvent } from "../../src/engine/status.js";

const MS = 1000;

interface Options {
  readonly routers?: number;
  /** Members; one LAN each, or all on one. */
  readonly members?: number;
  readonly lans?: number;
  readonly mode?: "all" | "any";
  readonly interval?: string;
  readonly more?: (router: number, member: number) => Partial<ConfigInput["virtualRouters"][number]>;
  readonly seed?: number;
}

/** Router 1 has the highest priority; every router has every member. */
class Stage {
  readonly world: SimulatedWorld;
  readonly lans: SimulatedSegment[];
  readonly machines: SimulatedMachine[] = [];
  readonly routers: (Router | null)[] = [];
  readonly events: { readonly router: number; readonly atUs: number; readonly event: RouterEvent }[] = [];
  readonly commands: { readonly router: number; readonly atUs: number; readonly request: CommandRequest }[] =
    [];
  readonly options: Required<Options>;

  constructor(options: Options) {
    this.options = {
      routers: 2,
      members: 2,
      lans: 2,
      mode: "all",
      interval: "100ms",
      more: () => ({}),
      seed: 1,
      ...options,
    };
    this.world = new SimulatedWorld(this.options.seed);
    this.lans = Array.from({ length: this.options.lans }, () => new SimulatedSegment(this.world));
    for (let index = 0; index < this.options.routers; index++) {
      const machine = new SimulatedMachine(this.world, `r${index + 1}`);
      this.lans.forEach((lan, at) => {
        machine.addInterface(`eth${at}`, lan, { addresses: [`10.${at}.0.${index + 2}/24`] });
      });
      machine.commandScript = (request) => {
        this.commands.push({ router: index, atUs: this.world.nowUs, request });
        return { afterUs: 3 * MS };
      };
      this.machines.push(machine);
      this.routers.push(null);
    }
  }

  config(router: number, more: object = {}) {
    const { members, lans, mode, interval } = this.options;
    const notify = { command: "/bin/notify" };
    return defineConfig({
      syncGroups: [{ name: "edge", mode, notify }],
      virtualRouters: Array.from({ length: members }, (_, member) => ({
        interface: `eth${member % lans}`,
        vrid: member + 1,
        addresses: [`10.${member % lans}.0.${100 + member}/24`],
        advertisementInterval: interval,
        priority: 200 - 50 * router,
        syncGroup: "edge",
        notify,
        ...this.options.more(router, member),
        ...more,
      })),
    });
  }

  async start(router: number): Promise<void> {
    const driver = this.machines[router]!.openDriver();
    const onEvent = (event: RouterEvent): void =>
      void this.events.push({ router, atUs: this.world.nowUs, event });
    this.routers[router] = await this.world.settle(Router.open(this.config(router), { driver, onEvent }));
  }

  async startAll(): Promise<this> {
    for (let router = 0; router < this.options.routers; router++) await this.start(router);
    await this.world.runFor(5_000 * MS);
    return this;
  }

  states(router: number): string[] {
    if (!this.machines[router]!.running) return [];
    return this.routers[router]?.status().virtualRouters.map((one) => one.state) ?? [];
  }

  /** Each router's group, as one word where its members agree. */
  groups(): string[] {
    return this.routers.map((_, router) => [...new Set(this.states(router))].join("+"));
  }

  cut(router: number, lan: number, carrier = false): void {
    this.machines[router]!.cable(`eth${lan}`)!.carrier = carrier;
  }

  changes(router: number, sinceUs = 0): string[] {
    return this.events.flatMap(({ router: by, atUs, event }) =>
      by === router && atUs >= sinceUs && event.type === "stateChange" ? [`${event.name} ${event.to}`] : [],
    );
  }
}

const stage = (options: Options = {}): Promise<Stage> => new Stage(options).startAll();

describe("mode all", () => {
  it("one member's line takes all to fault, the other router takes all over, and back", async () => {
    const one = await stage({ members: 4, lans: 2 });
    expect(one.groups()).toEqual(["active", "backup"]);
    one.cut(0, 0);
    const cutUs = one.world.nowUs;
    await one.world.runFor(100 * MS);
    // Those on the healthy LAN released at once, and r2 took the silent ones along: no Active_Down_Interval.
    expect(one.groups()).toEqual(["fault", "active"]);
    const causes = one.routers[0]!.status().virtualRouters.map((vr) => vr.causes.join());
    expect(causes).toEqual(["no-carrier", "sync-group", "no-carrier", "sync-group"]);
    one.cut(0, 0, true);
    await one.world.runFor(3_000 * MS);
    expect(one.groups()).toEqual(["active", "backup"]);
    // Each member changed as often as it had to, and no more.
    expect(one.changes(1, cutUs).sort()).toEqual(
      [1, 2, 3, 4]
        .flatMap((vrid) => [`eth${(vrid - 1) % 2}/${vrid} active`, `eth${(vrid - 1) % 2}/${vrid} backup`])
        .sort(),
    );
    expect(one.routers[0]!.status().syncGroups).toMatchObject([
      { name: "edge", state: "active", blocked: false },
    ]);
  });

  it("a group of 50 moves as one, from a dead router too", async () => {
    const one = await stage({ members: 50, lans: 2, interval: "1s" });
    await one.world.runFor(5_000 * MS);
    expect(one.groups()).toEqual(["active", "backup"]);
    one.machines[0]!.kill();
    one.machines[0]!.powerOff();
    const deadUs = one.world.nowUs;
    await one.world.runFor(6_000 * MS);
    expect(one.groups()[1]).toBe("active");
    const times = one.events.flatMap(({ router, atUs, event }) =>
      router === 1 && atUs > deadUs && event.type === "stateChange" ? [atUs] : [],
    );
    expect(times).toHaveLength(50);
    // By themselves they would take up to an interval: each timer counts from its own last advertisement.
    expect(Math.max(...times) - Math.min(...times)).toBeLessThan(50 * MS);
  });

  it("a line cut between the two where both are well: the group that is overruled gives way, and tries no more", async () => {
    const one = await stage();
    const [lan] = one.lans;
    const cables = one.machines.map((machine) => machine.cable("eth0")!);
    // Nothing passes between the two on eth0, where both have carrier.
    lan!.partition(cables.map((cable) => [cable]));
    await one.world.runFor(5_000 * MS);
    const sinceUs = one.world.nowUs;
    await one.world.runFor(20_000 * MS);
    expect(one.groups()).toEqual(["active", "backup"]);
    expect(one.changes(0, sinceUs)).toEqual([]);
    expect(one.changes(1, sinceUs)).toEqual([]);
    expect(one.routers[1]!.status().syncGroups[0]).toMatchObject({ state: "backup", blocked: true });
    const { summary, because } = one.routers[1]!.explain("eth0/1");
    expect(summary).toBe("Backup: it hears no Active, and its sync group edge holds it back");
    expect(because.at(-1)).toBe(
      "eth1/2 of its sync group follows 10.1.0.2, which is Active there (priority 200)",
    );
    lan!.partition([cables]);
    await one.world.runFor(5_000 * MS);
    expect(one.routers[1]!.status().syncGroups[0]).toMatchObject({ blocked: false });
    one.machines[0]!.kill();
    one.machines[0]!.powerOff();
    await one.world.runFor(2_000 * MS);
    expect(one.groups()[1]).toBe("active");
  });

  it("priorities that contradict each other end in one group, not in a fight", async () => {
    const more = (router: number, member: number) => ({ priority: router === member ? 200 : 100 });
    const one = await stage({ more });
    await one.world.runFor(60_000 * MS);
    const sinceUs = one.world.nowUs;
    await one.world.runFor(60_000 * MS);
    expect(one.groups().sort()).toEqual(["active", "backup"]);
    expect([...one.changes(0, sinceUs), ...one.changes(1, sinceUs)]).toEqual([]);
  });

  it("a member in fault that leaves by a reload frees the others; so does another mode", async () => {
    const one = await stage({ members: 3, lans: 3 });
    const config = one.config(0);
    one.cut(0, 0);
    await one.world.runFor(1_000 * MS);
    expect(one.groups()).toEqual(["fault", "active"]);
    await one.world.settle(
      one.routers[0]!.reload({ ...config, virtualRouters: config.virtualRouters.slice(1) }),
    );
    await one.world.runFor(3_000 * MS);
    expect(one.states(0)).toEqual(["active", "active"]);
    await one.world.settle(one.routers[0]!.reload(config));
    await one.world.runFor(3_000 * MS);
    expect(one.states(0)).toEqual(["fault", "fault", "fault"]);
    const any = {
      ...config,
      syncGroups: config.syncGroups.map((group) => ({ ...group, mode: "any" as const })),
    };
    await one.world.settle(one.routers[0]!.reload(any));
    await one.world.runFor(3_000 * MS);
    expect(one.states(0).sort()).toEqual(["active", "active", "fault"]);
    await one.world.settle(one.routers[0]!.reload(config));
    await one.world.runFor(3_000 * MS);
    expect(one.states(0)).toEqual(["fault", "fault", "fault"]);
    const [first, ...others] = config.virtualRouters;
    const without = { ...config, virtualRouters: [{ ...first!, syncGroup: null }, ...others] };
    await one.world.settle(one.routers[0]!.reload(without));
    await one.world.runFor(3_000 * MS);
    expect(one.states(0).sort()).toEqual(["active", "active", "fault"]);
  });

  it("a member that waited for its group becomes Active when a reload takes the group away", async () => {
    const one = await stage();
    const cables = one.machines.map((machine) => machine.cable("eth0")!);
    one.lans[0]!.partition(cables.map((cable) => [cable]));
    await one.world.runFor(5_000 * MS);
    expect(one.states(1)).toEqual(["backup", "backup"]);
    const config = one.config(1);
    const alone = config.virtualRouters.map((each) => ({ ...each, syncGroup: null }));
    await one.world.settle(one.routers[1]!.reload({ ...config, virtualRouters: alone, syncGroups: [] }));
    await one.world.runFor(1_000 * MS);
    expect(one.states(1)).toEqual(["active", "backup"]);
  });

  it("a member that is restarted by a reload comes back to where the group is", async () => {
    const one = await stage({ members: 3 });
    const config = one.config(0);
    const [first, ...rest] = config.virtualRouters;
    const changed = { ...config, virtualRouters: [{ ...first!, accept: false }, ...rest] };
    await one.world.settle(one.routers[0]!.reload(changed));
    await one.world.runFor(5_000 * MS);
    expect(one.groups()).toEqual(["active", "backup"]);
  });

  it.each([
    { title: "from a lower priority", more: () => ({}) },
    {
      title: "from a higher one that does not preempt",
      more: (router: number) => ({ priority: router === 0 ? 100 : 200, preempt: false }),
    },
  ])("a test of a switchover brings all members back together, $title", async ({ more }) => {
    const one = new Stage({ more, members: 3 });
    // The first is Active before the other one comes, also where its priority is less.
    await one.start(0);
    await one.world.runFor(5_000 * MS);
    await one.start(1);
    await one.world.runFor(5_000 * MS);
    expect(one.groups()).toEqual(["active", "backup"]);
    const sinceUs = one.world.nowUs;
    const { done, back } = await one.world.settle(one.routers[0]!.operations.switchover("eth1/2", 2_000_000));
    expect(done).toBe(true);
    expect(back).toMatchObject(
      [1, 2, 3].map((vrid) => ({
        done: true,
        detail: `back here${vrid === 1 ? "" : " with eth0/1"}: 10.${(vrid - 1) % 2}.0.3 forwarded until it heard this router's claim and yielded`,
        outageMs: 0,
      })),
    );
    await one.world.runFor(5_000 * MS);
    expect(one.groups()).toEqual(["active", "backup"]);
    expect(one.changes(0, sinceUs)).toHaveLength(6);
    expect(one.routers[0]!.status().virtualRouters.map((each) => each.runtimePriority)).toEqual(
      Array(3).fill(null),
    );
  });

  it("switchover and drain of one member move all, and no member stays behind", async () => {
    const one = await stage({ members: 4 });
    const report = await one.world.settle(one.routers[0]!.operations.switchover("eth0/1"));
    expect(report).toMatchObject({ done: true });
    expect(report.moves).toHaveLength(4);
    await one.world.runFor(2_000 * MS);
    expect(one.groups()).toEqual(["backup", "active"]);
    const back = await one.world.settle(one.routers[1]!.operations.switchover("eth0/1", 2_000_000));
    expect(back).toMatchObject({
      done: true,
      back: [{ done: true }, { done: true }, { done: true }, { done: true }],
    });
    await one.world.runFor(2_000 * MS);
    // It was Active again, so the higher priority counts again.
    expect(one.groups()).toEqual(["active", "backup"]);
    await one.world.settle(one.routers[0]!.operations.drain(["eth1/2"]));
    await one.world.runFor(2_000 * MS);
    expect(one.groups()).toEqual(["fault", "active"]);
    const refused = await one.world.settle(one.routers[1]!.operations.drain(["eth1/2"]));
    expect(refused.every((outcome) => !outcome.done)).toBe(true);
    await one.world.runFor(2_000 * MS);
    expect(one.groups()).toEqual(["fault", "active"]);
  });
});

describe("mode any", () => {
  it("a member's fault is its own; the group is in fault when all are", async () => {
    const one = await stage({ mode: "any" });
    expect(one.groups()).toEqual(["active", "backup"]);
    one.cut(0, 0);
    await one.world.runFor(2_000 * MS);
    expect(one.states(0)).toEqual(["fault", "active"]);
    expect(one.states(1)).toEqual(["active", "backup"]);
    expect(one.routers[0]!.status().syncGroups[0]).toMatchObject({ state: "active" });
    one.cut(0, 1);
    await one.world.runFor(2_000 * MS);
    expect(one.routers.map((router) => router!.status().syncGroups[0]!.state)).toEqual(["fault", "active"]);
  });
});

describe("notify", () => {
  it("a member that starts anew, or goes, while its group is in fault is told of each change once", async () => {
    const one = await stage({ members: 3 });
    const config = one.config(0);
    const anew = (accept: boolean) => ({
      ...config,
      virtualRouters: config.virtualRouters.map((each, at) => (at === 0 ? { ...each, accept } : each)),
    });
    one.cut(0, 1);
    await one.world.runFor(100 * MS);
    await one.world.settle(one.routers[0]!.reload(anew(false)));
    one.cut(0, 1, true);
    await one.world.settle(one.routers[0]!.reload(anew(true)));
    await one.world.runFor(3_000 * MS);
    one.cut(0, 1);
    await one.world.runFor(100 * MS);
    await one.world.settle(
      one.routers[0]!.reload({ ...config, virtualRouters: config.virtualRouters.slice(1) }),
    );
    await one.world.runFor(1_000 * MS);
    const changes = one.events.flatMap(({ router, event }) =>
      router === 0 && event.type === "stateChange" && event.name === "eth0/1" ? [event] : [],
    );
    changes.slice(1).forEach(({ from }, index) => {
      expect(from).toBe(changes[index]?.to);
    });
    expect(changes.at(-1)).toMatchObject({
      from: "fault",
      to: "initialize",
      detail: "left the virtual router",
    });
    const told = one.commands.flatMap(({ router, request }) =>
      router === 0 && request.arguments[1] === "eth0/1"
        ? [JSON.parse(request.input!).sequence as number]
        : [],
    );
    expect(told).toEqual(changes.map(({ sequence }) => sequence));
  });

  it("one command for each change, in order, never two at once for one, across a reload; the group's too", async () => {
    const one = await stage({ members: 10, lans: 1 });
    one.cut(0, 0);
    await one.world.runFor(50 * MS);
    await one.world.settle(one.routers[0]!.reload(one.config(0, { preempt: false })));
    await one.world.runFor(1_000 * MS);
    one.cut(0, 0, true);
    await one.world.runFor(3_000 * MS);
    await one.world.settle(one.routers[0]!.close());
    for (const router of [0, 1]) {
      const told = one.events.flatMap(({ router: by, event }) =>
        by === router && (event.type === "stateChange" || event.type === "groupChange")
          ? [`${event.type === "groupChange" ? "GROUP" : "INSTANCE"} ${event.name} ${event.to}`]
          : [],
      );
      const words: Record<string, string> = {
        active: "MASTER",
        backup: "BACKUP",
        fault: "FAULT",
        initialize: "STOP",
      };
      for (const who of new Set(told.map((line) => line.split(" ").slice(0, 2).join(" ")))) {
        const expected = told
          .filter((line) => line.startsWith(`${who} `))
          .map((line) => words[line.split(" ")[2]!]);
        const own = one.commands.filter(
          ({ router: by, request }) => by === router && request.arguments.slice(0, 2).join(" ") === who,
        );
        expect([who, own.map(({ request }) => request.arguments[2])]).toEqual([who, expected]);
        for (const [index, { atUs }] of own.entries())
          if (index > 0) expect(atUs - own[index - 1]!.atUs).toBeGreaterThanOrEqual(3 * MS);
        const sequences = own.map(({ request }) => JSON.parse(request.input!).sequence as number);
        expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
      }
    }
    expect(one.commands.length).toBeGreaterThan(40);
  });
});

/** After whatever happened, all members of a group agree, exactly one router is Active, and it stays so. */
describe("groups of equal priorities under faults", () => {
  it.each(Array.from({ length: 12 }, (_, index) => index + 1))("seed %i", async (seed) => {
    const random = new Random(seed);
    const one = await stage({
      seed,
      routers: random.pick([2, 3]),
      members: random.pick([2, 3, 6]),
      lans: random.pick([1, 2, 3]),
      interval: random.pick(["10ms", "100ms", "1s"]),
      more: (router) => ({ priority: 200 - 50 * router, preempt: seed % 3 !== 0 }),
    });
    const { routers, lans, interval } = one.options;
    for (let round = 0; round < 6; round++) {
      const router = random.integer(0, routers - 1);
      const lan = random.integer(0, lans - 1);
      const cable = one.machines[router]!.cable(`eth${lan}`)!;
      if (random.chance(0.5)) cable.carrier = !cable.carrier;
      else cable.faults = cable.faults.loss === 1 ? {} : { loss: 1 };
      await one.world.runFor(random.integer(10, interval === "1s" ? 6_000 : 800) * MS);
    }
    for (let router = 0; router < routers; router++)
      for (let lan = 0; lan < lans; lan++) {
        const cable = one.machines[router]!.cable(`eth${lan}`)!;
        cable.carrier = true;
        cable.faults = {};
      }
    await one.world.runFor(90_000 * MS);
    const sinceUs = one.world.nowUs;
    await one.world.runFor(20_000 * MS);
    expect(one.groups().sort()).toEqual(["active", ...Array<string>(routers - 1).fill("backup")]);
    for (let router = 0; router < routers; router++) expect(one.changes(router, sinceUs)).toEqual([]);
  });
});
