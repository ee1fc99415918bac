/** interface: up is a link that is set up and whose line works. */
import type { TrackResult } from "../../../core/tracking/verdict.js";
import type { NetworkCache } from "../../lan/network.js";
import type { SpecOf, TrackerKind } from "../kind.js";

export const interfaceKind: TrackerKind<SpecOf<"interface">> = {
  byNews: true,
  begin(watch) {
    const look = (): void => watch.tell(linkResult(watch.network, watch.spec.interface));
    look();
    return { networkChanged: look, stop: () => {} };
  },
};

function linkResult(network: NetworkCache, name: string): TrackResult {
  const link = network.linkByName(name);
  if (!link) return { up: false, evidence: `${name} does not exist` };
  if (!link.adminUp) return { up: false, evidence: `${name} is administratively down` };
  return link.carrier
    ? { up: true, evidence: `${name} is up` }
    : { up: false, evidence: `${name} has no carrier` };
}
