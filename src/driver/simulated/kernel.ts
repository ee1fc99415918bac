/** The kernel's configuration as one process of a simulated machine works on it: `Kernel` of ../driver.ts. */
import type { KernelStep } from "../../core/automaton.js";
import { FirsthopError } from "../../errors.js";
import type {
  Kernel,
  KernelNews,
  KernelOptions,
  OwnershipStatus,
  RouteInfo,
  VirtualInterface,
  VirtualInterfaceRequest,
} from "../driver.js";
import type { Context } from "./context.js";
import { disableIpv6Path, encodeRequest, type KernelLane, type StepFailure } from "./kernel-lane.js";
import type { NetworkStack, SimulatedInterface, VirtualPlace } from "./network-stack.js";
import type { RouteTable } from "./probes.js";

export interface KernelHost {
  readonly stack: NetworkStack;
  readonly javaScript: Context;
  readonly lane: KernelLane;
  /** Number of the process that asks. */
  readonly process: number;
  /** How long a request takes, and how long news takes; this time. */
  drawRequestUs(): number;
  drawNewsUs(): number;
  /** Why `prepare` is to be refused, if it is. */
  refusal(): string | null;
  readonly routes: RouteTable;
}

export class SimulatedKernel implements Kernel {
  readonly #host: KernelHost;
  readonly #options: KernelOptions;
  readonly #stopListening: () => void;
  readonly #routeWatches = new Set<() => void>();
  #waitingNews: KernelNews[] = [];
  readonly #bequeathed = new Set<string>();
  /** Configuration goes one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: KernelOptions, host: KernelHost) {
    this.#options = options;
    this.#host = host;
    this.#stopListening = host.stack.listen((news) => this.#hear(news));
  }

  snapshot(): ReturnType<Kernel["snapshot"]> {
    return this.#inTurn(() => {
      // What the snapshot holds already is not told again.
      this.#waitingNews = [];
      return this.#host.stack.snapshot();
    });
  }

  prepare(request: VirtualInterfaceRequest): Promise<VirtualInterface> {
    return this.#inTurn(() => {
      const { stack, process } = this.#host;
      const refusal = this.#host.refusal();
      if (refusal !== null) throw new FirsthopError("KERNEL_REFUSED", refusal);
      const parent = stack.interfaces.get(request.parentIfindex);
      if (!parent) {
        throw new FirsthopError(
          "INTERFACE_MISSING",
          `the interface with index ${request.parentIfindex} is gone`,
        );
      }
      const inherited = stack.places.get(request.owner);
      if (inherited && inherited.maker === this.#predecessor) {
        inherited.maker = process;
        return this.#interfaceOf(inherited, request, parent);
      }
      stack.removePlace(request.owner);
      const suffix = request.family === "ipv6" ? "v6" : "";
      const name = `fh${request.vrid}${suffix}-${parent.name}`;
      const { owner, family, parentIfindex, mac } = request;
      const device = mac === null ? null : { name, mac };
      const filtered = device !== null && this.#options.ownership !== "off";
      const place = stack.addPlace({ owner, family, parentIfindex, maker: process, device, filtered });
      return this.#interfaceOf(place, request, parent);
    });
  }

  #interfaceOf(
    place: VirtualPlace,
    request: VirtualInterfaceRequest,
    parent: SimulatedInterface,
  ): VirtualInterface {
    const name = place.device?.name ?? parent.name;
    return {
      ifindex: place.device?.ifindex ?? parent.ifindex,
      name,
      mac: place.device?.mac ?? parent.mac,
      ...stepsOf(request, name, place.lease !== null),
      lease: place.lease,
    };
  }

  bequeath(): Promise<unknown> {
    return this.#inTurn(() => {
      const { stack, process } = this.#host;
      for (const place of stack.places.values())
        if (place.maker === process) this.#bequeathed.add(place.owner);
      return { process };
    });
  }

  /** Places are known by their owner: whatever the heir took is this process' again when it is prepared anew. */
  keep(): void {
    const { stack, process } = this.#host;
    for (const place of stack.places.values()) if (this.#bequeathed.has(place.owner)) place.maker = process;
  }

  /** Number of the process that bequeathed its places to this one. */
  get #predecessor(): number | null {
    return (this.#options.inheritance as { process: number } | undefined)?.process ?? null;
  }

  ownership(): OwnershipStatus {
    return { hook: this.#options.ownership === "off" ? "off" : "tc", detail: null };
  }

  forwardingOff(): null {
    return null;
  }

  async release(owners: readonly string[]): Promise<void> {
    const leaving = owners.flatMap((owner) => this.#host.stack.places.get(owner) ?? []);
    if (leaving.length === 0) return;
    await this.perform(leaving.map((place) => mode(place.owner, "source")));
    await this.#inTurn(() => {
      for (const place of leaving) this.#host.stack.removePlace(place.owner);
    });
  }

  recover(): Promise<readonly string[]> {
    return this.#inTurn(() => {
      const { stack, process } = this.#host;
      const leftovers = [...stack.places.values()].filter(
        (place) => place.maker !== process && place.maker !== this.#predecessor,
      );
      for (const place of leftovers) stack.removePlace(place.owner);
      return leftovers.map((place) => `removed ${place.device?.name ?? place.owner}, left by a dead process`);
    });
  }

  perform(steps: readonly KernelStep[]): Promise<readonly StepFailure[]> {
    return new Promise((resolve) => {
      this.#host.lane.submit(steps, (failures) => {
        this.#host.javaScript.post(0, () => resolve(failures));
      });
    });
  }

  watchRoutes(prefix: string, onRoutes: (routes: readonly RouteInfo[]) => void): () => void {
    const { routes, javaScript } = this.#host;
    let ended = false;
    const tell = (): void => {
      javaScript.post(this.#host.drawNewsUs(), () => {
        if (!ended) onRoutes(routes.of(prefix));
      });
    };
    const leave = routes.follow((changed) => {
      if (changed === prefix) tell();
    });
    const end = (): void => {
      ended = true;
      leave();
      this.#routeWatches.delete(end);
    };
    this.#routeWatches.add(end);
    tell();
    return end;
  }

  close(): void {
    for (const end of [...this.#routeWatches]) end();
    this.#stopListening();
    this.#waitingNews = [];
  }

  #hear(news: KernelNews): void {
    this.#waitingNews.push(news);
    if (this.#waitingNews.length > 1) return;
    this.#host.javaScript.post(this.#host.drawNewsUs(), () => {
      const batch = this.#waitingNews;
      this.#waitingNews = [];
      for (const one of batch) this.#options.onNews(one);
    });
  }

  /** Has `body` run when the requests before it are done and this one's time is over. */
  #inTurn<Result>(body: () => Result): Promise<Result> {
    const result = this.#turn.then(
      () =>
        new Promise<Result>((resolve, reject) => {
          this.#host.javaScript.post(this.#host.drawRequestUs(), () => {
            try {
              resolve(body());
            } catch (error) {
              reject(error);
            }
          });
        }),
    );
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function mode(owner: string, to: "source" | "private"): KernelStep {
  return {
    step: "netlink",
    message: encodeRequest({ request: "mode", owner, mode: to }),
    label: `${to === "source" ? "park" : "open"} ${owner}`,
  };
}

