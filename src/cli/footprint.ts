/**
 * How much memory a daemon's JavaScript takes. A daemon lives for months and does next to nothing in JavaScript, yet
 * V8 sizes its heap by the first second, in which configuration and automata are made. These settings are read by V8
 * whenever they matter, so they may be changed while it runs.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** After the start: when the first automata are made, and when peers have been heard and are in them, too. */
const GIVE_BACK_AFTER_MS = [500, 10_000];

/** Before anything big is loaded. What runs once is not worth optimised machine code, nor a large nursery. */
export function startSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--optimize-for-size");
  setFlagsFromString("--no-opt");
}

/** From here on it is worth optimised machine code: what is hot stays so. */
export function settle(): void {
  setFlagsFromString("--opt");
}

/**
 * The start is over, and what only it needed (the text of the configuration, what automata were made from) would stay
 * until V8 needs room, which in a daemon that does nothing may be never. The time this takes is JavaScript's alone: for
 * a heap of thousands of virtual routers half a second, and on a processor that others use more than the control plane
 * may be silent, so those leave it to V8, which collects piece by piece.
 */
export function giveBackMemory(dropProgramPages: () => void): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const giveBack = (): void => {
    collect();
    dropProgramPages();
  };
  for (const afterMs of GIVE_BACK_AFTER_MS) setTimeout(giveBack, afterMs).unref();
}
