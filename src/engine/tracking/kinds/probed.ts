/** icmp, arp, nd: up is a host that answers. The driver's prober counts; what it tells is a verdict already. */
import type { ProbeNews } from "../../../driver/driver.js";
import type { SpecOf, TrackerKind, Watch } from "../kind.js";

type Probed = SpecOf<"icmp"> | SpecOf<"arp"> | SpecOf<"nd">;

export function probedKind<Spec extends Probed>(): TrackerKind<Spec> {
  return {
    counted: true,
    begin(watch) {
      const { spec, intervalUs, timeoutUs, fall, rise, verdict } = watch;
      let source = sourceFor(watch);
      const target = { ...spec, source, intervalUs, timeoutUs, fall, rise, verdict };
      const probing = watch.prober.probe(target, (news) => {
        const evidence = evidenceOf(spec, source, news);
        if (news.outcome === "untried") {
          watch.untried(evidence);
          return;
        }
        const up = news.verdict === "up";
        // What contradicts the verdict, and not often enough yet, is no evidence for it.
        if ((news.outcome === "answered") === up) watch.tell({ up, evidence }, news.atUs);
      });
      return {
        networkChanged() {
          const now = sourceFor(watch);
          if (now === source) return;
          source = now;
          probing.changeSource(now);
        },
        results() {
          const { answered, timeouts, errors } = probing.counts();
          return { up: answered, down: timeouts + errors };
        },
        mac: () => probing.counts().mac,
        stop: () => probing.end(),
      };
    },
  };
}

function sourceFor({ spec, sourceOn }: Watch<Probed>): string | null {
  if (spec.source !== null || spec.interface === null) return spec.source;
  return sourceOn(spec.interface, spec.address);
}

const inMs = (us: number): string => `${(us / 1000).toFixed(us < 10_000 ? 2 : 1)} ms`;

function evidenceOf(
  spec: Probed,
  source: string | null,
  { outcome, errno, streak, roundTripUs }: ProbeNews,
): string {
  const { address, interface: name } = spec;
  if (outcome === "answered") return `${address} answered in ${inMs(roundTripUs)}`;
  if (outcome === "timeout") return `${address} is silent${streak > 1 ? ` (${streak} probes)` : ""}`;
  switch (errno) {
    case "ENODEV":
      return `${name} does not exist`;
    case "ENETDOWN":
      return `${name} is down`;
    case "ENETUNREACH":
    case "EHOSTUNREACH":
      return `there is no route to ${address}${name === null ? "" : ` through ${name}`}`;
    case "EADDRNOTAVAIL":
      if (source === null) return `${name} has no address of its own to reach ${address} from`;
      return `${source} is not an address of this machine`;
    default:
      return `a probe to ${address} can't be sent: ${errno}`;
  }
}
