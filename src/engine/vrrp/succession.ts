/**
 * Who follows an Active that BFD finds silent: this virtual router's BFD sessions (`bfd/binding.ts`), the other Backups
 * (`peer-table.ts`), and the place among them that is this one's.
 */
import type { VirtualRouterConfig } from "../../config/index.js";
import type { VrrpReason, VrrpSettings, VrrpState } from "../../core/vrrp/machine.js";
import type { SessionId } from "../../driver/driver.js";
import { BfdBinding } from "../bfd/binding.js";
import type { NetworkView, VirtualRouterHost } from "./host.js";
import { type PeerRecord, PeerTable } from "./peer-table.js";
import type { BfdBond } from "./plan.js";

/** What it follows from. */
export interface SuccessionFacts {
  readonly config: VirtualRouterConfig;
  readonly network: NetworkView;
  readonly state: VrrpState;
}

export interface SuccessionOwner {
  readonly name: string;
  readonly session: SessionId;
  facts(): SuccessionFacts;
  settings(): VrrpSettings;
  /** The bond is another one: its program is to be made anew. */
  rebound(): void;
}

export class Succession {
  readonly #owner: SuccessionOwner;
  readonly #binding: BfdBinding;
  readonly peers: PeerTable;

  constructor(host: VirtualRouterHost, owner: SuccessionOwner) {
    this.#owner = owner;
    this.#binding = new BfdBinding({
      name: owner.name,
      session: owner.session,
      sessions: () => host.bfd(),
      setTimer: (afterUs, run) => host.setTimer(afterUs, run),
      now: () => host.heartbeat.now(),
      notice: (level, code, detail) => host.notice(level, owner.name, code, detail),
      changed: () => owner.rebound(),
    });
    this.peers = new PeerTable({
      heartbeat: host.heartbeat,
      lanPort: () => {
        const { link } = owner.facts().network;
        return link ? host.lanPort(link) : null;
      },
      adopt: (session) => host.adopt(session, owner.session),
      release: (session) => host.release(session),
      setTimer: (afterUs, run) => host.setTimer(afterUs, run),
      changed: () => this.update(),
    });
  }

  /** What the Backup's program is to listen to. */
  get bond(): BfdBond | null {
    return this.#binding.bond;
  }

  /** When it is this Backup's turn; null while it listens to no session, or does not believe it. */
  get turn(): BfdBinding["turn"] {
    return this.#binding.turn;
  }

  /** The other Backups, who takes over first is first. */
  backups(): readonly PeerRecord[] {
    return this.peers.backups(heardActive(this.#owner.facts().state));
  }

  /** Sessions and the table follow the state: a Backup's session goes to its Active, an Active's are for its Backups. */
  update(): void {
    const { config, network, state } = this.#owner.facts();
    const { bfd, interface: name, advertisementIntervalUs } = config;
    const shows = bfd?.backupAdvertisements && state.name !== "initialize";
    this.peers.keep(shows ? advertisementIntervalUs : null);
    const local = network.link ? network.primaryAddress : null;
    const rank = bfd?.backupAdvertisements ? this.#rank(state) : (bfd?.rank ?? null);
    this.#binding.update({ config: bfd, interface: name, local, state, rank });
  }

  /** Whose turn it is when BFD says that the Active failed: 1 is the first; null while that is not known. */
  #rank(state: VrrpState): number | null {
    const { priority, primaryAddress: address } = this.#owner.settings();
    return this.peers.rank({ priority, address }, heardActive(state));
  }

  /** The virtual router became Active, and why. */
  tookOver(reason: VrrpReason, before: VrrpState): void {
    this.#binding.tookOver(reason, before);
  }

  close(): void {
    this.#binding.close();
    this.peers.clear();
  }
}

/** Who is Active, as a Backup heard. */
export function heardActive(state: VrrpState): string | null {
  return state.name === "backup" ? (state.active?.address ?? null) : null;
}
