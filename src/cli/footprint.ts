/**
 * How much memory a daemon's JavaScript takes. A daemon lives for months and does next to nothing in JavaScript, yet
 * V8 sizes its heap by the first second, in which configuration and automata are made. These settings are read by V8
 * whenever they matter, so they may be changed while it runs.
 */
import { setFlagsFromString } from "node:v8";

/** After the start: when the first automata are made, and when peers have been heard and are in them, too. */
const GIVE_BACK_AFTER_MS = [500, 10_000];

/** V8's clean-up of an idle heap, put off for as long as its setting allows: 23 days. */
const NO_IDLE_COLLECTION = "--gc-memory-reducer-start-delay-ms=2000000000";

/**
 * Before anything big is loaded. What runs once is not worth optimised machine code, nor a large nursery. A collection
 * holds JavaScript up for some ten milliseconds, in which a router does not hear its trackers; when the heap has been
 * idle V8 would make three of them to win a few megabytes. Without them it collects when the heap has grown by a
 * fraction.
 */
export function startSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--optimize-for-size");
  setFlagsFromString("--no-opt");
  setFlagsFromString(NO_IDLE_COLLECTION);
}

/**
 * Loads modules with all their functions compiled, and kept so, which V8 would leave for when each is called first: what
 * runs when something fails runs for the first time then, and hosts would wait for the compiler.
 */
export async function loadReady<Module>(load: () => Promise<Module>): Promise<Module> {
  setFlagsFromString("--no-flush-bytecode");
  setFlagsFromString("--no-lazy");
  try {
    return await load();
  } finally {
    setFlagsFromString("--lazy");
  }
}

/** From here on it is worth optimised machine code: what is hot stays so. */
export function settle(): void {
  setFlagsFromString("--opt");
}

/** The start is over, and most of the code that it ran through is not needed any more. */
export function giveBackMemory(dropProgramPages: () => void): void {
  for (const afterMs of GIVE_BACK_AFTER_MS) setTimeout(dropProgramPages, afterMs).unref();
}
