/** process: up is a process that runs. */
import type { SpecOf } from "../kind.js";
import { polled } from "./polled.js";

export const processKind = polled<SpecOf<"process">>(({ spec }) =>
  spec.process.startsWith("/")
    ? { probe: "pidFile", path: spec.process }
    : { probe: "process", name: spec.process, minimum: spec.minimum },
);
