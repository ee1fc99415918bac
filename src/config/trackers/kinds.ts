/** The table of tracker kinds: one line each, named by its own key. */

import { bfdKind } from "./bfd.js";
import { fileKind } from "./file.js";
import { httpKind } from "./http.js";
import { interfaceKind } from "./interface.js";
import { neighboursKind } from "./neighbours.js";
import { arpKind, icmpKind, ndKind } from "./probed.js";
import { processKind } from "./process.js";
import { routeKind } from "./route.js";
import { scriptKind } from "./script.js";
import { tcpKind } from "./tcp.js";
import { udpKind } from "./udp.js";

/** In the order in which they are tried: `interface` is also an option of others, so it comes last. */
export const TRACKER_KINDS = {
  route: routeKind,
  tcp: tcpKind,
  udp: udpKind,
  http: httpKind,
  script: scriptKind,
  process: processKind,
  file: fileKind,
  bfd: bfdKind,
  icmp: icmpKind,
  arp: arpKind,
  nd: ndKind,
  neighbours: neighboursKind,
  interface: interfaceKind,
};

type Kinds = typeof TRACKER_KINDS;
export type TrackerKindName = keyof Kinds;

/** What a tracker looks at, as the engine has it; `kind` tells which. */
export type TrackerSpec = { [K in keyof Kinds]: ReturnType<Kinds[K]["normalize"]> }[keyof Kinds];
