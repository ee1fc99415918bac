/**
 * The five kinds of failure, injected into a router of a real LAN: what `events` names as the evidence, and when the
 * host's packets are back. FIRSTHOP_TRACKING_RUNS=10 repeats each and tells what it measured.
 */
import { describe, expect } from "vitest";
import { skewTimeUs } from "../../../src/core/vrrp/timing.js";
import type { LabProcess } from "../../../src/lab/namespaces.js";
import { firstArrivalAfter, median } from "../../../src/lab/statistics.js";
import { loadNative } from "../../../src/native.js";
import {
  downIntervals,
  eventually,
  type Lab,
  netnsTest,
  reach,
  type Speaker,
  startFirsthop,
  startTraffic,
  type Traffic,
  withLab,
} from "../testbed/index.js";

const RUNS = Number(process.env.FIRSTHOP_TRACKING_RUNS ?? 2);
const PORT = 7007;
/** Of a service on the router itself. */
const OWN_PORT = 7008;
/** The machine that tests run on may do something else meanwhile. */
const NOISE_US = 100_000;

interface Kind {
  readonly title: string;
  readonly track: (intervalMs: number) => readonly unknown[];
  readonly inject: (lab: Lab, service: LabProcess) => unknown;
  readonly restore: (lab: Lab, service: LabProcess) => unknown;
  /** How the change of state is explained, and what the tracker's own event says, where there is a tracker. */
  readonly reason: RegExp;
  readonly evidence: RegExp | null;
  /** As `check --failures` has it. */
  readonly detectionUs: (intervalMs: number) => number;
  readonly reaction: "silent" | "resigns" | "lowers-priority";
}

const r1 = (lab: Lab) => lab.routers[0]!;
const ip = (lab: Lab, ...args: string[]): Promise<string> => r1(lab).run("ip", ...args);
const atOnce = (): number => 0;
const probing = (intervalMs: number): object => ({
  interval: `${intervalMs}ms`,
  timeout: `${intervalMs}ms`,
  fall: 2,
  rise: 2,
});

const KINDS: Kind[] = [
  {
    title: "1 the LAN line",
    track: () => [],
    inject: (lab) => lab.cut(r1(lab), "lan"),
    restore: (lab) => lab.restore(r1(lab), "lan"),
    reason: /no carrier/,
    evidence: null,
    detectionUs: atOnce,
    reaction: "silent",
  },
  {
    title: "2 the LAN interface",
    track: () => [],
    inject: (lab) => ip(lab, "link", "set", "lan0", "down"),
    restore: (lab) => ip(lab, "link", "set", "lan0", "up"),
    reason: /administratively down/,
    evidence: null,
    detectionUs: atOnce,
    reaction: "silent",
  },
  {
    title: "3 the router's software: a route gone",
    track: () => [{ route: "203.0.113.0/24", interface: "wan0" }],
    inject: (lab) => ip(lab, "route", "del", "203.0.113.0/24", "dev", "wan0"),
    restore: (lab) => ip(lab, "route", "add", "203.0.113.0/24", "dev", "wan0", "src", "203.0.113.2"),
    reason: /tracker route:203.0.113.0\/24: no route to 203.0.113.0\/24/,
    evidence: /no route to 203.0.113.0\/24/,
    detectionUs: atOnce,
    reaction: "resigns",
  },
  {
    title: "3 the router's software: a hung process",
    track: (intervalMs) => [{ http: `http://127.0.0.1:${OWN_PORT}/`, ...probing(intervalMs) }],
    inject: (_lab, service) => service.kill("SIGSTOP"),
    restore: (_lab, service) => service.kill("SIGCONT"),
    reason: /tracker http:.*no answer within/,
    evidence: /no answer within/,
    detectionUs: (intervalMs) => 3 * intervalMs * 1000,
    reaction: "resigns",
  },
  {
    title: "4 the upstream interface",
    track: () => [{ interface: "wan0" }],
    inject: (lab) => ip(lab, "link", "set", "wan0", "down"),
    restore: (lab) => ip(lab, "link", "set", "wan0", "up"),
    reason: /tracker interface:wan0: wan0 is administratively down/,
    evidence: /wan0 is administratively down/,
    detectionUs: atOnce,
    reaction: "resigns",
  },
  {
    title: "4 the upstream interface, by weight",
    track: () => [{ interface: "wan0", weight: -100 }],
    inject: (lab) => lab.cut(r1(lab), "upstream"),
    restore: (lab) => lab.restore(r1(lab), "upstream"),
    reason: /heard 192.0.2.3 \(priority 100\), above our priority 50/,
    evidence: /wan0 has no carrier/,
    detectionUs: atOnce,
    reaction: "lowers-priority",
  },
  {
    title: "5 the upstream network",
    track: (intervalMs) => [
      {
        tcp: `203.0.113.1:${PORT}`,
        interface: "wan0",
        ...probing(intervalMs),
      },
    ],
    inject: (lab) => lab.cut(r1(lab), "upstream", "silent"),
    restore: (lab) => lab.restore(r1(lab), "upstream", "silent"),
    reason: /tracker tcp:203.0.113.1:7007: no answer within/,
    evidence: /no answer within/,
    detectionUs: (intervalMs) => 3 * intervalMs * 1000,
    reaction: "resigns",
  },
];

