/**
 * One virtual router at run time: brings together the pure machine, its automaton in the heartbeat engine, and
 * what the kernel has to hold for it. It decides nothing about VRRP: facts come in (links, addresses, frames,
 * reports), events go to `step`, and what `step` said goes to the engine.
 *
 * Configured, learned and effective values stay apart: `#config` is what the user wrote, the machine's state
 * holds what was learned, `#inForce` is what they come to.
 */
import type { VirtualRouterConfig } from "../../config/index.js";
import type { MemberView } from "../../core/sync-group.js";
import type { Advertisement, ChecksumForm } from "../../core/vrrp/advertisement.js";
import { virtualMac } from "../../core/vrrp/advertisement.js";
import {
  currentActiveAdverIntervalUs,
  currentActiveDownIntervalUs,
  type VrrpEvent,
  type VrrpState,
  type VrrpStep,
} from "../../core/vrrp/machine.js";
import type { VrrpReceiver } from "../../core/vrrp/validate.js";
import type { SessionId, VirtualInterface } from "../../driver/driver.js";
import type { TransitionReport } from "../automaton/session.js";
import { NO_ORDERS, type Orders, sameOrders } from "../orders.js";
import type { VirtualRouterStatus } from "../status.js";
import type { Followed } from "../tracking/followed.js";
import {
  type FrozenVirtualRouter,
  type NetworkView,
  nothingRejected,
  type OwnCounter,
  type VirtualRouterHost,
} from "./host.js";
import { InForce } from "./in-force.js";
import { MachineSession } from "./machine-session.js";
import type { PeerTable } from "./peer-table.js";
import { leaseTerms, Placement, type PlanReport, placeRequest } from "./placement.js";
import { type FaultCause, faultCauses, lanWorks } from "./reasons.js";
import { Standing } from "./standing.js";
import { Start } from "./start.js";
import { memberView, virtualRouterStatus } from "./status.js";
import { heardActive, Succession } from "./succession.js";

export class VirtualRouter {
  readonly name: string;
  #config: VirtualRouterConfig;
  readonly #host: VirtualRouterHost;
  #network: NetworkView = { link: null, primaryAddress: null, socketsRefused: false };
  readonly #placement: Placement;
  readonly #succession: Succession;
  #controlLost = false;
  #stopping = false;
  readonly #start: Start;
  /** Since when the LAN works and JavaScript reads what comes in; null: it does not, or not for sure. */
  #hearsSinceUs: number | null = null;

  readonly #machine: MachineSession;
  readonly #inForce: InForce;
  /** What trackers make of the priority. */
  #tracking: Followed;
  #orders: Orders;
  /** Why it was last told to move. */
  #order = "";
  /** When what the last step answered happened. */
  #steppedAtUs = 0;
  #handOverWaiters: (() => void)[] = [];

  readonly #standing: Standing;
  /** A predecessor has what this one is to go on with, or an heir does. */
  #suspended: boolean;
  readonly #rejected = nothingRejected();

