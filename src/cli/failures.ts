/** `firsthop check --failures`: which kinds of failure a configuration survives, as a table or as JSON. */
import {
  type Config,
  coverage,
  type Detection,
  type Failure,
  type Range,
  type Reaction,
} from "../config/index.js";
import { color, shortDuration, table } from "./output.js";

/** The five kinds; the third in its two parts. */
const KINDS: Readonly<Record<Failure, string>> = {
  "lan-line": "1 LAN line",
  "lan-interface": "2 LAN interface",
  "router-hardware": "3 router, hardware",
  "router-software": "3 router, software",
  "upstream-interface": "4 upstream interface",
  "upstream-network": "5 upstream network",
};

const THEN: Readonly<Record<Reaction, string>> = {
  silent: "silent: Active_Down_Interval",
  resigns: "resigns: Skew_Time",
  "lowers-priority": "lowers: Active_Down_Interval",
  "taken-over": "taken over at once",
};

const ms = (us: number): number => us / 1000;
const rangeMs = ({ minUs, maxUs }: Range) => ({ min: ms(minUs), max: ms(maxUs) });

export function coverageJson(config: Config): unknown {
  return coverage(config).map((one) => ({
    name: one.name,
    priority: one.priority,
    skewTimeMs: rangeMs(one.skewTime),
    activeDownIntervalMs: rangeMs(one.activeDownInterval),
    failures: one.failures.map(({ failure, survived, detections, remedy }) => ({
      kind: Number(KINDS[failure][0]),
      failure,
      survived,
      detections: detections.map((found) => ({
        by: found.by,
        tracker: found.tracker,
        detectionMs: ms(found.detectionUs),
        reaction: found.reaction,
        priority: found.priority,
        outageMaxMs: ms(found.outageUs),
      })),
      remedy,
    })),
  }));
}

export function renderCoverage(config: Config): string {
  const blocks = coverage(config).map((one) => {
    const rows = one.failures.flatMap(({ failure, survived, detections }) => {
      const first = [KINDS[failure], survived ? color.green("yes") : color.red("no")];
      if (detections.length === 0) return [[...first, "-", "-", "-", "-"]];
      return detections.map((found, at) => [...(at === 0 ? first : ["", ""]), ...cellsOf(found)]);
    });
    const span = ({ minUs, maxUs }: Range): string =>
      `${shortDuration(ms(minUs))} to ${shortDuration(ms(maxUs))}`;
    const holes = one.failures.flatMap(({ failure, remedy }) =>
      remedy === null ? [] : [`  ${KINDS[failure]}: ${remedy}`],
    );
    return [
      `${color.bold(one.name)}, priority ${one.priority}; the next router's Skew_Time is ${span(one.skewTime)}, its Active_Down_Interval ${span(one.activeDownInterval)}`,
      table(["FAILURE", "SURVIVED", "NOTICED BY", "WITHIN", "THEN", "WITHOUT GATEWAY"], rows),
      ...(holes.length === 0 ? [] : [color.dim("to close the holes"), ...holes]),
    ].join("\n");
  });
  return blocks.join("\n\n");
}

function cellsOf({ by, detectionUs, reaction, priority, outageUs }: Detection): string[] {
  const left = reaction === "lowers-priority" ? `, if another is above ${priority}` : "";
  return [
    by,
    detectionUs === 0 ? "at once" : shortDuration(ms(detectionUs)),
    THEN[reaction] + left,
    `at most ${shortDuration(ms(outageUs))}`,
  ];
}
