/** Alarms on the kernel's clock: never early, in order, and gone with who set them. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { type LinuxAlarms, openLinuxAlarms } from "../../src/driver/linux/alarms.js";
import { median } from "../../src/lab/statistics.js";
import { loadNative } from "../../src/native.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const opened: LinuxAlarms[] = [];
const open = (): LinuxAlarms => {
  const alarms = openLinuxAlarms(loadNative);
  opened.push(alarms);
  return alarms;
};
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

const at = (alarms: LinuxAlarms, atUs: number): Promise<number> =>
  new Promise((resolve) => alarms.set(atUs, () => resolve(alarms.now() - atUs)));

describe.skipIf(process.platform !== "linux")("alarms", () => {
  it("go off at their moment, not at the millisecond after it", async () => {
    const alarms = open();
    const lateUs: number[] = [];
    for (let run = 0; run < 50; run++) lateUs.push(await at(alarms, alarms.now() + 1_500 + 37 * run));
    expect(Math.min(...lateUs)).toBeGreaterThanOrEqual(0);
    expect(median(lateUs)).toBeLessThan(1_000);
  });

  it("go off in the order of their moments, and those of one moment as they were set", async () => {
    const alarms = open();
    const rung: string[] = [];
    const nowUs = alarms.now();
    const set = (name: string, afterUs: number) => alarms.set(nowUs + afterUs, () => rung.push(name));
    set("c", 6_000);
    set("a", 2_000);
    const b = set("b", 4_000);
    set("c2", 6_000);
    set("over", -5_000_000);
    b();
    b();
    await at(alarms, nowUs + 8_000);
    expect(rung).toEqual(["over", "a", "c", "c2"]);
  });

  it("that are due together may end each other, and set others", async () => {
    const alarms = open();
    const rung: string[] = [];
    const nowUs = alarms.now();
    alarms.set(nowUs, () => {
      rung.push("first");
      end();
      alarms.set(alarms.now(), () => rung.push("third"));
    });
    const end = alarms.set(nowUs, () => rung.push("second"));
    await at(alarms, nowUs + 3_000);
    expect(rung).toEqual(["first", "third"]);
  });

  it("go off behind one that throws", async () => {
    const thrown = new Promise<Error>((resolve) => {
      const others = process.listeners("uncaughtException");
      process.removeAllListeners("uncaughtException");
      process.once("uncaughtException", (error) => {
        for (const one of others) process.on("uncaughtException", one);
        resolve(error);
      });
    });
    const alarms = open();
    const nowUs = alarms.now();
    alarms.set(nowUs, () => {
      throw new Error("of one alarm");
    });
    const second = at(alarms, nowUs);
    expect((await thrown).message).toBe("of one alarm");
    expect(await second).toBeGreaterThanOrEqual(0);
  }, 5_000);

  it("go off no more once one of them has ended all", async () => {
    const alarms = open();
    const rung: string[] = [];
    const nowUs = alarms.now();
    alarms.set(nowUs, () => {
      rung.push("first");
      alarms.close();
    });
    alarms.set(nowUs, () => rung.push("second"));
    const others = open();
    await at(others, others.now() + 3_000);
    expect(rung).toEqual(["first"]);
  });

  it("are told after what came in before them", async () => {
    const alarms = open();
    const order: string[] = [];
    const child = spawn("/bin/echo", ["said"], { stdio: ["ignore", "pipe", "ignore"] });
    const heard = once(child.stdout, "data").then(() => order.push("said"));
    const untilUs = alarms.now() + 300_000;
    const alarm = at(alarms, untilUs).then(() => order.push("alarm"));
    // It says its word, then the alarm is due; nobody looks until both have been.
    while (alarms.now() < untilUs + 1_000);
    await Promise.all([heard, alarm]);
    expect(order).toEqual(["said", "alarm"]);
  });

  it("keep a process alive while they wait, and only then", () => {
    const script = `
      const { NativeAlarm, monotonicUs } = require("node-gyp-build")(${JSON.stringify(ROOT)});
      const alarm = new NativeAlarm(() => console.log("rung"));
      const idle = new NativeAlarm(() => console.log("never"));
      alarm.set(monotonicUs() + 50000);
      idle.set(monotonicUs() + 3600e6);
      idle.set(null);`;
    const out = execFileSync(process.execPath, ["-e", script], { cwd: ROOT, timeout: 10_000 });
    expect(out.toString()).toBe("rung\n");
  });

  it("end with a worker thread that set them", async () => {
    const script = `
      const { NativeAlarm, monotonicUs } = require("node-gyp-build")(${JSON.stringify(ROOT)});
      new NativeAlarm(() => {}).set(monotonicUs() + 3600e6);
      process.exit();`;
    const worker = new Worker(script, { eval: true });
    expect(await new Promise((resolve) => worker.on("exit", resolve))).toBe(0);
  });

  it("are refused when they are no moments", () => {
    const alarm = new (loadNative().NativeAlarm)(() => {});
    for (const wrong of [-1, 0, 0.5, Number.NaN, Number.POSITIVE_INFINITY, "1"])
      expect(() => alarm.set(wrong as number)).toThrow(/whole number/);
    alarm.close();
    alarm.set(1);
  });
});
