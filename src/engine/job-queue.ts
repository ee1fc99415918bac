/** Work that can wait a little, in turn, a few milliseconds at a time: frames that come in meanwhile get theirs. */

export interface JobClock {
  /** Monotonic microseconds. */
  now(): number;
  setTimer(afterUs: number, run: () => void): unknown;
}

const TURN_US = 5_000;

export class JobQueue {
  readonly #clock: JobClock;
  #jobs: (() => void)[] = [];
  #next = 0;
  #waiting = false;

  constructor(clock: JobClock) {
    this.#clock = clock;
  }

  add(run: () => void): void {
    this.#jobs.push(run);
    this.#wait();
  }

  #wait(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#clock.setTimer(0, () => this.#turn());
  }

  #turn(): void {
    this.#waiting = false;
    const untilUs = this.#clock.now() + TURN_US;
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
