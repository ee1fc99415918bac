/** The table of tracker kinds: one line each, named as in the configuration. */
import type { TrackerSpec } from "../../../config/index.js";
import type { SpecOf, TrackerKind } from "../kind.js";
import { bfdKind } from "./bfd.js";
import { fileKind } from "./file.js";
import { httpKind } from "./http.js";
import { interfaceKind } from "./interface.js";
import { neighboursKind } from "./neighbours.js";
import { probedKind } from "./probed.js";
import { processKind } from "./process.js";
import { routeKind } from "./route.js";
import { scriptKind } from "./script.js";
import { tcpKind } from "./tcp.js";
import { udpKind } from "./udp.js";

export const TRACKER_KINDS: { readonly [K in TrackerSpec["kind"]]: TrackerKind<SpecOf<K>> } = {
  route: routeKind,
  tcp: tcpKind,
  udp: udpKind,
  http: httpKind,
  script: scriptKind,
  process: processKind,
  file: fileKind,
  bfd: bfdKind,
  icmp: probedKind<SpecOf<"icmp">>(),
  arp: probedKind<SpecOf<"arp">>(),
  nd: probedKind<SpecOf<"nd">>(),
  neighbours: neighboursKind,
  interface: interfaceKind,
};
