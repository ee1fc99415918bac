/** What happened, in order and numbered without a gap: the last thousand are kept, so that a reader may resume. */
import type { RouterEvent, RouterHappening } from "../status.js";

const EVENTS_KEPT = 1000;

export class EventLog {
  readonly #kept: RouterEvent[];
  readonly #listeners = new Set<(event: RouterEvent) => void>();
  #sequence: number;

  /** `inherited`: of the process that went before. */
  constructor(inherited: readonly RouterEvent[] = []) {
    this.#kept = [...inherited];
    this.#sequence = inherited.at(-1)?.sequence ?? 0;
  }

  add(happened: RouterHappening): RouterEvent {
    const event = { sequence: ++this.#sequence, ...happened };
    this.#kept.push(event);
    if (this.#kept.length > EVENTS_KEPT) this.#kept.shift();
    // Told after what the event is part of: who writes it down would else hold up the frames that follow from it.
    const listeners = [...this.#listeners];
    queueMicrotask(() => {
      for (const listener of listeners) if (this.#listeners.has(listener)) listener(event);
    });
    return event;
  }

  /** Oldest first. */
  recent(): readonly RouterEvent[] {
    return [...this.#kept];
  }

  /** Those with a higher number than this; `missed` of them are not kept any more. */
  since(sequence: number): { readonly events: readonly RouterEvent[]; readonly missed: number } {
    const first = this.#kept[0]?.sequence ?? this.#sequence + 1;
    return {
      events: this.#kept.slice(Math.max(0, sequence + 1 - first)),
      missed: Math.max(0, Math.min(first, this.#sequence + 1) - sequence - 1),
    };
  }

  /** Number of the last one; 0 before the first. */
  get last(): number {
    return this.#sequence;
  }

  /** The listener is called soon after each event, in order. */
  on(listener: (event: RouterEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
