/** Whether a link works: set up, with a line. */
import type { TrackResult } from "../../core/tracking/verdict.js";
import type { NetworkCache } from "../lan/network.js";

export function linkResult(network: NetworkCache, name: string): TrackResult {
  const link = network.linkByName(name);
  if (!link) return { up: false, evidence: `${name} does not exist` };
  if (!link.adminUp) return { up: false, evidence: `${name} is administratively down` };
  return link.carrier
    ? { up: true, evidence: `${name} is up` }
    : { up: false, evidence: `${name} has no carrier` };
}
