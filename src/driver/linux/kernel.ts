/**
 * The kernel's side of virtual routers, over rtnetlink and /proc/sys: what the seam in ../driver.ts calls Kernel.
 *
 * Runs on the JavaScript thread; requests themselves run outside it. What changes the kernel's configuration goes
 * one after the other (`inTurn`); the steps of `perform` have a lane of their own, so that a take-over does not wait
 * for another router's removal. Preparations that are asked for together are carried out together.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { KernelStep } from "../../core/automaton.js";
import { packOctets, unpackOctets } from "../../core/octets.js";
import type { IpFamily } from "../../core/vrrp/advertisement.js";
import { FirsthopError } from "../../errors.js";
import type { LinkRow, NetlinkSocket, NetlinkStep } from "../../native/netlink.js";
import { loadNative, type NativeAddon } from "../../native.js";
import type {
  Kernel,
  KernelOptions,
  OwnershipStatus,
  RouteInfo,
  VirtualInterface,
  VirtualInterfaceRequest,
} from "../driver.js";
import { followLinks, type LinkFollower } from "./link-news.js";
import { removeLinks } from "./link-removal.js";
import {
  type FilterInheritance,
  type LinuxLease,
  type OwnershipFilter,
  openOwnershipFilter,
} from "./ownership.js";
import { type Device, DeviceMaker, type Plan, planFor, refuseTwice, writeForPlans } from "./preparation.js";
import { recoverLeftovers } from "./recovery.js";
import { ALREADY_GONE, errnoName, refusalOf } from "./refusal.js";
import { followRoutes, type RouteFollower } from "./route-watch.js";
import { openStateFiles, type StateContents, type StateFiles, type StateInheritance } from "./state-files.js";
import {
  claimsFor,
  forwardingOff,
  type ParentNeed,
  restoreSysctl,
  type SysctlClaim,
  sameSetting,
} from "./sysctl.js";
import {
  type Leftovers,
  macvlanSteps,
  parseAddress,
  parseTag,
  routesFor,
  type Steps,
} from "./virtual-interface.js";

/** What a virtual router has in the kernel. */
interface Held {
  readonly owner: string;
  readonly parentIfindex: number;
  readonly needs: readonly ParentNeed[];
  readonly device: Device | null;
  readonly steps: Steps & Leftovers;
  /** Null where the device itself is closed instead of filtered. */
  readonly lease: LinuxLease | null;
}

/** What another process goes on with. JSON. */
interface Inheritance {
  readonly state: StateInheritance;
  readonly filter: FilterInheritance;
  readonly places: readonly {
    /** `Held` without its lease; octets are packed. */
    readonly held: unknown;
    readonly slot: number | null;
    readonly ifindex: number;
    readonly name: string;
    readonly mac: string;
  }[];
}

/** Carries out steps in order; resolves with those that failed. */
export type KernelLane = Kernel["perform"];

interface Waiting {
  readonly request: VirtualInterfaceRequest;
  readonly resolve: (place: VirtualInterface) => void;
  readonly reject: (error: unknown) => void;
}

/** How often it is looked whether the filter still stands: the kernel does not tell of programs that are taken off. */
const MEND_EVERY_MS = 2_000;

