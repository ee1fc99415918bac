/**
 * The heartbeat engine through its driver, on a cable: punctuality, take-over, silence of JavaScript, floods, and the
 * ends of processes and threads. Bounds are those of a busy machine, not of the engine.
 */
import { describe, expect } from "vitest";
import type { HeartbeatProgram, Operation } from "../../src/core/automaton.js";
import { eventually } from "../../src/lab/wait.js";
import { testFrame, timesOf } from "./engine-host.js";
import {
  ANSWER,
  BEAT,
  beating,
  deviations,
  GOODBYE,
  matched,
  median,
  onCable,
  opened,
  PEER,
  started,
  watching,
} from "./engine-programs.js";

describe("time", () => {
  onCable("advertisements keep an absolute schedule", async (bench) => {
    const port = await opened(bench);
    const capture = bench.capture();
    await started(bench, beating(port, 10_000));
    const times = await eventually("100 beats were seen", 10_000, () => {
      const seen = timesOf(capture, BEAT);
      return seen.length > 100 && seen;
    });
    expect(median(deviations(times, 10_000))).toBeLessThan(500);
    // The noise of waking up adds nothing up. What came later than that moves the schedule, by as much.
    const timing = await bench.call("timing");
    const driftUs = times.at(-1)! - times[0]! - (times.length - 1) * 10_000;
    const movedUs = timing.latenessCounts.reduce((sum, count, index) => {
      const mostUs = timing.latenessBoundsUs[index] ?? timing.latenessMaxUs;
      return mostUs > 100 ? sum + count * mostUs : sum;
    }, 0);
    expect(Math.abs(driftUs)).toBeLessThan(1_000 + movedUs);
    const counters = await bench.call("portCounters", port);
    expect(counters.sent).toBeGreaterThan(100);
    expect(counters.sendErrors).toBe(0);
  });

  onCable("a take-over comes one interval after the last frame's arrival", async (bench) => {
    const port = await opened(bench);
    const session = await started(bench, watching(port, 200_000));
    const peer = bench.source([testFrame(9, PEER)], 100);
    await matched(bench, session, 50);
    expect(bench.reports).toEqual([]);
    peer.stop();
    const { atUs, carriedOutUs, from, to, epoch } = await bench.report("transition");
    const lastSentUs = [...peer.stamps()].at(-1)!;
    expect({ from, to, epoch }).toEqual({ from: 0, to: 1, epoch: 1 });
    expect(atUs - lastSentUs).toBeGreaterThanOrEqual(200_000 - 1);
    expect(atUs - lastSentUs).toBeLessThan(205_000);
    expect(carriedOutUs).toBeGreaterThanOrEqual(atUs);
    // The plan's end is told after the transition that handed it on.
    expect((await bench.report("kernel")).failures).toEqual([]);
    expect(bench.reports.map((one) => one.type)).toEqual(["transition", "kernel"]);
    expect(await bench.run("near", "cat", "/proc/sys/net/ipv4/ip_forward")).toBe("1\n");
  });

  onCable(
    "frames that waited while the process was stopped count; what passed unheard is waited for again",
    async (bench) => {
      const port = await opened(bench);
      const session = await started(bench, watching(port, 300_000));
      const peer = bench.source([testFrame(9, PEER)], 100);
      await matched(bench, session, 10);
      bench.signal("SIGSTOP");
      const sent = peer.status().sent;
      await eventually("a second has passed", 10_000, () => peer.status().sent > sent + 100);
      bench.signal("SIGCONT");
      await eventually(
        "they were matched",
        10_000,
        async () => (await bench.call("counters", session))[1]! > sent + 90,
      );
      expect(bench.reports).toEqual([]);
      bench.signal("SIGSTOP");
      peer.stop();
      const last = [...peer.stamps()].at(-1)!;
      await eventually(
        "the deadline has passed",
        10_000,
        () => process.hrtime.bigint() / 1000n > BigInt(Math.ceil(last)) + 600_000n,
      );
      const goesOnUs = Number(process.hrtime.bigint() / 1000n);
      bench.signal("SIGCONT");
      const { atUs, carriedOutUs } = await bench.report("transition");
      // It was away for longer than the deadline gives: it listens for that long before it judges.
      expect(atUs - goesOnUs).toBeGreaterThan(299_000);
      expect(atUs - goesOnUs).toBeLessThan(400_000);
      expect(carriedOutUs - atUs).toBeLessThan(100_000);
    },
  );

  onCable("a process that was away shortly before a deadline does not judge at it", async (bench) => {
    const port = await opened(bench);
    const session = await started(bench, watching(port, 300_000));
    const peer = bench.source([testFrame(9, PEER)], 100);
    await matched(bench, session, 10);
    peer.stop();
    bench.signal("SIGSTOP");
    const last = [...peer.stamps()].at(-1)!;
    const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);
    await eventually("most of the time is over", 10_000, () => nowUs() > last + 260_000);
    const goesOnUs = nowUs();
    bench.signal("SIGCONT");
    const { atUs } = await bench.report("transition");
    // Half of the deadline's time is the most that it grants; 20 ms for what the signals took.
    expect(atUs - goesOnUs).toBeGreaterThan(130_000);
    expect(atUs - goesOnUs).toBeLessThan(250_000);
  });
});

