/**
 * neighbours: up is a link where enough of those that were seen answer. Who shows is asked from then on, by ARP and
 * neighbour solicitation (polling) or by ICMP echo (trigger), until he neither showed nor answered for `ageUs`, and others
 * do answer: where all are silent it is the link that died, and to forget them would make it well.
 */
import { compareAddresses, familyOf } from "../../../core/address.js";
import { enoughAnswer, isVirtualRouterMac, type Verdict } from "../../../core/tracking/index.js";
import type { Probing, Sighting } from "../../../driver/driver.js";
import type { MaskedTarget, RunningWatch, SpecOf, TrackerKind, Watch } from "../kind.js";
import { linkResult } from "../link.js";

type Neighbours = SpecOf<"neighbours">;

interface Neighbour {
  readonly address: string;
  mac: string;
  shownUs: number;
  maskedBy: string | null;
  source: string | null;
  /** It is masked, or was and did not have the time to answer since: it is not held against the link. */
  spared: boolean;
  /** Null while it is masked. */
  probing: Probing | null;
  verdict: Verdict;
}

/** Before its first word it takes the time to hear of those that the kernel knows, and to ask them. */
const SETTLED_US = 500_000;
const SWEEP_MAX_US = 10_000_000;
const NAMED_MAX = 3;

export const neighboursKind: TrackerKind<Neighbours> = {
  counted: true,
  begin: (watch) => new NeighbourhoodWatch(watch),
};

class NeighbourhoodWatch implements RunningWatch {
  readonly #watch: Watch<Neighbours>;
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #unfollow: () => void;
  #cancelSweep: () => void;
  #cancelTelling: (() => void) | null;
  #settled = false;
  #leftOut = 0;

