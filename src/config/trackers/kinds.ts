/** The table of tracker kinds: one line each, named by its own key. */
import { interfaceKind } from "./interface.js";

/** In the order in which they are tried: `interface` is also an option of others. */
export const TRACKER_KINDS = {
  interface: interfaceKind,
};

type Kinds = typeof TRACKER_KINDS;
export type TrackerKindName = keyof Kinds;

/** What a tracker looks at, as the engine has it; `kind` tells which. */
export type TrackerSpec = { [K in keyof Kinds]: ReturnType<Kinds[K]["normalize"]> }[keyof Kinds];