/** In the order of the Linux driver: open before addresses, park before they go; IPv6 is switched as a whole. */
function stepsOf(
  { owner, family, addresses, accept, mac }: VirtualInterfaceRequest,
  device: string,
  filtered: boolean,
): Pick<VirtualInterface, "open" | "settle" | "close"> {
  const parsed = (accept ? addresses : []).map((text) => {
    const [address = "", length] = text.split("/");
    return { address, prefixLength: Number(length ?? (address.includes(":") ? 128 : 32)) };
  });
  const add = parsed.map(
    (one): KernelStep => ({
      step: "netlink",
      message: encodeRequest({ request: "addAddress", owner, ...one }),
      label: `add ${one.address}`,
    }),
  );
  const remove = parsed.map(
    ({ address }): KernelStep => ({
      step: "netlink",
      message: encodeRequest({ request: "deleteAddress", owner, address }),
      label: `remove ${address}`,
    }),
  );
  if (filtered) return { open: [], settle: add, close: remove.reverse() };
  if (family === "ipv4" || mac === null) {
    const close = [mode(owner, "source"), ...remove.reverse()];
    return { open: [mode(owner, "private")], settle: add, close };
  }
  const ipv6 = (off: "0" | "1"): KernelStep => ({ step: "write", path: disableIpv6Path(device), value: off });
  return {
    open: [mode(owner, "private"), ipv6("0")],
    settle: add,
    close: [mode(owner, "source"), ipv6("1")],
  };
}
