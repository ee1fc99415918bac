/** When a virtual router starts: not before its start-up delay is over, and after it has listened for a moment. */

const LISTEN_MAX_US = 100_000;

export interface StartHost {
  now(): number;
  setTimer(afterUs: number, run: () => void): () => void;
  /** Runs something soon, leaving the event loop its turns between two of them. */
  schedule(run: () => void): void;
  intervalUs(): number;
  /** The end of the start-up delay, monotonic microseconds. */
  notBeforeUs(): number;
  /** Since when everybody on the LAN is heard; null: not yet, or there was a break. */
  hearsSinceUs(): number | null;
  /** Starts, if that is still allowed; its timers count from that moment. */
  start(countsFromUs: number): void;
  /** The start-up delay is over. */
  delayOver(): void;
}

export class Start {
  readonly #host: StartHost;
  #listening = false;
  #sinceUs = 0;
  /** The start-up delay runs. */
  #delayed = false;
  #waiters: (() => void)[] = [];

  constructor(host: StartHost) {
    this.#host = host;
  }

  /**
   * Starts after having listened for two intervals. The RFC's Backup does nothing else, but at 10 ms its three
   * intervals pass before JavaScript has read its first advertisement; heard before, it is known to the first program.
   * What is listened while the kernel makes the device need not be listened again.
   */
  soon(): void {
    if (this.#listening || this.#isLater()) return;
    this.#listening = true;
    const nowUs = this.#host.now();
    this.#sinceUs = this.#host.hearsSinceUs() ?? nowUs;
    const listenUs = Math.min(2 * this.#host.intervalUs(), LISTEN_MAX_US) - (nowUs - this.#sinceUs);
    this.#host.setTimer(Math.max(0, listenUs), () => this.#host.schedule(() => this.#now()));
  }

  /**
   * Silence that was listened to counts, where it is one interval at most: so two are left for what JavaScript has not
   * read yet.
   */
  #countsFromUs(): number {
    const nowUs = this.#host.now();
    return this.#host.intervalUs() < LISTEN_MAX_US ? nowUs : Math.max(this.#sinceUs, nowUs - LISTEN_MAX_US);
  }

  /** Resolves when no start is under way. */
  async done(): Promise<void> {
    if (this.#listening) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Whether the start-up delay runs; nobody waits for its end. */
  #isLater(): boolean {
    const leftUs = this.#host.notBeforeUs() - this.#host.now();
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
    this.#host.start(this.#countsFromUs());
    for (const wake of this.#waiters.splice(0)) wake();
  }
}
