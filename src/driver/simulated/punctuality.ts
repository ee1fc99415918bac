/** How punctual the simulated heartbeat engine is: what `timing()` shows. */
import type { EngineTiming } from "../driver.js";

const BOUNDS_US = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000];

export class Punctuality {
  #wakeups = 0;
  #latenessMaxUs = 0;
  readonly #counts = new Array<number>(BOUNDS_US.length + 1).fill(0);
  #skippedPeriods = 0;

  wokeUp(): void {
    this.#wakeups++;
  }

  late(byUs: number): void {
    const bucket = BOUNDS_US.findIndex((boundUs) => byUs <= boundUs);
    const index = bucket < 0 ? BOUNDS_US.length : bucket;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#latenessMaxUs = Math.max(this.#latenessMaxUs, byUs);
  }

  skipped(periods: number): void {
    this.#skippedPeriods += periods;
  }

  timing(): EngineTiming {
    return {
      wakeups: this.#wakeups,
      latenessMaxUs: this.#latenessMaxUs,
      latenessBoundsUs: BOUNDS_US,
      latenessCounts: [...this.#counts],
      skippedPeriods: this.#skippedPeriods,
      standIns: 0,
      realtime: true,
      memoryLocked: true,
    };
  }
}