describe("JavaScript", () => {
  onCable("blocked, it stops neither advertisements nor a take-over", async (bench) => {
    const port = await opened(bench);
    const capture = bench.capture();
    const beats = await started(bench, beating(port, 10_000));
    const watch = await started(bench, watching(port, 100_000));
    const peer = bench.source([testFrame(9, PEER)], 100);
    await matched(bench, watch, 10);
    const from = await bench.call("now");
    const blocked = bench.call("block", 2_000);
    const sent = peer.status().sent;
    await eventually("it is blocked", 10_000, () => peer.status().sent > sent + 50);
    peer.stop();
    await blocked;
    const to = await bench.call("now");
    const { atUs, carriedOutUs } = await bench.report("transition");
    expect(carriedOutUs).toBeLessThan(to - 500_000);
    expect(carriedOutUs - atUs).toBeLessThan(50_000);
    expect(bench.reports[0]!.readAtUs).toBeGreaterThan(from + 1_900_000);
    const during = timesOf(capture, BEAT).filter((time) => time > from && time < to);
    // A machine that stalls altogether for more than a period shows as such.
    const { skippedPeriods } = await bench.call("timing");
    expect(during.length + skippedPeriods).toBeGreaterThan((to - from) / 10_000 - 3);
    expect(median(deviations(during, 10_000))).toBeLessThan(500);
    expect((await bench.call("counters", beats))[0]).toBeGreaterThan(during.length - 1);
  });

  onCable("silent for too long, it loses control once, and is told when it is back", async (bench) => {
    const port = await opened(bench, 300_000);
    const capture = bench.capture();
    await started(bench, beating(port, 10_000));
    await eventually("it beats", 10_000, () => timesOf(capture, BEAT).length > 10);
    await bench.call("block", 1_000);
    const { silentForUs } = await bench.report("controlRestored");
    expect(silentForUs).toBeGreaterThan(900_000);
    expect(silentForUs).toBeLessThan(2_000_000);
    expect(bench.reports.map((one) => one.type)).toEqual(["transition", "controlRestored"]);
    expect(timesOf(capture, GOODBYE)).toHaveLength(1);
    expect(timesOf(capture, BEAT).at(-1)!).toBeLessThan(timesOf(capture, GOODBYE)[0]!);
  });

  onCable("is refused a program for a state that is no more", async (bench) => {
    const port = await opened(bench);
    const { program, operations } = watching(port, 20_000);
    const session = await started(bench, { program, operations: [{ op: "arm", timer: 1, afterUs: 1_000 }] });
    await bench.report("transition");
    expect(await bench.call("loadNow", session, program, operations, 0)).toBe(false);
    expect(await bench.call("loadNow", session, program, operations, 2)).toBe(false);
    expect(await bench.call("loadNow", session, program, operations, 1)).toBe(true);
    await bench.call("removeSession", session);
    await expect(bench.call("loadNow", session, program, operations, 1)).rejects.toThrow("no such session");
  });

  onCable("gets the frames that no posture knows, whole and in order", async (bench) => {
    const port = await opened(bench);
    const frames = Array.from({ length: 40 }, (_, at) => testFrame(at, 100 + at));
    bench.source(frames, 1000, 40);
    await bench.report("frame", 39);
    const seen = bench.reports.filter((one) => one.type === "frame");
    expect(seen.map((one) => [...one.frame])).toEqual(frames.map((one) => [...one]));
    expect(seen.every((one) => one.port === port && one.atUs <= one.readAtUs)).toBe(true);
  });
});

describe("floods", () => {
  onCable("cost neither a deadline nor JavaScript", async (bench) => {
    const port = await opened(bench);
    const capture = bench.capture();
    const session = await started(bench, watching(port, 100_000));
    await started(bench, beating(port, 10_000));
    const peer = bench.source([testFrame(9, PEER)], 100);
    await matched(bench, session, 10);
    const strangers = Array.from({ length: 64 }, (_, at) => testFrame(100 + at, 77));
    const from = await bench.call("now");
    const flood = bench.source(strangers, 100_000, 200_000);
    await eventually("the flood is over", 30_000, () => flood.status().sent >= 200_000);
    const to = await bench.call("now");
    const counters = await eventually("all was read", 10_000, async () => {
      const now = await bench.call("portCounters", port);
      return now.received + now.droppedByKernel >= 200_000 && now;
    });
    expect(bench.reports.filter((one) => one.type !== "frame")).toEqual([]);
    expect(counters.delivered).toBeLessThan(2_000 * ((to - from) / 1e6 + 1) + 600);
    expect(counters.delivered + counters.matched + counters.droppedUnread).toBe(counters.received);
    expect(counters.droppedUnread).toBeGreaterThan(100_000);
    expect(peer.status().errors).toBe(0);
    const during = timesOf(capture, BEAT).filter((time) => time > from && time < to);
    expect(median(deviations(during, 10_000))).toBeLessThan(1_000);
  });
});