KINDS.push({
  ...KINDS.at(-1)!,
  title: "5 the upstream network, by ICMP",
  track: (intervalMs) => {
    return [{ icmp: "203.0.113.1", interface: "wan0", ...probing(intervalMs) }];
  },
  reason: /tracker icmp:203.0.113.1: /,
  evidence: /203.0.113.1/,
});

interface LoggedEvent {
  readonly type?: string;
  readonly name?: string;
  readonly to?: string;
  readonly detail?: string;
}

function eventsOf(speaker: Speaker): LoggedEvent[] {
  return speaker
    .log()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as LoggedEvent);
}

/** From the end of the injection to the first packet through the other router, microseconds. */
async function measure(
  kind: Kind,
  lab: Lab,
  traffic: Traffic,
  pair: readonly [Speaker, Speaker],
  service: LabProcess,
): Promise<number> {
  const [active, backup] = pair;
  const now = loadNative().trafficNowUs;
  const seen = eventsOf(active).length;
  const from = traffic.sent();
  const mac = backup.router.upstreamMac;
  const beginUs = now();
  await kind.inject(lab, service);
  const endUs = now();
  const logs = (): string =>
    pair.map((one) => one.log().trimEnd().split("\n").slice(-12).join("\n")).join("\n--\n");
  let first: number | null = null;
  await eventually(
    `a packet comes through ${backup.router.name}`,
    20_000,
    () => {
      // Counters alone would take a packet of the last come-back, which still waited in the receive ring, for one.
      first = firstArrivalAfter(traffic.columns(from), beginUs, mac);
      return first !== null;
    },
    logs,
  );
  await reach(backup, "active", 5_000);
  const left = (): LoggedEvent | undefined =>
    eventsOf(active)
      .slice(seen)
      .find((event) => event.type === "stateChange" && event.to !== "active");
  await eventually("the router tells why", 5_000, () => left() !== undefined, logs);
  expect(left()?.detail).toMatch(kind.reason);
  if (kind.evidence) {
    const track = eventsOf(active)
      .slice(seen)
      .find((event) => event.type === "track" && event.to === "down");
    expect(track?.detail).toMatch(kind.evidence);
  }
  await kind.restore(lab, service);
  await reach(active, "active", 30_000);
  await reach(backup, "backup", 5_000);
  if (first === null) throw new Error("no packet came through the other router");
  return first - endUs;
}

describe.each([10, 100])("at %i ms", (intervalMs) => {
  for (const kind of KINDS) {
    netnsTest(
      kind.title,
      [],
      async () => {
        await withLab({ routers: 2 }, async (lab) => {
          const listen = `require("net").createServer((s) => s.destroy()).listen(${PORT})`;
          const listener = lab.upstream.spawn("listener", process.execPath, ["-e", listen]);
          await ip(lab, "link", "set", "lo", "up");
          const answer = `require("http").createServer((q, a) => a.end()).listen(${OWN_PORT}, "127.0.0.1")`;
          const service = r1(lab).spawn("service", process.execPath, ["-e", answer]);
          const options = { family: "ipv4", intervalMs } as const;
          const more = { track: kind.track(intervalMs) };
          const active = await startFirsthop(lab, lab.routers[0]!, { ...options, priority: 150, more });
          const backup = await startFirsthop(lab, lab.routers[1]!, { ...options, priority: 100 });
          await reach(active, "active", 15_000);
          await reach(backup, "backup", 15_000);
          const traffic = startTraffic(lab, { rate: 5000 });
          const { activeDownUs } = downIntervals(backup.options);
          const waitUs = kind.reaction === "resigns" ? skewTimeUs(3, 100, intervalMs * 1000) : activeDownUs;
          const boundUs = kind.detectionUs(intervalMs) + waitUs;
          const over: number[] = [];
          for (let run = 0; run < RUNS; run++) {
            over.push((await measure(kind, lab, traffic, [active, backup], service)) - boundUs);
          }
          if (RUNS > 2) {
            const ms = (us: number): string => (us / 1000).toFixed(2);
            console.log(
              `${kind.title} at ${intervalMs} ms: bound ${ms(boundUs)} ms, over it: median ${ms(median(over))}, most ${ms(Math.max(...over))} (${RUNS} runs)`,
            );
          }
          expect(median(over)).toBeLessThan(NOISE_US);
          await traffic.stop();
          await active.stop();
          await backup.stop();
          listener.kill("SIGKILL");
          service.kill("SIGKILL");
        });
      },
      60_000 + RUNS * 15_000,
    );
  }
});
