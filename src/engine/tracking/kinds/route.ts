/** route: up is a prefix with a next hop that works and is as asked for. */
import type { TrackResult } from "../../../core/tracking/verdict.js";
import type { RouteInfo } from "../../../driver/driver.js";
import type { NetworkCache } from "../../lan/network.js";
import type { SpecOf, TrackerKind } from "../kind.js";

export const routeKind: TrackerKind<SpecOf<"route">> = {
  begin(watch) {
    let routes: readonly RouteInfo[] | null = null;
    const look = (): void => {
      if (routes) watch.tell(routeResult(watch.spec, routes, watch.network));
    };
    const stop = watch.kernel.watchRoutes(watch.spec.prefix, (now) => {
      routes = now;
      look();
    });
    // Names of interfaces may come to mean others.
    return { networkChanged: look, stop };
  },
};

function routeResult(
  spec: SpecOf<"route">,
  routes: readonly RouteInfo[],
  network: NetworkCache,
): TrackResult {
  const { prefix, via, interface: name } = spec;
  const ofOrigin = routes.filter(
    (route) =>
      (spec.table === null || route.table === spec.table) &&
      (spec.protocol === null || route.protocol === spec.protocol),
  );
  if (routes.length === 0) return { up: false, evidence: `no route to ${prefix}` };
  if (ofOrigin.length === 0)
    return { up: false, evidence: `no route to ${prefix} of this table and protocol` };
  const hops = ofOrigin.flatMap((route) => route.nextHops);
  if (hops.length === 0) return { up: false, evidence: `the route to ${prefix} has no next hop that works` };
  const nameOf = (ifindex: number): string => network.linkByIndex(ifindex)?.name ?? `interface ${ifindex}`;
  const describe = (hop: (typeof hops)[number]): string =>
    `${hop.via === null ? "" : `via ${hop.via} `}dev ${nameOf(hop.ifindex)}`;
  const fitting = hops.find(
    (hop) => (via === null || hop.via === via) && (name === null || nameOf(hop.ifindex) === name),
  );
  return fitting
    ? { up: true, evidence: `${prefix} ${describe(fitting)}` }
    : { up: false, evidence: `the route to ${prefix} goes ${hops.map(describe).join(", ")}` };
}
