/** Derived timers: Skew_Time and Active_Down_Interval. */
import { activeDownIntervalUs, skewTimeUs } from "../core/vrrp/timing.js";
import { differences, type Json, numberAt } from "./format.js";

/** What is not as the vector has it, a line each. @throws VectorError */
export function checkTimers(vector: Json, version: 2 | 3): string[] {
  const priority = numberAt(vector, "priority");
  const intervalUs =
    version === 3
      ? numberAt(vector, "activeAdverIntervalCs") * 10_000
      : numberAt(vector, "advertisementIntervalS") * 1_000_000;
  return [
    ...differences(numberAt(vector, "skewUs"), skewTimeUs(version, priority, intervalUs), "skewUs"),
    ...differences(
      numberAt(vector, "downIntervalUs"),
      activeDownIntervalUs(version, priority, intervalUs),
      "downIntervalUs",
    ),
  ];
}
