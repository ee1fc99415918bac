/**
 * The flight recorder: the last events of all virtual routers, recorded before they are processed. A dump is one
 * JSON line an event, and is what belongs into a bug report: feeding the events to the same machine again gives
 * the same decisions.
 */
import type { VrrpEvent } from "../../core/vrrp/machine.js";

export interface RecordedEvent {
  readonly name: string;
  /** Monotonic microseconds. */
  readonly atUs: number;
  readonly event: VrrpEvent;
}

export class FlightRecorder {
  readonly #capacity: number;
  readonly #ring: RecordedEvent[] = [];
  #next = 0;

  constructor(capacity = 4096) {
    this.#capacity = capacity;
  }

  record(entry: RecordedEvent): void {
    this.#ring[this.#next] = entry;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Oldest first. */
  entries(): readonly RecordedEvent[] {
    return this.#ring.length < this.#capacity
      ? [...this.#ring]
      : [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }

  /** One JSON document a line. */
  dump(): string {
    return this.entries()
      .map((entry) => `${JSON.stringify(entry)}\n`)
      .join("");
  }
}
