/** What happened, in order and numbered without a gap: the last thousand are kept, so that a reader may resume. */
import type { RouterEvent, RouterHappening } from "../status.js";

const EVENTS_KEPT = 1000;

type Numbered = RouterHappening & { sequence: number };

export class EventLog {
  readonly #kept: RouterEvent[];
  readonly #listeners = new Set<(event: RouterEvent) => void>();
  /** What waits for its number; null: nothing has to wait. */
  #early: Numbered[] | null = null;
  #ceased = false;
  #sequence: number;

  /** `inherited`: of the process that went before. */
  constructor(inherited: readonly RouterEvent[] = []) {
    this.#kept = [...inherited];
    this.#sequence = inherited.at(-1)?.sequence ?? 0;
  }

  /** Its number is 0 while it waits for one, and where it gets none. */
  add(happened: RouterHappening): RouterEvent {
    const event = { sequence: 0, ...happened };
    if (this.#early) this.#early.push(event);
    else this.#enter(event);
    return event;
  }

  #enter(event: Numbered): void {
    if (!this.#ceased) {
      event.sequence = ++this.#sequence;
      this.#keep(event);
    }
    // Told after what the event is part of: who writes it down would else hold up the frames that follow from it.
    const listeners = [...this.#listeners];
    queueMicrotask(() => {
      for (const listener of listeners) if (this.#listeners.has(listener)) listener(event);
    });
  }

  #keep(event: RouterEvent): void {
    this.#kept.push(event);
    if (this.#kept.length > EVENTS_KEPT) this.#kept.shift();
  }

  /** The process before this one still gives numbers: what happens waits for `catchUp`, also to be told. */
  hold(): void {
    this.#early ??= [];
  }

  /** `told`: by the process before this one, since what was inherited. What waited comes after it. */
  catchUp(told: readonly RouterEvent[]): void {
    for (const event of told) {
      if (event.sequence <= this.#sequence) continue;
      this.#sequence = event.sequence;
      this.#keep(event);
    }
    this.#enterEarly();
  }

  /** Numbers are another process's from now on: what still happens here is told without one, and not kept. */
  cease(): void {
    this.#ceased = true;
    this.#enterEarly();
  }

  #enterEarly(): void {
    const early = this.#early ?? [];
    this.#early = null;
    for (const event of early) this.#enter(event);
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
