/**
 * What is in force for one virtual router: what its configuration, orders, trackers and the network come to, as the
 * machine (`core/vrrp/machine`), the checks of what is heard (`core/vrrp/validate`) and the frames (`plan.ts`)
 * want it.
 */
import type { VirtualRouterConfig } from "../../config/index.js";
import type { PortId } from "../../core/automaton.js";
import { type ChecksumForm, PRIORITY_OWNER } from "../../core/vrrp/advertisement.js";
import type { VrrpSettings } from "../../core/vrrp/machine.js";
import type { VrrpReceiver } from "../../core/vrrp/validate.js";
import type { SessionId, VirtualInterface } from "../../driver/driver.js";
import type { Orders } from "../orders.js";
import type { Followed } from "../tracking/followed.js";
import { ChecksumForms } from "./checksum-forms.js";
import type { NetworkView, VirtualRouterHost } from "./host.js";
import { leaseTerms } from "./placement.js";
import { type BfdBond, VrrpPlan, type VrrpPlanInput } from "./plan.js";

/** What it follows from. */
export interface InForceFacts {
  readonly config: VirtualRouterConfig;
  readonly orders: Orders;
  readonly tracking: Followed;
  readonly network: NetworkView;
  /** MAC that hosts know the virtual addresses by. */
  readonly mac: string | null;
  /** What stands for it in the kernel. */
  readonly place: VirtualInterface | null;
  readonly bond: BfdBond | null;
  /** Who is Active, as this Backup heard. */
  readonly heardActive: string | null;
}

/** Keeps what is costly to make until what it is made of changes. */
export class InForce {
  readonly #name: string;
  readonly #session: SessionId;
  readonly #host: VirtualRouterHost;
  readonly #facts: () => InForceFacts;
  readonly #forms: ChecksumForms;
  #plan: VrrpPlan | null = null;
  #receiver: VrrpReceiver | null = null;

  /** `session`: whose lease the plans open and close. */
  constructor(name: string, session: SessionId, host: VirtualRouterHost, facts: () => InForceFacts) {
    this.#name = name;
    this.#session = session;
    this.#host = host;
    this.#facts = facts;
    this.#forms = new ChecksumForms(name, host);
  }

  /** The effective priority. */
  priority(): number {
    return effectivePriority(this.#facts());
  }

  settings(): VrrpSettings {
    return settingsInForce(this.#facts());
  }

  /** How advertisements for it are judged. */
  get receiver(): VrrpReceiver {
    this.#receiver ??= receiverOf(this.#facts().config, this.settings());
    return this.#receiver;
  }

  /** Its frames and kernel plans; null while nothing stands on the interface. Another object means other frames. */
  plan(): VrrpPlan | null {
    const facts = this.#facts();
    const { config, place, mac } = facts;
    const { link } = facts.network;
    if (!link || !place || mac === null) return null;
    if (this.#plan) return this.#plan;
    const lanPort = this.#host.lanPort(link);
    const peerPort = config.unicast ? this.#host.datagramPort(config.family, link.ifindex) : lanPort;
    if (lanPort === null || peerPort === null) return null;
    const terms = leaseTerms(config, this.#host.ownershipLimitUs());
    this.#host.heartbeat.bindLease(this.#session, place.lease, terms);
    this.#plan = planInForce(config, settingsInForce(facts), place, {
      mac,
      interfaceMac: link.mac,
      checksumForms: this.checksumForms(),
      lanPort,
      peerPort,
      bfd: facts.bond,
    });
    return this.#plan;
  }

  /** Whether the plan has to be made anew. */
  get outdated(): boolean {
    return this.#plan === null;
  }

  /** The frames, or what they need in the kernel, are other ones from now on. */
  outdate(): void {
    this.#plan = null;
  }

  /** Advertisements are judged in another way from now on. */
  outdateReceiver(): void {
    this.#receiver = null;
  }

  /** The checksum forms that it sends. */
  checksumForms(): readonly ChecksumForm[] {
    return this.#forms.toSend(this.#facts().config);
  }

  /** A peer used this checksum form. */
  learn(source: string, form: ChecksumForm): void {
    const { config, heardActive } = this.#facts();
    const after = this.#forms.learn(config, source, form, heardActive);
    if (after === null) return;
    this.outdate();
    const detail = `${source} uses ${form}; sending ${after.join()} from now on`;
    this.#host.notice("info", this.#name, "checksum-form", detail);
  }
}

function effectivePriority({ config, orders, tracking }: InForceFacts): number {
  // The owner's stays, also where an order was given before the configuration made it that.
  const isOwner = config.priority === PRIORITY_OWNER;
  return tracking.priority(isOwner ? config.priority : (orders.priority ?? config.priority));
}

function settingsInForce(facts: InForceFacts): VrrpSettings {
  const { config, orders } = facts;
  return {
    version: config.version,
    family: config.family,
    priority: effectivePriority(facts),
    addresses: config.addresses.map((one) => one.address),
    primaryAddress: facts.network.primaryAddress ?? (config.family === "ipv4" ? "0.0.0.0" : "::"),
    intervalUs: config.advertisementIntervalUs,
    preempt: config.preempt && !orders.holdsBack,
    preemptDelayUs: config.preemptDelayUs,
    yieldsAloud: !config.virtualMac || config.unicast !== null,
    waits: orders.waits,
    backupAdvertisements: config.bfd?.backupAdvertisements === true,
  };
}

/** How advertisements for it are judged. */
function receiverOf(config: VirtualRouterConfig, settings: VrrpSettings): VrrpReceiver {
  const { authentication, unicast, vrid } = config;
  return {
    version: settings.version,
    family: settings.family,
    vrid,
    priority: settings.priority,
    primaryAddress: settings.primaryAddress,
    addresses: settings.addresses,
    intervalUs: settings.intervalUs,
    authType: authentication ? 1 : 0,
    authData: authenticationData(config),
    // A MAY of both RFCs. v2 would drop the peer over it, and two Actives are worse than two lists.
    checkAddressList: settings.version === 3,
    ipv4Checksum: "either",
    ownerReceive: "process",
    backupAdvertisements: settings.backupAdvertisements === true,
    ...(unicast ? { minimumTtl: 1 } : {}),
  };
}

/** Its frames, and what they need in the kernel. `peerPort`: where unicast copies leave. */
function planInForce(
  config: VirtualRouterConfig,
  settings: VrrpSettings,
  { lease, open, settle, close }: VirtualInterface,
  now: Pick<VrrpPlanInput, "mac" | "interfaceMac" | "checksumForms" | "lanPort" | "bfd"> & {
    readonly peerPort: PortId;
  },
): VrrpPlan {
  const { vrid, authentication, unicast } = config;
  const { peerPort, ...parts } = now;
  return new VrrpPlan({
    ...parts,
    settings,
    vrid,
    authType: authentication ? 1 : 0,
    authData: authenticationData(config),
    unicast: unicast ? { port: peerPort, peers: unicast.peers } : null,
    leased: lease !== null,
    open,
    settle,
    close,
  });
}

/** 8 octets: the password of RFC 2338 type 1, or zeros. */
function authenticationData({ authentication }: VirtualRouterConfig): Uint8Array {
  const octets = new Uint8Array(8);
  if (authentication) octets.set(new TextEncoder().encode(authentication.password).subarray(0, 8));
  return octets;
}
