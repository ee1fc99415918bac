/**
 * What BFD is to one virtual router, in the sense of draft-ietf-rtgwg-vrrp-bfd-p2p: a Backup runs a session to the
 * Active that it hears, and takes that session's failure for the passing of Active_Down_Timer; the Active answers the
 * sessions of its Backups. Or (multipoint) the Active is a head, and its Backups are tails. A session that was wrong about a living Active is not believed again for a while.
 */
import type { BfdConfig } from "../../config/index.js";
import { familyOf } from "../../core/address.js";
import { MAX_SIGNALS } from "../../core/automaton.js";
import { GROUP_ADDRESS } from "../../core/vrrp/advertisement.js";
import type { VrrpReason, VrrpState } from "../../core/vrrp/machine.js";
import type { SessionId } from "../../driver/driver.js";
import type { BfdBond } from "../vrrp/plan.js";
import type { BfdSessions, BfdWatch } from "./sessions.js";

export interface BindingHost {
  readonly name: string;
  readonly session: SessionId;
  sessions(): BfdSessions;
  setTimer(afterUs: number, run: () => void): () => void;
  now(): number;
  notice(level: "warning" | "info", code: string, detail: string): void;
  /** The bond is another one: the virtual router's program is to be made anew. */
  changed(): void;
}

/** What a virtual router is at the moment. */
export interface BindingView {
  readonly config: BfdConfig | null;
  readonly interface: string;
  /** Source of our advertisements; null while there is none. */
  readonly local: string | null;
  readonly state: VrrpState;
  /** This Backup's place among the Backups; null: not known yet, so advertisements alone decide. */
  readonly rank: number | null;
}

interface Wanted {
  readonly interface: string;
  readonly local: string;
  readonly config: BfdConfig;
}

/**
 * An Active that never failed contradicts its successor's claim at once (RFC 9568 section 6.4.3), one that stood still as
 * soon as it goes on. Who is heard later than this was cut off: a short failure is a failure. So many detection times,
 * and this at least.
 */
const REFUTED_DETECTIONS = 5;
const REFUTED_LEAST_US = 50_000;
/** So often within this time may a session be wrong; from then on it is not believed for a while, longer each time. */
const REFUTED_TIMES = 3;
const REFUTED_WITHIN_US = 120_000_000;
const DISBELIEF_MIN_US = 2_000_000;
const DISBELIEF_MAX_US = 60_000_000;