export class LinuxKernel implements Kernel {
  readonly #native: NativeAddon = loadNative();
  readonly #state: StateFiles;
  readonly #work = new this.#native.NetlinkSocket();
  readonly #ownSteps: NetlinkSocket | null;
  readonly #maker: DeviceMaker;
  readonly #lane: KernelLane;
  readonly #follower: LinkFollower;
  readonly #routes: RouteFollower;
  readonly #filter: OwnershipFilter;
  readonly #held = new Map<string, Held>();
  /** Places of a predecessor that nobody asked for yet. */
  readonly #inherited = new Map<string, VirtualInterface>();
  readonly #mending: NodeJS.Timeout;
  readonly #onFilterLost: KernelOptions["onFilterLost"];
  #bequeathed = false;
  #claims: readonly SysctlClaim[] = [];
  #waiting: Waiting[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws FirsthopError NATIVE_UNAVAILABLE */
  constructor(options: KernelOptions, lane?: KernelLane) {
    this.#ownSteps = lane ? null : new this.#native.NetlinkSocket();
    this.#lane = lane ?? ((steps) => runSteps(this.#ownSteps as NetlinkSocket, steps));
    this.#onFilterLost = options.onFilterLost;
    const inherited = (options.inheritance as Inheritance | undefined) ?? null;
    this.#state = openStateFiles(this.#native, options.stateDirectory, inherited?.state);
    try {
      this.#filter = openOwnershipFilter(
        this.#native,
        options.ownership,
        this.#state.token,
        inherited?.filter,
      );
    } catch (error) {
      this.#state.close();
      throw error;
    }
    this.#maker = new DeviceMaker(this.#native, this.#work, this.#state);
    this.#routes = followRoutes(this.#native);
    this.#follower = followLinks(this.#native, (news) => {
      this.#routes.hear(news);
      options.onNews(news);
    });
    if (inherited) this.#inherit(inherited);
    // What fails now is tried again.
    const mend = (): void => void this.#inTurn(() => this.#mend()).catch(() => undefined);
    this.#mending = setInterval(mend, MEND_EVERY_MS).unref();
  }

  snapshot(): ReturnType<Kernel["snapshot"]> {
    return this.#follower.snapshot();
  }

  prepare(request: VirtualInterfaceRequest): Promise<VirtualInterface> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      if (this.#waiting.length === 1) void this.#inTurn(() => this.#prepareWaiting());
    });
  }

  ownership(parentIfindex: number): OwnershipStatus | null {
    return this.#filter.status(parentIfindex);
  }

  forwardingOff(interfaceName: string, family: IpFamily): string | null {
    return forwardingOff(interfaceName, family);
  }

  release(owners: readonly string[]): Promise<void> {
    return this.#inTurn(() => this.#releaseNow(owners));
  }

  bequeath(): Promise<Inheritance> {
    return this.#inTurn(async () => {
      await this.#mend();
      const links = await this.#work.dump("links");
      const places = [...this.#held.values()].map(({ lease, ...held }) => {
        const parent = links.find((link) => link.ifindex === held.parentIfindex);
        const { ifindex, name, mac } = held.device ?? parent ?? { ifindex: 0, name: "", mac: "" };
        return { held: packOctets(held), slot: lease?.slot ?? null, ifindex, name, mac };
      });
      this.#bequeathed = true;
      const filter = this.#filter.inheritance(new Set(links.map(({ ifindex }) => ifindex)));
      return { state: this.#state.inheritance(), filter, places };
    });
  }

  keep(): void {
    this.#bequeathed = false;
    if (this.#waiting.length > 0) void this.#inTurn(() => this.#prepareWaiting());
  }

  #inherit({ places }: Inheritance): void {
    this.#claims = this.#state.own().sysctls;
    for (const { held: packed, slot, ifindex, name, mac } of places) {
      const lease = slot === null ? null : this.#filter.inheritedLease(slot);
      const held: Held = { ...(unpackOctets(packed) as Omit<Held, "lease">), lease };
      this.#held.set(held.owner, held);
      const { open, settle, close } = held.steps;
      this.#inherited.set(held.owner, { ifindex, name, mac, open, settle, close, lease });
    }
  }

  recover(): Promise<readonly string[]> {
    return this.#inTurn(() => recoverLeftovers(this.#native, this.#work, this.#state));
  }

  perform(steps: readonly KernelStep[]): ReturnType<Kernel["perform"]> {
    return this.#lane(steps);
  }

  watchRoutes(prefix: string, onRoutes: (routes: readonly RouteInfo[]) => void): () => void {
    return this.#routes.watch(prefix, onRoutes);
  }

  /** Other tools clear qdiscs and XDP programs without asking whose they are. */
  async #mend(): Promise<void> {
    if (this.#bequeathed) return;
    const mended = await this.#filter.mend();
    if (mended.length === 0) return;
    const links = await this.#work.dump("links");
    for (const { ifindex, outcome } of mended) {
      const name = links.find((link) => link.ifindex === ifindex)?.name;
      if (name !== undefined) this.#onFilterLost?.(name, outcome);
    }
  }

  /** Closes descriptors; what is in the kernel stays (see `release`). */
  async close(): Promise<void> {
    clearInterval(this.#mending);
    await this.#turn;
    this.#follower.close();
    this.#routes.close();
    if (this.#held.size === 0 && !this.#bequeathed) this.#filter.close();
    this.#work.close();
    this.#ownSteps?.close();
    this.#state.close();
  }

  #inTurn<Result>(body: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(body);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  // ---- preparing --------------------------------------------------------------------------------------------

  async #prepareWaiting(): Promise<void> {
    await nextTurn();
    // Two that prepare would be in each other's way: this one waits until it is clear who goes on (see keep).
    if (this.#bequeathed) return;
    const batch = this.#waiting;
    this.#waiting = [];
    try {
      await this.#prepareBatch(await this.#handOnInherited(batch));
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
  }

  /** What a predecessor prepared and what still stands need not be prepared. @returns the others */
  async #handOnInherited(batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    if (this.#inherited.size === 0) return batch;
    const links = new Map((await this.#work.dump("links")).map((link) => [link.ifindex, link]));
    const stands = ({ parentIfindex, owner }: VirtualInterfaceRequest): boolean => {
      const held = this.#held.get(owner);
      if (held?.parentIfindex !== parentIfindex || !links.has(parentIfindex)) return false;
      if (held.device === null) return true;
      const link = links.get(held.device.ifindex);
      return link?.mac === held.device.mac && parseTag(link.alias)?.token === this.#state.token;
    };
    return batch.filter(({ request, resolve }) => {
      const place = this.#inherited.get(request.owner);
      this.#inherited.delete(request.owner);
      if (!place || !stands(request)) return true;
      resolve(place);
      return false;
    });
  }

  async #prepareBatch(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 0) return;
    await this.#releaseNow(batch.map((one) => one.request.owner));
    const links = await this.#work.dump("links");
    const plain = batch.some((one) => one.request.mac === null);
    const addresses = plain ? await this.#work.dump("addresses") : [];
    const plans = new Map<Waiting, Plan>();
    const sites = new Map<string, Plan>();
    for (const one of batch) {
      try {
        const plan = planFor(this.#native, this.#state, one.request, links, addresses);
        refuseTwice(plan, sites);
        plans.set(one, plan);
      } catch (error) {
        one.reject(error);
      }
    }
    if (plans.size === 0) return;
    const all = [...plans.values()];
    await this.#borrowSettings(all);
    const devices = await this.#maker.make(all.filter((plan) => plan.site && !plan.failure));
    for (const plan of all) {
      if (plan.failure) continue;
      const { request, parent, table } = plan;
      const device = devices.get(plan) ?? null;
      const lease = device ? this.#placeGroup(plan, device.mac, links) : null;
      const steps = device
        ? macvlanSteps(this.#native, request, device, parent, table, lease !== null)
        : plan.steps;
      if (!steps) continue;
      this.#held.set(request.owner, {
        owner: request.owner,
        parentIfindex: parent.ifindex,
        needs: plan.needs,
        device,
        steps,
        lease,
      });
    }
    await this.#unpark(all);
    const failed = all.filter(({ failure, request }) => failure && this.#held.has(request.owner));
    await this.#releaseNow(failed.map(({ request }) => request.owner));
    await this.#settle();
    for (const [one, plan] of plans) {
      const place = this.#held.get(plan.request.owner);
      if (plan.failure || !place) one.reject(plan.failure);
      else one.resolve(toVirtualInterface(place, plan.parent));
    }
  }

  /** Puts everything on record, then changes the parents' settings that need it. */
  #borrowSettings(plans: readonly Plan[]): Promise<void> {
    return this.#state.locked(() => {
      const others = this.#state.others().flatMap((one) => one.record.sysctls);
      const all = [...this.#claims];
      for (const plan of plans) {
        for (const claim of claimsFor(plan.parent, plan.needs, [...all, ...others])) {
          if (!all.some((one) => sameSetting(one, claim))) all.push(claim);
        }
      }
      this.#state.write(contentsOf([...this.#held.values()], plans, all));
      const fresh = all.slice(this.#claims.length);
      this.#claims = all;
      for (const claim of fresh) writeForPlans(claim, plans);
    });
  }

  /** Notes in the plan what the kernel refuses; null also where there is no filter. */
  #placeGroup(plan: Plan, mac: string, links: readonly LinkRow[]): LinuxLease | null {
    const { request, parent } = plan;
    try {
      return this.#filter.place({
        parentIfindex: parent.ifindex,
        parentKind: parent.kind,
        hasVlans: links.some((link) => link.kind === "vlan" && link.parentIfindex === parent.ifindex),
        mac,
        addresses: request.addresses.map((text) => parseAddress(text).address),
      });
    } catch (error) {
      const { code = "", message } = error as NodeJS.ErrnoException;
      plan.failure =
        error instanceof FirsthopError ? error : refusalOf(`filter for ${request.owner}`, code, message);
      return null;
    }
  }

  /** Behind the filter, devices stand open for good. One that can't is of no use. */
  async #unpark(plans: readonly Plan[]): Promise<void> {
    const owned = plans.flatMap((plan) => {
      const place = plan.failure ? undefined : this.#held.get(plan.request.owner);
      return (place?.lease ? place.steps.unpark : []).map((step) => ({ plan, step }));
    });
    if (owned.length === 0) return;
    const steps = owned.map(({ step }) => toNetlinkStep(step));
    for (const { index, errno, text } of await this.#work.run(steps)) {
      const blamed = owned[index];
      if (blamed) blamed.plan.failure ??= refusalOf(labelOf(blamed.step), errnoName(errno), text);
    }
  }

  // ---- undoing ----------------------------------------------------------------------------------------------

  async #releaseNow(owners: readonly string[]): Promise<void> {
    const leaving = owners.flatMap((owner) => this.#held.get(owner) ?? []);
    if (leaving.length === 0) return;
    const leases = leaving.flatMap((one) => one.lease ?? []);
    for (const lease of leases) this.#filter.shut(lease);
    const closing = await this.#lane(leaving.flatMap((one) => one.steps.close));
    const links = await this.#work.dump("links");
    const indexes = new Set(leaving.flatMap((one) => one.device?.ifindex ?? []));
    const ours = links.filter(
      (link) => indexes.has(link.ifindex) && parseTag(link.alias)?.token === this.#state.token,
    );
    const removing = await removeLinks(this.#native, this.#work, ours, links);
    this.#filter.remove(leases);
    for (const one of leaving) this.#held.delete(one.owner);
    await this.#settle(links);
    const notClosed = closing.find((one) => !ALREADY_GONE.has(one.errno));
    if (notClosed) throw refusalOf(notClosed.label, notClosed.errno);
    const [left] = removing;
    if (left) throw refusalOf("remove macvlans", errnoName(left.errno), left.text);
  }

  /** Brings the record and the parents' settings in line with what is held. */
  async #settle(known?: readonly LinkRow[]): Promise<void> {
    const places = [...this.#held.values()];
    const needed = (claim: SysctlClaim): boolean =>
      places.some(
        (one) =>
          one.parentIfindex === claim.ifindex &&
          one.needs.some((need) => need.family === claim.family && need.setting === claim.setting),
      );
    const obsolete = this.#claims.filter((claim) => !needed(claim));
    const links = obsolete.length > 0 ? (known ?? (await this.#work.dump("links"))) : [];
    await this.#state.locked(() => {
      const others = this.#state.others().flatMap((one) => (one.alive ? one.record.sysctls : []));
      for (const claim of obsolete) {
        const parent = links.find((link) => link.ifindex === claim.ifindex);
        if (parent && !others.some((one) => sameSetting(one, claim))) restoreSysctl(claim, parent.name);
      }
      this.#claims = this.#claims.filter(needed);
      try {
        this.#state.write(contentsOf(places, [], this.#claims));
      } catch {
        // The record on the disk says more than there is, never less: what it names too much is found gone.
      }
    });
  }
}

