/** What it costs to ask a thousand hosts ten times a second whether they are there. */
import { availableParallelism } from "node:os";
import { ipBatch } from "../../src/lab/namespaces.js";
import type { Lab, LabNode } from "../../src/lab/topology.js";
import { instrumentNowUs } from "../../src/lab/traffic.js";
import { eventually, pause } from "../../src/lab/wait.js";
import { compileFloor, startFloor } from "../lib/floor.js";
import { FLOOR_SUBJECT, type Metric } from "../lib/model.js";
import type { Subject } from "../lib/subjects.js";
import { inTurn, type Suite, type SuiteContext } from "../lib/suite.js";
import { cpuSeconds, whyNoCpuTimes } from "../lib/usage.js";
import { inOneLine } from "../lib/words.js";
import { withLab } from "../testbed/lab.js";

const TARGETS = 1000;
const INTERVAL_MS = 100;
/** Of 1,000: one in ten. */
const FAILING = 100;
/** What the bare loop sends at once: as much as firsthop's grid of 20 ms. */
const AT_ONCE = 200;
const SLICE_MS = 500;
const QUICK_SLICES = 6;
const FULL_SLICES = 40;
const QUICK_RUNS = 1;
const FULL_RUNS = 5;
const BOUND_MS = 20_000;
/** A full second's requests, less what a slice may miss at its ends. */
const RATE = (TARGETS * 1000) / INTERVAL_MS;
const FULL_RATE_SHARE = 0.95;
const ROUTER_ADDRESS = "10.8.0.2";

const METRICS: readonly Metric[] = [
  {
    id: "processor",
    title: "Processor time for 1,000 ICMP targets asked every 100 ms",
    unit: "%",
    better: "lower",
    grain: 0.5,
    note:
      "Of one processor, all threads. A veth pair joins router and targets, and the kernel works for whoever sends: the " +
      "targets' own receiving and answering is in it, the bare loop's as well, but where a processor of their own does it.",
  },
];

const targets = Array.from({ length: TARGETS }, (_, at) => `10.9.${Math.floor(at / 250)}.${1 + (at % 250)}`);
const failing = targets.filter((_, at) => at % (TARGETS / FAILING) === 0);

export const probes: Suite = {
  name: "probes",
  title: "the cost of asking many hosts",
  about:
    "A router asks 1,000 addresses of one host by ICMP echo, each every 100 ms. The bare loop sends 200 requests in a " +
    "row every 20 ms from one socket, and reads the answers. The peers have no such check of their own: they start a program.",
  quickSeconds: 22,
  metrics: METRICS,
  run: async (context) => {
    const missing = whyNoCpuTimes();
    if (missing) {
      context.note(`**ABSENT**: processor times: ${missing}`);
      return;
    }
    const subjects = context.subjects.filter(({ make }) => make === "firsthop");
    for (const round of context.rounds({ quick: QUICK_RUNS, full: FULL_RUNS })) {
      await floorRun(context);
      for (const subject of inTurn(subjects, round)) await daemonRun(context, subject);
    }
  },
};

const ALL_ANSWER = "all answer";
const ELSEWHERE = "all answer, the targets' own work on another processor";
const SOME_FAIL = `${FAILING} of ${TARGETS.toLocaleString("en")} fail`;

async function daemonRun(context: SuiteContext, subject: Subject): Promise<void> {
  const conditions = [ALL_ANSWER, SOME_FAIL, ELSEWHERE];
  if (conditions.filter((condition) => context.leavesOut(condition, subject.id)).length > 0) return;
  context.progress(subject.id);
  await guarded(context, subject.id, (lab) =>
    withTargets(lab, async () => {
      const trackers = targets.map((icmp, at) => ({
        name: `t${at}`,
        icmp,
        interface: "q1",
        interval: `${INTERVAL_MS}ms`,
      }));
      const speaker = await subject.start(lab, lab.routers[0]!, { priority: 100, top: { trackers } });
      await measured(context, lab, ALL_ANSWER, subject.id, speaker.processes());
      await measuredApart(context, lab, subject.id, speaker.processes());
      await ipBatch(
        failing.map((one) => `addr del ${one}/32 dev q0`),
        lab.hosts[0]!.namespace,
      );
      await measured(context, lab, SOME_FAIL, subject.id, speaker.processes());
      await speaker.crash();
    }),
  );
}

