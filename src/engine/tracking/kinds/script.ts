/** script: up is an exit code of 0. */
import type { SpecOf } from "../kind.js";
import { polled } from "./polled.js";

export const scriptKind = polled<SpecOf<"script">>(({ spec }) => ({
  probe: "script",
  path: spec.path,
  arguments: spec.arguments,
}));
