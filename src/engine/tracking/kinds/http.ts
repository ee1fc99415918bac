/** http: up is an answer with a right status. */
import type { SpecOf } from "../kind.js";
import { asking } from "./polled.js";

export const httpKind = asking<SpecOf<"http">>(({ kind: _kind, ...spec }, path) => ({
  probe: "http",
  ...spec,
  ...path,
}));