async function floorRun(context: SuiteContext): Promise<void> {
  if (context.leavesOut(ALL_ANSWER, FLOOR_SUBJECT)) return;
  const floor = compileFloor();
  if ("absent" in floor) {
    context.miss(ALL_ANSWER, FLOOR_SUBJECT, floor.absent);
    return;
  }
  context.progress(FLOOR_SUBJECT);
  await guarded(context, FLOOR_SUBJECT, (lab) =>
    withTargets(lab, async () => {
      const args = ["echo", String(1000 * INTERVAL_MS), String(AT_ONCE), "q1", ROUTER_ADDRESS, ...targets];
      const loop = startFloor(lab.routers[0]!, floor.path, args);
      await measured(context, lab, ALL_ANSWER, FLOOR_SUBJECT, loop.processes());
      await measuredApart(context, lab, FLOOR_SUBJECT, loop.processes());
      await loop.crash();
    }),
  );
}

async function guarded(
  context: SuiteContext,
  subject: string,
  use: (lab: Lab) => Promise<void>,
): Promise<void> {
  try {
    await withLab({ routers: 1, hosts: 1 }, use);
  } catch (error) {
    context.miss(ALL_ANSWER, subject, inOneLine(error));
  }
}

/** The host has the targets' addresses behind a cable of its own. */
async function withTargets(lab: Lab, use: () => Promise<void>): Promise<void> {
  const router = lab.routers[0]!.namespace;
  await ipBatch(
    [
      `link add q0 type veth peer name q1 netns ${router}`,
      "link set q0 up",
      "addr add 10.8.0.1/24 dev q0",
      ...targets.map((one) => `addr add ${one}/32 dev q0`),
    ],
    lab.hosts[0]!.namespace,
  );
  await ipBatch(
    ["link set q1 up", `addr add ${ROUTER_ADDRESS}/24 dev q1`, "route add 10.9.0.0/16 via 10.8.0.1"],
    router,
  );
  await use();
}

/**
 * As if the targets were other machines: who asks stays on the first processor, the requests are received and answered
 * on the second, and the answers are received on the first again.
 */
async function measuredApart(
  context: SuiteContext,
  lab: Lab,
  subject: string,
  processes: readonly number[],
): Promise<void> {
  if (availableParallelism() < 2) {
    context.note(`**ABSENT**: ${ELSEWHERE}: this machine has one processor`);
    return;
  }
  const receiveOn = (node: LabNode, link: string, processors: number): Promise<string> =>
    node.run("sh", "-c", `echo ${processors.toString(16)} > /sys/class/net/${link}/queues/rx-0/rps_cpus`);
  const [router, host] = [lab.routers[0]!, lab.hosts[0]!];
  for (const process of processes) await router.run("taskset", "-acp", "0", String(process));
  await receiveOn(router, "q1", 0b01);
  await receiveOn(host, "q0", 0b10);
  await measured(context, lab, ELSEWHERE, subject, processes);
  await receiveOn(host, "q0", 0);
  await receiveOn(router, "q1", 0);
  const all = `0-${availableParallelism() - 1}`;
  for (const process of processes) await router.run("taskset", "-acp", all, String(process));
}

/** Requests that came in to the host's cable so far. */
async function asked(lab: Lab): Promise<number> {
  const text = await lab.hosts[0]!.run("cat", "/sys/class/net/q0/statistics/rx_packets");
  return Number(text);
}

async function measured(
  context: SuiteContext,
  lab: Lab,
  condition: string,
  subject: string,
  processes: readonly number[],
): Promise<void> {
  let last = { packets: await asked(lab), atUs: instrumentNowUs() };
  const rate = async (): Promise<number> => {
    const before = last;
    last = { packets: await asked(lab), atUs: instrumentNowUs() };
    return ((last.packets - before.packets) * 1e6) / (last.atUs - before.atUs);
  };
  let seen = 0;
  await eventually(
    "every target is asked at its pace",
    BOUND_MS,
    async () => {
      await pause(SLICE_MS);
      seen = await rate();
      return seen >= RATE * FULL_RATE_SHARE;
    },
    () => `${Math.round(seen)} requests a second of ${RATE}`,
  );
  const slices = context.quick ? QUICK_SLICES : FULL_SLICES;
  await rate();
  for (let slice = 0; slice < slices; slice++) {
    const begun = { seconds: cpuSeconds(processes), atUs: instrumentNowUs() };
    await pause(SLICE_MS);
    const seconds = cpuSeconds(processes) - begun.seconds;
    context.record("processor", condition, subject, (100e6 * seconds) / (instrumentNowUs() - begun.atUs));
  }
  const reached = await rate();
  if (reached < RATE * FULL_RATE_SHARE) {
    throw new Error(`${subject} sent ${Math.round(reached)} requests a second of ${RATE}`);
  }
}
