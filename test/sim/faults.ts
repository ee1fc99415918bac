/** What goes wrong in a run: each fault begins at a moment, lasts for a while, and is undone. */
import { HEALTHY_LINK, type LinkFaults, type Random } from "../../src/driver/simulated/index.js";
import type { Lan, LanRouter } from "./lan.js";
import type { FaultKind } from "./scenario.js";

/** Does it, and gives back how it is undone; null when there is nothing to undo. */
type Begin = (lan: Lan, random: Random, router: LanRouter) => (() => void) | null;

const BEGIN: Record<FaultKind, Begin> = {
  loss: (lan, random) => degrade(lan, { loss: random.pick([0.02, 0.2, 0.6]) }),
  delay: (lan, random) =>
    degrade(lan, { delayUs: random.integer(100, 3_000), jitterUs: random.integer(0, 20_000) }),
  duplicate: (lan, random) => degrade(lan, { duplicate: random.pick([0.1, 0.5, 1]) }),
  reorder: (lan, random) =>
    degrade(lan, { reorder: random.pick([0.1, 0.5]), delayUs: random.integer(200, 2_000) }),
  partition: (lan, random) => {
    const cables = random.shuffle(lan.segment.cables);
    const cut = random.integer(1, cables.length - 1);
    lan.segment.partition([cables.slice(0, cut), cables.slice(cut)]);
    return () => healPartitions(lan);
  },
  "one-way": (lan, random, router) => {
    const from = router.machine.cable("eth0");
    const others = lan.segment.cables.filter((one) => one !== from);
    if (!from || others.length === 0) return null;
    for (const to of random.shuffle(others).slice(0, random.integer(1, others.length))) {
      if (random.chance(0.5)) lan.segment.block(from, to);
      else lan.segment.block(to, from);
    }
    return () => healPartitions(lan);
  },
  swizzle: (lan, random) => {
    const chosen = random.shuffle(lan.segment.cables).slice(0, random.integer(1, lan.segment.cables.length));
    let over = false;
    for (const cable of chosen) {
      lan.world.schedule(random.integer(0, 300_000), () => {
        if (!over) cable.clogged = true;
      });
    }
    return () => {
      over = true;
      for (const cable of random.shuffle(chosen)) cable.clogged = false;
    };
  },
  carrier: (_lan, _random, router) => {
    const cable = router.machine.cable("eth0");
    if (!cable) return null;
    cable.carrier = false;
    return () => {
      cable.carrier = true;
    };
  },
  "host-carrier": (lan, random) => {
    const { cable } = random.pick(lan.hosts).host;
    cable.carrier = false;
    return () => {
      cable.carrier = true;
    };
  },
  kill: (_lan, _random, router) => {
    router.kill();
    return () => router.start();
  },
  close: (_lan, _random, router) => {
    router.close();
    return () => router.start();
  },
  power: (_lan, _random, router) => {
    router.kill();
    router.machine.powerOff();
    return () => {
      router.machine.powerOn();
      router.start();
    };
  },
  freeze: (_lan, _random, router) => {
    router.machine.freeze();
    return () => router.machine.thaw();
  },
  stop: (_lan, _random, router) => {
    router.machine.stop();
    return () => router.machine.continue();
  },
  pause: (_lan, _random, router) => {
    router.machine.pauseJavaScript();
    return () => router.machine.resumeJavaScript();
  },
  "interface-down": (_lan, _random, router) => {
    router.machine.setUp("eth0", false);
    return () => router.machine.setUp("eth0", true);
  },
  "interface-gone": (_lan, _random, router) => {
    router.machine.removeInterface("eth0");
    return () => {
      if (router.machine.cable("eth0") === null) router.machine.returnInterface("eth0");
    };
  },
  "address-gone": (_lan, random, router) => {
    const address = random.pick(router.plan.addresses);
    if (!router.machine.cable("eth0")) return null;
    router.machine.removeAddress("eth0", address);
    return () => router.machine.addAddress("eth0", address);
  },
  "failing-steps": (_lan, random, router) => {
    const share = random.pick([0.2, 1]);
    router.machine.failStep = (step) => (step.step !== "send" && random.chance(share) ? "EBUSY" : null);
    return () => {
      router.machine.failStep = null;
    };
  },
  refused: (_lan, _random, router) => {
    router.machine.refusePrepare = "the kernel is out of memory";
    return () => {
      router.machine.refusePrepare = null;
    };
  },
  "no-sockets": (_lan, random, router) => {
    router.machine.refuseSockets = random.pick(["EMFILE", "ENOMEM"]);
    return () => {
      router.machine.refuseSockets = null;
    };
  },
  priority: (_lan, random, router) => {
    if (router.machine.running) router.reload(random.integer(1, 254));
    return () => {
      if (router.machine.running) router.reload(undefined);
    };
  },
};

