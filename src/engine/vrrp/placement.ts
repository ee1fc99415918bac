/**
 * A virtual router's place in the kernel at run time: prepares it when its interface is there, again after a refusal
 * or a loss, and knows what stands now.
 */
import type { VirtualRouterConfig } from "../../config/index.js";
import { virtualMac } from "../../core/vrrp/advertisement.js";
import type {
  Heartbeat,
  HeartbeatReport,
  Kernel,
  LeaseTerms,
  LinkInfo,
  SessionId,
  VirtualInterface,
  VirtualInterfaceRequest,
} from "../../driver/driver.js";

/** A kernel plan ended. */
export type PlanReport = Extract<HeartbeatReport, { type: "kernel" }>;

export interface PlacementOwner {
  readonly session: SessionId;
  readonly heartbeat: Heartbeat;
  readonly kernel: Kernel;
  request(link: LinkInfo): VirtualInterfaceRequest;
  leaseTerms(): LeaseTerms;
  setTimer(afterUs: number, run: () => void): () => void;
  /** What stands on the interface changed, or it became clear that nothing will for now. */
  placed(): void;
  refused(message: string): void;
}

/** What a configuration asks of the kernel on an interface. */
export function placeRequest(
  config: VirtualRouterConfig,
  owner: string,
  link: LinkInfo,
): VirtualInterfaceRequest {
  const { family, vrid, addresses, accept } = config;
  return {
    owner,
    parentIfindex: link.ifindex,
    family,
    vrid,
    mac: config.virtualMac ? virtualMac(family, vrid) : null,
    addresses: addresses.map((one) => `${one.address}/${one.prefixLength}`),
    accept,
  };
}

/** So many intervals without a renewal, and the kernel believes a successor. */
const OVERDUE_INTERVALS = 1.5;

/** Whoever advertises less often than the limit allows is not silent: so many intervals are the least. */
const LIMIT_INTERVALS = 3;

/** @param limitUs how long the kernel goes on for a router that has fallen silent; null: for ever */
export function leaseTerms(
  { advertisementIntervalUs }: Pick<VirtualRouterConfig, "advertisementIntervalUs">,
  limitUs: number | null,
): LeaseTerms {
  return {
    overdueUs: Math.ceil(advertisementIntervalUs * OVERDUE_INTERVALS),
    limitUs: limitUs === null ? null : Math.max(limitUs, LIMIT_INTERVALS * advertisementIntervalUs),
  };
}

const RETRY_US = 2_000_000;
/** Who was to close and did not forwards beside its successor: tried again after this time, then after twice it, … */
const CLOSING_RETRY_US = 10_000;

export class Placement {
  readonly #owner: PlacementOwner;
  #link: LinkInfo | null = null;
  #place: VirtualInterface | null = null;
  /** Serialises preparing and releasing, which the kernel answers later. */
  #work: Promise<void> = Promise.resolve();
  #preparing = false;
  #cancelRetry: (() => void) | null = null;
  #retryUs = RETRY_US;
  #lastRefusal = "";
  #refused = false;
  #stopped = false;

  constructor(owner: PlacementOwner) {
    this.#owner = owner;
  }

  get place(): VirtualInterface | null {
    return this.#place;
  }

  /** The kernel does not do what it should. */
  get refused(): boolean {
    return this.#refused;
  }

  /** The interface came, went, or is another one. True when what stood on it went with it. */
  setLink(link: LinkInfo | null): boolean {
    const gone = this.#link?.ifindex !== link?.ifindex && this.#place !== null;
    this.#link = link;
    if (gone) this.drop();
    return gone;
  }

  /** Makes what is missing; `placed` follows. */
  prepare(): void {
    if (!this.#link || this.#place || this.#preparing || this.#stopped) return;
    this.#preparing = true;
    this.#work = this.#work.then(() => this.#prepare());
  }

  /** What stood in the kernel is lost, or is not what it should be. */
  drop(): void {
    const { session, heartbeat } = this.#owner;
    if (this.#place?.lease) heartbeat.bindLease(session, null, this.#owner.leaseTerms());
    this.#place = null;
  }

  /** Out of the election, and another attempt later. `mayBeOpen`: what stands there may still forward. */
  refuse(mayBeOpen = false): void {
    // What could not be opened is not closed sooner: it would be opened again, and refused again.
    if (mayBeOpen && !this.#refused) this.#retryUs = Math.min(this.#retryUs, CLOSING_RETRY_US);
    this.#refused = true;
    this.#cancelRetry?.();
    const afterUs = this.#retryUs;
    this.#retryUs = Math.min(2 * afterUs, RETRY_US);
    this.#cancelRetry = this.#owner.setTimer(afterUs, () => {
      this.#cancelRetry = null;
      if (!this.#link) return;
      this.drop();
      this.prepare();
    });
  }

  /**
   * Steps of a kernel plan failed. One that counts leaves a router that is Active without forwarding, or Backup without
   * having ceased to: out of the election, and what stands in the kernel is made anew. What counts, in words; null:
   * nothing does.
   */
  failed(failures: PlanReport["failures"], active: boolean): string | null {
    // What stood on an interface that is gone can't be opened or closed any more, and need not be.
    if (this.#stopped || !this.#link || !this.#place) return null;
    // While one process follows another, both do what happens: on a device of theirs the second finds it done.
    const own = this.#place.ifindex !== this.#link.ifindex;
    const done = own ? (active ? "EEXIST" : "EADDRNOTAVAIL") : null;
    const counted = failures.filter(({ errno }) => errno !== done);
    if (counted.length === 0) return null;
    this.refuse(!active);
    return counted.map(({ label, errno }) => `${label}: ${errno}`).join("; ");
  }

  /** Prepares nothing any more. */
  stop(): void {
    this.#stopped = true;
    this.#cancelRetry?.();
  }

  /** Resolves when the kernel is done with what it was asked for. */
  done(): Promise<void> {
    return this.#work;
  }

  async #prepare(): Promise<void> {
    const link = this.#link;
    try {
      if (!link) return;
      const place = await this.#owner.kernel.prepare(this.#owner.request(link));
      this.#refused = false;
      this.#lastRefusal = "";
      this.#retryUs = RETRY_US;
      this.#cancelRetry?.();
      this.#cancelRetry = null;
      if (this.#link?.ifindex === link.ifindex) this.#place = place;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== this.#lastRefusal) this.#owner.refused(message);
      this.#lastRefusal = message;
      this.refuse();
    } finally {
      this.#preparing = false;
    }
    this.#owner.placed();
    // The interface came, went or was replaced while the kernel worked for the old one.
    if (!this.#refused) this.prepare();
  }
}
