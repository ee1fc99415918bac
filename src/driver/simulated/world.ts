/**
 * Virtual time, and what is going to happen in it. Nothing here waits: the clock jumps from one happening to the
 * next, so that an hour of a LAN takes seconds, and one seed always tells one story.
 *
 * Code under test is asynchronous where the machine is (promises of the kernel). After a happening that ran
 * JavaScript of a simulated machine, the world lets every promise that can settle do so before time goes on.
 */
import { Random } from "./random.js";

/** What an observer of the world is told, in the order in which it happens. */
export type Happening =
  /** A frame left a station for its segment (also one that is lost on the way). */
  | {
      readonly type: "frame";
      readonly atUs: number;
      readonly station: string;
      readonly segment: string;
      readonly frame: Uint8Array;
    }
  /** A virtual router's place began, or ceased, to forward and to answer for its addresses. */
  | {
      readonly type: "forwarding";
      readonly atUs: number;
      readonly machine: string;
      /** As in VirtualInterfaceRequest: "eth0/10/ipv4". */
      readonly owner: string;
      readonly open: boolean;
    }
  /** A heartbeat session moved, natively (`transition`) or because JavaScript loaded a program. */
  | {
      readonly type: "session";
      readonly atUs: number;
      readonly machine: string;
      readonly session: number;
      readonly how: "transition" | "load";
      /** Timers that are armed now, ascending. */
      readonly armed: readonly number[];
      /** Timers that the posture has a transition for, ascending. */
      readonly awaited: readonly number[];
    }
  /** A step of the kernel lane ended; `errno` is null when it went through. */
  | {
      readonly type: "kernelStep";
      readonly atUs: number;
      readonly machine: string;
      readonly label: string;
      readonly errno: string | null;
    }
  /** Something was done to a machine or a segment: "r1 killed". */
  | { readonly type: "fault"; readonly atUs: number; readonly what: string }
  /** A host's packet was taken on by a router. */
  | {
      readonly type: "forwarded";
      readonly atUs: number;
      readonly machine: string;
      readonly host: string;
      readonly sequence: number;
    };

type WithoutTime<T> = T extends unknown ? Omit<T, "atUs"> : never;

interface Appointment {
  readonly atUs: number;
  readonly order: number;
  run: (() => void) | null;
}

// Taken when the module is loaded, so that fake timers of a test framework do not reach in here.
const nextTurn = setImmediate;

/** How long `settle` looks at virtual time before it gives a promise up. */
const SETTLE_LIMIT_US = 60_000_000;

export class SimulatedWorld {
  readonly random: Random;
  readonly #queue: Appointment[] = [];
  readonly #observers = new Set<(happening: Happening) => void>();
  #nowUs = 0;
  #order = 0;
  #enteredJavaScript = true;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Microseconds since the world began. Machines have clocks of their own, which began at other moments. */
  get nowUs(): number {
    return this.#nowUs;
  }

  /** Has `run` called in `afterUs` (at least 0). What is due at one moment runs in the order of asking. */
  schedule(afterUs: number, run: () => void): () => void {
    const appointment: Appointment = {
      atUs: this.#nowUs + Math.max(0, Math.round(afterUs)),
      order: this.#order++,
      run,
    };
    push(this.#queue, appointment);
    return () => {
      appointment.run = null;
    };
  }

  /** Follows what happens; the function returned ends it. */
  observe(observer: (happening: Happening) => void): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  /** Tells observers; for the parts of the simulation. */
  note(happening: WithoutTime<Happening>): void {
    if (this.#observers.size === 0) return;
    const stamped = { ...happening, atUs: this.#nowUs } as Happening;
    for (const observer of this.#observers) observer(stamped);
  }

  /** To be called by whatever runs code that may wait for promises. */
  enterJavaScript(): void {
    this.#enteredJavaScript = true;
  }

  /** Goes on to the next happening; false when there is none. */
  async step(): Promise<boolean> {
    await this.#settlePromises();
    const ran = this.#runNext(Number.POSITIVE_INFINITY);
    await this.#settlePromises();
    return ran;
  }

  /** Runs all that is due up to and including `atUs`; the clock stands there afterwards. */
  async runUntil(atUs: number): Promise<void> {
    // The caller may have called into a machine itself.
    this.#enteredJavaScript = true;
    do {
      await this.#settlePromises();
    } while (this.#runNext(atUs));
    this.#nowUs = Math.max(this.#nowUs, atUs);
  }

  runFor(us: number): Promise<void> {
    return this.runUntil(this.#nowUs + us);
  }

  /**
   * Lets time pass until a promise settles.
   * @throws what it is rejected with, and an Error when it is pending after `limitUs` or nothing is left to happen.
   */
  async settle<T>(promise: Promise<T>, limitUs: number = SETTLE_LIMIT_US): Promise<T> {
    let pending = true;
    const end = (): void => {
      pending = false;
    };
    promise.then(end, end);
    const untilUs = this.#nowUs + limitUs;
    this.#enteredJavaScript = true;
    await this.#settlePromises();
    while (pending) {
      if (!this.#runNext(untilUs)) throw new Error(`still pending after ${limitUs} us of virtual time`);
      await this.#settlePromises();
    }
    return promise;
  }

  #runNext(untilUs: number): boolean {
    for (;;) {
      const next = this.#queue[0];
      if (!next || next.atUs > untilUs) return false;
      pop(this.#queue);
      if (!next.run) continue;
      this.#nowUs = next.atUs;
      next.run();
      return true;
    }
  }

  async #settlePromises(): Promise<void> {
    while (this.#enteredJavaScript) {
      this.#enteredJavaScript = false;
      // One turn of the event loop comes after every promise job, those that promise jobs add included.
      await new Promise<void>((resolve) => nextTurn(resolve));
    }
  }
}

// ---- a binary heap, earliest first, in the order of asking among equals --------------------------------------

function before(a: Appointment, b: Appointment): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}

function push(heap: Appointment[], added: Appointment): void {
  let index = heap.push(added) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = heap[parent] as Appointment;
    if (!before(added, above)) break;
    heap[index] = above;
    index = parent;
  }
  heap[index] = added;
}

function pop(heap: Appointment[]): void {
  const last = heap.pop();
  if (!last || heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right && before(right, heap[child] as Appointment)) child++;
    if (!before(heap[child] as Appointment, last)) break;
    heap[index] = heap[child] as Appointment;
    index = child;
  }
  heap[index] = last;
}
