/** Which failures a configuration survives: `check --failures`. */
import { describe, expect, it } from "vitest";
import { type CoverageReport, coverage, defineConfig, type Failure } from "../../../src/config/index.js";

type Input = Parameters<typeof defineConfig>[0];

function report(router: object, trackers: Input["trackers"] = []): CoverageReport {
  const base = { interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"], advertisementInterval: "100ms" };
  const config = defineConfig({ virtualRouters: [{ ...base, ...router }], trackers });
  return coverage(config)[0] as CoverageReport;
}

function of(one: CoverageReport, failure: Failure): CoverageReport["failures"][number] {
  return one.failures.find((entry) => entry.failure === failure) as CoverageReport["failures"][number];
}

const survived = (one: CoverageReport): Failure[] =>
  one.failures.filter((entry) => entry.survived).map((entry) => entry.failure);

describe("without trackers", () => {
  const one = report({ priority: 150 });

  it("VRRP survives what makes the router silent", () => {
    expect(survived(one)).toEqual(["lan-line", "lan-interface", "router-hardware"]);
    expect(of(one, "lan-line").detections).toEqual([
      {
        by: "no advertisement",
        tracker: null,
        detectionUs: 0,
        reaction: "silent",
        priority: 150,
        // 3 x 100 ms + Skew_Time of priority 1
        outageUs: 399_609,
      },
    ]);
  });

  it("a daemon that hangs is a part of the third kind only", () => {
    expect(of(one, "router-software")).toMatchObject({
      survived: false,
      detections: [{ detectionUs: 5_000_000, reaction: "resigns", outageUs: 5_099_609 }],
    });
  });

  it("each hole has a remedy", () => {
    expect(one.failures.filter((entry) => !entry.survived && entry.remedy === null)).toEqual([]);
    expect(of(one, "upstream-interface").remedy).toBe("track the uplink: { interface: UPLINK }");
  });
});

describe("trackers", () => {
  const rows: readonly [tracker: object, failures: Failure[], detectionUs: number][] = [
    [{ interface: "wan0" }, ["upstream-interface"], 0],
    [{ interface: "wan0", downDelay: "200ms" }, ["upstream-interface"], 200_000],
    [{ route: "0.0.0.0/0" }, ["router-software", "upstream-interface"], 0],
    [{ route: "0.0.0.0/0", protocol: "static" }, ["router-software", "upstream-interface"], 0],
    [
      { route: "0.0.0.0/0", protocol: "bgp" },
      ["router-software", "upstream-interface", "upstream-network"],
      0,
    ],
    [
      { tcp: "203.0.113.1:1", interval: "100ms", timeout: "40ms", fall: 2 },
      ["upstream-interface", "upstream-network"],
      240_000,
    ],
    [
      { bfd: "203.0.113.1", interval: "10ms", multiplier: 5 },
      ["upstream-interface", "upstream-network"],
      50_000,
    ],
    [
      { icmp: "203.0.113.1", interval: "10ms", timeout: "5ms", fall: 3 },
      ["upstream-interface", "upstream-network"],
      35_000,
    ],
    [{ process: "bgpd" }, ["router-software"], 2_000_000],
    [{ script: "/x", interval: "2s", timeout: "1s", fall: 3 }, ["router-software"], 7_000_000],
  ];
  it.each(rows)("%j", (tracker, failures, detectionUs) => {
    const one = report({ track: ["t"] }, [{ name: "t", ...tracker }] as NonNullable<Input["trackers"]>);
    const added = survived(one).filter(
      (failure) => !["lan-line", "lan-interface", "router-hardware"].includes(failure),
    );
    expect(added).toEqual(failures);
    const found = of(one, failures[0] as Failure).detections.find((entry) => entry.tracker === "t");
    expect(found).toMatchObject({ detectionUs, reaction: "resigns", outageUs: detectionUs + 99_609 });
  });

  it("that look at the LAN say nothing about the way out", () => {
    const one = report({ track: [{ tcp: "192.0.2.9:1", interface: "eth0" }, { interface: "eth0" }] });
    expect(of(one, "upstream-network").survived).toBe(false);
    expect(of(one, "upstream-interface").survived).toBe(false);
  });

  it("with a weight lower the priority, and are waited for", () => {
    const one = report({ priority: 150, track: [{ interface: "wan0", weight: -60 }] });
    expect(of(one, "upstream-interface").detections).toMatchObject([
      { reaction: "lowers-priority", priority: 90, outageUs: 399_609 },
    ]);
    const bonus = report({ priority: 150, track: [{ interface: "wan0", weight: 60 }] });
    expect(of(bonus, "upstream-interface").detections).toMatchObject([{ priority: 150 }]);
  });

  it("that change nothing count for nothing", () => {
    for (const router of [
      { track: [{ interface: "wan0", weight: -60, reverse: true }] },
      { track: [{ interface: "wan0", reverse: true }] },
      { priority: 255, track: [{ interface: "wan0", weight: -60 }] },
      { priority: 1, track: [{ interface: "wan0", weight: -60 }] },
    ])
      expect(of(report(router), "upstream-interface").survived).toBe(false);
    expect(of(report({ priority: 255, track: [{ interface: "wan0" }] }), "upstream-interface").survived).toBe(
      true,
    );
  });
});

describe("a sync group", () => {
  const inside = { syncGroup: "edge", priority: 150, advertisementInterval: "100ms" };
  const outside = { ...inside, interface: "wan0", vrid: 20, addresses: ["203.0.113.1/24"] };
  const reports = (
    more: object,
    mode: "all" | "any" = "all",
    track: Input["virtualRouters"][number]["track"] = [],
  ) =>
    coverage(
      defineConfig({
        virtualRouters: [
          { ...inside, interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"], ...more },
          { ...outside, track },
          { ...outside, vrid: 21, addresses: ["203.0.113.9/24"], track },
        ],
        syncGroups: [{ name: "edge", mode }],
        trackers: [{ name: "isp", icmp: "203.0.113.7", interface: "wan9", interval: "100ms" }],
      }),
    );
  const lines = (one: CoverageReport | undefined, failure: Failure) =>
    of(one as CoverageReport, failure).detections.map(({ by, reaction, outageUs }) => [
      by,
      reaction,
      outageUs,
    ]);

  it("takes a member along whose other side fails", () => {
    const [first, second] = reports({});
    expect(lines(first, "upstream-interface")).toEqual([
      ["sync group edge: wan0/20 (interface wan0)", "resigns", 99_609],
    ]);
    expect(lines(second, "upstream-interface")).toEqual([
      ["sync group edge: eth0/10 (interface eth0)", "resigns", 99_609],
    ]);
    expect(of(first as CoverageReport, "upstream-network").survived).toBe(false);
    expect(of(reports({}, "any")[0] as CoverageReport, "upstream-interface").survived).toBe(false);
  });

  it("takes a member along by a tracker of another one, where that forbids Active", () => {
    const isp = "tracker isp (icmp 203.0.113.7)";
    expect(lines(reports({}, "all", ["isp"])[0], "upstream-network")).toEqual([
      [`sync group edge: ${isp} of wan0/20`, "resigns", 499_609],
    ]);
    expect(lines(reports({ track: ["isp"] }, "all", ["isp"])[0], "upstream-network")).toEqual([
      [isp, "resigns", 499_609],
    ]);
    expect(lines(reports({}, "all", [{ tracker: "isp", weight: -10 }])[0], "upstream-network")).toEqual([]);
    // One's LAN is the other one's way out.
    const [inner, outer] = reports({}, "all", [
      { icmp: "203.0.113.8", interface: "wan0", interval: "100ms" },
    ]);
    expect(of(inner as CoverageReport, "upstream-network").survived).toBe(true);
    expect(of(outer as CoverageReport, "upstream-network").survived).toBe(false);
  });
});

describe("BFD", () => {
  it("is noticed after its detection time, and waited for no longer", () => {
    const one = report({ bfd: { interval: "10ms", multiplier: 3 } });
    expect(
      of(one, "lan-line").detections.map(({ by, detectionUs, outageUs }) => [by, detectionUs, outageUs]),
    ).toEqual([
      ["BFD", 30_000, 30_000],
      ["no advertisement", 0, 399_609],
    ]);
  });
});
