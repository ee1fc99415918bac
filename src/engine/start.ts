/** When a virtual router starts: not before its start-up delay is over, and after it has listened for a moment. */

const LISTEN_MAX_US = 100_000;

export interface StartHost {
  now(): number;
  setTimer(afterUs: number, run: () => void): () => void;
  /** Runs something soon, leaving the event loop its turns between two of them. */
  schedule(run: () => void): void;
  intervalUs(): number;
  startupDelayUs(): number;
  /** Starts, if that is still allowed. */
  start(): void;
  /** The start-up delay is over. */
  delayOver(): void;
}

export class Start {
  readonly #host: StartHost;
  readonly #madeAtUs: number;
  #listening = false;
  /** The start-up delay runs. */
  #delayed = false;
  #waiters: (() => void)[] = [];

  constructor(host: StartHost) {
    this.#host = host;
    this.#madeAtUs = host.now();
  }

  /**
   * Starts after having listened for two intervals. The RFC's Backup does nothing else, but at 10 ms its three
   * intervals pass before JavaScript has read its first advertisement; heard before, it is known to the first program.
   */
  soon(): void {
    if (this.#listening || this.#isLater()) return;
    this.#listening = true;
    const listenUs = Math.min(2 * this.#host.intervalUs(), LISTEN_MAX_US);
    this.#host.setTimer(listenUs, () => this.#host.schedule(() => this.#now()));
  }

  /** Resolves when no start is under way. */
  async done(): Promise<void> {
    if (this.#listening) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Whether the start-up delay runs; nobody waits for its end. */
  #isLater(): boolean {
    const leftUs = this.#madeAtUs + this.#host.startupDelayUs() - this.#host.now();
    if (leftUs <= 0 || this.#delayed) return leftUs > 0;
    this.#delayed = true;
    this.#host.setTimer(leftUs, () => {
      this.#delayed = false;
      this.#host.delayOver();
    });
    return true;
  }

  #now(): void {
    this.#listening = false;
    this.#host.start();
    for (const wake of this.#waiters.splice(0)) wake();
  }
}
