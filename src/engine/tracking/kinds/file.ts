/** file: the number in a file counts. */
import type { SpecOf, TrackerKind } from "../kind.js";
import { polled } from "./polled.js";

export const fileKind: TrackerKind<SpecOf<"file">> = {
  ...polled<SpecOf<"file">>(({ spec }) => ({ probe: "file", path: spec.path })),
  byValue: true,
};