describe("ends", () => {
  onCable("process.exit says goodbye", async (bench) => {
    const port = await opened(bench);
    const capture = bench.capture();
    await started(bench, beating(port, 10_000));
    await eventually("it beats", 10_000, () => timesOf(capture, BEAT).length > 3);
    bench.call("exit", 7).catch(() => {});
    expect(await bench.ended).toBe(7);
    await eventually("the goodbye came", 10_000, () => timesOf(capture, GOODBYE).length === 1);
  });

  onCable("the end of a worker thread says goodbye, and the process lives on", async (bench) => {
    const capture = bench.capture();
    const { program, operations } = beating(1, 10_000);
    expect(await bench.call("worker", bench.lan, program, operations)).toEqual({ port: 1, loaded: true });
    await eventually("the goodbye came", 10_000, () => timesOf(capture, GOODBYE).length === 1);
    await opened(bench);
  });

  onCable("a worker thread may end while frames wait for it, and in the middle of a call", async (bench) => {
    bench.source([testFrame(9, PEER)], 1000);
    const { program, operations } = watching(1, 10_000_000);
    await bench.call(
      "interrupt",
      10,
      bench.lan,
      { ...program, patterns: [], postures: [{ transitions: [] }] },
      operations,
    );
    await opened(bench);
  });

  onCable("an engine that is let go of does not keep the process", async (bench) => {
    const port = await opened(bench);
    const capture = bench.capture();
    await started(bench, beating(port, 10_000));
    bench.call("letGo").catch(() => {});
    expect(await bench.ended).toBe(0);
    await eventually("the goodbye came", 10_000, () => timesOf(capture, GOODBYE).length === 1);
  });

  onCable("engines that were closed leave no descriptor and no thread", async (bench) => {
    const { before, after } = await bench.call("churn", 100, bench.lan);
    // Handles are closed by the loop's next turns: there may be fewer afterwards.
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
    expect(after.threads).toBeLessThanOrEqual(before.threads);
  });
});

describe("jitter and signals", () => {
  onCable("each period is drawn anew from its range", async (bench) => {
    const port = await opened(bench);
    const capture = bench.capture();
    const beats: Operation = { op: "arm", timer: 0, afterUs: 8_000, jitterUs: 2_000 };
    const program: HeartbeatProgram = {
      frames: [testFrame(1, BEAT)],
      patterns: [],
      kernelPlans: [],
      postures: [
        {
          transitions: [
            {
              trigger: { on: "timer", timer: 0 },
              operations: [{ op: "send", port, frame: 0 }, beats],
              next: 0,
              report: false,
            },
          ],
        },
      ],
    };
    await started(bench, { program, operations: [beats] });
    const times = await eventually("200 beats were seen", 10_000, () => {
      const seen = timesOf(capture, BEAT);
      return seen.length > 200 && seen;
    });
    const gaps = times
      .slice(1)
      .map((at, index) => at - times[index]!)
      .sort((a, b) => a - b);
    const middle = median(gaps);
    // The middle of the range, which a fixed period would miss on either side.
    expect(middle).toBeGreaterThan(6_500);
    expect(middle).toBeLessThan(7_500);
    expect(gaps.filter((gap) => gap < 6_500).length).toBeGreaterThan(10);
    expect(gaps.filter((gap) => gap > 7_500).length).toBeGreaterThan(10);
  });

  onCable("one session's deadline sets off another session's transition", async (bench) => {
    const port = await opened(bench);
    const target = await started(bench, {
      program: {
        frames: [testFrame(1, ANSWER)],
        patterns: [],
        kernelPlans: [],
        postures: [
          {
            transitions: [
              {
                trigger: { on: "signal", signal: 7 },
                operations: [{ op: "send", port, frame: 0 }],
                next: 1,
                report: true,
              },
            ],
          },
          { transitions: [] },
        ],
      },
      operations: [],
    });
    const capture = bench.capture();
    const signal = (number: number): Operation => ({ op: "signal", session: target, signal: number });
    const watcher = await started(bench, {
      program: {
        frames: [],
        patterns: [],
        kernelPlans: [],
        postures: [
          {
            transitions: [
              {
                trigger: { on: "timer", timer: 0 },
                // One that is not waited for, one for nobody, and the one, twice.
                operations: [signal(6), { ...signal(7), session: 9_999 } as Operation, signal(7), signal(7)],
                next: 0,
                report: true,
              },
            ],
          },
        ],
      },
      operations: [{ op: "arm", timer: 0, afterUs: 50_000 }],
    });
    const first = await bench.report("transition", 0);
    const second = await bench.report("transition", 1);
    expect(first).toMatchObject({ session: watcher, from: 0, to: 0 });
    expect(second).toMatchObject({ session: target, from: 0, to: 1, atUs: first.atUs });
    await eventually("the answer was sent", 2_000, () => timesOf(capture, ANSWER).length > 0);
    expect(timesOf(capture, ANSWER)).toHaveLength(1);
  });
});
