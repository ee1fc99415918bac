/**
 * Work that can wait a little, in turn, a few milliseconds at a time: frames that come in meanwhile get theirs. A turn
 * lasts as long as it was waited for: thousands of peers that are all unknown yet may take half the time, not all.
 */

export interface JobClock {
  /** Monotonic microseconds. */
  now(): number;
  setTimer(afterUs: number, run: () => void): unknown;
}

const TURN_MIN_US = 5_000;
const TURN_MAX_US = 50_000;

export class JobQueue {
  readonly #clock: JobClock;
  #jobs: (() => void)[] = [];
  #next = 0;
  #waitingSinceUs: number | null = null;

  constructor(clock: JobClock) {
    this.#clock = clock;
  }

  add(run: () => void): void {
    this.#jobs.push(run);
    this.#wait();
  }

  #wait(): void {
    if (this.#waitingSinceUs !== null) return;
    this.#waitingSinceUs = this.#clock.now();
    this.#clock.setTimer(0, () => this.#turn());
  }

  #turn(): void {
    const nowUs = this.#clock.now();
    const waitedUs = nowUs - (this.#waitingSinceUs ?? nowUs);
    this.#waitingSinceUs = null;
    const untilUs = nowUs + Math.min(TURN_MAX_US, Math.max(TURN_MIN_US, waitedUs));
    try {
      while (this.#next < this.#jobs.length && this.#clock.now() <= untilUs) this.#jobs[this.#next++]?.();
    } finally {
      // A job that throws takes nobody else's turn away.
      if (this.#next === this.#jobs.length) {
        this.#jobs = [];
        this.#next = 0;
      } else this.#wait();
    }
  }
}
