/** Several that do the same beside each other, and wait for one another before each thing that would disturb the rest. */

export class InStep {
  #members = 0;
  #waiting: (() => void)[] = [];

  /** Another one takes part; all join before the first of them waits. `leave` may come at any time, and more than once. */
  join(): { readonly step: () => Promise<void>; readonly leave: () => void } {
    this.#members++;
    let isMember = true;
    return {
      step: () =>
        new Promise((resolve) => {
          this.#waiting.push(resolve);
          this.#goOn();
        }),
      leave: () => {
        if (!isMember) return;
        isMember = false;
        this.#members--;
        this.#goOn();
      },
    };
  }

  #goOn(): void {
    if (this.#waiting.length < this.#members) return;
    const waited = this.#waiting;
    this.#waiting = [];
    for (const resolve of waited) resolve();
  }
}