  constructor(watch: Watch<Neighbours>) {
    this.#watch = watch;
    const { driver, prober, spec, intervalUs, timeoutUs } = watch;
    this.#unfollow = prober.followNeighbours(spec.interface, (seen) => this.#see(seen));
    this.#cancelTelling = driver.setTimer(SETTLED_US + Math.min(intervalUs, SETTLED_US) + timeoutUs, () => {
      this.#settled = true;
      this.#tell();
    });
    this.#cancelSweep = this.#sweepLater();
  }

  networkChanged(): void {
    for (const one of [...this.#neighbours.values()]) {
      if (this.#isOurs(one.address, one.mac)) {
        this.#forget(one);
        continue;
      }
      const source = this.#watch.sourceOn(this.#watch.spec.interface, one.address);
      if (source === one.source) continue;
      one.source = source;
      one.probing?.changeSource(source);
    }
    this.#tellSoon();
  }

  maskChanged(): void {
    for (const one of this.#neighbours.values()) this.#weighMask(one);
    this.#tellSoon();
  }

  results(): { readonly up: number; readonly down: number } {
    const sum = { up: 0, down: 0 };
    for (const { probing } of this.#neighbours.values()) {
      const counts = probing?.counts();
      sum.up += counts?.answered ?? 0;
      sum.down += (counts?.timeouts ?? 0) + (counts?.errors ?? 0);
    }
    return sum;
  }

  evidence(): string | null {
    return this.#settled ? this.#result().evidence : null;
  }

  masked(): readonly MaskedTarget[] {
    return [...this.#neighbours.values()].flatMap(({ address, mac, maskedBy }) =>
      maskedBy === null ? [] : [{ address, mac, by: maskedBy }],
    );
  }

  stop(): void {
    this.#unfollow();
    this.#cancelSweep();
    this.#cancelTelling?.();
    for (const one of this.#neighbours.values()) one.probing?.end();
    this.#neighbours.clear();
  }

  // ---- who is there -------------------------------------------------------------------------------------

  #see({ address, mac }: Sighting): void {
    const { spec, heartbeat, sourceOn } = this.#watch;
    const known = this.#neighbours.get(address);
    if (known) {
      known.shownUs = heartbeat.now();
      if (known.mac === mac) return;
      known.mac = mac;
      if (this.#isOurs(address, mac)) this.#forget(known);
      else this.#weighMask(known);
      this.#tellSoon();
      return;
    }
    if (this.#isOurs(address, mac)) return;
    const source = sourceOn(spec.interface, address);
    // Of a family in which this router has no address there: it can't be asked.
    if (source === null) return;
    if (this.#neighbours.size >= spec.max) {
      this.#leftOut++;
      return;
    }
    const shownUs = heartbeat.now();
    const found: Neighbour = {
      address,
      mac,
      shownUs,
      source,
      maskedBy: null,
      spared: false,
      probing: null,
      verdict: "unknown",
    };
    this.#neighbours.set(address, found);
    this.#weighMask(found);
  }

  #isOurs(address: string, mac: string): boolean {
    return isVirtualRouterMac(mac) || this.#watch.isOwn(address);
  }

  #weighMask(one: Neighbour): void {
    one.maskedBy = this.#watch.mask.maskedBy(one.address, one.mac);
    if (one.maskedBy === null) {
      one.probing ??= this.#ask(one);
      return;
    }
    one.probing?.end();
    one.probing = null;
    one.spared = true;
    one.verdict = "unknown";
  }

  #ask(one: Neighbour): Probing {
    const { spec, prober, intervalUs, timeoutUs, fall, rise } = this.#watch;
    const byAddress = one.address.includes(":") ? "nd" : "arp";
    const kind = spec.mode === "trigger" ? "icmp" : byAddress;
    const { address, source } = one;
    const target = {
      kind,
      interface: spec.interface,
      address,
      source,
      intervalUs,
      timeoutUs,
      fall,
      rise,
    } as const;
    return prober.probe(target, ({ verdict, outcome, errno }) => {
      if (outcome === "untried") this.#watch.untried(`a probe to ${address} can't be sent: ${errno}`);
      if (one.verdict === verdict) return;
      one.verdict = verdict;
      one.spared = false;
      this.#tellSoon();
    });
  }

  #forget(one: Neighbour): void {
    one.probing?.end();
    this.#neighbours.delete(one.address);
  }

  /** Forgets who has gone, some time after `ageUs`. */
  #sweepLater(): () => void {
    const { driver, heartbeat, spec } = this.#watch;
    return driver.setTimer(Math.min(spec.ageUs / 4, SWEEP_MAX_US), () => {
      const sinceUs = heartbeat.now() - spec.ageUs;
      const { asked, silent } = this.#answers();
      const allSilent = asked.length === silent.length;
      const lastSpared = asked.length === 0 ? this.#lastSpared() : null;
      for (const one of [...this.#neighbours.values()]) {
        if ((allSilent && one.verdict === "down") || one === lastSpared) continue;
        const answeredUs = one.probing?.counts().answeredAtUs ?? 0;
        if (Math.max(one.shownUs, answeredUs) < sinceUs) this.#forget(one);
      }
      this.#leftOut = 0;
      this.#tellSoon();
      this.#cancelSweep = this.#sweepLater();
    });
  }

  /** Where nobody else is known it stays so: who is masked can't answer, and to forget all of them would make the link fail. */
  #lastSpared(): Neighbour | null {
    const spared = [...this.#neighbours.values()].filter((one) => one.spared);
    return spared.sort((a, b) => b.shownUs - a.shownUs)[0] ?? null;
  }

  // ---- what it comes to ---------------------------------------------------------------------------------

  /** Once for all that is new in one turn of the event loop. */
  #tellSoon(): void {
    const { driver, heartbeat } = this.#watch;
    this.#cancelTelling ??= driver.setAlarm(heartbeat.now(), () => this.#tell());
  }

  #tell(): void {
    this.#cancelTelling = null;
    if (this.#settled) this.#watch.tell(this.#result());
  }

  #answers(): { readonly asked: readonly Neighbour[]; readonly silent: readonly Neighbour[] } {
    const asked = [...this.#neighbours.values()].filter((one) => one.verdict !== "unknown");
    return { asked, silent: asked.filter((one) => one.verdict === "down") };
  }

  #result(): { readonly up: boolean; readonly evidence: string } {
    const { spec, network } = this.#watch;
    const link = linkResult(network, spec.interface);
    if (!link.up) return link;
    const { asked, silent: whoIsSilent } = this.#answers();
    const silent = whoIsSilent.map((one) => one.address).sort(inOrder);
    const answering = asked.length - silent.length;
    const named = silent.slice(0, NAMED_MAX).join(", ") + (silent.length > NAMED_MAX ? " …" : "");
    const spared = [...this.#neighbours.values()].filter((one) => one.spared).length;
    const parts = [
      asked.length > 0
        ? `${answering} of ${asked.length} neighbours on ${spec.interface} answer`
        : spared === 0
          ? `nobody is known on ${spec.interface}`
          : `all known neighbours on ${spec.interface} are masked (${spared})`,
      ...(silent.length > 0 ? [`silent: ${named}`] : []),
      ...(this.#leftOut > 0 ? [`more than ${spec.max} were seen`] : []),
    ];
    const up = enoughAnswer(spec.threshold, answering, asked.length, spared);
    return { up, evidence: parts.join("; ") };
  }
}

/** IPv4 first, then by number. */
function inOrder(a: string, b: string): number {
  return familyOf(a).localeCompare(familyOf(b)) || compareAddresses(a, b);
}
