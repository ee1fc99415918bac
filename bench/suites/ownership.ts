/** What the ownership programs cost: each over a bare program, and end to end beside what else can drop packets. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Metric } from "../lib/model.js";
import type { Suite, SuiteContext } from "../lib/suite.js";

const METRICS: readonly Metric[] = [
  {
    id: "program",
    title: "Time in the program, over a bare one",
    unit: "ns",
    better: "lower",
    grain: 3,
    note:
      "BPF_PROG_TEST_RUN, 200,000 runs a sample, minus the same for a program that only gives the same verdict, " +
      "measured right before. 510 groups, each with a limit. Ideal: 0.",
  },
  {
    id: "bare",
    title: "Time in a bare program",
    unit: "ns",
    better: "lower",
    grain: 5,
    note: "What was taken off: the kernel's own part of a test run. It tells how fast this machine was.",
    plot: false,
  },
  {
    id: "packet",
    title: "A packet, end to end",
    unit: "ns",
    better: "lower",
    grain: 20,
    note:
      "Processor time for one packet of 98 octets from the generator (XDP live frames into a veth) until it is " +
      "dropped at the other end, or forwarded to a third device, on one processor, ksoftirqd included; the median of " +
      "5 x 64,000 packets is a sample. The generator's own part is in all of them. Forwarding is the kernel's, of " +
      "packets for a virtual router that is owned.",
  },
  {
    id: "added",
    title: "What that adds",
    unit: "ns",
    better: "lower",
    grain: 20,
    note:
      "Each sample minus the bare XDP_DROP, or the plain forwarding, of the same round. Ideal: 0. Less than 0: there is " +
      "less to see than rounds differ by.",
  },
  {
    id: "rate",
    title: "Packets a second of one processor",
    unit: "million/s",
    better: "higher",
    grain: 0.1,
    note: "1,000 / nanoseconds of a packet, of each sample.",
    plot: false,
  },
];

/** `value` is a sample of `metric`; `gap` and `reason` say why there is none. */
type Line =
  | {
      readonly metric: string;
      readonly condition: string;
      readonly value: number;
      /** Whose it is; default: firsthop's. */
      readonly subject?: string;
    }
  | { readonly gap: string; readonly subject: string; readonly reason: string }
  | { readonly round: number };

const BOUND_MS = 600_000;
const QUICK_SECONDS = 18;
const QUICK_ROUNDS = 9;
const FULL_ROUNDS = 25;

/** The worker has a network namespace of its own, which vanishes with it, and one processor. */
function measure(rounds: number, seconds: number, onLine: (line: Line) => void): Promise<void> {
  const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
  const loader = here("../../scripts/lib/typescript-loader.mjs");
  const node = [process.execPath, "--import", loader, here("ownership-worker.ts")];
  const child = spawn("unshare", ["--net", "taskset", "-c", "0", ...node, String(rounds), String(seconds)], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: BOUND_MS,
    killSignal: "SIGKILL",
  });
  const kill = (): void => void child.kill("SIGKILL");
  process.on("exit", kill);
  let complaint = "";
  child.stderr.on("data", (text: Buffer) => {
    complaint += text.toString();
  });
  createInterface({ input: child.stdout }).on("line", (line) => onLine(JSON.parse(line) as Line));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      process.off("exit", kill);
      if (code === 0) resolve();
      else reject(new Error(`the worker ended with ${signal ?? code}: ${complaint.trim()}`));
    });
  });
}

export const ownership: Suite = {
  name: "ownership",
  title: "the cost of deciding who forwards",
  about:
    "Programs alone over frames of each kind; then a flood of packets that are not this router's, dropped by each of " +
    "firsthop's hooks, by an nftables netdev chain (one match on the MAC address) and by xt_cluster (mangle " +
    "PREROUTING); then a flood of packets that are, forwarded by the kernel with each of these in their way and " +
    "without. In interleaved rounds.",
  quickSeconds: QUICK_SECONDS,
  metrics: METRICS,
  async run(context: SuiteContext) {
    const subject = context.subjects.find((one) => one.make === "firsthop");
    if (!subject) return;
    if (context.leavesOut("all", subject.id)) return;
    const rounds = context.quick ? QUICK_ROUNDS : FULL_ROUNDS;
    const seconds = Math.min(BOUND_MS, Math.max(0, context.leftMs())) / 1000;
    await measure(rounds, seconds, (line) => {
      if ("round" in line) context.progress(`round ${line.round} of at most ${rounds}`);
      else if ("gap" in line) context.miss(line.gap, line.subject, line.reason);
      else context.record(line.metric, line.condition, line.subject ?? subject.id, line.value);
    });
  },
};