/** What is wrong with the whole segment, in the order in which it began; the last word counts. */
const DEGRADED = new WeakMap<Lan, Partial<LinkFaults>[]>();

function degrade(lan: Lan, faults: Partial<LinkFaults>): () => void {
  const all = DEGRADED.get(lan) ?? [];
  DEGRADED.set(lan, all);
  const apply = (): void => {
    lan.segment.faults = Object.assign({}, HEALTHY_LINK, ...all);
  };
  all.push(faults);
  apply();
  return () => {
    all.splice(all.indexOf(faults), 1);
    apply();
  };
}

function healPartitions(lan: Lan): void {
  lan.segment.partition([lan.segment.cables]);
}

/** What happens in an orderly life: whoever is still there behaves as ever. */
const ORDERLY: ReadonlySet<FaultKind> = new Set(["close", "kill", "power", "priority", "host-carrier"]);

/** What is wrong at the moment: whether the LAN, or any machine, may behave oddly. */
export class Faults {
  readonly #lan: Lan;
  readonly #undo = new Map<number, () => void>();
  #started = 0;
  #under = 0;
  #turns = 0;
  /** When the last fault ended; meaningful while nothing is wrong. */
  quietSinceUs = 0;

  constructor(lan: Lan) {
    this.#lan = lan;
  }

  /** Whether the LAN and all machines that run work as they should. */
  get quiet(): boolean {
    return this.#under === 0;
  }

  /** Grows with everything that is done or undone. */
  get turns(): number {
    return this.#turns;
  }

  /** Makes the appointments of the whole run. */
  schedule(): void {
    const { scenario, world, routers } = this.#lan;
    const random = world.random.fork("faults");
    for (let count = 0; count < scenario.faults; count++) {
      const kind = random.pick(scenario.faultKinds);
      const router = random.pick(routers);
      const beginUs = random.integer(0, scenario.faultyForUs - 1);
      const shortest = random.pick([1_000, 50_000, 500_000]);
      const lastsUs = Math.min(random.integer(shortest, shortest * 10), scenario.faultyForUs - beginUs);
      world.schedule(beginUs, () => this.#begin(kind, router, random.fork(`${count}`), lastsUs));
    }
  }

  #begin(kind: FaultKind, router: LanRouter, random: Random, lastsUs: number): void {
    const { world } = this.#lan;
    world.enterJavaScript();
    const disturbs = ORDERLY.has(kind) ? 0 : 1;
    this.#turns++;
    const undo = BEGIN[kind](this.#lan, random, router);
    this.#under += disturbs;
    const number = ++this.#started;
    const end = (): void => {
      if (!this.#undo.delete(number)) return;
      world.enterJavaScript();
      this.#turns++;
      undo?.();
      this.#under -= disturbs;
      if (disturbs > 0) this.quietSinceUs = world.nowUs;
    };
    this.#undo.set(number, end);
    world.schedule(lastsUs, end);
  }

  /** Undoes whatever is still wrong, and brings back what is down. */
  heal(): void {
    const { world, segment, routers, hosts } = this.#lan;
    for (const end of [...this.#undo.values()]) end();
    segment.heal();
    for (const { host } of hosts) host.cable.carrier = true;
    for (const router of routers) {
      const { machine } = router;
      machine.powerOn();
      machine.failStep = null;
      machine.refusePrepare = null;
      machine.refuseSockets = null;
      if (machine.cable("eth0") === null) machine.returnInterface("eth0");
      const cable = machine.cable("eth0");
      if (cable) cable.carrier = true;
      machine.setUp("eth0", true);
      for (const address of router.plan.addresses) machine.addAddress("eth0", address);
      machine.thaw();
      machine.continue();
      machine.resumeJavaScript();
      router.start();
    }
    world.enterJavaScript();
    this.quietSinceUs = world.nowUs;
  }
}