  /** @param suspended it does nothing until `resume` */
  constructor(
    config: VirtualRouterConfig,
    host: VirtualRouterHost,
    tracking: Followed,
    orders: Orders = NO_ORDERS,
    suspended = false,
  ) {
    this.name = config.name;
    this.#orders = orders;
    this.#suspended = suspended;
    this.#config = config;
    this.#host = host;
    this.#machine = new MachineSession(host.heartbeat, {
      settings: () => this.#inForce.settings(),
      plan: () => this.#inForce.plan(),
      record: (atUs, event) => {
        this.#steppedAtUs = atUs;
        host.record(config.name, atUs, event);
      },
      stepped: (before, made, event, controlLost) => this.#stepped(before, made, event, controlLost),
    });
    this.#inForce = new InForce(config.name, this.#machine.id, host, () => ({
      config: this.#config,
      orders: this.#orders,
      tracking: this.#tracking,
      network: this.#network,
      mac: this.mac,
      place: this.virtualInterface,
      bond: this.#succession.bond,
      heardActive: heardActive(this.state),
    }));
    this.#tracking = tracking;
    this.#standing = new Standing({
      state: () => this.state,
      causes: () => this.#causes(),
      tracking: () => this.#tracking,
      groupFault: () => this.#orders.groupFault,
      wallClockMs: () => host.wallClockMs(),
      changed: (change) => host.stateChanged(config.name, change),
    });
    this.#start = new Start({
      now: () => host.heartbeat.now(),
      setTimer: (afterUs, run) => host.setTimer(afterUs, run),
      schedule: (run) => host.schedule(run),
      intervalUs: () => this.#config.advertisementIntervalUs,
      notBeforeUs: () => host.openedAtUs() + this.#config.startupDelayUs,
      hearsSinceUs: () => this.#hearsSinceUs,
      start: (countsFromUs) => this.#startIfAllowed(countsFromUs),
      delayOver: () => this.#evaluate(),
    });
    this.#succession = new Succession(host, {
      name: config.name,
      session: this.#machine.id,
      facts: () => ({ config: this.#config, network: this.#network, state: this.state }),
      settings: () => this.#inForce.settings(),
      rebound: () => {
        this.#inForce.outdate();
        this.#machine.reload();
      },
    });
    this.#placement = new Placement({
      session: this.#machine.id,
      heartbeat: host.heartbeat,
      kernel: host.kernel,
      request: (link) => placeRequest(this.#config, this.owner, link),
      leaseTerms: () => leaseTerms(this.#config, this.#host.ownershipLimitUs()),
      setTimer: (afterUs, run) => host.setTimer(afterUs, run),
      placed: () => this.#placed(),
      refused: (message) => host.notice("warning", config.name, "kernel-refused", message),
    });
  }

  get config(): VirtualRouterConfig {
    return this.#config;
  }

  get session(): SessionId {
    return this.#machine.id;
  }

  get state(): VrrpState {
    return this.#machine.state;
  }

  /** The other Backups, where they show themselves. */
  get peers(): PeerTable {
    return this.#succession.peers;
  }

  get lastChange(): VirtualRouterStatus["lastChange"] {
    return this.#standing.lastChange;
  }

  /** MAC that hosts know the virtual addresses by. */
  get mac(): string | null {
    return this.#config.virtualMac
      ? virtualMac(this.#config.family, this.#config.vrid)
      : (this.#network.link?.mac ?? null);
  }

  /** The tag of everything that the kernel holds for this virtual router. */
  get owner(): string {
    return `${this.#config.interface}/${this.#config.vrid}/${this.#config.family}`;
  }

  /** Source address that a unicast or multicast advertisement of ours has. */
  get primaryAddress(): string | null {
    return this.#network.primaryAddress;
  }

  // ---- facts from outside -------------------------------------------------------------------------------

  /** Links or addresses changed. */
  setNetwork(network: NetworkView): void {
    const before = this.#network;
    this.#network = network;
    this.#inForce.outdateReceiver();
    if (this.#placement.setLink(network.link)) this.#inForce.outdate();
    if (network.link && network.primaryAddress !== null) {
      const moved = before.primaryAddress !== network.primaryAddress || before.link?.mac !== network.link.mac;
      if (moved) this.#inForce.outdate();
    }
    const nowUs = this.#host.heartbeat.now();
    this.#hearsSinceUs = lanWorks(this.#causes()) ? (this.#hearsSinceUs ?? nowUs) : null;
    this.#placement.prepare();
    this.#evaluate();
    if (this.#inForce.outdated && this.state.name !== "initialize") this.#machine.reload();
    this.#succession.update();
  }

  /** Trackers changed, or others are followed. */
  setTracking(tracking: Followed): void {
    const before = this.#inForce.priority();
    this.#tracking = tracking;
    const why = tracking.describe().join("; ") || "every tracker is as it should be";
    this.#settingsChanged(before, why);
  }

  /** How it stands in its sync group; null: it is leaving. */
  groupView(): MemberView | null {
    if (this.#stopping) return null;
    const own = this.#causes();
    own.delete("sync-group");
    return memberView(this.name, this.state, own.size > 0, this.#inForce.settings());
  }

  activeDownIntervalMs(): number {
    const settings = this.#inForce.settings();
    return currentActiveDownIntervalUs(settings, currentActiveAdverIntervalUs(settings, this.state)) / 1000;
  }

  get orders(): Orders {
    return this.#orders;
  }

  /** Other orders than before: see orders.ts. */
  setOrders(orders: Orders): void {
    if (sameOrders(this.#orders, orders)) return;
    const before = this.#inForce.priority();
    const sooner = this.#orders;
    this.#orders = orders;
    const same = sooner.waits === orders.waits && sooner.holdsBack === orders.holdsBack;
    if (!same) this.#inForce.outdate();
    this.#settingsChanged(before, orders.priority === null ? "reset by command" : "set by command");
    if (!same && before === this.#inForce.priority()) this.#machine.reload();
    this.#takeWhatItWants();
  }

  /**
   * Its Active_Down_Timer passed while it had to wait, and nothing else would bring it up. The engine may tell so only
   * when nobody holds it back any more.
   */
  #takeWhatItWants(): void {
    const { state } = this;
    const { waits, groupFault } = this.#orders;
    if (state.name !== "backup" || !state.wants || waits || groupFault !== null || this.#suspended) return;
    this.takeOver("nobody advertises, and no sync group holds it back any more");
  }

  #settingsChanged(before: number, why: string): void {
    const after = this.#inForce.priority();
    if (before !== after) {
      this.#inForce.outdateReceiver();
      this.#inForce.outdate();
    }
    this.#evaluate();
    if (before === after) return;
    this.#host.notice("info", this.name, "priority", `priority ${before} -> ${after}: ${why}`);
    if (this.state.name === "initialize") return;
    this.#machine.dispatch({ type: "priority" }, this.#host.heartbeat.now());
  }

  /** Hands over, if it is Active, and stays in the election; `returns`: unless nobody takes over. */
  resign(order: string, returns: boolean): void {
    this.#order = order;
    if (this.state.name !== "active") return;
    this.#machine.dispatch({ type: "resign", returns }, this.#host.heartbeat.now());
  }

  /** Becomes Active now, if it is Backup. */
  takeOver(order: string): void {
    this.#order = order;
    if (this.state.name === "initialize") return;
    this.#machine.dispatch({ type: "takeOver" }, this.#host.heartbeat.now());
  }

  /** The virtual interface vanished or was changed by somebody else. */
  virtualInterfaceLost(how: string): void {
    const { virtualInterface } = this;
    if (!virtualInterface || this.#stopping) return;
    const detail = `${virtualInterface.name} ${how}; making it anew`;
    this.#host.notice("warning", this.name, "virtual-interface-lost", detail);
    this.#placement.drop();
    this.#inForce.outdate();
    this.#evaluate();
    this.#placement.prepare();
  }

  get virtualInterface(): VirtualInterface | null {
    return this.#placement.place;
  }

  /** Resolves when the virtual router runs, or when it is clear that something keeps it from running. */
  async started(): Promise<void> {
    await this.#placement.done();
    await this.#start.done();
  }

  /** The LAN port was closed; frames need another one. */
  portChanged(): void {
    this.#inForce.outdate();
    this.#hearsSinceUs = null;
    this.#host.setTimer(0, () => {
      if (this.#inForce.outdated && this.state.name !== "initialize") this.#machine.reload();
      this.peers.reload();
    });
  }

  /** Whether this router answers ARP and ND for an address itself, now. */
  answersFor(address: string): boolean {
    return (
      this.state.name === "active" &&
      !this.#config.accept &&
      this.#config.addresses.some((one) => one.address === address)
    );
  }

  /** An advertisement that passed every check. */
  onAdvertisement(
    advertisement: Advertisement,
    source: string,
    form: ChecksumForm,
    frame: Uint8Array,
    atUs: number,
  ): void {
    const event = {
      type: "advertisement",
      source,
      priority: advertisement.priority,
      intervalUs: advertisement.intervalUs,
    } as const;
    this.#inForce.learn(source, form);
    if (advertisement.priority !== 0) this.#machine.remember(`${source}/${form}`, event, frame);
    // Before the start it is only remembered: so the first program knows the peers, and hundreds of virtual routers
    // at 10 ms may start one after the other although none has three intervals to spare.
    if (this.state.name === "initialize" && !this.state.handingOver) this.#machine.overhear(event, atUs);
    else this.#machine.dispatch(event, atUs);
  }

  /** How advertisements for this virtual router are judged. */
  get receiver(): VrrpReceiver {
    return this.#inForce.receiver;
  }

  reject(counter: OwnCounter): void {
    this.#rejected[counter]++;
  }

  /** The engine carried out a transition that was foreseen. */
  onTransition(report: TransitionReport): void {
    if (!this.peers.onTransition(report)) this.#machine.onTransition(report);
  }

  onKernelReport({ failures }: PlanReport): void {
    const failed = this.#placement.failed(failures, this.state.name === "active");
    if (failed === null) return;
    this.#host.notice("warning", this.name, "kernel-step-failed", failed);
    this.#evaluate();
  }

  /** JavaScript is back after a silence in which the engine resigned. */
  onControlRestored(): void {
    if (!this.#controlLost) return;
    this.#controlLost = false;
    this.#hearsSinceUs = this.#host.heartbeat.now();
    this.#evaluate();
  }

  // ---- life ---------------------------------------------------------------------------------------------

  /** Takes over a configuration that needs no restart of the machine. */
  applyLive(config: VirtualRouterConfig): void {
    const showed = this.#inForce.settings().backupAdvertisements;
    this.#config = config;
    this.#inForce.outdateReceiver();
    this.#inForce.outdate();
    this.#machine.reload();
    if (showed !== this.#inForce.settings().backupAdvertisements && this.state.name === "backup")
      this.#machine.dispatch({ type: "priority" }, this.#host.heartbeat.now());
    this.#succession.update();
  }

  /** Leaves the virtual router; resolves when nothing is forwarded any more. */
  async stop(handOver: boolean): Promise<void> {
    this.#stopping = true;
    this.#placement.stop();
    if (this.state.name !== "initialize") {
      this.#machine.dispatch(
        { type: "shutdown", handOver: handOver && lanWorks(this.#causes()) },
        this.#host.heartbeat.now(),
      );
    }
    while (this.state.name !== "initialize" || this.state.handingOver) {
      await new Promise<void>((resolve) => this.#handOverWaiters.push(resolve));
    }
    await this.#placement.done();
    this.#standing.tellLeft();
  }

  /** Stops waiting for a successor. */
  endHandOver(): void {
    if (this.state.name === "initialize" && this.state.handingOver) {
      this.#machine.dispatch({ type: "shutdown", handOver: false }, this.#host.heartbeat.now());
    }
  }

  /** All that another process needs to go on. `freeze`: ceases to act here. */
  look(freeze: boolean): FrozenVirtualRouter {
    this.#suspended ||= freeze;
    return {
      machine: this.#machine.look(freeze),
      standing: this.#standing.record,
      rejected: { ...this.#rejected },
      controlLost: this.#controlLost,
      peers: this.peers.look(),
    };
  }

  /** Goes on where it was frozen, in this process or another one. */
  resume(from: FrozenVirtualRouter): void {
    if (!this.#machine.resume(from.machine)) {
      this.#host.notice("warning", this.name, "not-resumed", "its interface is not ready: it starts anew");
    }
    this.#standing.inherit(from.standing);
    Object.assign(this.#rejected, from.rejected);
    this.#controlLost = from.controlLost;
    if (from.peers) this.peers.resume(from.peers);
    this.#suspended = false;
    // The engine may have moved on in the moment in which it was frozen.
    if (this.state.name !== "initialize") this.#standing.tellExchange();
    this.#evaluate();
    this.#succession.update();
    this.#takeWhatItWants();
  }

  dispose(): void {
    this.#succession.close();
    this.#machine.dispose();
  }

  status(): VirtualRouterStatus {
    return virtualRouterStatus({
      config: this.#config,
      settings: this.#inForce.settings(),
      state: this.state,
      shown: this.#standing.state,
      causes: this.#causes(),
      orders: this.#orders,
      tracking: this.#tracking,
      primaryAddress: this.primaryAddress,
      mac: this.mac,
      virtualInterface: this.virtualInterface?.name ?? null,
      checksumForms: this.#inForce.checksumForms(),
      lastChange: this.#standing.lastChange,
      counters: this.#machine.counters(),
      rejected: this.#rejected,
      peers: this.#succession.backups(),
      backupAdvertisementRcvd: this.peers.received(),
      bfdTurn: this.#succession.turn,
    });
  }

  // ---- readiness ----------------------------------------------------------------------------------------

  #causes(): Set<FaultCause> {
    return faultCauses({
      link: this.#network.link,
      primaryAddress: this.primaryAddress,
      sourceNamed: (this.#config.unicast?.source ?? null) !== null,
      refused: this.#placement.refused || this.#network.socketsRefused,
      controlLost: this.#controlLost,
      forbidding: this.#tracking.forbidding,
      orders: this.#orders,
    });
  }

  /** Starts or stops the machine as the causes have it. */
  #evaluate(): void {
    if (this.#suspended) return;
    this.#obeyCauses();
    this.#host.moved(this, null);
  }

  #obeyCauses(): void {
    const causes = this.#causes();
    const ready = causes.size === 0 && this.virtualInterface !== null;
    if (this.state.name === "initialize") {
      // Who leaves says so itself, and nothing after that.
      if (this.#stopping) return;
      if (ready && this.#tracking.awaited.length === 0) this.#start.soon();
      else this.#standing.tellWaiting(ready);
    } else if (!ready) {
      // Where the LAN itself works, whoever follows shall be heard before this router ceases to forward.
      const handOver = lanWorks(causes) && this.virtualInterface !== null;
      this.#machine.dispatch({ type: "shutdown", handOver }, this.#host.heartbeat.now());
    }
  }

  #startIfAllowed(countsFromUs: number): void {
    const allowed = this.#causes().size === 0 && this.#tracking.awaited.length === 0;
    if (allowed && this.virtualInterface !== null && !this.#stopping && this.state.name === "initialize") {
      this.#machine.start(countsFromUs);
    }
  }

  #placed(): void {
    this.#inForce.outdate();
    const { link } = this.#network;
    if (link && this.virtualInterface) this.#host.placed(this.session, link, this.virtualInterface);
    this.#evaluate();
  }

  /** The machine made a step: tell it, and wake whoever waits for the end of a hand-over. */
  #stepped(before: VrrpState, made: VrrpStep, event: VrrpEvent, controlLost: boolean): void {
    if (controlLost) this.#controlLost = true;
    if (made.reason !== null) {
      this.#standing.tellStep(made.reason, this.#inForce.settings(), before, event, this.#order);
      this.#succession.tookOver(made.reason, before);
    }
    this.#succession.update();
    if (made.state !== before) {
      const { reason, state: after } = made;
      this.#host.moved(this, { before, after, reason, atUs: this.#steppedAtUs });
    }
    this.#takeWhatItWants();
    if (made.state.name !== "initialize" || made.state.handingOver) return;
    const waiters = this.#handOverWaiters;
    this.#handOverWaiters = [];
    for (const wake of waiters) wake();
    // The cause may have gone while the engine was ahead of us and the shutdown had to wait.
    if (made.reason === "shutdown" && !this.#stopping && this.#causes().size === 0) this.#evaluate();
  }
}