export class BfdBinding {
  readonly #host: BindingHost;
  #watch: {
    readonly address: string;
    readonly key: string;
    readonly signal: number;
    readonly end: () => void;
  } | null = null;
  #answer: { readonly key: string; readonly end: () => void } | null = null;
  #bond: BfdBond | null = null;
  #nextSignal = 0;
  #config: BfdConfig | null = null;
  #rank: number | null = null;
  #tookOver: { readonly address: string; readonly untilUs: number } | null = null;
  #refuted: readonly { readonly address: string; readonly atUs: number }[] = [];
  /** Whose session is not believed, and how to end that. */
  #disbelief: { readonly address: string; readonly cancel: () => void } | null = null;

  constructor(host: BindingHost) {
    this.#host = host;
  }

  /** What the Backup's program is to listen to. */
  get bond(): BfdBond | null {
    return this.#bond;
  }

  /** When it is this Backup's turn; null while it listens to no session, or does not believe it. */
  get turn(): { readonly rank: number; readonly waitUs: number } | null {
    return this.#bond && this.#rank !== null ? { rank: this.#rank, waitUs: this.#bond.waitUs } : null;
  }

  /** The virtual router or its surroundings changed. */
  update(view: BindingView): void {
    const { config, local, state } = view;
    this.#config = config;
    this.#rank = view.rank;
    if (!config && !this.#watch && !this.#answer) return;
    const active = state.name === "backup" && state.active?.priority !== 0 ? state.active : null;
    const watched = config && local && active ? { ...view, local, config, address: active.address } : null;
    const offered = config && local && state.name === "active" ? { ...view, local, config } : null;
    // What a Backup watched goes on as one that it answers, and the other way round: a session that nobody wants, if only
    // for a moment, goes down on purpose, and takes seconds to come up again.
    if (offered) this.#offer(offered);
    this.#listen(watched);
    if (!offered) this.#offer(null);
    if (active) this.#judge(active.address);
    this.#rebond();
  }

  /** The virtual router became Active, and why. */
  tookOver(reason: VrrpReason, before: VrrpState): void {
    if (reason !== "bfd-down" || before.name !== "backup" || !before.active) return;
    const { intervalUs, multiplier } = this.#config ?? { intervalUs: 0, multiplier: 0 };
    const untilUs =
      this.#host.now() + Math.max(intervalUs * multiplier * REFUTED_DETECTIONS, REFUTED_LEAST_US);
    this.#tookOver = { address: before.active.address, untilUs };
  }

  close(): void {
    this.#listen(null);
    this.#offer(null);
    this.#disbelief?.cancel();
    this.#bond = null;
  }

  #listen(wanted: { interface: string; local: string; config: BfdConfig; address: string } | null): void {
    const key = wanted && `${wanted.local} ${wanted.address} ${termsKey(wanted.config)}`;
    if (this.#watch?.key === key) return;
    const before = this.#watch;
    this.#watch = null;
    if (wanted && key) {
      // Another number for each Active: a late word about the last one is no word about this one.
      const signal = this.#nextSignal++ % MAX_SIGNALS;
      const { interface: name, address, config } = wanted;
      const local = config.multipoint ? groupOf(wanted.local) : wanted.local;
      const watch: BfdWatch = this.#host
        .sessions()
        .watch(
          { interface: name, local, remote: address },
          { user: this.#host.name, terms: config, subscriber: { session: this.#host.session, signal } },
        );
      this.#watch = { address, key, signal, end: () => watch.close() };
    }
    before?.end();
  }

  #offer(wanted: Wanted | null): void {
    const key = wanted && `${wanted.local} ${termsKey(wanted.config)}`;
    if (this.#answer?.key === key) return;
    const before = this.#answer;
    this.#answer = null;
    if (wanted && key) {
      this.#answer = { key, end: this.#serve(wanted) };
    }
    before?.end();
  }

  /** As Active: one stream for all Backups, or an answer for each. */
  #serve({ interface: name, local, config }: Wanted): () => void {
    const { name: user } = this.#host;
    const sessions = this.#host.sessions();
    if (!config.multipoint) return sessions.answer({ interface: name, local }, user, config);
    const head = sessions.watch({ interface: name, local, remote: groupOf(local) }, { user, terms: config });
    return () => head.close();
  }

  /** Whom we took over from by BFD's word and who is Active again at once had not failed. */
  #judge(address: string): void {
    const tookOver = this.#tookOver;
    if (!tookOver) return;
    this.#tookOver = null;
    const nowUs = this.#host.now();
    if (tookOver.address !== address || nowUs > tookOver.untilUs) return;
    const recent = this.#refuted.filter((one) => nowUs - one.atUs < REFUTED_WITHIN_US);
    this.#refuted = [...recent, { address, atUs: nowUs }];
    const times = this.#refuted.filter((one) => one.address === address).length;
    const said = `BFD said that ${address} had failed, and it is Active again`;
    if (times < REFUTED_TIMES) {
      this.#host.notice("warning", "bfd-refuted", said);
      return;
    }
    const forUs = Math.min(DISBELIEF_MIN_US * 2 ** (times - REFUTED_TIMES), DISBELIEF_MAX_US);
    this.#disbelief?.cancel();
    const cancel = this.#host.setTimer(forUs, () => {
      this.#disbelief = null;
      this.#rebond();
    });
    this.#disbelief = { address, cancel };
    const detail = `${said}, ${times} times lately: not believed for ${forUs / 1_000_000} s`;
    this.#host.notice("warning", "bfd-refuted", detail);
  }

  #rebond(): void {
    const config = this.#config;
    const believed = this.#disbelief === null || this.#disbelief.address !== this.#watch?.address;
    const { address, signal } = this.#watch ?? { address: "", signal: 0 };
    const rank = this.#rank;
    const waitUs = config && rank !== null ? (rank - 1) * config.intervalUs * config.multiplier : 0;
    const bond = this.#watch && believed && rank !== null ? { address, signal, waitUs } : null;
    if (JSON.stringify(bond) === JSON.stringify(this.#bond)) return;
    this.#bond = bond;
    this.#host.changed();
  }
}

/** Other terms are another session to watch or to offer; the rank is not theirs. */
function termsKey({ intervalUs, multiplier, authentication, multipoint }: BfdConfig): string {
  return JSON.stringify([intervalUs, multiplier, authentication, multipoint]);
}

function groupOf(address: string): string {
  return GROUP_ADDRESS[familyOf(address)];
}