/**
 * `lane` carries out steps where the programs' kernel plans are carried out, so that the two keep their order; without
 * a heartbeat engine the kernel side has one of its own.
 * @throws FirsthopError NATIVE_UNAVAILABLE
 */
export function openLinuxKernel(options: KernelOptions, lane?: KernelLane): LinuxKernel {
  return new LinuxKernel(options, lane);
}

async function runSteps(socket: NetlinkSocket, steps: readonly KernelStep[]): ReturnType<KernelLane> {
  const failures = await socket.run(steps.map(toNetlinkStep));
  return failures.map((one) => ({ label: labelOf(steps[one.index]), errno: errnoName(one.errno) }));
}

function contentsOf(
  places: readonly Held[],
  plans: readonly Plan[],
  sysctls: readonly SysctlClaim[],
): StateContents {
  const planned = plans.map((plan) => ({
    links: plan.site ? [{ name: plan.site.name, mac: plan.site.mac }] : [],
    ...(plan.steps ?? { addresses: [], routes: routesFor(plan.request, plan.table) }),
  }));
  return {
    links: [
      ...places.flatMap(({ device }) => (device ? [{ name: device.name, mac: device.mac }] : [])),
      ...planned.flatMap((one) => one.links),
    ],
    addresses: [...places.flatMap((one) => one.steps.addresses), ...planned.flatMap((one) => one.addresses)],
    routes: [...places.flatMap((one) => one.steps.routes), ...planned.flatMap((one) => one.routes)],
    sysctls,
  };
}

function toVirtualInterface(place: Held, parent: LinkRow): VirtualInterface {
  const { ifindex, name, mac } = place.device ?? parent;
  const { open, settle, close } = place.steps;
  return { ifindex, name, mac, open, settle, close, lease: place.lease };
}

function toNetlinkStep(step: KernelStep): NetlinkStep {
  if (step.step === "send") throw new RangeError("frames are sent by the heartbeat engine only");
  return step;
}

function labelOf(step: KernelStep | undefined): string {
  if (!step || step.step === "send") return "";
  return step.step === "netlink" ? step.label : `write ${step.value} to ${step.path}`;
}
