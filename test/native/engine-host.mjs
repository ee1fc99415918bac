// Holds a heartbeat engine (the built one) in whatever network namespace this process was started in, and does what
// its parent says: calls of the engine's methods, and the ways in which a process or a thread of it can go wrong.
import { readdirSync } from "node:fs";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { openLinuxHeartbeat } from "../../dist/driver/linux/heartbeat.js";

const SETTLE = new Int32Array(new SharedArrayBuffer(4));

let engine;

const own = {
  open: (controlTimeoutUs) => {
    engine = openLinuxHeartbeat({
      controlTimeoutUs,
      onReports: (reports) => process.send({ reports, readAtUs: engine.now() }),
    });
  },
  loadNow: (session, program, operations, epoch) =>
    engine.load(session, program, { posture: 0, operations, baseUs: engine.now() }, epoch),
  /** Blocks this thread as `Atomics.wait` in a user's code would. */
  block: (ms) => void Atomics.wait(SETTLE, 0, 0, ms),
  exit: (code) => process.exit(code),
  /** Opens and closes engines and their ports; what is left open then. */
  churn: async (rounds, port) => {
    const round = async () => {
      const one = openLinuxHeartbeat({ controlTimeoutUs: 1_000_000, onReports: () => {} });
      one.openPort(port);
      one.createSession();
      one.close();
      await new Promise((resolve) => setImmediate(resolve));
    };
    await round();
    const before = held();
    for (let at = 0; at < rounds; at++) await round();
    return { before, after: held() };
  },
  /** Runs a program on an engine of a worker thread, and terminates that thread at once. */
  worker: async (port, program, operations) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { port, program, operations } });
    const said = await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    await worker.terminate();
    return said;
  },
  /** Terminates worker threads that are busy with an engine: while frames wait for them, and in the middle of calls. */
  interrupt: async (rounds, port, program, operations) => {
    for (let round = 0; round < rounds; round++) {
      for (const busy of ["waiting", "calling"]) {
        const worker = new Worker(new URL(import.meta.url), {
          workerData: { port, program, operations, busy },
        });
        await new Promise((resolve, reject) => {
          worker.on("message", (message) => message === busy && resolve());
          worker.once("error", reject);
        });
        await worker.terminate();
      }
    }
  },
  /** The event loop ends by itself when nothing keeps it alive. */
  letGo: () => {
    engine.setAlive(false);
    setImmediate(() => process.disconnect());
  },
};

function held() {
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
  };
}

async function answer({ id, method, args }) {
  try {
    const result = await (own[method] ?? engine[method])(...args);
    process.send({ id, result });
  } catch (error) {
    process.send({ id, error: { name: error.name, message: error.message, code: error.code } });
  }
}

if (isMainThread) {
  process.on("message", answer);
  process.send({ ready: true });
} else {
  engine = openLinuxHeartbeat({ controlTimeoutUs: 60_000_000, onReports: () => {} });
  const port = engine.openPort(workerData.port);
  const session = engine.createSession();
  const entry = { posture: 0, operations: workerData.operations, baseUs: engine.now() };
  parentPort.postMessage({ port, loaded: engine.load(session, workerData.program, entry, 0) });
  if (workerData.busy) {
    while (engine.portCounters(port).delivered === 0);
    parentPort.postMessage(workerData.busy);
    while (workerData.busy === "waiting");
    for (;;) {
      engine.load(session, workerData.program, entry, 0);
      engine.counters(session);
      engine.look(session, false);
    }
  }
}
