/**
 * The heartbeat engine through its driver, on a cable: punctuality, take-over, silence of JavaScript, floods, dead
 * interfaces, and the ends of processes and threads. Bounds are those of a busy machine, not of the engine.
 */
import { describe, expect } from "vitest";
import type { HeartbeatProgram, Operation, PortId } from "../../src/core/automaton.js";
import { lanPortFilter } from "../../src/core/socket-filter.js";
import { eventually } from "../../src/lab/wait.js";
import { netnsTest } from "../netns/testbed/index.js";
import { type Bench, NEAR, testFrame, timesOf, withBench } from "./engine-host.js";

const BEAT = 1;
const GOODBYE = 2;
const ANSWER = 3;
const PEER = 4;

const FULL_MASK = new Uint8Array(60).fill(0xff);
/** Far beyond every test's length. */
const CONTROL_US = 60_000_000;

/** Sends BEAT every period; GOODBYE when control is lost, and is silent then. */
function beating(port: PortId, periodUs: number): { program: HeartbeatProgram; operations: Operation[] } {
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
function watching(port: PortId, limitUs: number): { program: HeartbeatProgram; operations: Operation[] } {
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

async function opened(bench: Bench, controlTimeoutUs = CONTROL_US): Promise<PortId> {
  await bench.call("open", controlTimeoutUs);
  return bench.call("openPort", bench.lan);
}

async function started(
  bench: Bench,
  { program, operations }: { program: HeartbeatProgram; operations: Operation[] },
): Promise<number> {
  const session = await bench.call("createSession");
  expect(await bench.call("loadNow", session, program, operations, 0)).toBe(true);
  return session;
}

function deviations(times: readonly number[], periodUs: number): number[] {
  return times
    .slice(1)
    .map((time, at) => Math.abs(time - times[at]! - periodUs))
    .sort((a, b) => a - b);
}

const median = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;

const onCable = (name: string, run: (bench: Bench) => Promise<void>): void =>
  netnsTest(name, [], () => withBench(run), 60_000);

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
    const { skippedPeriods } = await bench.call("timing");
    // The schedule does not drift: the last beat is a whole number of periods behind the first.
    const periods = Math.round((times.at(-1)! - times[0]!) / 10_000);
    if (skippedPeriods === 0) expect(periods).toBe(times.length - 1);
    const counters = await bench.call("portCounters", port);
    expect(counters.sent).toBeGreaterThan(100);
    expect(counters.sendErrors).toBe(0);
  });

  onCable("a take-over comes one interval after the last frame's arrival", async (bench) => {
    const port = await opened(bench);
    const session = await started(bench, watching(port, 200_000));
    const peer = bench.source([testFrame(9, PEER)], 100);
    await eventually(
      "50 frames were matched",
      10_000,
      async () => (await bench.call("counters", session))[1]! > 50,
    );
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
      await eventually(
        "frames were matched",
        10_000,
        async () => (await bench.call("counters", session))[1]! > 10,
      );
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
    await eventually(
      "frames were matched",
      10_000,
      async () => (await bench.call("counters", session))[1]! > 10,
    );
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
    await eventually(
      "frames were matched",
      10_000,
      async () => (await bench.call("counters", watch))[1]! > 10,
    );
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

describe("tags", () => {
  onCable("of VLAN 0 only carry a priority; those of others keep frames out", async (bench) => {
    const advertisement = (vlan: number | null, vrid: number): Uint8Array => {
      const tag = vlan === null ? [] : [0x81, 0, 0xe0 | (vlan >> 8), vlan & 255];
      const frame = new Uint8Array(64);
      frame.set([
        1,
        0,
        0x5e,
        0,
        0,
        0x12,
        2,
        0,
        0,
        0,
        0,
        9,
        ...tag,
        8,
        0,
        0x45,
        0,
        0,
        32,
        0,
        0,
        0,
        0,
        255,
        112,
      ]);
      frame.set([192, 0, 2, 2, 224, 0, 0, 18, 0x31, vrid], 14 + tag.length + 12);
      return frame;
    };
    await bench.call("open", CONTROL_US);
    await bench.call("openPort", {
      ...bench.lan,
      filter: lanPortFilter([]),
      memberships: [new Uint8Array([1, 0, 0x5e, 0, 0, 0x12])],
    });
    bench.source([advertisement(5, 1), advertisement(0, 2), advertisement(null, 3)], 100, 6);
    await bench.report("frame", 3);
    const seen = bench.reports.flatMap((one) => (one.type === "frame" ? [one.frame[35]] : []));
    expect(seen).toEqual([2, 3, 2, 3]);
  });
});

describe("floods", () => {
  onCable("cost neither a deadline nor JavaScript", async (bench) => {
    const port = await opened(bench);
    const capture = bench.capture();
    const session = await started(bench, watching(port, 100_000));
    await started(bench, beating(port, 10_000));
    const peer = bench.source([testFrame(9, PEER)], 100);
    await eventually(
      "frames were matched",
      10_000,
      async () => (await bench.call("counters", session))[1]! > 10,
    );
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

describe("interfaces", () => {
  onCable("a line that goes down and comes back needs nobody's help", async (bench) => {
    const port = await opened(bench);
    const session = await started(bench, watching(port, 50_000_000));
    await bench.ip("near", `link set ${NEAR} down`);
    expect(await bench.report("portError")).toMatchObject({ port, errno: "ENETDOWN" });
    await bench.ip("near", `link set ${NEAR} up`);
    bench.source([testFrame(9, PEER)], 100);
    await eventually(
      "frames are matched",
      10_000,
      async () => (await bench.call("counters", session))[1]! > 10,
    );
  });

  onCable("one that vanishes is reported as gone, to speakers and to listeners", async (bench) => {
    const port = await opened(bench);
    await bench.ip("near", `link del ${NEAR}`);
    const gone = () => bench.reports.find((one) => one.type === "portError" && one.errno === "ENODEV");
    expect(await eventually("it is reported", 10_000, gone)).toMatchObject({ port });
    const reported = bench.reports.length;
    const speaker = await started(bench, beating(port, 1_000));
    await eventually("it beats", 10_000, async () => (await bench.call("counters", speaker))[0]! > 20);
    expect(bench.reports.length).toBe(reported);
    expect((await bench.call("portCounters", port)).sendErrors).toBeGreaterThan(20);
    await bench.call("closePort", port);
    await expect(bench.call("openPort", bench.lan)).rejects.toMatchObject({ code: "ENODEV" });
  });

  onCable(
    "one that vanishes after it went down is missed, whatever still waited to be read",
    async (bench) => {
      const port = await opened(bench);
      const flood = bench.source([testFrame(9, 77)], 20_000);
      await eventually("frames come in", 10_000, async () => {
        return (await bench.call("portCounters", port)).received > 2_000;
      });
      await bench.ip("near", `link set ${NEAR} down`);
      await bench.report("portError");
      flood.stop();
      await bench.ip("near", `link del ${NEAR}`);
      const gone = () => bench.reports.some((one) => one.type === "portError" && one.errno === "ENODEV");
      await eventually("it is reported", 5_000, gone);
    },
  );

  onCable("groups are joined, and left with the port", async (bench) => {
    const memberships = [new Uint8Array([1, 0, 0x5e, 0, 0, 0x12])];
    await bench.call("open", CONTROL_US);
    const port = await bench.call("openPort", { ...bench.lan, memberships, groups: ["224.0.0.18"] });
    const groups = (): Promise<string> => bench.run("near", "ip", "maddr", "show", "dev", NEAR);
    expect(await groups()).toContain("224.0.0.18");
    expect(await groups()).toContain("01:00:5e:00:00:12");
    await bench.call("closePort", port);
    expect(await groups()).not.toContain("224.0.0.18");
    expect(await groups()).not.toContain("01:00:5e:00:00:12");
  });

  onCable("datagrams leave by the kernel's routing", async (bench) => {
    await bench.call("open", CONTROL_US);
    const port = await bench.call("openPort", {
      kind: "datagram",
      family: "ipv4",
      ifindex: bench.lan.ifindex,
    });
    const capture = bench.capture();
    const datagram = new Uint8Array(28);
    datagram.set([0x45, 0, 0, 28, 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x31]);
    await bench.call("send", port, datagram);
    await eventually("it came", 10_000, () => capture.status().captured > 0);
    const { octets } = capture.frames();
    expect([...octets.subarray(26, 35)]).toEqual([192, 0, 2, 1, 192, 0, 2, 2, 0x31]);
  });
});

describe("the kernel lane", () => {
  onCable(
    "does steps in order, names what failed, and goes on but for the sending of frames",
    async (bench) => {
      const port = await opened(bench);
      const capture = bench.capture();
      const unknownRequest = new Uint8Array(20);
      new DataView(unknownRequest.buffer).setUint32(0, 20, true);
      new DataView(unknownRequest.buffer).setUint16(4, 0x0fff, true);
      new DataView(unknownRequest.buffer).setUint16(6, 5, true);
      const sysctl = "/proc/sys/net/ipv4/conf/near0/arp_ignore";
      const failures = await bench.call("perform", [
        { step: "write", path: "/proc/sys/net/ipv4/conf/nowhere0/arp_ignore", value: "1" },
        { step: "netlink", message: unknownRequest, label: "an unknown request" },
        { step: "write", path: sysctl, value: "1" },
        { step: "send", port, frame: testFrame(1, BEAT) },
      ]);
      expect(failures).toEqual([
        { label: "/proc/sys/net/ipv4/conf/nowhere0/arp_ignore", errno: "ENOENT" },
        { label: "an unknown request", errno: "ENOTSUP" },
      ]);
      expect(await bench.run("near", "cat", sysctl)).toBe("1\n");
      const sent = await bench.call("perform", [
        { step: "send", port, frame: testFrame(1, ANSWER) },
        { step: "send", port, frame: testFrame(1, GOODBYE) },
        { step: "send", port: port + 1, frame: testFrame(1, BEAT) },
      ]);
      expect(sent).toEqual([]);
      await eventually("both frames came", 10_000, () => capture.status().captured >= 2);
      expect(timesOf(capture, BEAT)).toEqual([]);
      expect(timesOf(capture, ANSWER)[0]!).toBeLessThanOrEqual(timesOf(capture, GOODBYE)[0]!);
    },
  );
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

describe("UDP ports", () => {
  onCable("are held, so that the kernel does not answer for them", async (bench) => {
    await bench.call("open", CONTROL_US);
    await bench.ip("near", `addr add 198.51.100.1/24 dev ${NEAR}`);
    await bench.ip("far", `addr add 198.51.100.2/24 dev far0`);
    const refused = async (): Promise<boolean> => {
      const script = `
        const socket = require("dgram").createSocket("udp4");
        const end = (word) => { console.log(word); process.exit(); };
        socket.on("error", (error) => end(error.code));
        socket.connect(3784, "198.51.100.1", () => setInterval(() => socket.send("x", () => {}), 50));
        setTimeout(end, 500, "silence");`;
      return (await bench.run("far", process.execPath, "-e", script)).includes("ECONNREFUSED");
    };
    const port = await bench.call("openPort", { ...bench.lan, udpPorts: [3784] });
    expect(await refused()).toBe(false);
    await bench.call("closePort", port);
    expect(await refused()).toBe(true);
  });
});
