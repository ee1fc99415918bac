/** The table of tracker kinds: one line each, named as in the configuration. */
import type { TrackerSpec } from "../../../config/index.js";
import type { SpecOf, TrackerKind } from "../kind.js";
import { interfaceKind } from "./interface.js";

export const TRACKER_KINDS: { readonly [K in TrackerSpec["kind"]]: TrackerKind<SpecOf<K>> } = {
  interface: interfaceKind,
};
