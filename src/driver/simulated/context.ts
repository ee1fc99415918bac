/**
 * A thread of a simulated process: tasks run at their time, wait while the thread stands still, and vanish with the
 * process. JavaScript and the native threads have one each, so that either can stand still without the other.
 */
import type { SimulatedWorld } from "./world.js";

export interface ContextOptions {
  /** Tasks are code that may wait for promises. */
  readonly javaScript: boolean;
}

export class Context {
  readonly #world: SimulatedWorld;
  readonly #options: ContextOptions;
  #alive = true;
  /** Why it stands still: several reasons may hold at once. */
  readonly #holds = new Set<string>();
  #held: (() => void)[] = [];

  constructor(world: SimulatedWorld, options: ContextOptions) {
    this.#world = world;
    this.#options = options;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get standsStill(): boolean {
    return this.#holds.size > 0;
  }

  /** Has `task` run in `afterUs`, or when the thread goes on after that. */
  post(afterUs: number, task: () => void): () => void {
    let cancelled = false;
    const run = (): void => {
      if (cancelled || !this.#alive) return;
      if (this.standsStill) {
        this.#held.push(run);
        return;
      }
      if (this.#options.javaScript) this.#world.enterJavaScript();
      task();
    };
    const cancel = this.#world.schedule(afterUs, run);
    return () => {
      cancelled = true;
      cancel();
    };
  }

  hold(reason: string): void {
    this.#holds.add(reason);
  }

  /** What waited runs now, in the order in which it came due. */
  release(reason: string): void {
    this.#holds.delete(reason);
    if (this.standsStill) return;
    const held = this.#held;
    this.#held = [];
    for (const run of held) this.#world.schedule(0, run);
  }

  end(): void {
    this.#alive = false;
    this.#held = [];
  }
}
