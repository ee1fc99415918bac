/** What tests of the engine run on the cable: one that beats, one that watches, and what is read of their times. */
import { expect } from "vitest";
import type { HeartbeatProgram, Operation, PortId } from "../../src/core/automaton.js";
import { eventually } from "../../src/lab/wait.js";
import { netnsTest } from "../netns/testbed/index.js";
import { type Bench, testFrame, withBench } from "./engine-host.js";

/** The words that frames say. */
export const BEAT = 1;
export const GOODBYE = 2;
export const ANSWER = 3;
export const PEER = 4;

const FULL_MASK = new Uint8Array(60).fill(0xff);
/** Far beyond every test's length. */
export const CONTROL_US = 60_000_000;

/** Sends BEAT every period; GOODBYE when control is lost, and is silent then. */
export function beating(
  port: PortId,
  periodUs: number,
): { program: HeartbeatProgram; operations: Operation[] } {
  return {
    program: {
      frames: [testFrame(1, BEAT), testFrame(1, GOODBYE)],
      patterns: [],
      kernelPlans: [],
      postures: [
        {
          transitions: [
            {
              trigger: { on: "timer", timer: 0 },
              operations: [
                { op: "send", port, frame: 0 },
                { op: "count", counter: 0 },
                { op: "arm", timer: 0, afterUs: periodUs },
              ],
              next: 0,
              report: false,
            },
            {
              trigger: { on: "controlLost" },
              operations: [
                { op: "send", port, frame: 1 },
                { op: "cancel", timer: 0 },
              ],
              next: 1,
              report: true,
            },
          ],
        },
        { transitions: [] },
      ],
    },
    operations: [{ op: "arm", timer: 0, afterUs: periodUs }],
  };
}

/** Waits for PEER; when it is silent for `limitUs`, sends ANSWER, hands on a plan and reports. */
export function watching(
  port: PortId,
  limitUs: number,
): { program: HeartbeatProgram; operations: Operation[] } {
  return {
    program: {
      frames: [testFrame(1, ANSWER)],
      patterns: [{ port, bytes: testFrame(9, PEER), mask: FULL_MASK }],
      kernelPlans: [[{ step: "write", path: "/proc/sys/net/ipv4/ip_forward", value: "1" }]],
      postures: [
        {
          transitions: [
            {
              trigger: { on: "pattern", pattern: 0 },
              operations: [
                { op: "count", counter: 1 },
                { op: "arm", timer: 1, afterUs: limitUs },
              ],
              next: 0,
              report: false,
            },
            {
              trigger: { on: "timer", timer: 1 },
              operations: [
                { op: "send", port, frame: 0 },
                { op: "kernel", plan: 0 },
              ],
              next: 1,
              report: true,
            },
          ],
        },
        { transitions: [] },
      ],
    },
    operations: [{ op: "arm", timer: 1, afterUs: 1_000_000 }],
  };
}

export async function opened(bench: Bench, controlTimeoutUs = CONTROL_US): Promise<PortId> {
  await bench.call("open", controlTimeoutUs);
  return bench.call("openPort", bench.lan);
}

export async function started(
  bench: Bench,
  { program, operations }: { program: HeartbeatProgram; operations: Operation[] },
): Promise<number> {
  const session = await bench.call("createSession");
  expect(await bench.call("loadNow", session, program, operations, 0)).toBe(true);
  return session;
}

/** Waits until the program of `watching` has heard more than so many frames by itself. */
export async function matched(bench: Bench, session: number, frames: number): Promise<void> {
  await eventually(
    `more than ${frames} frames were matched`,
    10_000,
    async () => (await bench.call("counters", session))[1]! > frames,
  );
}

export function deviations(times: readonly number[], periodUs: number): number[] {
  return times
    .slice(1)
    .map((time, at) => Math.abs(time - times[at]! - periodUs))
    .sort((a, b) => a - b);
}

export const median = (sorted: readonly number[]): number =>
  sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;

export const onCable = (name: string, run: (bench: Bench) => Promise<void>): void =>
  netnsTest(name, [], () => withBench(run), 60_000);
